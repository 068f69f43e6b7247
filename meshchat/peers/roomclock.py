"""The room's clock: milliseconds that run with everybody's own, and leap to the greatest that anybody has told.

It orders the chat. Each member begins with the time of day as it enters, lets its monotonic clock count on, and follows
whoever is ahead: a hybrid logical clock (Kulkarni et al., 2014). So a line is always later than those that its author
had read, the two sides of a split interleave by the time at which things were said, and a machine whose time of day is
wrong only moves the zero of everybody's count. Not taken: plain Lamport counts, by which the quieter side of a split
would be sorted before the talkative one. Not taken: the time of day itself, by which an answer could stand before its
question.
"""

from __future__ import annotations

from meshchat.units import Seconds

CLOCK_MAX = (1 << 53) - 1
"""Every number up to this is exact in any language that reads JSON."""

FREE_MAX = 1 << 52
"""Half of the range, 142,000 years: up to here anybody is followed at once, however far ahead, so that a board that
starts in 1970, or two groups whose clocks are years apart, read each other from the first line."""

STEP_MS = 60_000
"""Beyond, so far ahead may anybody be at any time."""

LEAP_MS = 1 << 35
"""So far (398 days) may somebody be ahead there, once a second: only a liar leads so far, and needs 36 hours to use the
clock up."""

BACKED_LEAP_MS = 1 << 40
"""So far (35 years), where most of our neighbours show as much: whoever comes to a room that a liar has pushed is there
32 times as fast as the liar was."""

LEAP_S: Seconds = 1.0


class RoomClock:
    """One member's reading of it."""

    def __init__(self, time_of_day_ms: int, now: Seconds) -> None:
        self._base_ms = max(0, time_of_day_ms)
        self._base_at = now
        self._last_ms = 0
        self._leap_at = {LEAP_MS: now, BACKED_LEAP_MS: now}

    def read(self, now: Seconds) -> int:
        """What it shows: never less than before."""
        shown = self._base_ms + int((now - self._base_at) * 1000)
        return min(max(shown, self._last_ms), CLOCK_MAX)

    def stamp(self, now: Seconds) -> int:
        """The reading for a line of our own: greater than every one before, ours or another's."""
        self._last_ms = min(max(self.read(now), self._last_ms + 1), CLOCK_MAX)
        return self._last_ms

    def follow(self, told_ms: int, now: Seconds, *, backed_ms: int = 0) -> bool:
        """Somebody shows `told_ms`; returns whether we show as much now. False: it is too far ahead, for the moment.

        Most of those whom we are linked with, and at least two, show `backed_ms`.
        """
        shown = self.read(now)
        reached = min(told_ms, FREE_MAX)
        if told_ms <= shown + STEP_MS:
            reached = told_ms
        elif told_ms > FREE_MAX:
            leap = BACKED_LEAP_MS if told_ms <= backed_ms + STEP_MS else LEAP_MS
            if now >= self._leap_at[leap]:
                self._leap_at[leap] = now + LEAP_S
                reached = min(told_ms, max(shown, FREE_MAX) + leap)
        if reached > shown:
            self._base_ms, self._base_at = reached, now
        self._last_ms = max(self._last_ms, reached)
        return reached == told_ms
