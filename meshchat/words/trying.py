"""A microphone or a speaker tried out, with or without a running daemon: how loud it is here, or a tone to be heard.

It is done here and not by the daemon, so that it works before there is one, and nobody in a room hears of it. A device
that only one program can hold is busy then, and that is said.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
import numpy as np

from meshchat.audio import End, open_microphone, open_speaker
from meshchat.calling.exchange import trouble_after
from meshchat.channels import silence
from meshchat.errors import AudioError
from meshchat.media.level import LEVEL_SILENT, loudness_db
from meshchat.sound.specs import FileSpec, parse_speaker
from meshchat.units import SAMPLE_RATE, Samples, Seconds

FRAME_SAMPLES = 480

OPENS_WITHIN_S: Seconds = 4.0
"""As long as a sound system may take to give steady sound."""

LISTENS_S: Seconds = 3.0
"""Time to say something."""

STEP_S: Seconds = 0.7
"""Of the tone on the left, then on the right, then on both."""

TONE_HZ = 440.0
TONE_PEAK = 0.1
RAMP_SAMPLES = 480

LOOK_S: Seconds = 0.02


class Tried(msgspec.Struct, frozen=True):
    """What came of it."""

    device: str
    loudest_db: float | None
    """Of what the microphone heard, in dB below full scale; null for a speaker, of which only ears can tell."""
    quietest_db: float | None

    @property
    def text(self) -> str:
        """The same for a person."""
        if self.loudest_db is None or self.quietest_db is None:
            return f"{self.device}: a tone went to the left, to the right and to both sides"
        return f"{self.device}: {self.quietest_db:.0f} dB at its quietest, {self.loudest_db:.0f} dB at its loudest"


def try_speaker(spec: str) -> Tried:
    """Plays a tone; takes some seconds. Raises `AudioError` where there is no sound, and for what is no device."""
    if isinstance(parse_speaker(spec), FileSpec):
        raise AudioError(f"{spec} is a file, which needs no test; name a speaker")
    tone = _Tone()
    speaker = open_speaker(spec, FRAME_SAMPLES, lambda _text: None)
    speaker.start(tone.pull)
    try:
        _wait_for(speaker)
        tone.begin()
        while not tone.is_over:
            time.sleep(LOOK_S)
        return Tried(speaker.describe(), None, None)
    finally:
        speaker.stop()


def try_microphone(spec: str) -> Tried:
    """Listens for some seconds. Raises `AudioError` where nothing at all is heard, not even a room."""
    levels: list[float] = []
    microphone = open_microphone(spec, FRAME_SAMPLES, lambda _text: None)
    microphone.start(lambda frame, _at: levels.append(loudness_db(frame)))
    try:
        _wait_for(microphone)
        levels.clear()
        time.sleep(LISTENS_S)
        device, heard = microphone.describe(), levels[:]
    finally:
        microphone.stop()
    if max(heard, default=-LEVEL_SILENT) <= -LEVEL_SILENT:
        raise AudioError(f"{device} gives nothing but silence: is it muted, there or in the system's settings?")
    return Tried(device, round(max(heard), 1), round(min(heard), 1))


class _Tone:
    """Left, right, both; each with a soft beginning and end."""

    def __init__(self) -> None:
        steps = np.arange(int(STEP_S * SAMPLE_RATE))
        tone = TONE_PEAK * np.sin(2 * np.pi * TONE_HZ * steps / SAMPLE_RATE)
        tone *= np.clip(np.minimum(steps, steps[::-1]) / RAMP_SAMPLES, 0.0, 1.0)
        sides = [np.outer(tone, side) for side in ((1, 0), (0, 1), (1, 1))]
        self._sound: Samples = np.concatenate(sides).astype(np.float32)
        self._place: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether all of it has been pulled."""
        return self._place is not None and self._place >= len(self._sound) + SAMPLE_RATE // 5

    def begin(self) -> None:
        """From the next pull on."""
        self._place = 0

    def pull(self, samples: int, _now: Seconds) -> Samples:
        """The next of it; silence before and after."""
        if self._place is None:
            return silence(samples, 2)
        piece = self._sound[self._place : self._place + samples]
        self._place += samples
        return np.concatenate((piece, silence(samples - len(piece), 2)))


def _wait_for(end: End[Any, Any]) -> None:
    trouble = trouble_after(end, OPENS_WITHIN_S)
    if trouble is not None:
        raise AudioError(trouble)
