"""How much we say and hear of late: whether there is room for what could be left out, under the bound on messages.

The bound is 1000 in any five seconds. Breaths are what can be left out, so they wait until the news has been said. What
the others' signs of life come to is known from their number; the rest is counted, in a bucket that leaks at the rate
that is left.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshchat.units import Seconds

PER_S = 180
"""So many a second may be said and heard for long: some less than 200."""

AT_ONCE = 100
"""And so many more at once: a word to everybody in a full room."""


@dataclass(slots=True)
class Load:
    """What was said and heard, and has not leaked away yet."""

    level: float = 0.0
    at: Seconds = 0.0

    def add(self, count: int, now: Seconds, beats_per_s: float) -> None:
        """So many messages more; as many signs of life are heard each second beside them."""
        self.level = self._left(now, beats_per_s) + count
        self.at = now

    def is_high(self, now: Seconds, beats_per_s: float) -> bool:
        """Whether what can be left out should be."""
        return self._left(now, beats_per_s) > AT_ONCE

    def _left(self, now: Seconds, beats_per_s: float) -> float:
        return max(0.0, self.level - max(0.0, now - self.at) * (PER_S - beats_per_s))
