"""Every voice in one ear: pulls each speaker's sound, weighs it, adds it up and keeps the sum playable.

The loudspeaker's thread pulls while other threads add and remove voices. The table is a plain dict: setting, removing
and copying it are single steps of the interpreter, so a pull works on the table as it was at one instant.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import numpy as np

from meshchat.media.limiter import Limiter
from meshchat.units import Samples, Seconds


class Source(Protocol):
    """Something that can be heard: a `Voice`, a cue, a file."""

    gain: float
    """Factor chosen by the listener, 0 or more."""

    def pull(self, samples: int, now: Seconds) -> Samples | None:
        """The next `samples`, float32, valid until the next call; None for silence."""


class _Channel:
    """A source and the gain it was last played with, from which a new gain is reached gradually."""

    __slots__ = ("gain", "source")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.gain = source.gain


class Mixer:
    """All sources of one loudspeaker."""

    def __init__(self) -> None:
        self.deafened = False
        """Whether nothing is to be heard; sources are pulled all the same, so that they stay current."""
        self._heard = 1.0
        self._channels: dict[Hashable, _Channel] = {}
        self._limiter = Limiter()
        self._sum = np.zeros(0, np.float32)
        self._weighed = np.zeros(0, np.float32)

    def add(self, key: Hashable, source: Source) -> None:
        """From the next pull on `source` is heard; it replaces one of the same key."""
        self._channels[key] = _Channel(source)

    def remove(self, key: Hashable) -> None:
        """From the next pull on it is not heard; a key that is not there is nothing wrong."""
        self._channels.pop(key, None)

    def pull(self, samples: int, now: Seconds) -> Samples:
        """The next `samples` of everything: float32, shape (samples,), -1..1, valid until the next pull."""
        if len(self._sum) != samples:
            self._sum = np.zeros(samples, np.float32)
            self._weighed = np.zeros(samples, np.float32)
        self._sum.fill(0.0)
        silent = True
        for channel in self._channels.copy().values():
            sound = channel.source.pull(samples, now)
            if sound is None:
                channel.gain = channel.source.gain
            else:
                silent = False
                self._mix(channel, sound)
        if silent and not self._limiter.active:
            self._heard = float(not self.deafened)
            return self._sum
        self._limiter.limit(self._sum)
        self._deafen()
        return self._sum

    def _mix(self, channel: _Channel, sound: Samples) -> None:
        before, channel.gain = channel.gain, channel.source.gain
        if before == channel.gain == 1.0:
            self._sum += sound
        else:
            gain = channel.gain if before == channel.gain else _slope(before, channel.gain, len(sound))
            self._sum += np.multiply(sound, gain, out=self._weighed)

    def _deafen(self) -> None:
        """Silences, or lets in again, along one block."""
        before, self._heard = self._heard, float(not self.deafened)
        if before != self._heard:
            self._sum *= _slope(before, self._heard, len(self._sum))
        elif self.deafened:
            self._sum.fill(0.0)


def _slope(start: float, end: float, samples: int) -> Samples:
    return np.linspace(start, end, samples, dtype=np.float32)
