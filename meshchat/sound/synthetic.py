"""Sounds made from nothing: a sine and silence, each a pure function of the frame's number."""

from __future__ import annotations

import numpy as np

from meshchat.sound.guard import silence
from meshchat.units import SAMPLE_RATE, Samples

TONE_PEAK = 0.1
"""-20 dBFS, where a sine that just touches full scale is 0 dBFS (AES17): as loud as calm speech."""


class ToneSource:
    """A sine that never clicks: sample k is `0.1 * sin(2 pi hz k / 48000)`, whatever frame it falls into."""

    def __init__(self, hz: float, frame_samples: int) -> None:
        self._hz = hz
        self._steps = np.arange(frame_samples, dtype=np.float64)

    def frame(self, index: int) -> Samples:
        """Frame `index`; the turns of the sine are taken modulo one, so that it is as clean after a week."""
        first_turns = index * self._steps.size * self._hz / SAMPLE_RATE % 1.0
        turns = first_turns + self._steps * (self._hz / SAMPLE_RATE)
        return (TONE_PEAK * np.sin(2 * np.pi * turns)).astype(np.float32)

    def describe(self) -> str:
        """`tone of 440 Hz at -20 dBFS`"""
        return f"tone of {self._hz:g} Hz at -20 dBFS"

    def close(self) -> None:
        """Nothing is held."""


class SilenceSource:
    """Zeros."""

    def __init__(self, frame_samples: int) -> None:
        self._samples = frame_samples

    def frame(self, index: int) -> Samples:
        """A frame of zeros, the same at every index."""
        return silence(self._samples)

    def describe(self) -> str:
        """`silence`"""
        return "silence"

    def close(self) -> None:
        """Nothing is held."""
