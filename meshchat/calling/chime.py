"""Three notes through the speaker, heard here only, for whoever wants to know whether it works, and which one it is."""

from __future__ import annotations

import numpy as np

from meshchat.channels import along
from meshchat.units import SAMPLE_RATE, Samples, Seconds

NOTES_HZ = (523.25, 659.26, 783.99)
"""A chord, one note after the other: nothing that a room or a fan makes by itself."""

NOTE_S: Seconds = 0.25

PEAK = 0.1
"""-20 dBFS: as loud as calm speech."""

FADE_S: Seconds = 0.01
"""Up and down, so that no note begins or ends with a click."""


def notes() -> Samples:
    """All of it: float32, one channel, within -PEAK..PEAK."""
    at = np.arange(int(NOTE_S * SAMPLE_RATE)) / SAMPLE_RATE
    envelope = np.minimum(1.0, np.minimum(at, NOTE_S - at) / FADE_S)
    return np.concatenate([PEAK * envelope * np.sin(2 * np.pi * hz * at) for hz in NOTES_HZ]).astype(np.float32)


class Chime:
    """Rings when it is told to, and is silent otherwise, at the cost of one comparison a block."""

    def __init__(self) -> None:
        self._notes = notes()
        self._at = len(self._notes)

    def ring(self) -> None:
        """From the event loop: begin. While it rings already that may be lost to the other thread: no harm."""
        self._at = 0

    def add(self, sound: Samples) -> None:
        """From the speaker's thread: what is due on top of a block, (samples,) or (samples, channels), in place."""
        at = self._at
        if at >= len(self._notes):
            return
        part = self._notes[at : at + len(sound)]
        sound[: len(part)] += along(part, sound)
        np.clip(sound, -1.0, 1.0, out=sound)
        self._at = at + len(part)
