"""How pixels are written to a terminal: as half blocks, in Kitty's graphics protocol, or as Sixel; only what changed.

Kitty's and Sixel pictures are sent as tiles of some cells, each by itself, so that a letter that is typed costs one
tile. Kitty's own way to change a part of a picture is understood by Kitty alone; a tile that is sent again under its
number is understood by all that speak the protocol.
"""

from __future__ import annotations

import base64
import itertools
import re
import zlib
from collections.abc import Callable
from typing import Protocol

import numpy as np

from meshchat.media.tiles import Rect
from meshchat.tongue import Area, Speech
from meshchat.units import Pixels

TILE_COLUMNS, TILE_ROWS = 16, 4

CHUNK = 4096
"""Most characters of a picture in one of Kitty's messages."""

KITTY_NUMBERS = 0x6D_65_00_00
"""Where the numbers of our tiles begin, so that they do not meet those of other programs."""

EVEN = (0, 51, 102, 153, 204, 255)
"""Steps of red, green and blue where we define the colours."""

PALETTE = (0, 95, 135, 175, 215, 255)
"""And in the middle of the 256 colours that terminals agree on."""

HALF = "\u2580"


class Ink(Protocol):
    """What is on the terminal, and how to bring it up to date."""

    def draw(self, pixels: Pixels) -> str:
        """What to write so that the terminal shows these; empty if it does."""

    def wipe(self) -> str:
        """What to write so that nothing of it stays behind."""


def ink_for(speech: Speech, area: Area) -> Ink:
    """The finest way that the terminal knows."""
    if speech.tongue == "blocks":
        return Blocks(area, is_true=speech.is_true)
    return Tiles(area, speech.cell, kitty if speech.tongue == "kitty" else sixel, speech.tongue == "kitty")


class Blocks:
    """Each cell shows two pixels, one above the other, by the colours of an upper half block and of what is behind."""

    def __init__(self, area: Area, *, is_true: bool) -> None:
        self._area = area
        self._is_true = is_true
        self._there: np.ndarray[tuple[int, ...], np.dtype[np.int64]] = np.full((2 * area.rows, area.columns), -1)

    def draw(self, pixels: Pixels) -> str:
        """See `Ink`; `pixels` has one column for each cell, and two rows."""
        codes = (pixels if self._is_true else 16 + cube(pixels, PALETTE)).astype(np.int64)
        changed = (codes != self._there).reshape(self._area.rows, 2, self._area.columns).any(axis=1)
        self._there = codes
        return "".join(self._row(row, np.flatnonzero(changed[row]).tolist()) for row in range(self._area.rows))

    def wipe(self) -> str:
        """See `Ink`: whoever draws over it leaves nothing."""
        return ""

    def _row(self, row: int, columns: list[int]) -> str:
        upper, lower = self._there[2 * row].tolist(), self._there[2 * row + 1].tolist()
        written: list[str] = []
        last, pen = -2, (-1, -1)
        for column in columns:
            if column != last + 1:
                written.append(f"\x1b[{self._area.top + row};{self._area.left + column}H")
            if (upper[column], lower[column]) != pen:
                pen = upper[column], lower[column]
                written.append(f"\x1b[38;{self._colour(pen[0])};48;{self._colour(pen[1])}m")
            written.append(HALF)
            last = column
        return "".join((*written, "\x1b[m")) if written else ""

    def _colour(self, code: int) -> str:
        return f"2;{code >> 16};{code >> 8 & 255};{code & 255}" if self._is_true else f"5;{code}"


class Tiles:
    """Tiles of pixels, each drawn when anything in it has changed."""

    def __init__(
        self, area: Area, cell: tuple[int, int], encode: Callable[[Pixels, int, int, int], str], stays: bool
    ) -> None:
        """`encode` takes pixels, columns, rows and a number; `stays`: pictures outlive what is drawn over them."""
        self._area = area
        self._cell = cell
        self._encode = encode
        self._stays = stays
        self._there: Pixels | None = None
        self._numbers: set[int] = set()

    def draw(self, pixels: Pixels) -> str:
        """See `Ink`; `pixels` are as many as the cells have."""
        written: list[str] = []
        width, height = self._cell
        for top in range(0, self._area.rows, TILE_ROWS):
            for left in range(0, self._area.columns, TILE_COLUMNS):
                columns, rows = min(TILE_COLUMNS, self._area.columns - left), min(TILE_ROWS, self._area.rows - top)
                tile = Rect(left * width, top * height, columns * width, rows * height)
                if self._there is None or not np.array_equal(tile.of(pixels), tile.of(self._there)):
                    number = top // TILE_ROWS << 8 | left // TILE_COLUMNS
                    self._numbers.add(number)
                    written.append(f"\x1b[{self._area.top + top};{self._area.left + left}H")
                    written.append(self._encode(tile.of(pixels), columns, rows, number))
        self._there = pixels.copy()
        return "".join(written)

    def wipe(self) -> str:
        """See `Ink`."""
        left = sorted(self._numbers) if self._stays else []
        return "".join(f"\x1b_Ga=d,d=I,i={KITTY_NUMBERS + number},q=2\x1b\\" for number in left)


def kitty(part: Pixels, columns: int, rows: int, number: int) -> str:
    """A tile in Kitty's graphics protocol: colours compressed, in messages of bounded length."""
    height, width = part.shape
    colours = np.ascontiguousarray(part).view(np.uint8).reshape(height, width, 4)[:, :, 2::-1]
    data = base64.b64encode(zlib.compress(colours.tobytes(), 1)).decode()
    chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    head = f"a=T,f=24,o=z,s={width},v={height},i={KITTY_NUMBERS + number},p=1,c={columns},r={rows},C=1,q=2,"
    return "".join(
        f"\x1b_G{'' if at else head}m={int(at + 1 < len(chunks))};{chunk}\x1b\\" for at, chunk in enumerate(chunks)
    )


def sixel(part: Pixels, _columns: int, _rows: int, _number: int) -> str:
    """A tile as Sixel, in 216 colours: bands of six rows, each drawn once for every colour in it."""
    height, width = part.shape
    colours = cube(part, EVEN)
    written = [f'\x1bP7;1;0q"1;1;{width};{height}']
    written += [
        f"#{each};2;{each // 36 * 20};{each // 6 % 6 * 20};{each % 6 * 20}" for each in np.unique(colours).tolist()
    ]
    for top in range(0, height, 6):
        band = colours[top : top + 6]
        weights = (1 << np.arange(len(band), dtype=np.uint8))[:, None]
        lines = [
            f"#{each}" + _run_lengths(((band == each) * weights).sum(axis=0, dtype=np.uint8) + np.uint8(63))
            for each in np.unique(band).tolist()
        ]
        written.append("$".join(lines) + "-")
    return "".join((*written, "\x1b\\"))


def cube(pixels: Pixels, steps: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The nearest of 216 colours, which have each of red, green and blue in one of six steps."""
    halves = np.array([(one + other) / 2 for one, other in itertools.pairwise(steps)])
    nearest = np.searchsorted(halves, np.arange(256)).astype(np.uint8)
    red, green, blue = (nearest[pixels >> np.uint32(shift) & np.uint32(255)] for shift in (16, 8, 0))
    found: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = red * np.uint8(36) + green * np.uint8(6) + blue
    return found


def _run_lengths(line: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
    return re.sub(r"(.)\1{3,}", lambda run: f"!{len(run[0])}{run[1]}", line.tobytes().decode(), flags=re.DOTALL)
