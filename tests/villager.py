"""One simulated peer: a control plane, what has happened to it, and a signature that only it can make."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from meshchat.locks.law import Law
from meshchat.peers import effects as out
from meshchat.peers.node import GOODBYES, Node
from meshchat.peers.roomclock import CLOCK_MAX, STEP_MS
from meshchat.units import Address, PeerId, Seconds

SETTLED_S: Seconds = 3.0
"""So long after two meet their clocks have met too, if only through others."""

NOON_MS = 1_800_000_000_000
"""The time of day when the village's time began."""


class SealingWax:
    """Signatures that cost a microsecond: in here nobody computes another's, though anybody could."""

    def __init__(self, me: PeerId) -> None:
        self._me = me

    def sign(self, data: bytes) -> bytes:
        return hashlib.blake2s(data, key=self._me.encode()[:32]).digest()

    def verify(self, peer: PeerId, data: bytes, proof: bytes) -> bool:
        return proof == hashlib.blake2s(data, key=peer.encode()[:32]).digest()


@dataclass
class Villager:
    """One simulated peer."""

    name: str
    alias: str
    id: PeerId
    key: Ed25519PrivateKey
    address: Address
    host: int
    node: Node
    alive: bool = True
    frozen: bool = False
    asleep_since: Seconds | None = None
    offset: Seconds = 0.0
    """What its clock shows beyond the village's."""
    restarted_at: Seconds = -math.inf
    honest: bool = True
    entered_apart: bool = False
    """Whether the room's clock showed far different times to those who were there when it came, itself included if it
    came back: then others may remember its former stay."""
    retold: set[str] = field(default_factory=set)
    """Words of its own that it said again, once it was a liar."""
    events: list[tuple[Seconds, out.Event]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why it closed links for what came on them."""
    held: list[Callable[[], None]] = field(default_factory=list)
    """What arrived while it was frozen."""
    excluded_at: dict[PeerId, Seconds] = field(default_factory=dict)
    """Since when it knows that somebody is kicked or banned in its room."""
    stopped_at: Seconds = -math.inf
    """When it was last frozen or put to sleep."""
    tick_at: Seconds | None = None
    """When its next tick is planned."""

    @property
    def awake(self) -> bool:
        """Whether it does anything."""
        return self.alive and not self.frozen and self.asleep_since is None

    def stop(self, now: Seconds) -> None:
        """It does nothing from now on, and what comes is held."""
        self.frozen, self.stopped_at = True, now
        self.held.clear()

    def go_on(self, now: Seconds) -> None:
        """It does something again; what it had no time to do yet counts from now."""
        self.frozen, self.asleep_since = False, None
        for peer, at in self.excluded_at.items():
            if at > self.stopped_at - 2:
                self.excluded_at[peer] = now

    def note_law(self, now: Seconds) -> None:
        """Remembers since when somebody is excluded."""
        law = self.law()
        excluded = law.excluded if law else frozenset()
        if excluded or self.excluded_at:
            self.excluded_at = {peer: self.excluded_at.get(peer, now) for peer in excluded}

    def begin(self, seed: int, now: Seconds) -> None:
        """Knows where it is, and what time: about right, but in one village of three two hours off at times."""
        self.node.set_addresses((str(self.address),))
        wrong_s = random.Random(f"{seed} {self.name}").choice([0.0, 0.1, -0.5, 7200.0, -7200.0][: 3 if seed % 3 else 5])
        self.node.set_time_of_day(NOON_MS + int((now + wrong_s) * 1000), now + self.offset)

    def born_again(self, node: Node, seed: int, now: Seconds) -> None:
        """Starts anew: with the same key, and nothing remembered."""
        self.node, self.alive, self.frozen, self.asleep_since = node, True, False, None
        self.held, self.tick_at, self.restarted_at = [], None, now
        self.begin(seed, now)

    def clock(self, now: Seconds) -> Seconds:
        """What its own clock shows at that time of the village's."""
        return (now if self.asleep_since is None else self.asleep_since) + self.offset

    def reading(self, now: Seconds) -> int | None:
        """What the room's clock shows to it; None for those whose clock nobody has to follow."""
        room = self.node.room
        return room.chat.clock.read(self.clock(now)) if room and self.alive and self.honest else None

    def note_arrival(self, readings: Iterable[int | None], now: Seconds) -> None:
        """It entered a room, whose clock shows these times to others."""
        came_back = bool(self.seen(out.RoomEntered))
        shown = [each for each in (*readings, self.reading(now) if came_back else None) if each is not None]
        self.entered_apart = bool(shown) and max(shown) > min(shown) + STEP_MS

    def law(self) -> Law | None:
        """What holds in its room, as far as it knows."""
        return self.node.room.court.law if self.node.room else None

    def seen(self, kind: type[out.Event]) -> list[tuple[Seconds, out.Event]]:
        """The events of one kind, with their times."""
        return [(at, event) for at, event in self.events if isinstance(event, kind)]

    def aliases(self) -> list[str]:
        """Who it shows, itself first."""
        return [member.alias for member in self.node.members()]

    def sees(self) -> set[PeerId]:
        """Who is in the room, by its lights."""
        return {member.peer for member in self.node.members()}

    def chat(self) -> list[str]:
        """The texts that it shows, in order."""
        chat = self.node.room.chat if self.node.room else None
        return [line.text for line in chat.history.lines(chat.history.held(0, CLOCK_MAX))] if chat else []

    @property
    def entered_at(self) -> Seconds:
        """Since when it is in its room, by the village's time."""
        return max((at for at, _ in self.seen(out.RoomEntered)), default=math.inf)

    def knew(self, other: Villager, at: Seconds) -> bool:
        """Whether it had seen `other` in the room for a while at that time, and neither has left since."""
        since = max(self.entered_at, other.entered_at)
        for when, event in self.events:
            if isinstance(event, out.MemberLeft) and event.peer == other.id and event.reason in GOODBYES:
                since = max(since, when)
        return any(
            since <= when <= at - SETTLED_S and isinstance(event, out.MemberJoined) and event.peer == other.id
            for when, event in self.events
        )

    def coordinator(self) -> PeerId | None:
        """Whom it follows."""
        room = self.node.room
        claim = room.election.followed if room else None
        return PeerId(claim.leader) if claim else None

    def leaders_since(self, at: Seconds) -> list[str]:
        """Whom it followed from then on, one after the other; changes of epoch under one leader do not count."""
        told = [(when, event.claim.leader) for when, event in self.events
                if isinstance(event, out.CoordinatorChanged) and event.claim]  # fmt: skip
        before = [leader for when, leader in told if when < at][-1:]
        followed = before + [leader for when, leader in told if when >= at]
        return [leader for number, leader in enumerate(followed) if number and leader != followed[number - 1]]


def stay_in_spite(peer: Villager) -> None:
    """That peer's program is patched: it takes no notice of being sent away."""
    room = peer.node.room
    assert room is not None
    peer.honest = False
    room.discipline.obey = lambda: None  # type: ignore[method-assign]
