"""How often somebody may do something: a few times at once, then at a steady rate (a token bucket)."""

from __future__ import annotations

from dataclasses import dataclass

from meshchat.units import Seconds


@dataclass(frozen=True, slots=True)
class Rate:
    """A few at once, then so many a second."""

    burst: int
    per_s: float


class Budget:
    """What is left of a rate."""

    def __init__(self, rate: Rate, now: Seconds) -> None:
        self._rate = rate
        self._left = float(rate.burst)
        self._at = now

    def take(self, now: Seconds) -> bool:
        """Does it once, if it may be done now."""
        if self.wait(now) > 0:
            return False
        self._left -= 1
        return True

    def wait(self, now: Seconds) -> Seconds:
        """How long until it may be done; 0 for now."""
        self._left = min(self._rate.burst, self._left + max(0.0, now - self._at) * self._rate.per_s)
        self._at = now
        return max(0.0, (1 - self._left) / self._rate.per_s)
