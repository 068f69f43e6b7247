"""Sound of one channel or two: shape (n,), or (n, 2) with left and right side by side.

Voices have one channel and cost what one costs; two are there only where somebody sends two. So nothing is told of it
beside the sound: whoever takes sound looks at its shape, and what has one channel stands in the middle of what has two.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from meshchat.units import Samples

Curve: TypeAlias = npt.NDArray[np.floating[Any]]


def along(curve: Curve, sound: Samples) -> Curve:
    """A `curve` over time, shape (n,), so that it can be multiplied with `sound` of n samples."""
    return curve if sound.ndim == 1 else curve[:, None]
