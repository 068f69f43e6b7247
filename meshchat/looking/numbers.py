"""How a picture arrives, in numbers for the person who looks: pictures and bits a second, and how long drawing took."""

from __future__ import annotations

import statistics
from collections import deque

from meshchat.units import Seconds

SPAN_S: Seconds = 1.0
"""What the numbers are about: the last second."""

KEPT_MAX = 4096
"""Pictures and messages remembered of it: several times what 60 pictures a second of a large screen come in."""

MBIT = 1e6


class Numbers:
    """Counts what came and what was shown."""

    def __init__(self) -> None:
        self._shown: deque[tuple[Seconds, Seconds]] = deque(maxlen=KEPT_MAX)
        self._came: deque[tuple[Seconds, int]] = deque(maxlen=KEPT_MAX)
        self._since: Seconds = 0.0
        """When the first of what was not shown yet came; 0 if everything was."""

    def came(self, size: int, now: Seconds) -> None:
        """A message of so many bytes."""
        self._came.append((now, size))
        self._since = self._since or now

    def shown(self, began: Seconds, now: Seconds) -> None:
        """A picture is on the glass, with everything that came; drawing it began then, if it was for nothing new."""
        self._shown.append((now, now - (self._since or began)))
        self._since = 0.0

    def line(self, screen: str, exact: bool, now: Seconds) -> str:
        """All of them on a line; `screen` tells its size and how it is drawn."""
        while self._shown and self._shown[0][0] < now - SPAN_S:
            self._shown.popleft()
        while self._came and self._came[0][0] < now - SPAN_S:
            self._came.popleft()
        mbit = sum(size for _, size in self._came) * 8 / SPAN_S / MBIT
        words = [f"{len(self._shown) / SPAN_S:.0f} fps", f"{mbit:.2f} Mbit/s", screen]
        if self._shown:
            delay = statistics.median(each for _, each in self._shown)
            words.append(f"drawn {delay * 1000:.1f} ms after it came")
        return ", ".join((*words, "exact") if exact else words)
