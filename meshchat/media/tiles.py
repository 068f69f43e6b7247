"""Which parts of a screen changed: two pictures compared exactly, cell by cell, and the rectangles worth sending.

A picture is an array of 32-bit pixels, shape (height, width), as screens keep them: blue, green, red and a byte that is
not used. A set of cells is one whole number, a bit for each cell, row by row: sets are then merged, subtracted and
remembered for each watcher with the operators that Python has for them.

Comparison is exact because a hash of each cell takes five times as long, and a threshold would leave traces of old
letters on the other side's screen for good.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from meshchat.units import Pixels

Mask: TypeAlias = int
"""A set of cells: bit `row * columns + column`."""

Rows: TypeAlias = tuple[tuple[int, int], ...]
"""Ranges of rows in order: the first, and the one after the last."""

CELL = 64
"""Side of a cell in pixels: a line of text is one or two high, and a 4K screen has some two thousand."""

STRIP_ROWS = 128
"""Highest rectangle: a strip this high is compressed, sent and drawn while the next one is compressed."""

TRIM = 8
"""Rectangles begin and end at multiples of this: the blocks of JPEG, in whose middle an edge would blur."""

MOVING_ROWS = 16
"""One row in so many shows that a band of a film differs; a band that seems equal is compared as any other."""

WASTE_MAX = 1.25
"""Two rectangles are sent as one if that is at most so much more area."""


@dataclass(frozen=True, slots=True)
class Rect:
    """A part of a picture, in pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def area(self) -> int:
        """In pixels."""
        return self.width * self.height

    def of(self, picture: Pixels) -> Pixels:
        """That part of a picture, without a copy."""
        return picture[self.y : self.y + self.height, self.x : self.x + self.width]


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between two pictures."""

    mask: Mask
    rects: tuple[Rect, ...]
    """Everything that changed lies in these; what they overlap is sent twice, and the same."""


class Grid:
    """The cells of a picture of one size."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.columns = -(-width // CELL)
        self.rows = -(-height // CELL)
        self.all: Mask = (1 << self.columns * self.rows) - 1
        self._starts = np.arange(0, width, CELL)

    def cells(self, rect: Rect) -> Mask:
        """Every cell that `rect` touches."""
        first, last = rect.x // CELL, (rect.x + rect.width - 1) // CELL
        run = (1 << last - first + 1) - 1 << first
        rows = range(rect.y // CELL, (rect.y + rect.height - 1) // CELL + 1)
        mask = 0
        for row in rows:
            mask |= run << row * self.columns
        return mask

    def runs(self, mask: Mask) -> Iterator[tuple[int, int, int]]:
        """Row, first column and column after the last of every run of neighbours in a row."""
        for row in range(self.rows):
            bits = mask >> row * self.columns & (1 << self.columns) - 1
            column = 0
            while bits >> column:
                column += _zeros(bits >> column)
                end = column + _zeros(~(bits >> column))
                yield row, column, end
                column = end

    def rects(self, mask: Mask) -> tuple[Rect, ...]:
        """Whole cells as few rectangles, none higher than a strip."""
        return merged([self._rect(row, first, end) for row, first, end in self.runs(mask)], waste_max=1.0)

    def changes(self, old: Pixels, new: Pixels, rows: Rows | None = None, *, moving: bool = False) -> Changes:
        """What differs; both pictures have this grid's size. Only `rows` are compared, None for all of them.

        Where everything is `moving`, a band that differs at all is taken to differ all over.
        """
        mask, rects = 0, []
        for row in self._bands(rows):
            band = slice(row * CELL, (row + 1) * CELL)
            if moving and not np.array_equal(old[band][::MOVING_ROWS], new[band][::MOVING_ROWS]):
                mask |= (1 << self.columns) - 1 << row * self.columns
                rects.append(self._rect(row, 0, self.columns))
                continue
            differs = old[band] != new[band]
            if not differs.any():
                continue
            columns = differs.any(axis=0)
            cells = np.flatnonzero(np.logical_or.reduceat(columns, self._starts))
            bits = sum(1 << cell for cell in cells.tolist())
            mask |= bits << row * self.columns
            for _, first, end in self.runs(bits):
                rects.append(self._trimmed(differs, columns, row, first, end))
        return Changes(mask, merged(rects))

    def _bands(self, rows: Rows | None) -> Iterable[int]:
        """The rows of cells that have pixels in these rows."""
        if rows is None:
            return range(self.rows)
        return sorted({band for first, end in rows for band in range(first // CELL, -(-end // CELL))})

    def _rect(self, row: int, first: int, end: int) -> Rect:
        x, y = first * CELL, row * CELL
        return Rect(x, y, min(end * CELL, self.width) - x, min(y + CELL, self.height) - y)

    def _trimmed(
        self, differs: npt.NDArray[np.bool_], columns: npt.NDArray[np.bool_], row: int, first: int, end: int
    ) -> Rect:
        """The least rectangle in a run of cells of one band that holds all that differs."""
        across = np.flatnonzero(columns[first * CELL : end * CELL]) + first * CELL
        left = int(across[0]) // TRIM * TRIM
        right = min(-(-(int(across[-1]) + 1) // TRIM) * TRIM, self.width)
        down = np.flatnonzero(differs[:, left:right].any(axis=1))
        top = int(down[0]) // TRIM * TRIM
        bottom = min(-(-(int(down[-1]) + 1) // TRIM) * TRIM, differs.shape[0])
        return Rect(left, row * CELL + top, right - left, bottom - top)


def around(rects: Collection[Rect]) -> Rect:
    """The least rectangle that holds them all, of which there is one at least."""
    left, top = min(each.x for each in rects), min(each.y for each in rects)
    right, bottom = max(each.x + each.width for each in rects), max(each.y + each.height for each in rects)
    return Rect(left, top, right - left, bottom - top)


def cut_or_filled(picture: Pixels, height: int, width: int) -> Pixels:
    """A picture of that size: what reaches beyond it is cut off, and what is missing right and below is black."""
    found = np.zeros((height, width), np.uint32)
    height, width = min(height, picture.shape[0]), min(width, picture.shape[1])
    found[:height, :width] = picture[:height, :width]
    return found


def merged(rects: list[Rect], waste_max: float = WASTE_MAX) -> tuple[Rect, ...]:
    """Rectangles of neighbouring bands put together where that wastes little; they come in order from the top."""
    done: list[Rect] = []
    for rect in rects:
        for place in reversed(range(len(done))):
            above = done[place]
            if above.y + above.height == rect.y and _is_worth(above, rect, waste_max):
                done[place] = around([above, rect])
                break
        else:
            done.append(rect)
    return tuple(done)


def _is_worth(one: Rect, other: Rect, waste_max: float) -> bool:
    both = around([one, other])
    if both.height > STRIP_ROWS or both.area > waste_max * (one.area + other.area):
        return False
    return both.width == max(one.width, other.width)


def _zeros(bits: int) -> int:
    """How many low bits are 0; `bits` is not 0."""
    return (bits & -bits).bit_length() - 1
