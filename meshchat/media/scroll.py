"""Scrolling found: parts of the new picture that stood elsewhere in the old one, so that a copy can be told, not sent.

Intuition: a scrolled page has the same rows at another height. Each row gets a number made of a sample of its pixels;
rows whose number occurs once in the old picture vote for how far they moved. The winner is then checked pixel by pixel,
so that what is told as a copy is one to the last bit; the sample only finds the guess quickly.

Sample, vote and check take some 3 ms of a 1080p picture and save nine tenths and more of the bytes of scrolling text.
What moves sideways, by parts of a pixel, or turns, is sent as any other change.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from meshchat.media.operations import Copy
from meshchat.media.tiles import CELL, Grid, Mask, Rect
from meshchat.units import Pixels

CELLS_MIN = 12
"""Fewer changed cells in one place are sent sooner than searched."""

ROWS_MIN = 16
"""Lowest strip that is worth a copy."""

VOTES_MIN = 8
"""Rows that must agree on how far they moved."""

ASIDE_ROWS_MAX = 160
"""Highest thing that stands still in a page that scrolls: a pointer, a button."""

SAMPLE_ROWS = 16
"""One row in so many tells whether it goes on as it went."""

SAMPLES = 64
"""Pixels of a row that its numbers are made of."""

GROUPS = 4
"""Groups of columns that vote."""

MOVES_MAX = 16
"""Copies told for one picture, the highest first: more is not scrolling."""

PLACES_MAX = 4
"""Places searched in one picture, the largest first."""

_WEIGHTS = np.random.default_rng(1).integers(1, 1 << 63, SAMPLES, dtype=np.uint64) | np.uint64(1)


def moves(grid: Grid, old: Pixels, new: Pixels, mask: Mask) -> tuple[Copy, ...]:
    """What moved up or down among the changed cells; copied in this order, it turns the old picture into the new."""
    found: list[Copy] = []
    for box in places(grid, mask)[:PLACES_MAX]:
        found += _in_box(box, box.of(old), box.of(new), _voted(box.of(old), box.of(new)))
    return tuple(found[:MOVES_MAX])


def again(box: Rect, rise: int, old: Pixels, new: Pixels) -> tuple[Copy, ...]:
    """What moved in that box if most of it moved by `rise` rows, as it did in the picture before; else nothing.

    It stood `rise` rows further down, or up if < 0.
    """
    down = max(0, -rise)
    rows = slice(down, down + box.height - abs(rise), SAMPLE_ROWS)
    after, before = box.of(new)[rows], box.of(old)[rise + down :][: box.height - abs(rise) : SAMPLE_ROWS]
    alike = (after == before).all(axis=1)
    if np.count_nonzero(alike) * 2 < len(alike) or np.array_equal(after, box.of(old)[rows]):
        return ()
    return tuple(_in_box(box, box.of(old), box.of(new), rise)[:MOVES_MAX])


def places(grid: Grid, mask: Mask) -> list[Rect]:
    """The boxes around groups of changed cells that touch each other, the largest first."""
    groups: list[tuple[int, int, int, int, int]] = []
    for row, first, end in grid.runs(mask):
        top, left, right, cells = row, first, end, end - first
        apart = []
        for group in groups:
            if group[1] >= row and group[2] <= right and left <= group[3]:
                top, left, right = min(top, group[0]), min(left, group[2]), max(right, group[3])
                cells += group[4]
            else:
                apart.append(group)
        groups = [*apart, (top, row + 1, left, right, cells)]
    boxes = [
        Rect(left * CELL, top * CELL, min(right * CELL, grid.width) - left * CELL,
             min(bottom * CELL, grid.height) - top * CELL)
        for top, bottom, left, right, cells in groups
        if cells >= CELLS_MIN
    ]  # fmt: skip
    return sorted(boxes, key=lambda box: -box.area)


def _in_box(box: Rect, old: Pixels, new: Pixels, rise: int) -> list[Copy]:
    if rise == 0:
        return []
    down = max(0, -rise)
    height = box.height - abs(rise)
    same = new[down : down + height] == old[down + rise : down + rise + height]
    found = []
    for first, end in _columns(same):
        rows = same[:, first:end].all(axis=1)
        whole = [(top, bottom) for top, bottom in _runs(rows) if bottom - top >= ROWS_MIN]
        aside = _aside(same, first, end, _between(whole, height))
        for top, bottom, left, right in [*((*each, first, end) for each in whole), *aside]:
            to = Rect(box.x + left, box.y + down + top, right - left, bottom - top)
            found.append(Copy(to, to.x, to.y + rise))
    # In this order no copy overwrites what a later one needs: upward moves from the top, downward from the bottom.
    return sorted(found, key=lambda move: move.to.y if rise > 0 else -move.to.y)


def _between(runs: list[tuple[int, int]], end: int) -> list[tuple[int, int]]:
    """What lies before, between and after runs, up to `end`."""
    edges = [0, *(edge for run in runs for edge in run), end]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _aside(
    same: npt.NDArray[np.bool_], first: int, end: int, gaps: list[tuple[int, int]]
) -> Iterator[tuple[int, int, int, int]]:
    """What moved to the left and right of something that did not, such as the pointer: top, bottom, left, right."""
    for top, bottom in gaps:
        if ROWS_MIN <= bottom - top <= ASIDE_ROWS_MAX:
            columns = np.logical_and.reduce(same[top:bottom, first:end], axis=0)
            cells = np.logical_and.reduceat(columns, np.arange(0, end - first, CELL))
            for left, right in _runs(cells):
                yield top, bottom, first + left * CELL, min(first + right * CELL, end)


def _voted(old: Pixels, new: Pixels) -> int:
    """How many rows further down most rows of `new` stood in `old`; 0 if they do not agree.

    Each of some groups of columns votes for itself: a scroll bar or a clock at the side then costs one voice.
    """
    height = old.shape[0]
    votes = np.zeros(2 * height, np.int64)
    for before, after in zip(_numbers(old), _numbers(new), strict=True):
        values, rows, counts = np.unique(before, return_index=True, return_counts=True)
        values, rows = values[counts == 1], rows[counts == 1]
        if len(values):
            at = np.minimum(np.searchsorted(values, after), len(values) - 1)
            rises = (rows[at] - np.arange(height))[values[at] == after]
            votes += np.bincount(rises + height, minlength=2 * height)
    votes[height] = 0
    best = int(votes.argmax())
    return best - height if votes[best] >= VOTES_MIN else 0


def _numbers(picture: Pixels) -> npt.NDArray[np.uint64]:
    """A number for each row in each group of columns: shape (groups, rows)."""
    step = max(1, picture.shape[1] // SAMPLES)
    sample = picture[:, : step * SAMPLES : step].astype(np.uint64)
    sample = sample[:, : sample.shape[1] // GROUPS * GROUPS]
    weighted = sample * _WEIGHTS[: sample.shape[1]]
    numbers: npt.NDArray[np.uint64] = weighted.reshape(len(sample), GROUPS, -1).sum(axis=2, dtype=np.uint64).T
    return numbers


def _columns(same: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Ranges of columns in which most rows moved as a whole: a scroll bar at the side did not."""
    width = same.shape[1]
    if np.count_nonzero(same.all(axis=1)) * 2 >= len(same):
        return [(0, width)]
    starts = np.arange(0, width, CELL)
    share = np.logical_and.reduceat(same, starts, axis=1).mean(axis=0)
    return [(first * CELL, min(end * CELL, width)) for first, end in _runs(share >= 0.5)]


def _runs(marks: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Begin and end of every run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], marks, [False])).astype(np.int8)))
    return [(int(first), int(end)) for first, end in zip(edges[::2], edges[1::2], strict=True)]
