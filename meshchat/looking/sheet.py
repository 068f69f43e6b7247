"""A picture fitted into a part of a terminal: kept in the size that is drawn there, and renewed part by part."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from meshchat.media.operations import Size
from meshchat.media.tiles import Rect
from meshchat.units import Pixels

GROUND = np.uint32(0x10_14_18)
"""Around the picture."""

MARGIN = 2
"""So many pixels beside a part are mixed from it too."""


class Sheet:
    """Everything to be drawn: the picture in the middle of it, as large as fits."""

    def __init__(self, width: int, height: int, stretch: float = 1.0) -> None:
        """In pixels to be drawn, each of which is `stretch` times as wide as it is high."""
        self.pixels: Pixels = np.full((height, width), GROUND)
        self._stretch = stretch
        self._source = Size(0, 0)
        self._where = Rect(0, 0, 0, 0)

    def renew(self, picture: Pixels, parts: list[Rect]) -> None:
        """Takes over the parts of a picture that have changed, or all of it if it has another size than before."""
        size = Size(picture.shape[1], picture.shape[0])
        if size != self._source:
            self._fit(size)
            parts = [Rect(0, 0, size.width, size.height)]
        image = Image.frombuffer("RGBX", (size.width, size.height), picture, "raw", "RGBX", 0, 1)
        for part in parts:
            self._renew(image, part)

    def _fit(self, size: Size) -> None:
        height, width = self.pixels.shape
        scale = min(width * self._stretch / size.width, height / size.height, 1.0)
        drawn = max(1, round(size.width * scale / self._stretch)), max(1, round(size.height * scale))
        self._where = Rect((width - drawn[0]) // 2, (height - drawn[1]) // 2, *drawn)
        self._source = size
        self.pixels[:] = GROUND

    def _renew(self, image: Image.Image, part: Rect) -> None:
        """Pillow looks beyond the box that it is given, so what is drawn part by part is what is drawn at once."""
        across, down = self._where.width / self._source.width, self._where.height / self._source.height
        left, top = max(0, math.floor(part.x * across) - MARGIN), max(0, math.floor(part.y * down) - MARGIN)
        right = min(self._where.width, math.ceil((part.x + part.width) * across) + MARGIN)
        bottom = min(self._where.height, math.ceil((part.y + part.height) * down) + MARGIN)
        box = (left / across, top / down, min(right / across, image.width), min(bottom / down, image.height))
        made = image.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box)
        target = Rect(self._where.x + left, self._where.y + top, right - left, bottom - top)
        pixels = np.frombuffer(made.tobytes(), np.uint32).reshape(target.height, target.width)
        target.of(self.pixels)[:] = pixels & np.uint32(0x00FF_FFFF)
