"""The pointer drawn into a picture of the screen, and lifted off it again before the next one is fetched."""

from __future__ import annotations

import numpy as np

from meshchat.media.tiles import Rect, Rows
from meshchat.units import Pixels


class Pointer:
    """What is drawn of it, and what lies under it."""

    def __init__(self) -> None:
        self._where: Rect | None = None
        self._under: Pixels = np.zeros((0, 0), np.uint32)
        self._shape = (0, 0, b"")

    @property
    def rows(self) -> Rows:
        """The rows that it covers."""
        return ((self._where.y, self._where.y + self._where.height),) if self._where else ()

    def lift(self, picture: Pixels) -> Rows:
        """Puts back what lies under it; the rows that it covered."""
        rows = self.rows
        if self._where:
            self._where.of(picture)[:] = self._under
        self._where = None
        return rows

    def put(self, picture: Pixels, x: int, y: int, shape: Pixels) -> bool:
        """Draws it, ARGB with the colours multiplied already, where it is inside; whether it changed."""
        height, width = picture.shape
        left, top = max(0, x), max(0, y)
        right, bottom = min(width, x + shape.shape[1]), min(height, y + shape.shape[0])
        if left < right and top < bottom:
            self._where = Rect(left, top, right - left, bottom - top)
            self._under = self._where.of(picture).copy()
            self._where.of(picture)[:] = _over(shape[top - y : bottom - y, left - x : right - x], self._under)
        before, self._shape = self._shape, (x, y, shape.tobytes())
        return before != self._shape


def _over(above: Pixels, below: Pixels) -> Pixels:
    """The one laid over the other (Porter and Duff's `over`, with colours multiplied by their opacity)."""
    one, other = (np.ascontiguousarray(each).view(np.uint8).astype(np.uint16) for each in (above, below))
    clear = 255 - np.repeat(one[:, 3::4], 4, axis=1)
    laid: Pixels = np.minimum(one + (other * clear + 127) // 255, 255).astype(np.uint8).view(np.uint32)
    return laid
