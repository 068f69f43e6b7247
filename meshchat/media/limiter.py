"""Keeps the sum of many voices inside what a loudspeaker can play, without a wait and without a wrap.

The gain that each short piece needs is known once its peak is; between pieces the gain runs in straight lines that
never pass above what either neighbour needs, and it comes back at a fixed rate, so nothing pumps. The block that
the device asked for is all the look-ahead there is: only where the very first piece of a block is suddenly too loud
may its first 0.7 ms be cut flat. A look-ahead of its own would avoid that and cost every sound its length.
While nothing is too loud, sound passes untouched.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from meshchat.channels import along
from meshchat.units import SAMPLE_RATE, Samples

Gains: TypeAlias = npt.NDArray[np.float64]

CEILING = 0.97
"""The loudest sample meant to leave."""

PIECE_SAMPLES = 32
"""Peaks are taken over pieces of this length: 0.7 ms."""

RETURN_PER_SECOND = 4.0
"""How fast the gain comes back: from half to full in 125 ms."""

_RETURN_PER_PIECE = RETURN_PER_SECOND * PIECE_SAMPLES / SAMPLE_RATE


class Limiter:
    """One loudspeaker's limiter; remembers the gain from block to block."""

    def __init__(self) -> None:
        self._gain = 1.0

    @property
    def active(self) -> bool:
        """Whether the gain is still on its way back."""
        return self._gain < 1.0

    def limit(self, sound: Samples) -> None:
        """Brings `sound`, of one channel or two, to at most 1 in place; both get the same gain, so nothing wanders."""
        if len(sound) == 0:
            return
        peak = max(float(sound.max()), -float(sound.min()))
        if peak <= CEILING and self._gain >= 1.0:
            return
        starts = np.arange(0, len(sound), PIECE_SAMPLES)
        loudest = np.abs(sound) if sound.ndim == 1 else np.abs(sound).max(axis=1)
        peaks = np.maximum.reduceat(loudest, starts)
        needed = (CEILING / np.maximum(peaks, CEILING)).astype(np.float64)
        gains = self._gains(needed)
        edges = np.append(starts, len(sound))
        curve = np.interp(np.arange(len(sound)), edges, gains).astype(np.float32)
        sound *= along(curve, sound)
        np.clip(sound, -1.0, 1.0, out=sound)
        self._gain = float(gains[-1])

    def _gains(self, needed: Gains) -> Gains:
        """The gain at each edge between pieces: what both sides need, and no faster upwards than it may come back."""
        meeting = np.append(np.minimum(needed[:-1], needed[1:]), needed[-1])
        wished = np.concatenate(([self._gain], meeting))
        climb = _RETURN_PER_PIECE * np.arange(len(wished), dtype=np.float64)
        return np.asarray(climb + np.minimum.accumulate(wished - climb), np.float64)
