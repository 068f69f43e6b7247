"""libspeexdsp, which Mumble, GStreamer and PulseAudio clean sound with, by ctypes: for comparison only."""

from __future__ import annotations

import ctypes
import ctypes.util

import numpy as np

from meshchat.cleaning import Wishes
from meshchat.units import SAMPLE_RATE, Samples

FRAME = 480
TAIL_SAMPLES = 9600
"""The echo that its filter can hold: 0.2 s."""

_SET_RATE = 24
_DENOISE, _AGC, _ECHO_STATE = 0, 2, 24
_AGC_TARGET = 46


def library() -> ctypes.CDLL | None:
    """None where it is not installed."""
    name = ctypes.util.find_library("speexdsp")
    if name is None:
        return None
    found = ctypes.CDLL(name)
    pointer, number = ctypes.c_void_p, ctypes.c_int
    found.speex_echo_state_init.restype = found.speex_preprocess_state_init.restype = pointer
    found.speex_echo_state_init.argtypes = found.speex_preprocess_state_init.argtypes = [number, number]
    found.speex_echo_ctl.argtypes = found.speex_preprocess_ctl.argtypes = [pointer, number, pointer]
    found.speex_echo_cancellation.argtypes = [pointer, pointer, pointer, pointer]
    found.speex_preprocess_run.argtypes = [pointer, pointer]
    found.speex_echo_state_destroy.argtypes = found.speex_preprocess_state_destroy.argtypes = [pointer]
    return found


class Speex:
    """The same as `Cleaner`, for frames of 10 ms."""

    def __init__(self, wishes: Wishes) -> None:
        """The library is there."""
        found = library()
        assert found is not None
        self._library = found
        self._echo = found.speex_echo_state_init(FRAME, TAIL_SAMPLES) if wishes.echo else None
        self._preprocess = found.speex_preprocess_state_init(FRAME, SAMPLE_RATE)
        rate, on = ctypes.c_int(SAMPLE_RATE), ctypes.c_int(1)
        for request, value in ((_DENOISE, wishes.noise or wishes.echo), (_AGC, wishes.gain)):
            on = ctypes.c_int(int(value))
            found.speex_preprocess_ctl(self._preprocess, request, ctypes.byref(on))
        if self._echo:
            found.speex_echo_ctl(self._echo, _SET_RATE, ctypes.byref(rate))
            found.speex_preprocess_ctl(self._preprocess, _ECHO_STATE, self._echo)
        if wishes.gain:
            found.speex_preprocess_ctl(self._preprocess, _AGC_TARGET, ctypes.byref(ctypes.c_int(8000)))
        self._far = np.zeros(FRAME, np.int16)

    def __del__(self) -> None:
        self._library.speex_preprocess_state_destroy(self._preprocess)
        if self._echo:
            self._library.speex_echo_state_destroy(self._echo)

    def played(self, sound: Samples) -> None:
        """What the speaker plays now: 10 ms."""
        self._far = _whole(sound)

    def clean(self, frame: Samples) -> Samples:
        """What is left."""
        heard = _whole(frame)
        if self._echo:
            left = np.zeros(FRAME, np.int16)
            sounds = (heard.ctypes.data, self._far.ctypes.data, left.ctypes.data)
            self._library.speex_echo_cancellation(self._echo, *sounds)
            heard = left
        self._library.speex_preprocess_run(self._preprocess, heard.ctypes.data)
        return (heard / np.float32(32768)).astype(np.float32)


def _whole(sound: Samples) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.clip(np.rint(sound * 32768), -32768, 32767).astype(np.int16)
