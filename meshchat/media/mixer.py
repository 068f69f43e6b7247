"""Every voice in one ear: pulls each speaker's sound, weighs it, adds it up and keeps the sum playable.

The loudspeaker's thread pulls while other threads add and remove voices. The table is a plain dict: setting, removing
and copying it are single steps of the interpreter, so a pull works on the table as it was at one instant.

While every source has one channel the mix has one, and costs what one costs; while one of them has two, it has two.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import numpy as np

from meshchat.channels import along, silence
from meshchat.media.limiter import Limiter
from meshchat.units import Samples, Seconds


class Source(Protocol):
    """Something that can be heard: a `Voice`, a cue, a file."""

    @property
    def gain(self) -> float:
        """The factor to play it with, 0 or more."""

    def pull(self, samples: int, now: Seconds) -> Samples | None:
        """The next `samples`, of one channel or two, valid until the next call; None for silence."""


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
        self._sum = self._weighed = silence(0)
        self._wide_sum = self._wide_weighed = silence(0, 2)

    def add(self, key: Hashable, source: Source) -> None:
        """From the next pull on `source` is heard; it replaces one of the same key."""
        self._channels[key] = _Channel(source)

    def remove(self, key: Hashable) -> None:
        """From the next pull on it is not heard; a key that is not there is nothing wrong."""
        self._channels.pop(key, None)

    def pull(self, samples: int, now: Seconds) -> Samples:
        """The next `samples` of everything: float32, shape (samples,) or (samples, 2), -1..1, until the next pull."""
        if len(self._sum) != samples:
            self._sum, self._weighed = silence(samples), silence(samples)
        self._sum.fill(0.0)
        silent, wide = True, False
        for channel in self._channels.copy().values():
            sound = channel.source.pull(samples, now)
            if sound is None:
                channel.gain = channel.source.gain
            else:
                silent = False
                if sound.ndim == 2 and not wide:
                    wide = True
                    self._open_wide(samples)
                self._mix(channel, sound)
        if silent and not self._limiter.active:
            self._heard = float(not self.deafened)
            return self._sum
        mix: Samples = self._sum
        if wide:
            mix = self._wide_sum
            mix += self._sum[:, None]
        self._limiter.limit(mix)
        self._deafen(mix)
        return mix

    def _open_wide(self, samples: int) -> None:
        if len(self._wide_sum) != samples:
            self._wide_sum, self._wide_weighed = silence(samples, 2), silence(samples, 2)
        self._wide_sum.fill(0.0)

    def _mix(self, channel: _Channel, sound: Samples) -> None:
        total, weighed = (self._sum, self._weighed) if sound.ndim == 1 else (self._wide_sum, self._wide_weighed)
        before, channel.gain = channel.gain, channel.source.gain
        if before == channel.gain == 1.0:
            total += sound
        elif before == channel.gain:
            total += np.multiply(sound, np.float32(channel.gain), out=weighed)
        else:
            total += np.multiply(sound, _slope(before, channel.gain, sound), out=weighed)

    def _deafen(self, mix: Samples) -> None:
        """Silences, or lets in again, along one block."""
        before, self._heard = self._heard, float(not self.deafened)
        if before != self._heard:
            mix *= _slope(before, self._heard, mix)
        elif self.deafened:
            mix.fill(0.0)


def _slope(start: float, end: float, sound: Samples) -> Samples:
    return along(np.linspace(start, end, len(sound), dtype=np.float32), sound).astype(np.float32, copy=False)
