"""Loudness evened out between people: each voice is brought slowly toward one level, within bounds.

How loud somebody speaks is the mean power of what is speech, over some ten seconds of it; pauses and breath do not
count. The gain follows at 3 dB a second while there is speech, unheard, and stays where it is in between.
Music is left as it is: what has two channels is not touched, and what is played from a file never comes here.
"""

from __future__ import annotations

from math import exp, log, log10

from meshchat.media.level import loudness_db
from meshchat.media.voice import Voice
from meshchat.units import SAMPLE_RATE, Samples, Seconds

TARGET_DB = -24.0
"""The level that all are brought toward: somebody near a good microphone."""

CHANGE_DB_MAX = 12.0
"""As far as anybody is changed: who whispers stays softer than who shouts, and noise is not made a voice."""

CHANGE_DB_PER_SECOND = 3.0

SPEECH_DB = -48.0
"""What is softer does not count, even while somebody speaks: the gaps inside words."""

MEMORY_S: Seconds = 10.0
"""Of speech, over which the mean is taken."""

TRUSTED_AFTER_S: Seconds = 0.5
"""Speech that has to be heard before anything is changed."""


class Evened:
    """A voice in the mix whose gain sees to its loudness; on the speaker's thread."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._power = 0.0
        self._heard: Seconds = 0.0
        self._gain_db = 0.0

    @property
    def gain(self) -> float:
        """What the listener chose for the voice, and what evens it out."""
        return self._voice.gain * exp(self._gain_db * log(10.0) / 20.0)

    def pull(self, samples: int, now: Seconds) -> Samples | None:
        """The voice's next `samples`."""
        sound = self._voice.pull(samples, now)
        if sound is not None and sound.ndim == 1 and self._voice.speaking:
            self._hear(loudness_db(sound), samples / SAMPLE_RATE)
        return sound

    def _hear(self, level_db: float, duration: Seconds) -> None:
        if level_db < SPEECH_DB:
            return
        self._heard += duration
        share = max(1.0 - exp(-duration / MEMORY_S), duration / self._heard)  # of the first seconds, the plain mean
        self._power += (10.0 ** (level_db / 10.0) - self._power) * share
        if self._heard < TRUSTED_AFTER_S:
            return
        wish = max(-CHANGE_DB_MAX, min(CHANGE_DB_MAX, TARGET_DB - 10.0 * log10(self._power)))
        step = CHANGE_DB_PER_SECOND * duration
        self._gain_db += max(-step, min(step, wish - self._gain_db))
