"""Sounds made from nothing: a sine, whose every frame is a function of its number, and silence, which has no frames."""

from __future__ import annotations

import numpy as np

from meshchat.sound.guard import OnFrame
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


class SilentMicrophone:
    """Hears nothing and so never calls: who only listens pays nothing for speaking."""

    late_turns = 0
    device = None
    trouble = None

    def start(self, on_frame: OnFrame) -> None:
        """Nothing will come."""

    def stop(self) -> None:
        """Nothing runs."""

    def describe(self) -> str:
        """`silence`"""
        return "silence"
