"""Sound of one channel or two: shape (n,), or (n, 2) with left and right side by side.

Voices have one channel and cost what one costs; two are there only where somebody sends two. So nothing is told of it
beside the sound: whoever takes sound looks at its shape, and what has one channel stands in the middle of what has two.
"""

from __future__ import annotations

import numpy as np

from meshchat.units import Samples


def silence(samples: int, channels: int = 1) -> Samples:
    """That many zeros, for each of so many channels."""
    return np.zeros(samples if channels == 1 else (samples, channels), dtype=np.float32)


def along(curve: Samples, sound: Samples) -> Samples:
    """A `curve` over time, float32 of shape (n,), so that it can be multiplied with `sound` of n samples."""
    return curve if sound.ndim == 1 else curve[:, None]


def spread(sound: Samples) -> Samples:
    """The same with two channels: what has one is heard in the middle, as loud as before at each side."""
    return sound if sound.ndim == 2 else np.repeat(sound[:, None], 2, axis=1)


def folded(sound: Samples) -> Samples:
    """The same with one channel: the mean of two, so that what was in the middle stays as loud as it was."""
    return sound if sound.ndim == 1 else sound.mean(axis=1, dtype=np.float32)


def fitted(sound: Samples, channels: int) -> Samples:
    """The same with so many channels."""
    return folded(sound) if channels == 1 else spread(sound)
