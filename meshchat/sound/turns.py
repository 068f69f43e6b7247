"""What happens in one call from a sound card: its channels and rate on one side, whole frames at 48 kHz on the other.

These objects are PortAudio's callbacks and run on its thread. A device that runs at 48 kHz passes straight through. For
others the resampler is soxr's variable-rate one at a fixed ratio: it gives as many samples as time has passed in every
turn and delays them by about 5 ms, where soxr's ordinary one delays by 10 to 37 ms and gives nothing for two turns
and then three at once (measured from 44.1, 48 and 16 kHz; both are clean to better than 115 dB).
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Literal, Protocol

import numpy as np
import soxr

from meshchat.channels import fitted, folded, silence
from meshchat.sound.guard import OnFrame, Pull
from meshchat.units import SAMPLE_RATE, Samples, Seconds
from meshchat.urgency import put_sound_first

log = logging.getLogger(__name__)

CAPTURE_AGE_MAX: Seconds = 1.0
"""Oldest capture instant believed; some sound systems report clocks that are not the same."""

PULLS_PER_TURN_MAX = 8
"""Blocks asked for in one turn of a resampled speaker; one or two are needed, more is a resampler gone wrong."""


class StreamTimes(Protocol):
    """PortAudio's PaStreamCallbackTimeInfo, in seconds of its own clock."""

    inputBufferAdcTime: float  # noqa: N815
    currentTime: float  # noqa: N815


class _Turns:
    """What both ways share: the block in the device's own samples, the thread, the count of troubled turns."""

    def __init__(self, rate_hz: int, channels: int, block_samples: int) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self.block = round(block_samples * rate_hz / SAMPLE_RATE)
        self.troubled = 0
        self._block_samples = block_samples
        self._ready = silence(0)
        self._thread = 0
        self._told = False

    def is_current(self) -> bool:
        """Whether the caller runs inside a turn."""
        return threading.get_ident() == self._thread

    def _enter(self, status: object) -> None:
        if self._thread != threading.get_ident():
            self._thread = threading.get_ident()
            put_sound_first()
        if status:
            self.troubled += 1

    def _tell(self) -> None:
        if not self._told:
            log.exception("a sound card's turn failed; said once, further failures are silence")
        self._told = True


class InputTurns(_Turns):
    """Sound coming in: calls `on_frame` for each whole frame."""

    def __init__(
        self, rate_hz: int, channels: int, frame_samples: int, on_frame: OnFrame, wanted: Literal[1, 2] = 1
    ) -> None:
        """Gives as many channels as are `wanted`, or one where the device has no more."""
        super().__init__(rate_hz, channels, frame_samples)
        self._on_frame = on_frame
        given = min(channels, wanted)
        self._fold = channels > given
        self._ready = silence(0, given)
        self._resampler = _resampler(rate_hz, SAMPLE_RATE, given)

    def __call__(self, data: bytes, frames: int, times: StreamTimes, status: object) -> None:
        """PortAudio's callback; `data` is float32, interleaved, and gone after the call."""
        try:
            self._enter(status)
            heard = np.frombuffer(data, dtype=np.float32)
            if self.channels > 1:
                heard = heard.reshape(frames, self.channels)
            heard = folded(heard) if self._fold else heard.copy()
            began = time.monotonic() - _age(times, frames / self.rate_hz)
            self._hand_over(heard, began)
        except Exception:
            self._tell()

    def _hand_over(self, heard: Samples, began: Seconds) -> None:
        began -= len(self._ready) / SAMPLE_RATE
        made = heard if self._resampler is None else self._resampler.resample_chunk(heard)
        self._ready = np.concatenate([self._ready, made])
        while len(self._ready) >= self._block_samples:
            frame, self._ready = self._ready[: self._block_samples], self._ready[self._block_samples :]
            self._on_frame(frame, began)
            began += self._block_samples / SAMPLE_RATE


class OutputTurns(_Turns):
    """Sound going out: pulls as many blocks as the device needs."""

    def __init__(self, rate_hz: int, channels: int, block_samples: int, pull: Pull) -> None:
        super().__init__(rate_hz, channels, block_samples)
        self._pull = pull
        self._ready = silence(0, channels)
        self._resampler = _resampler(SAMPLE_RATE, rate_hz, channels)

    def __call__(self, data: memoryview, frames: int, times: StreamTimes, status: object) -> None:
        """PortAudio's callback; `data` is float32, interleaved, to be filled."""
        try:
            self._enter(status)
            played = self._gather(frames)
        except Exception:
            self._tell()
            played = silence(frames, self.channels)
        data[:] = played.tobytes()

    def _gather(self, frames: int) -> Samples:
        for _ in range(PULLS_PER_TURN_MAX):
            if len(self._ready) >= frames:
                break
            block = fitted(self._pull(self._block_samples, time.monotonic()), self.channels)
            made = block if self._resampler is None else self._resampler.resample_chunk(block)
            self._ready = np.concatenate([self._ready, made])
        played, self._ready = self._ready[:frames], self._ready[frames:]
        return np.concatenate([played, silence(frames - len(played), self.channels)])


def _resampler(in_hz: int, out_hz: int, channels: int = 1) -> soxr.ResampleStream | None:
    return None if in_hz == out_hz else soxr.ResampleStream(in_hz, out_hz, channels, vr=True)


def _age(times: StreamTimes, block: Seconds) -> Seconds:
    """How long ago the first sample of this turn was heard; the block's own length where the system does not say."""
    age = times.currentTime - times.inputBufferAdcTime
    return age if times.inputBufferAdcTime > 0 and block <= age <= CAPTURE_AGE_MAX else block
