"""The sharer's memory of its screen: what the watchers have, which of it is blurred, what to send for a new picture.

A part that changes is sent at once, as a JPEG unless it is small; while it keeps changing nobody sees what that costs.
A cell that has been still for a moment is sent once more, exactly, or where a photograph would make that too large, so
finely that no eye tells. Cells are remembered one by one, so that a blinking cursor in one corner does not keep the
rest of the screen blurred.

Compressing is handed in as functions: this file decides what and when.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from meshchat.media import scroll
from meshchat.media.operations import PART_PIXELS_MAX, Copy, Operation, Put, Size, encode_operations
from meshchat.media.tiles import CELL, Grid, Mask, Rect, Rows, around
from meshchat.units import Pixels, Seconds

REST_S: Seconds = 0.15
"""A cell that has not changed for so long is made exact: a person typing pauses for about that."""

SHARPEN_CELLS = 96
"""Cells made exact at once, a fifth of a 1080p screen: some 10 ms of work, so that a new change never waits longer."""

SMALL_PIXELS = 64 * 1024
"""A part up to this size is tried exact at once: a few lines of text take fewer bytes so than as a JPEG, and 1 ms."""

TINY_PIXELS = 4 * 1024
"""Up to this size it is not worth a look beforehand whether that will succeed."""

EXACT_SHARE_MAX = 1.0
"""Bytes for each pixel up to which a small part, and a still one, is sent exact; text takes 0.05, a photograph 2.5."""

SAMPLE_ROWS = 8
"""Every so many rows a part is looked at before it is compressed exactly: photographs would take long."""

FINE = 95
"""JPEG quality of a still part that is too large to be exact: 44 dB on text, which no eye tells from the original."""

SLICE_PIXELS = 192 * 1024
"""A slice is sent when so much is compressed: 2 ms of work, while the one before is on its way."""

REMEMBERED = 256
"""Pictures of which it is remembered what they changed: whoever asks about older ones gets everything."""

SEARCH_REST = 8
"""After a few searches for scrolling in vain, only one picture in so many is searched: a film does not scroll."""

IN_VAIN_MAX = 3

MOTION_SHARE = 0.9
"""Of the cells: a film that fills the screen. Two pictures of it need no comparison to be different."""

MOTION_PICTURES = 3


@dataclass(frozen=True, slots=True)
class Coder:
    """How parts of a picture become bytes."""

    lossy: Callable[[Pixels, int], bytes]
    exact: Callable[[Pixels], bytes]


@dataclass(frozen=True, slots=True)
class Update:
    """Operations for the watchers' pictures."""

    operations: bytes
    last: bool
    """Whether the picture is whole with it."""


class Desk:
    """A screen of one size."""

    def __init__(self, width: int, height: int, coder: Coder) -> None:
        """Starts black, and as if everybody had to be sent everything."""
        self.grid = Grid(width, height)
        self.number = 0
        """Pictures that changed something, so far."""
        self._coder = coder
        self._picture: Pixels = np.zeros((height, width), np.uint32)
        self._blurred: Mask = 0
        self._recent: deque[tuple[Seconds, Mask]] = deque()
        self._history: deque[Mask] = deque(maxlen=REMEMBERED)
        self._in_vain = 0
        self._motion = 0
        """Pictures in a row in which all but a little changed."""
        self._scrolled: tuple[Rect, int] | None = None
        """Where the last picture was scrolled, and by how much."""
        self._todo: list[Operation | Rect] = []
        self._sharp: Mask = 0

    @property
    def is_settled(self) -> bool:
        """Whether everything that was sent is as exact as it will be."""
        return not self._blurred

    def look(self, new: Pixels, now: Seconds, rows: Rows | None = None) -> Mask:
        """Takes in a new picture of the screen, which may differ in `rows` (None: anywhere) from the last one.

        The cells that `updates` will change, 0 for none.
        """
        moved = scroll.again(*self._scrolled, self._picture, new) if self._scrolled else ()
        mask = 0
        if not moved:
            changes = self.grid.changes(self._picture, new, rows, moving=self._is_moving)
            mask, rects = changes.mask, changes.rects
            if not mask:
                return 0
            moved = self._moves(new, mask)
            self._motion = (
                0 if moved or mask.bit_count() < MOTION_SHARE * self.grid.all.bit_count() else self._motion + 1
            )
        self._scrolled = (_around(moved), moved[0].y - moved[0].to.y) if moved else None
        if moved:
            mask |= self._carry_out(moved, new)
            changes = self.grid.changes(self._picture, new, self._beside(moved, rows))
            mask, rects = mask | changes.mask, changes.rects
        self._todo = [*moved]
        for rect in rects:
            rect.of(self._picture)[:] = rect.of(new)
            self._todo += split(rect)
        self._sharp = 0
        self._recent.append((now, mask))
        return self._count(mask)

    def sharpen(self, now: Seconds) -> Mask:
        """Chooses cells that have been still for a moment; those that `updates` will make exact, 0 for none."""
        while self._recent and now - self._recent[0][0] > REST_S:
            self._recent.popleft()
        still = self._blurred
        for _, mask in self._recent:
            still &= ~mask
        chosen = _lowest(still, SHARPEN_CELLS)
        if not chosen:
            return 0
        self._todo = [*self._sharp_parts(chosen)]
        self._sharp = chosen
        return self._count(chosen)

    def everything_since(self, number: int) -> Mask:
        """The cells that changed in the pictures after that one."""
        missed = self.number - number
        if not 0 <= missed <= len(self._history):
            return self.grid.all
        mask = 0
        for each in list(self._history)[len(self._history) - missed :]:
            mask |= each
        return mask

    def bring_up(self, mask: Mask, quality: int) -> Iterator[Update]:
        """What brings a watcher who lacks these cells to where the others are."""
        blurred, sharp = mask & self._blurred, mask & ~self._blurred
        yield Update(encode_operations([Size(self.grid.width, self.grid.height)]), False)
        self._todo = [part for rect in self.grid.rects(blurred) for part in split(rect)]
        todo = len(self._todo)
        self._todo += self._sharp_parts(sharp)
        yield from self._compress(lambda place, rect: self._put(rect, quality, place >= todo), keep=False)

    def updates(self, quality: int) -> Iterator[Update]:
        """What `look` or `sharpen` found, compressed slice by slice; at least one."""
        sharp = self._sharp
        yield from self._compress(lambda _, rect: self._put(rect, quality, bool(sharp)), keep=True)

    def pass_over(self) -> None:
        """What `look` found is not compressed, since nobody would be sent it: it stays to be made exact."""
        for each in self._todo:
            if isinstance(each, Rect):
                self._blurred |= self.grid.cells(each)

    def _compress(self, put: Callable[[int, Rect], Put], *, keep: bool) -> Iterator[Update]:
        ready: list[Operation] = []
        pixels = 0
        for place, each in enumerate(self._todo):
            if pixels >= SLICE_PIXELS:
                yield Update(encode_operations(ready), False)
                ready, pixels = [], 0
            if isinstance(each, Rect):
                done = put(place, each)
                if keep:
                    self._note(each, done)
                pixels += each.area
                ready.append(done)
            else:
                ready.append(each)
        yield Update(encode_operations(ready), True)

    def _note(self, rect: Rect, done: Put) -> None:
        cells = self.grid.cells(rect)
        if self._sharp:
            self._blurred &= ~cells
        elif not done.exact:
            self._blurred |= cells

    def _put(self, rect: Rect, quality: int, sharp: bool) -> Put:
        part = rect.of(self._picture)
        is_tried = rect.area <= TINY_PIXELS or ((sharp or rect.area <= SMALL_PIXELS) and self._looks_simple(part))
        if is_tried:
            data = self._coder.exact(part)
            if len(data) <= EXACT_SHARE_MAX * rect.area + 256:
                return Put(rect, data, True)
        return Put(rect, self._coder.lossy(part, FINE if sharp else quality), False)

    def _sharp_parts(self, mask: Mask) -> list[Rect]:
        """Still cells, those that can be exact apart from those that cannot: text beside a photograph stays text."""
        simple = 0
        for row, first, end in self.grid.runs(mask):
            for column in range(first, end):
                cell = Rect(column * CELL, row * CELL, CELL, CELL)
                if self._looks_simple(cell.of(self._picture)):
                    simple |= 1 << row * self.grid.columns + column
        return [part for each in (simple, mask & ~simple) for rect in self.grid.rects(each) for part in split(rect)]

    def _looks_simple(self, part: Pixels) -> bool:
        sample = part[::SAMPLE_ROWS]
        return len(self._coder.exact(sample)) <= EXACT_SHARE_MAX * sample.size + 64

    @property
    def _is_moving(self) -> bool:
        """Whether all of it is taken to change, as it did in the last pictures; now and then it is looked at again."""
        return self._motion >= MOTION_PICTURES and self.number % SEARCH_REST != 0

    def _carry_out(self, moved: tuple[Copy, ...], new: Pixels) -> Mask:
        """Brings what moved into our picture; the cells of it."""
        mask = 0
        for move in moved:
            cells = self.grid.cells(move.to)
            mask |= cells
            if self._blurred & self.grid.cells(move.source):
                self._blurred |= cells
            move.to.of(self._picture)[:] = move.to.of(new)  # the same as a copy within ours, which would take twice
        return mask

    def _beside(self, moved: tuple[Copy, ...], rows: Rows | None) -> Rows | None:
        """The rows that may still differ: not those that moved as a whole."""
        if any(move.to.width < self.grid.width for move in moved):
            return rows
        tops = [0, *sorted(move.to.y + move.to.height for move in moved)]
        ends = [*sorted(move.to.y for move in moved), self.grid.height]
        return tuple((top, end) for top, end in zip(tops, ends, strict=True) if top < end)

    def _moves(self, new: Pixels, mask: Mask) -> tuple[Copy, ...]:
        if mask.bit_count() < scroll.CELLS_MIN:
            return ()
        if self._in_vain >= IN_VAIN_MAX and self.number % SEARCH_REST:
            return ()
        found = scroll.moves(self.grid, self._picture, new, mask)
        self._in_vain = 0 if found else self._in_vain + 1
        return found

    def _count(self, mask: Mask) -> Mask:
        self.number += 1
        self._history.append(mask)
        return mask


def _around(moved: tuple[Copy, ...]) -> Rect:
    """The box in which all of that moved."""
    return around([place for each in moved for place in (each.to, each.source)])


def split(rect: Rect) -> list[Rect]:
    """A rectangle in pieces that one slice can hold, side by side."""
    width = max(CELL, PART_PIXELS_MAX // rect.height // CELL * CELL)
    return [
        Rect(x, rect.y, min(width, rect.x + rect.width - x), rect.height)
        for x in range(rect.x, rect.x + rect.width, width)
    ]


def _lowest(mask: Mask, count: int) -> Mask:
    """At most `count` cells of a set, the first ones."""
    if mask.bit_count() <= count:
        return mask
    chosen = 0
    for _ in range(count):
        chosen |= mask & -mask
        mask &= mask - 1
    return chosen
