"""The sound that has been made and not yet been asked for, with a little of what was played before it.

Decoded frames come in one length and the device asks in another; between them lies one flat array with a place to
read and a place to write. What was read stays for a while in front of it, because stretching joins new sound to old.
"""

from __future__ import annotations

import numpy as np

from meshchat.channels import silence, spread
from meshchat.units import Samples

HISTORY_SAMPLES = 1920
"""Played sound kept: 40 ms, two periods of the deepest voice and the width of a join."""

_FIRST_CAPACITY = 16_384
"""Samples the array starts with: history, the longest packet twice, and slack so that it is rarely moved."""


class Tape:
    """A first-in first-out of samples whose recent past can still be read and whose end can be taken back."""

    def __init__(self) -> None:
        self._sound = silence(_FIRST_CAPACITY)
        self._read = HISTORY_SAMPLES
        self._write = HISTORY_SAMPLES
        self._ending = self._sound[:0]

    def widen(self) -> None:
        """From now on it has two channels; what is on it stands in the middle."""
        self._sound, self._ending = spread(self._sound), spread(self._ending)

    @property
    def pending(self) -> int:
        """Samples made and not yet taken."""
        return self._write - self._read

    def append(self, sound: Samples) -> Samples:
        """Adds sound at the end and returns it in its place, where it can still be changed."""
        start = self._room(len(sound))
        self._sound[start : self._write] = sound
        self._blend(start)
        return self._sound[start : self._write]

    def append_silence(self, samples: int) -> None:
        """Adds silence at the end."""
        start = self._room(samples)
        self._sound[start : self._write] = 0.0
        self._blend(start)

    def let_end(self, ending: Samples) -> None:
        """What was played dies away in `ending`, which is laid over whatever is added next."""
        self._ending = ending.copy()

    @property
    def ending(self) -> bool:
        """Whether something still has to die away."""
        return len(self._ending) > 0

    def recent(self, samples: int) -> Samples:
        """The last `samples` of pending sound with `HISTORY_SAMPLES` of what comes before them, as one view."""
        return self._sound[self._write - samples - HISTORY_SAMPLES : self._write]

    def replace(self, samples: int, sound: Samples) -> None:
        """Takes the last `samples` back and adds `sound` instead."""
        self._write -= samples
        self.append(sound)

    def take(self, samples: int) -> Samples:
        """The next `samples` as a view that is valid until more is added."""
        start = self._read
        self._read += samples
        return self._sound[start : self._read]

    def clear(self, channels: int = 1) -> None:
        """Forgets everything: before the next sound, which has so many channels, there was silence."""
        if self._sound.ndim != channels:
            self._sound = silence(_FIRST_CAPACITY, channels)
            self._ending = self._sound[:0]
        self._read = self._write = HISTORY_SAMPLES
        self._sound[:HISTORY_SAMPLES] = 0.0

    def _blend(self, start: int) -> None:
        if len(self._ending):
            fresh = self._sound[start : self._write][: len(self._ending)]
            fresh += self._ending[: len(fresh)]
            self._ending = self._ending[len(fresh) :]

    def _room(self, samples: int) -> int:
        """Makes `samples` of room at the end and returns where it starts."""
        if self._write + samples > len(self._sound):
            kept = self._sound[self._read - HISTORY_SAMPLES : self._write].copy()
            if len(kept) + samples > len(self._sound):
                self._sound = np.zeros((2 * (len(kept) + samples), *kept.shape[1:]), np.float32)
            self._sound[: len(kept)] = kept
            self._read, self._write = HISTORY_SAMPLES, len(kept)
        start = self._write
        self._write += samples
        return start
