"""Parts of a screen as JPEG and back, by libjpeg-turbo; both let other threads run meanwhile.

The decoder is only given what `media.operations` has looked into: a baseline picture of the size that was said.
"""

from __future__ import annotations

import numpy as np
import simplejpeg

from meshchat.errors import WireError
from meshchat.units import Pixels

SHARP_FROM = 90
"""From this quality on colours keep their full resolution: below, what moves hides that they do not."""


def encode_jpeg(part: Pixels, quality: int) -> bytes:
    """A baseline JPEG of `quality` 1..100 of a part of a picture, which need not be contiguous."""
    height, width = part.shape
    pixels = part.view(np.uint8).reshape(height, width, 4)
    sampling = "444" if quality >= SHARP_FROM else "420"
    coded: bytes = simplejpeg.encode_jpeg(pixels, quality, "BGRX", sampling, fastdct=quality < SHARP_FROM)
    return coded


def decode_jpeg(data: bytes, width: int, height: int) -> Pixels:
    """The part of a picture that a JPEG of that size holds. Raises `WireError` if it is damaged."""
    try:
        is_fine = simplejpeg.decode_jpeg_header(data)[3] == "444"  # colours to the pixel, and slow with that option
        pixels = simplejpeg.decode_jpeg(data, "BGRA", fastdct=True, fastupsample=not is_fine)
    except ValueError as error:
        raise WireError(f"a JPEG that does not decode: {error}") from None
    if pixels.shape[:2] != (height, width):
        raise WireError("a JPEG of another size than was said")
    found: Pixels = pixels.view(np.uint32).reshape(height, width)
    return found
