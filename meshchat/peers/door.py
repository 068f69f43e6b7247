"""The door of a locked room: whoever rings is let in by the passphrase, one try at a time in the whole room.

Intuition: there is one doorkeeper, the coordinator, and all members know what opens, so each can be the next. Others
send whoever rings to it. It counts failures (`locks/attempts.py`) and tells everybody else before it answers.

The rule for a change of doorkeeper: the new one goes on from what it was told, is told by every other member what that
one counts, and waits before its first try as long as after a failure. Nobody gains a try by making the coordinator go.
Not taken: a count for each member, which a guesser could use up one after the other; and letting a majority alone open
the door, since a conversation of two has none as soon as one of them is gone.

A secret that was changed shuts the door for good: who was sent out knows the passphrase too.

Open tries need no limit of their own: one may begin a second, and each ends within `TRY_S`. Whoever rings out of turn
costs one short answer, smaller than its question.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from meshchat.locks.attempts import Attempts
from meshchat.locks.bind import Draw
from meshchat.locks.invite import Invite, card
from meshchat.locks.pake import ANSWER_AFTER_S, Doorkeeper
from meshchat.peers.circle import Circle, told_addresses
from meshchat.peers.election import Election
from meshchat.peers.entry import DOOR_ADDRESSES_MAX, Confirm, Opened, Reply, Ring, Shut, Tried, Words
from meshchat.peers.gate import Gate
from meshchat.peers.links import Link
from meshchat.peers.messages import Message
from meshchat.units import PeerId, RoomId, Seconds

TRY_S: Seconds = 5.0
"""How long a newcomer may take to confirm: a hundred times what its machine needs."""

NOBODY_S: Seconds = 1.0
"""When to ring again while the room is without a coordinator: an election takes about as long."""


@dataclass(frozen=True, slots=True)
class _Try:
    keeper: Doorkeeper
    until: Seconds


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is sent a fixed time after it was asked for, so that how long it took to compute cannot be seen."""

    at: Seconds
    peer: PeerId
    message: Reply | Opened | Shut


class Door:
    """One member's side of the door, for one stay in one room."""

    def __init__(
        self,
        circle: Circle,
        room: RoomId,
        election: Election,
        gate: Gate,
        members: Callable[[], list[Link]],
        draw: Draw,
        fits: Callable[[bytes], bool],
    ) -> None:
        """`fits` tells whether a key may be the passphrase's, as far as a moderator has said."""
        self.attempts = Attempts()
        self._circle = circle
        self._room = room
        self._election = election
        self._gate = gate
        self._members = members
        self._draw = draw
        self._fits = fits
        self._invite: Invite | None = None
        self._key: bytes | None = None
        self._leader: PeerId | None = None
        """Who kept the door when we last looked."""
        self._tries: dict[PeerId, _Try] = {}
        self._answers: list[_Answer] = []

    @property
    def timer(self) -> Seconds | None:
        """When `tick` wants to be called."""
        return self._answers[0].at if self._answers else None

    def equip(self, invite: Invite, key: bytes | None) -> None:
        """What newcomers are handed, and the key that the passphrase makes (32 bytes) if we know it."""
        self._invite, self._key = invite, key

    def welcome(self, link: Link) -> None:
        """A new member learns what opens, and how many have failed."""
        if self._key is not None and self._card() is not None:
            told = Words(self._room, self._key, self.attempts.failures(self._circle.now))
            self._circle.send(link.peer, told)

    def heard(self, link: Link, message: Ring | Confirm) -> None:
        """Somebody is at the door. `WireError` if it talks nonsense."""
        if message.room != self._room or link.admitted:
            return
        if link.shunned:
            self._circle.send(link.peer, Shut(self._room, "barred"))
            return
        link.rang_at = self._circle.now
        if isinstance(message, Ring):
            self._rang(link, message)
        else:
            self._confirmed(link, message)

    def overhear(self, link: Link, message: Message) -> None:
        """A member said something: it may concern the door, or tell that another member keeps it."""
        if isinstance(message, Words | Tried):
            self.told(link, message)
        self.look()

    def told(self, link: Link, message: Words | Tried) -> None:
        """A member tells what opens, or what it counts."""
        if message.room != self._room:
            return
        from_keeper = link.peer == self._election.leader
        if isinstance(message, Words) and (self._key is None or from_keeper) and self._fits(message.key):
            self._key = message.key
        if from_keeper:
            self.attempts.follow(message.failures, self._circle.now)
        else:
            self.attempts.merge(message.failures, self._circle.now)

    def forget(self, peer: PeerId) -> None:
        """The link is gone, and what was to be said on it."""
        self._tries.pop(peer, None)
        self._answers = [each for each in self._answers if each.peer != peer]

    def look(self) -> None:
        """Notices when another member keeps the door from now on."""
        keeper, now = self._election.leader, self._circle.now
        if keeper == self._leader:
            return
        self._leader = keeper
        self._tries.clear()
        if keeper == self._circle.me:
            self.attempts.take_over(now)
        elif keeper is not None and self.attempts.failures(now):
            self._circle.send(keeper, Tried(self._room, self.attempts.failures(now)))

    def tick(self, now: Seconds) -> None:
        """Answers what is due, and gives up tries that did not come to their end."""
        due = [each for each in self._answers if each.at <= now]
        self._answers = [each for each in self._answers if each.at > now]
        for answer in due:
            self._circle.send(answer.peer, answer.message)
        for peer in [peer for peer, each in self._tries.items() if each.until <= now]:
            del self._tries[peer]

    # Inside

    def _card(self) -> bytes | None:
        """What the passphrase brings; None once the secret is another than when the passphrase was set."""
        invite = self._invite
        return card(invite) if invite and invite.secret == self._gate.secret else None

    def _rang(self, link: Link, ring: Ring) -> None:
        keeper, now, handed = self._election.leader, self._circle.now, self._card()
        if handed is None or self._key is None:
            self._circle.send(link.peer, Shut(self._room, "closed"))
        elif keeper is None:
            self._circle.send(link.peer, self._wait(NOBODY_S))
        elif keeper != self._circle.me:
            self._circle.send(link.peer, self._elsewhere(keeper))
        elif not self.attempts.begin(now):
            self._circle.send(link.peer, self._wait(self.attempts.wait_s(now)))
        else:
            door = Doorkeeper(self._key, handed, self._room, self._circle.me, link.peer, self._draw)
            self._answer(link, Reply(self._room, door.reply(ring.point)))
            self._tries[link.peer] = _Try(door, now + TRY_S)

    def _confirmed(self, link: Link, confirm: Confirm) -> None:
        begun, now = self._tries.pop(link.peer, None), self._circle.now
        if begun is None or begun.until <= now:
            self._circle.send(link.peer, self._wait(self.attempts.wait_s(now)))
            return
        sealed = begun.keeper.open(confirm.code)
        if sealed is None:
            self.attempts.fail(now)
            self._answer(link, self._wait(self.attempts.wait_s(now), wrong=True))
        else:
            self.attempts.succeed()
            self._answer(link, Opened(self._room, sealed))
        for member in self._members():
            self._circle.send(member.peer, Tried(self._room, self.attempts.failures(now)))

    def _answer(self, link: Link, message: Reply | Opened | Shut) -> None:
        self._answers.append(_Answer(self._circle.now + ANSWER_AFTER_S, link.peer, message))

    def _wait(self, seconds: Seconds, *, wrong: bool = False) -> Shut:
        return Shut(self._room, "wrong" if wrong else "wait", int(seconds * 1000))

    def _elsewhere(self, keeper: PeerId) -> Shut:
        link = self._circle.links.get(keeper)
        where = told_addresses(link)[:DOOR_ADDRESSES_MAX] if link else ()
        return Shut(self._room, "elsewhere", keeper=keeper, addresses=where)
