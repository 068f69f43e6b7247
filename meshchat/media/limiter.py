"""Keeps the sum of many voices inside what a loudspeaker can play, without a wait, a cut peak or a pumping crowd.

Fast: the gain that each short piece needs is known once its peak is; between pieces the gain runs in straight lines
that never pass above what either neighbour needs, and it comes back in 125 ms. The block that the device asked for is
all the look-ahead there is; where its very first piece is too loud, the gain is down by the first sample that is. That
is soon, but never a jump: loud sound takes some samples to rise. A look-ahead of its own would cost every sound its
length.

Slow: where that happens again and again (ten people laugh), a gain that came back each time would pump. So what is
needed is remembered: the gain goes down to it within a few blocks and comes back over seconds. A single clap hardly
moves it. (Measured with sixteen loud people at once: between 2 and 20 times a second the gain moves by 0.6 dB, and by
1.5 dB with the fast part alone.) While nothing is too loud, sound passes untouched.
"""

from __future__ import annotations

from math import exp
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from meshchat.channels import along
from meshchat.units import SAMPLE_RATE, Samples, Seconds

Gains: TypeAlias = npt.NDArray[np.float64]

CEILING = 0.97
"""The loudest sample meant to leave."""

PIECE_SAMPLES = 32
"""Peaks are taken over pieces of this length: 0.7 ms."""

RETURN_PER_SECOND = 4.0
"""How fast the gain comes back: from half to full in 125 ms."""

SLOW_FALL_S: Seconds = 0.1
"""In this time the remembered gain goes two thirds of the way down to what is needed."""

SLOW_RISE_PER_SECOND = 0.25
"""How fast it comes back, as a share of itself: 2 dB a second, too slow to be taken for pumping."""

_RETURN_PER_PIECE = RETURN_PER_SECOND * PIECE_SAMPLES / SAMPLE_RATE


class Limiter:
    """One loudspeaker's limiter; remembers both gains from block to block."""

    def __init__(self) -> None:
        self._gain = 1.0
        self._slow = 1.0

    @property
    def active(self) -> bool:
        """Whether the gain is still on its way back."""
        return self._gain < 1.0 or self._slow < 1.0

    def limit(self, sound: Samples) -> None:
        """Brings `sound`, of one channel or two, to at most 1 in place; both get the same gain, so nothing wanders."""
        if len(sound) == 0:
            return
        peak = max(float(sound.max()), -float(sound.min()))
        if peak <= CEILING and not self.active:
            return
        self._remember(CEILING / max(peak, CEILING), len(sound) / SAMPLE_RATE)
        starts = np.arange(0, len(sound), PIECE_SAMPLES)
        loudest = np.abs(sound) if sound.ndim == 1 else np.abs(sound).max(axis=1)
        peaks = np.maximum.reduceat(loudest, starts)
        needed = (CEILING / np.maximum(peaks, CEILING)).astype(np.float64)
        gains = self._gains(needed)
        edges = np.append(starts, len(sound))
        if needed[0] < self._gain:  # down by the first sample that is too loud, and level from there
            first = int(np.argmax(loudest > CEILING / self._gain))
            edges, gains = np.insert(edges, 1, first), np.insert(gains, 1, min(needed[0], self._slow))
        curve = np.interp(np.arange(len(sound)), edges, gains).astype(np.float32)
        sound *= along(curve, sound)
        np.clip(sound, -1.0, 1.0, out=sound)
        self._gain = float(gains[-1])

    def _remember(self, needed: float, duration: Seconds) -> None:
        """Moves the slow gain by what a block of this duration needed."""
        if needed < self._slow:
            self._slow += (needed - self._slow) * (1.0 - exp(-duration / SLOW_FALL_S))
        else:
            self._slow = min(1.0, self._slow * (1.0 + SLOW_RISE_PER_SECOND * duration))

    def _gains(self, needed: Gains) -> Gains:
        """The gain at each edge between pieces: what both sides need, and no faster upwards than it may come back."""
        meeting = np.minimum(np.append(np.minimum(needed[:-1], needed[1:]), needed[-1]), self._slow)
        wished = np.concatenate(([self._gain], meeting))
        climb = _RETURN_PER_PIECE * np.arange(len(wished), dtype=np.float64)
        return np.asarray(climb + np.minimum.accumulate(wished - climb), np.float64)
