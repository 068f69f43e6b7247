"""One peer's control plane: its links, the room it is in, and the hearsay that leads to more links.

Everything the node wants done or has to report is collected, and drained by `effects`; nothing happens in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from meshchat.errors import Refused, WireError
from meshchat.peers import effects as out
from meshchat.peers.directory import Chance, Directory, RoomHint
from meshchat.peers.links import BEAT_EARLY_S, LOST_AFTER_S, Link
from meshchat.peers.messages import (
    PROTOCOL,
    Beat,
    Claim,
    Hello,
    Key,
    Message,
    Moved,
    Neighbours,
    Presence,
    Roster,
)
from meshchat.peers.room import Circle, Room
from meshchat.units import Address, PeerId, RoomId, Seconds, parse_address, safe_text

LINKS_MAX = 256
"""Most links at once: a full room and as many strangers again; a further one is closed at once."""

GREETING_S: Seconds = 3.0
"""How long a link may stay without a hello."""

STRANGER_S: Seconds = 30.0
"""How long a link without a common room is kept, unless either side asked for it by `--peer`."""

LAG_S: Seconds = 0.5
"""A tick later than this says that we slept or were starved: the silence was ours, and is not held against others."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the room shows it."""

    peer: PeerId
    alias: str
    you: bool
    coordinator: bool
    muted: bool
    deafened: bool
    rtt_ms: float | None
    addresses: tuple[str, ...]


class Node:
    """The control plane of one peer."""

    def __init__(self, me: PeerId, alias: str, rng: Chance, draw: Callable[[int], bytes]) -> None:
        """`rng` paces retries; `draw(n)` gives n secret random bytes for media keys."""
        self.directory = Directory(me, rng)
        self.room: Room | None = None
        self._circle = Circle(me, alias, self.directory)
        self._draw = draw
        self._tick_expected: Seconds | None = None

    @property
    def me(self) -> PeerId:
        """Our own id."""
        return self._circle.me

    @property
    def alias(self) -> str:
        """What we want to be called."""
        return self._circle.alias

    @property
    def muted(self) -> bool:
        """Whether we say that we do not speak."""
        return self._circle.muted

    @property
    def deafened(self) -> bool:
        """Whether we say that we do not listen."""
        return self._circle.deafened

    @property
    def links(self) -> dict[PeerId, Link]:
        """Every peer that we are linked with."""
        return self._circle.links

    def effects(self) -> list[out.Effect]:
        """What is to be done and what has happened since the last call, in order."""
        drained, self._circle.wishes = self._circle.wishes, []
        return drained

    def set_addresses(self, addresses: tuple[str, ...]) -> None:
        """Where we can be reached, as told in greetings from now on."""
        self._circle.addresses = addresses

    def enter(self, room: RoomId, name: str, now: Seconds) -> None:
        """Goes into a room, out of the one that we are in. Raises `Refused` if we are there already."""
        if self.room and self.room.id == room:
            raise Refused(f"room already joined: {name}")
        if self.room:
            self.leave(now)
        self.room = Room(self._circle, room, name, self._draw, now)
        self._tell_presence()
        self.room.open(now)

    def leave(self, now: Seconds) -> None:
        """Goes out of the room. Raises `Refused` if we are in none."""
        if self.room is None:
            raise Refused("not in a room")
        self.room.close(now)
        self.room = None
        self._tell_presence()

    def rename(self, alias: str) -> None:
        """Takes another alias. Raises `Refused` if a member has it."""
        taken = {member.alias.casefold() for member in self.members() if not member.you}
        if alias.casefold() in taken:
            raise Refused(f"alias already taken: {alias}")
        self._circle.alias = alias
        self._changed_self()

    def set_silence(self, muted: bool, deafened: bool) -> None:
        """Tells the room whether we speak and listen."""
        if (muted, deafened) != (self.muted, self.deafened):
            self._circle.muted, self._circle.deafened = muted, deafened
            self._changed_self()

    def link_up(self, peer: PeerId, address: Address, seed: Address | None, now: Seconds) -> None:
        """A link to a peer that proved its id came up; `seed` is the `--peer` address that it answers."""
        if len(self.links) >= LINKS_MAX:
            self._circle.wishes.append(out.Drop(peer, "too many links"))
            return
        keep = seed is not None
        self.links[peer] = Link(peer, address, up_at=now, heard_at=now, seed=seed, beat_at=now, keep=keep)
        self._circle.send(peer, Hello(PROTOCOL, self._circle.addresses, keep, self._presence(), self._followed()))

    def link_down(self, peer: PeerId, reason: str, now: Seconds) -> None:
        """The link to `peer` is gone."""
        link = self.links.pop(peer, None)
        if link is None:
            return
        self.directory.lost(peer, link.seed, now)
        if self.room and link.in_room(self.room.id):
            self.room.depart(link, reason, now)

    def received(self, peer: PeerId, message: Message, now: Seconds) -> None:
        """A message came on the link to `peer`. Raises `WireError` if it has no place there."""
        link = self.links.get(peer)
        if link is None:
            return
        link.heard_at = now
        if link.greeted == isinstance(message, Hello):
            raise WireError("a hello is said once, and first")
        match message:
            case Hello():
                self._greeted(link, message, now)
            case Moved():
                self._moved(link, message.presence, message.claim, now)
            case Neighbours():
                self._neighbours_came(message, now)
            case Beat():
                link.heard_beat(message, now)
        if self.room and link.in_room(self.room.id):
            self._received_in_room(self.room, link, message, now)

    def heard(self, peer: PeerId, at: Seconds) -> None:
        """An authenticated packet of any kind came from `peer`."""
        link = self.links.get(peer)
        if link:
            link.heard_at = max(link.heard_at, at)

    def timer(self) -> Seconds | None:
        """When `tick` wants to be called next."""
        times = [min(link.beat_at, link.heard_at + LOST_AFTER_S) for link in self.links.values()]
        others = [self.room.timer if self.room else None, self.directory.timer(self._wanted(), self._answered())]
        return min(times + [time for time in others if time is not None], default=None)

    def tick(self, now: Seconds) -> None:
        """Does what is due."""
        if self._tick_expected is not None and now - self._tick_expected > LAG_S:
            for link in self.links.values():
                link.heard_at += now - self._tick_expected
        self._drop_silent(now)
        self._beat(now)
        if self.room:
            self.room.tick(now)
        self._circle.wishes += self.directory.calls(self._wanted(), self._answered(), now)
        self._tick_expected = self.timer()

    def members(self) -> Iterator[Member]:
        """Everybody in the room, ourselves first, then in order of admission."""
        if self.room is None:
            return
        circle, claim = self._circle, self._followed()
        leader = claim.leader if claim else None
        yield Member(
            self.me,
            self.room.own_alias,
            True,
            leader == self.me,
            self.muted,
            self.deafened,
            None,
            circle.addresses,
        )
        for link in self.room.ranked():
            assert link.presence is not None
            yield Member(
                link.peer,
                self.room.alias_of(link),
                False,
                leader == link.peer,
                link.presence.muted,
                link.presence.deafened,
                link.rtt_ms,
                (str(link.address),),
            )

    def _presence(self) -> Presence | None:
        return self.room.presence() if self.room else None

    def _followed(self) -> Claim | None:
        return self.room.election.followed if self.room else None

    def _greeted(self, link: Link, hello: Hello, now: Seconds) -> None:
        if hello.protocol != PROTOCOL:
            raise WireError(f"protocol {hello.protocol}")
        link.greeted, link.addresses = True, hello.addresses
        link.keep = link.keep or hello.keep
        self._moved(link, hello.presence, hello.claim, now)
        if self.room and not link.in_room(self.room.id):
            self.room.tell_neighbours(link, self.room.members())

    def _moved(self, link: Link, presence: Presence | None, claim: Claim | None, now: Seconds) -> None:
        room = self.room
        was_here = room is not None and link.in_room(room.id)
        before = link.presence
        is_here = room is not None and presence is not None and presence.room == room.id
        if room and was_here and not is_here:
            room.depart(link, "left", now)
        link.presence, link.claim = presence, claim
        if room and is_here and not was_here:
            room.welcome(link, now)
        elif room and is_here and before != presence:
            room.list(link)
            self._circle.wishes.append(out.MemberChanged(link.peer))

    def _received_in_room(self, room: Room, link: Link, message: Message, now: Seconds) -> None:
        match message:
            case Beat() | Moved():
                room.hear_claim(link, now)
                room.check_leader(now)
            case Roster():
                room.roster_came(link, message, now)
            case Key():
                room.key_came(link, message)

    def _neighbours_came(self, message: Neighbours, now: Seconds) -> None:
        for neighbour in message.peers:
            addresses = tuple(map(parse_address, neighbour.addresses))
            rooms = (RoomHint(RoomId(neighbour.room), safe_text(neighbour.name)),) if neighbour.room else ()
            if neighbour.peer not in self.links:
                self.directory.learn(PeerId(neighbour.peer), addresses, rooms, now)

    def _changed_self(self) -> None:
        if self.room:
            self.room.list_self()
            self._tell_presence()
            self._circle.wishes.append(out.MemberChanged(self.me))

    def _tell_presence(self) -> None:
        moved = Moved(self._presence(), self._followed())
        for peer in self.links:
            self._circle.send(peer, moved)

    def _beat(self, now: Seconds) -> None:
        """Signs of life, as soon as one is due: the others go with it, so that a full room wakes us once a second."""
        if all(now < link.beat_at for link in self.links.values()):
            return
        for link in self.links.values():
            if now >= link.beat_at - BEAT_EARLY_S:
                if self.room:
                    self.room.beat(link, now)
                else:
                    self._circle.send(link.peer, link.beat(None, False, now))

    def _drop_silent(self, now: Seconds) -> None:
        for link in list(self.links.values()):
            reason = self._why_drop(link, now)
            if reason:
                self._circle.wishes.append(out.Drop(link.peer, reason))
                self.link_down(link.peer, reason, now)

    def _why_drop(self, link: Link, now: Seconds) -> str | None:
        age = now - link.up_at
        if now - link.heard_at >= LOST_AFTER_S:
            return "lost"
        if not link.greeted and age > GREETING_S:
            return "no hello"
        in_room = self.room is not None and link.in_room(self.room.id)
        return "no common room" if age > STRANGER_S and not (link.keep or in_room) else None

    def _wanted(self) -> list[PeerId]:
        if self.room is None:
            return []
        return [peer for peer in self.directory.in_room(self.room.id) if peer not in self.links]

    def _answered(self) -> list[Address]:
        return [link.seed for link in self.links.values() if link.seed]
