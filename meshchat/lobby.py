"""The rooms around: what every peer says it is in, joined into one list.

Announcements may be stale (a crashed peer's record lives on for a while) or wrong, so a room's member count is the
middle of what its members tell, and never more than a hint. Our own room is counted, not guessed.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from meshchat.peers.directory import RoomHint
from meshchat.units import PeerId, RoomId

ROOMS_MAX = 256
"""Most rooms listed; who floods the network with names hides only the later ones."""


@dataclass(frozen=True, slots=True)
class RoomAround:
    """A room that somebody is in."""

    room: RoomId
    name: str
    locked: bool
    members: int
    joined: bool
    sharing: bool = False


def rooms_around(hints: Mapping[PeerId, Iterable[RoomHint]], own: RoomAround | None) -> tuple[RoomAround, ...]:
    """Every room of the peers in `hints`, and our own (`own`) first, the rest by name."""
    told: dict[RoomId, list[RoomHint]] = defaultdict(list)
    for rooms in hints.values():
        for hint in rooms:
            told[hint.room].append(hint)
    around = [
        RoomAround(room, _name(said), said[0].locked, _count(said), False, any(hint.sharing for hint in said))
        for room, said in told.items()
        if own is None or room != own.room
    ]
    around.sort(key=lambda each: (each.name.casefold(), each.room))
    return tuple(([own] if own else []) + around)[:ROOMS_MAX]


def _name(said: list[RoomHint]) -> str:
    """What the first calls it who names it: one who came by an invite link may not know yet what a room shows."""
    return next((hint.name for hint in said if hint.name), "")


def _count(said: list[RoomHint]) -> int:
    return max(1, statistics.median_low(hint.members for hint in said))
