"""How loud sound is, and whether that is somebody speaking.

The level is RFC 6464's: decibels under the overload point, where a full-scale square wave is 0 and silence 127.
Speaking has two thresholds and a hold time, so that the mark beside a name does not flicker between syllables.
"""

from __future__ import annotations

from math import log10, sqrt

import numpy as np

from meshchat.units import SAMPLE_RATE, Samples

LEVEL_SILENT = 127
"""The quietest level RFC 6464 can say, also used for digital silence."""

SPEAKING_DB = -42.0
"""A level at or above this starts speaking; room noise and breath stay under it."""

QUIET_DB = -50.0
"""A level under this lets it end; syllables at the end of a sentence stay above it."""

HOLD_SAMPLES = 12_000
"""How long it must stay quiet: 250 ms, longer than the gaps inside a sentence."""

FALL_DB_PER_SECOND = 60.0
"""How fast the shown level sinks, so that an eye can follow it; it rises at once."""


def loudness_db(sound: Samples) -> float:
    """The level of `sound`, the mean of its channels, in dB relative to overload: -127..0."""
    if len(sound) == 0:
        return -float(LEVEL_SILENT)
    rms = sqrt(float(np.vdot(sound, sound)) / sound.size)
    return max(-float(LEVEL_SILENT), min(0.0, 20.0 * log10(rms))) if rms > 0.0 else -float(LEVEL_SILENT)


def audio_level(sound: Samples) -> int:
    """What goes into the RTP header extension of RFC 6464 section 3: 0 (overload) .. 127 (silence)."""
    return round(-loudness_db(sound))


class Meter:
    """Follows one speaker's level."""

    def __init__(self) -> None:
        self.level_db = -float(LEVEL_SILENT)
        """Of the latest sound, sinking slowly: -127..0."""
        self.speaking = False
        self._quiet = 0

    @property
    def at_rest(self) -> bool:
        """Whether more silence would change nothing."""
        return not self.speaking and self.level_db <= -LEVEL_SILENT

    def hear(self, sound: Samples | None, samples: int) -> None:
        """Takes the next `samples`; None is silence."""
        level_db = loudness_db(sound) if sound is not None else -float(LEVEL_SILENT)
        self.level_db = max(level_db, self.level_db - FALL_DB_PER_SECOND * samples / SAMPLE_RATE)
        self.level_db = max(self.level_db, -float(LEVEL_SILENT))
        self._quiet = 0 if level_db >= QUIET_DB else self._quiet + samples
        if level_db >= SPEAKING_DB:
            self.speaking = True
        elif self._quiet >= HOLD_SAMPLES:
            self.speaking = False
