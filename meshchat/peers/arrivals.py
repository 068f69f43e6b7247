"""When each member came, by the room's clock: nobody is handed what was said before that.

A reading that was noted while our clock was behind everybody's (we came, or woke, a moment ago) is too early, and would
let somebody have what was said before. So when the clock leaps, whoever was noted within the last moments is noted
anew, and our own coming too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from meshchat.units import PeerId, Seconds, bound

MEMBERS_MAX = 512
"""Most members remembered; the oldest is forgotten first, and is then a newcomer."""

MOMENT_S: Seconds = 3.0
"""So long after we met somebody our clocks have met too."""

LEAP_MS_MIN = 2000
"""Less is the time that a message was on its way, or a sleep too short to be noticed."""


@dataclass(slots=True)
class Arrival:
    """Somebody came, or was first heard of."""

    clock: int
    met_at: Seconds = math.inf
    """When our clocks met; we ourselves have met nobody at first."""


class Arrivals:
    """Our own and those of the members that we know of."""

    def __init__(self, clock: int) -> None:
        self._own = Arrival(clock)
        self._known: dict[PeerId, Arrival] = {}

    @property
    def own(self) -> int:
        """What the room's clock showed when we came."""
        return self._own.clock

    def of(self, peer: PeerId) -> int:
        """What it showed when that member, which is known, came."""
        return self._known[peer].clock

    def note(self, peer: PeerId, clock: int, now: Seconds) -> None:
        """A member is here; if it was here before, and only out of sight, nothing changes."""
        if peer not in self._known:
            self._known[peer] = Arrival(clock, now)
            bound(self._known, MEMBERS_MAX)

    def forget(self, peer: PeerId) -> None:
        """It said goodbye."""
        self._known.pop(peer, None)

    def slept(self) -> None:
        """Our clock stood still: that it is behind now says nothing of what it showed before."""
        for each in (self._own, *self._known.values()):
            each.met_at = -math.inf

    def met(self, leap_ms: int, now: Seconds) -> None:
        """Somebody showed its clock, and ours was so much behind."""
        if leap_ms > LEAP_MS_MIN:
            for each in (self._own, *self._known.values()):
                if now - each.met_at <= MOMENT_S:
                    each.clock += leap_ms
        self._own.met_at = min(self._own.met_at, now)
