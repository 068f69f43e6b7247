"""Peers that we have heard of but need not know: where they may be, which rooms they say they are in, when to call.

Everything here is hearsay, from mDNS or from other members, so the table is bounded and each call that comes of it is
cheap and paced. Who somebody is, the handshake proves.

Both sides send first: a host firewall that drops what it did not ask for lets a call in once a packet has gone out to
that caller. So the peer with the lower id calls and the other one sends a small packet the same way; if that brings no
link within a moment, both do both.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from meshchat.peers.effects import Dial, Punch
from meshchat.peers.messages import ADDRESSES_MAX
from meshchat.units import Address, PeerId, RoomId, Seconds, bound

PEERS_MAX = 1024
"""Most peers remembered; the one heard of longest ago is forgotten first."""

SEEDS_MAX = 64
"""Most addresses given by hand that are called at a time; the first ones are given up."""

STAGGER_S: Seconds = 0.25
"""How long the peer with the higher id leaves the call to the other: a handshake takes 30 ms on a LAN."""

CALLS_AT_ONCE_MAX = 16
CALLS_PAUSE_S: Seconds = 0.2
"""No more calls than this, then a pause: a flood of forged peers makes us knock on doors, slowly."""

RETRY_FIRST_S: Seconds = 1.0
RETRY_MAX_S: Seconds = 15.0
"""Pauses between calls to a peer that does not answer double from the first to the longest."""

ROOMMATE_RETRY_S: Seconds = 0.8
"""The same to somebody who was in a room with us until lately: one packet in a while, so that both sides of a split
meet within 3 s of its end."""

ROOMMATE_S: Seconds = 900.0
"""How long such a one is called that often, and remembered though mDNS forgets it."""

UNANSWERED_CALLS = 4
"""So many calls in vain, over some five seconds, and something stands between: a firewall, or the peer is gone."""

RECALL_S: Seconds = 0.1
"""After a link broke, the first call: most links that break do so because one end slept."""


class Chance(Protocol):
    """The part of `random.Random` that is used."""

    def uniform(self, a: float, b: float, /) -> float: ...


@dataclass(frozen=True, slots=True)
class RoomHint:
    """A room that somebody says it is in."""

    room: RoomId
    name: str
    locked: bool = False
    members: int = 1
    sharing: bool = False


@dataclass(slots=True)
class Known:
    """One peer by hearsay."""

    addresses: tuple[Address, ...]
    rooms: tuple[RoomHint, ...]
    call_at: Seconds
    attempts: int = 0
    punched: bool = False
    roommate_until: Seconds = -math.inf
    announced: bool = True
    """Whether somebody still says that it is there; if not, only we remember it."""


class Directory:
    """Hearsay about peers, and the calls that are due because of it."""

    def __init__(self, me: PeerId, rng: Chance) -> None:
        self._me = me
        self._rng = rng
        self._known: OrderedDict[PeerId, Known] = OrderedDict()
        self._seeds: dict[Address, Known] = {}
        self._calm_until: Seconds = 0.0
        self.changed = True
        """Whether something came that may be a reason to call earlier than `timer` said."""

    def learn(self, peer: PeerId, addresses: tuple[Address, ...], rooms: tuple[RoomHint, ...], now: Seconds) -> None:
        """Somebody says that `peer` is at `addresses` and in `rooms`. News of an address starts the calls afresh."""
        if peer == self._me or not addresses:
            return
        known = self._known.get(peer)
        if known is None:
            known = self._known[peer] = Known(addresses, rooms, call_at=now)
            self.changed = True
        elif set(addresses) - set(known.addresses):
            known.call_at, known.attempts, known.punched = now, 0, False
            self.changed = True
        self.changed = self.changed or rooms != known.rooms
        known.addresses, known.rooms, known.announced = addresses, rooms, True
        self._known.move_to_end(peer)
        while len(self._known) > PEERS_MAX:
            self._known.popitem(last=False)

    def forget(self, peer: PeerId, now: Seconds) -> None:
        """The hearsay was taken back; somebody who was in a room with us we remember ourselves for a while."""
        known = self._known.get(peer)
        if known and known.roommate_until > now:
            known.announced = False
        else:
            self._known.pop(peer, None)

    def met(self, peer: PeerId, address: Address, room: RoomHint, now: Seconds) -> None:
        """That peer is in a room with us."""
        known = self._known.get(peer)
        if known is None:
            known = self._known[peer] = Known((address,), (room,), call_at=now, announced=False)
        if address not in known.addresses:
            known.addresses = (address, *known.addresses)[:ADDRESSES_MAX]
        if all(hint.room != room.room for hint in known.rooms):
            known.rooms = (room,)
        known.roommate_until = now + ROOMMATE_S

    def listed(self, peer: PeerId, now: Seconds) -> None:
        """The coordinator lists it, and we have no link to it: it is called as often as one whom we met."""
        known = self._known.get(peer)
        if known:
            known.roommate_until = now + ROOMMATE_S
            if known.call_at > now + ROOMMATE_RETRY_S:
                known.call_at, self.changed = now + ROOMMATE_RETRY_S, True

    def parted(self, peer: PeerId) -> None:
        """It left the room: no reason to call it more often than others."""
        known = self._known.get(peer)
        if known:
            known.roommate_until = -math.inf
            known.rooms = ()

    def hurry(self, now: Seconds) -> None:
        """We were away: everybody is called anew at once."""
        self.changed = True
        for known in (*self._known.values(), *self._seeds.values()):
            known.attempts, known.punched, known.call_at = 0, False, now

    def add_seed(self, address: Address, now: Seconds) -> None:
        """An address that the user gave: called until somebody answers there."""
        self._seeds[address] = Known((address,), (), call_at=now)
        bound(self._seeds, SEEDS_MAX)
        self.changed = True

    def seeds(self) -> tuple[Address, ...]:
        """The addresses that the user gave."""
        return tuple(self._seeds)

    def hints(self) -> dict[PeerId, tuple[RoomHint, ...]]:
        """Which rooms every known peer says it is in."""
        return {peer: known.rooms for peer, known in self._known.items() if known.announced}

    def in_room(self, room: RoomId) -> list[PeerId]:
        """The peers that are said to be in that room."""
        return [peer for peer, known in self._known.items() if any(hint.room == room for hint in known.rooms)]

    def unanswered(self, wanted: Iterable[PeerId], *, seeds: bool) -> int:
        """How many of `wanted` (announced, and never met), and with `seeds` of those, were called in vain."""
        announced = [known for peer in wanted if (known := self._known[peer]).announced]
        tried = [*announced, *(self._seeds.values() if seeds else ())]
        return sum(each.attempts >= UNANSWERED_CALLS and each.roommate_until == -math.inf for each in tried)

    def lost(self, peer: PeerId, seed: Address | None, now: Seconds) -> None:
        """The link to `peer` ended: call again soon, if it is still wanted."""
        self.changed = True
        for known in (self._known.get(peer), self._seeds.get(seed) if seed else None):
            if known:
                soon = now < known.roommate_until
                known.attempts, known.punched = 1, False
                known.call_at = now + (RECALL_S if soon else RETRY_FIRST_S)

    def calls(self, wanted: Iterable[PeerId], seeds_answered: Iterable[Address], now: Seconds) -> list[Dial | Punch]:
        """What to send now: calls and openers to wanted peers that are not linked, and to seeds without an answer."""
        due: list[Dial | Punch] = []
        answered = set(seeds_answered)
        for address, known in self._seeds.items():
            if address not in answered and now >= known.call_at:
                self._back_off(known, now)
                due.append(Dial(None, (address,)))
        for peer in wanted if now >= self._calm_until else ():
            known = self._known[peer]
            if now >= known.call_at:
                due += self._call(peer, known, now)
            if len(due) >= CALLS_AT_ONCE_MAX:
                self._calm_until = now + CALLS_PAUSE_S
                break
        return due

    def timer(self, wanted: Iterable[PeerId], seeds_answered: Iterable[Address]) -> Seconds | None:
        """When `calls` has something to say."""
        answered = set(seeds_answered)
        times = [max(self._calm_until, self._known[peer].call_at) for peer in wanted]
        times += [known.call_at for address, known in self._seeds.items() if address not in answered]
        return min(times, default=None)

    def _call(self, peer: PeerId, known: Known, now: Seconds) -> list[Dial | Punch]:
        punch = Punch(known.addresses)
        if peer < self._me and not known.punched:
            known.punched, known.call_at = True, now + STAGGER_S
            return [punch]
        self._back_off(known, now)
        dial = Dial(peer, known.addresses)
        return [dial] if known.attempts == 1 and self._me < peer else [punch, dial]

    def _back_off(self, known: Known, now: Seconds) -> None:
        longest = ROOMMATE_RETRY_S if now < known.roommate_until else RETRY_MAX_S
        pause = min(longest, RETRY_FIRST_S * 2 ** min(known.attempts, 10))
        known.attempts += 1
        known.call_at = now + self._rng.uniform(0.75, 1.25) * pause
