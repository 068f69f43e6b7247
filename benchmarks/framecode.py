"""The number that each drawn picture bears in black and white, so that whoever sees the picture can tell which it is.

24 bits of number and 8 that check it, each a field of 16 by 32 pixels, at the bottom left of the screen: who shows a
picture piece by piece from the top gains nothing by it. Fields are so large that no JPEG blurs one into the next.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from meshchat.units import Pixels

WIDTH, HEIGHT = 1920, 1080
"""Of every screen that is measured."""

BITS, CHECK_BITS = 24, 8
FIELD_WIDTH, FIELD_HEIGHT = 16, 32
CODE_WIDTH = (BITS + CHECK_BITS) * FIELD_WIDTH
TOP = HEIGHT - FIELD_HEIGHT
MIDDLE = TOP + FIELD_HEIGHT // 2
"""The row that is read."""

BLACK, WHITE = np.uint32(0xFF00_0000), np.uint32(0xFFFF_FFFF)


def drawn(number: int) -> Pixels:
    """The code of a number, shape (FIELD_HEIGHT, CODE_WIDTH)."""
    word = number << CHECK_BITS | _check(number)
    bits = [word >> place & 1 for place in reversed(range(BITS + CHECK_BITS))]
    row = np.repeat(np.where(bits, WHITE, BLACK), FIELD_WIDTH)
    return np.tile(row, (FIELD_HEIGHT, 1))


def read(row: npt.NDArray[np.uint32]) -> int | None:
    """The number in one row of pixels, at least CODE_WIDTH long; None where there is none, or half of one."""
    greens = row[FIELD_WIDTH // 2 : CODE_WIDTH : FIELD_WIDTH] >> np.uint32(8) & np.uint32(0xFF)
    if len(greens) < BITS + CHECK_BITS or np.any((greens > 64) & (greens < 192)):
        return None
    word = 0
    for bit in (greens > 128).tolist():
        word = word << 1 | bit
    number = word >> CHECK_BITS
    return number if word & 0xFF == _check(number) else None


def _check(number: int) -> int:
    return zlib.crc32(number.to_bytes(4, "big")) & 0xFF


class Sightings:
    """Which picture was seen first when, written down at once for another process to read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._newest: int | None = None

    def saw(self, number: int | None, at: float) -> None:
        """A picture was looked at; what is no number, or was seen already, does not count."""
        if number is not None and number != self._newest:
            self._newest = number
            with self._path.open("ab") as file:
                file.write(np.array([(at, number)], ROW).tobytes())


ROW = np.dtype([("at", np.float64), ("number", np.int64)])


def load(path: Path) -> npt.NDArray[np.void]:
    """What was written so far: `at` (time.monotonic) and `number` of each picture."""
    data = path.read_bytes()
    return np.frombuffer(data[: len(data) // ROW.itemsize * ROW.itemsize], ROW)
