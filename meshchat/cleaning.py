"""What a microphone hears, without the echo of our own loudspeaker, without the room's noise, and evenly loud.

This is the only room that knows the library which does it: WebRTC's audio processing, the one that browsers use for
calls, as the package `livekit` brings it along (it needs no server for that). The package is an extra: 28 MB and wheels
for the common systems only. It is loaded when it is first wanted, which takes 0.15 s, 30 MB and four idle threads.

The echo canceller listens to what is played (`played`, from the speaker's thread) and finds out by itself how much
later that comes back. All of the work is done on the microphone's thread.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Literal

import numpy as np
import numpy.typing as npt

from meshchat.errors import AudioError
from meshchat.media.regroup import Regroup
from meshchat.units import SAMPLE_RATE, Samples

PIECE_SAMPLES = 480
"""The library takes 10 ms at a time, and nothing else."""

BANDS_SAMPLES = 48
"""How late the library's sound is by itself: 1 ms, as it is split into three bands and put together again."""

ECHO_SAMPLES = 384
"""And 8 ms where it cancels echo."""

NOISE_SAMPLES = 288
"""And 6 ms where it takes noise out."""

PLAYED_PIECES_MAX = 20
"""Played, and no turn of the microphone has taken it yet: 0.2 s. Full (it stands still): the oldest goes."""

DELAY_HINT_MS = 40
"""From `played` to the microphone, as a first guess for the echo canceller, which then finds out."""

NOT_THERE = "echo, noise and gain need a library that is not installed, or does not load"

REMEDY = "pip install 'meshchat[voice]' brings it"

_SCALE = 32768.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is to be done to the sound."""

    echo: bool = False
    noise: bool = False
    gain: bool = False

    def named(self) -> tuple[Literal["echo", "noise", "gain"], ...]:
        """Those that are to be done, by name."""
        return tuple(name for name in ("echo", "noise", "gain") if getattr(self, name))


@cache
def is_installed() -> bool:
    """Whether the library is there; it is not loaded by that."""
    return find_spec("livekit") is not None


class Cleaner:
    """One microphone's. `clean` belongs to the microphone's thread, `played` to the speaker's."""

    def __init__(self, wishes: Wishes, frame_samples: int) -> None:
        """Raises `AudioError` where the library is not installed, or does not load."""
        try:
            from livekit.rtc.apm import AudioProcessingModule
            from livekit.rtc.audio_frame import AudioFrame
        except ImportError as error:
            raise AudioError(f"{NOT_THERE} ({error}); {REMEDY}") from error
        self.wishes = wishes
        self._library = AudioProcessingModule(
            echo_cancellation=wishes.echo,
            noise_suppression=wishes.noise,
            high_pass_filter=True,
            auto_gain_control=wishes.gain,
        )
        self._heard, self._far = bytearray(2 * PIECE_SAMPLES), bytearray(2 * PIECE_SAMPLES)
        self._heard_frame = AudioFrame(self._heard, SAMPLE_RATE, 1, PIECE_SAMPLES)
        self._far_frame = AudioFrame(self._far, SAMPLE_RATE, 1, PIECE_SAMPLES)
        self._whole = np.frombuffer(self._heard, np.int16)
        self._whole_far = np.frombuffer(self._far, np.int16)
        self._scaled = np.zeros(PIECE_SAMPLES, np.float32)
        self._played: deque[Samples] = deque(maxlen=PLAYED_PIECES_MAX)
        self._collected = np.zeros(PIECE_SAMPLES, np.float32)
        self._collected_samples = 0
        self._regroup = Regroup(frame_samples, PIECE_SAMPLES, self._process)
        self.late_samples = (
            self._regroup.late_samples + BANDS_SAMPLES + ECHO_SAMPLES * wishes.echo + NOISE_SAMPLES * wishes.noise
        )
        """By how much the sound is late through it."""

    def played(self, sound: Samples) -> None:
        """What the speaker plays now, float32 of any length; on its thread. Copied."""
        if not self.wishes.echo:
            return
        place = 0
        while place < len(sound):
            taken = min(len(sound) - place, PIECE_SAMPLES - self._collected_samples)
            end = self._collected_samples + taken
            self._collected[self._collected_samples : end] = sound[place : place + taken]
            place += taken
            self._collected_samples = end % PIECE_SAMPLES
            if end == PIECE_SAMPLES:
                self._played.append(self._collected.copy())

    def clean(self, frame: Samples) -> Samples:
        """The frame as it is to be sent, valid until the next call; on the microphone's thread."""
        return self._regroup.through(frame)

    def _process(self, piece: Samples) -> None:
        while self._played:
            self._write(self._played.popleft(), self._whole_far)
            self._library.process_reverse_stream(self._far_frame)
        self._write(piece, self._whole)
        if self.wishes.echo:
            self._library.set_stream_delay_ms(DELAY_HINT_MS)
        self._library.process_stream(self._heard_frame)
        np.multiply(self._whole, np.float32(1 / _SCALE), out=piece)

    def _write(self, sound: Samples, whole: npt.NDArray[np.int16]) -> None:
        np.multiply(sound, _SCALE, out=self._scaled)
        np.rint(self._scaled, out=self._scaled)
        np.clip(self._scaled, -32768.0, 32767.0, out=whole, casting="unsafe")
