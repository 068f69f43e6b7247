"""Whether a microphone hears our own loudspeaker at all: nobody with headphones needs an echo canceller.

One costs 8 ms, and while both sides talk at once it takes some of the near voice for echo even where there is none. So
it is only let in when there is something for it to do.

What is played and what is heard are compared at 8 kHz, half a second at a time while something is played, by the phases
of their spectra alone (PHAT: loud vowels then count no more than soft hisses). An echo lines them up at one lag, its
delay; two voices that have nothing to do with each other line up nowhere. The spectra of some seconds are added up
before they are looked at, and what stands out by `FOUND` times the spread of all lags is an echo.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from meshchat.media.level import loudness_db
from meshchat.units import Samples

GRAIN = 6
"""Samples at 48 kHz to one at 8 kHz."""

WINDOW = 4096
"""Of what is heard, in samples at 8 kHz: 0.5 s."""

_SIZE = 2 * WINDOW
"""Of what is played: as long again before that, for an echo may be as late as that of a Bluetooth loudspeaker."""

KEPT = 0.8
"""What stays of the older spectra with each window: some 3 s count."""

PLAYED_DB = -50.0
"""Softer than this nothing is played that could tell."""

FOUND = 9.0
"""By how many spreads the best lag stands out. (Measured: without an echo 4 to 6, with one 17 to 70.)"""


class EchoFinder:
    """Told what is played and what is heard, at the same pace, until it has found an echo; on one thread."""

    def __init__(self) -> None:
        self.found = False
        self.strength = 0.0
        """Of the best lag, when last looked."""
        self._played = np.zeros(_SIZE, np.float32)
        self._heard = np.zeros(WINDOW, np.float32)
        self._filled = 0
        self._common = np.zeros(_SIZE // 2 + 1, np.complex128)

    def play(self, sound: Samples) -> None:
        """The next of what is played: float32, of shape (n,), n of at most 0.1 s; what is over a multiple of 6 goes."""
        _shift(self._played, sound)

    def hear(self, sound: Samples) -> None:
        """The next of what is heard, in the same form; every half second it takes a moment to look."""
        _shift(self._heard, sound)
        self._filled += len(sound) // GRAIN
        if self._filled >= WINDOW:
            self._filled = 0
            if loudness_db(self._played) > PLAYED_DB and not self.found:
                self._look()

    def _look(self) -> None:
        heard = np.fft.rfft(self._heard, _SIZE)
        played = np.fft.rfft(self._played, _SIZE)
        common = heard * np.conj(played)
        self._common = KEPT * self._common + common / (np.abs(common) + 1e-12)
        alike = np.fft.irfft(self._common)
        # What is heard begins a window after what is played: what comes at once lies at the lag of minus one window.
        self.strength = float(alike[WINDOW:].max()) / sqrt(float(np.mean(np.square(alike))) + 1e-30)
        self.found = self.strength > FOUND


def _shift(line: Samples, sound: Samples) -> None:
    grains = sound[: len(sound) // GRAIN * GRAIN].reshape(-1, GRAIN).mean(axis=1)
    line[: -len(grains)] = line[len(grains) :]
    line[-len(grains) :] = grains
