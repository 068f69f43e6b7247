"""A screen on its way without any network: what changed, what moved, what is lost, and what the watcher sees of it."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshchat.codec import decode_exact, decode_jpeg, encode_exact, encode_jpeg
from meshchat.errors import WireError
from meshchat.media import scroll
from meshchat.media.assembly import ALL_PARTS, ASKED_MAX, Assembly, Gap
from meshchat.media.canvas import Canvas
from meshchat.media.feedback import Feedback, encode_feedback, parse_feedback
from meshchat.media.operations import (
    Copy,
    Operation,
    Put,
    Size,
    encode_operations,
    jpeg_size,
    parse_operations,
)
from meshchat.media.parts import PART_BYTES_MAX, PRESENT, Slice, cut, parse_part
from meshchat.media.tiles import CELL, Grid, Rect
from tests.screen_lab import HEIGHT, WIDTH, photo, scrolled, text

seeds = st.integers(0, 1 << 32)


# What changed


@given(seeds, st.integers(1, 300), st.integers(1, 300), st.integers(0, 6))
def test_everything_that_changed_lies_in_the_rectangles(seed: int, width: int, height: int, dots: int) -> None:
    rng = np.random.default_rng(seed)
    old = rng.integers(0, 4, (height, width), dtype=np.uint32)
    new = old.copy()
    for _ in range(dots):
        y, x = int(rng.integers(height)), int(rng.integers(width))
        new[y : y + int(rng.integers(1, 90)), x : x + int(rng.integers(1, 90))] ^= np.uint32(1)
    grid = Grid(width, height)
    changes = grid.changes(old, new)
    patched = old.copy()
    covered = 0
    for rect in changes.rects:
        assert rect.width > 0
        assert rect.height > 0
        assert rect.x + rect.width <= width
        assert rect.y + rect.height <= height
        rect.of(patched)[:] = rect.of(new)
        covered |= grid.cells(rect)
    assert np.array_equal(patched, new)
    cells = {int(y) // CELL * grid.columns + int(x) // CELL for y, x in zip(*np.nonzero(old != new), strict=True)}
    assert changes.mask == sum(1 << cell for cell in cells)
    assert covered & changes.mask == changes.mask


@given(st.integers(1, 400), st.integers(1, 400), st.integers(min_value=0))
def test_a_set_of_cells_is_its_rectangles(width: int, height: int, bits: int) -> None:
    grid = Grid(width, height)
    mask = bits & grid.all
    covered = 0
    for rect in grid.rects(mask):
        assert covered & grid.cells(rect) == 0
        covered |= grid.cells(rect)
    assert covered == mask


def test_a_letter_costs_its_own_few_pixels() -> None:
    old = np.zeros((1080, 1920), np.uint32)
    new = old.copy()
    new[601:611, 683:689] = 7
    changes = Grid(1920, 1080).changes(old, new)
    assert changes.rects == (Rect(680, 600, 16, 16),)


# What moved


@settings(max_examples=25)
@given(seeds, st.integers(1, 120), st.booleans())
def test_a_scrolled_page_is_a_copy_and_a_strip(seed: int, rows: int, up: bool) -> None:
    rng = np.random.default_rng(seed)
    page = text(rng)
    new = scrolled(page, rows, rng) if up else scrolled(page[::-1], rows, rng)[::-1]
    grid = Grid(WIDTH, HEIGHT)
    mask = grid.changes(page, new).mask
    moved = scroll.moves(grid, page, new, mask)
    if mask.bit_count() >= scroll.CELLS_MIN and rows < HEIGHT // 2:
        assert sum(move.to.area for move in moved) > 0.4 * (HEIGHT - rows) * WIDTH
    picture = page.copy()
    for move in moved:
        move.to.of(picture)[:] = move.source.of(picture).copy()
    for move in moved:
        assert np.array_equal(move.to.of(picture), move.to.of(new)), "a copy is one to the last bit"


def test_a_pointer_that_stands_still_costs_its_own_place_alone() -> None:
    rng = np.random.default_rng(5)
    page = text(rng)
    new = scrolled(page, 20, rng)
    for each in (page, new):
        each[200:224, 300:316] = 0xFF00_0000
    grid = Grid(WIDTH, HEIGHT)
    moved = scroll.moves(grid, page, new, grid.changes(page, new).mask)
    picture = page.copy()
    for move in moved:
        move.to.of(picture)[:] = move.source.of(picture).copy()
        assert np.array_equal(move.to.of(picture), move.to.of(new))
    assert np.count_nonzero((picture != new)[: HEIGHT - 40].any(axis=0)) <= 2 * 64


def test_a_scroll_bar_does_not_hide_that_the_page_scrolled() -> None:
    rng = np.random.default_rng(5)
    page = text(rng)
    new = scrolled(page, 48, rng)
    new[:, -20:] = photo(rng)[:, -20:]
    grid = Grid(WIDTH, HEIGHT)
    moved = scroll.moves(grid, page, new, grid.changes(page, new).mask)
    assert sum(move.to.area for move in moved) > 0.5 * HEIGHT * WIDTH


# What is written down


def operation_of(rng: random.Random, size: Size) -> Operation:
    width, height = rng.randint(1, size.width), rng.randint(1, size.height)
    rect = Rect(rng.randint(0, size.width - width), rng.randint(0, size.height - height), width, height)
    part = np.full((height, width), rng.getrandbits(24), np.uint32)
    match rng.randrange(3):
        case 0:
            return Copy(rect, rng.randint(0, size.width - width), rng.randint(0, size.height - height))
        case 1:
            return Put(rect, encode_jpeg(part, 50), False)
        case _:
            return Put(rect, encode_exact(part), True)


@given(seeds, st.integers(0, 12))
def test_operations_come_back_as_they_were(seed: int, count: int) -> None:
    rng = random.Random(seed)
    size = Size(rng.randint(1, 200), rng.randint(1, 200))
    operations = [size, *(operation_of(rng, size) for _ in range(count))]
    assert parse_operations(encode_operations(operations), None) == (tuple(operations), size)


@given(seeds, st.binary(max_size=400))
def test_bytes_are_operations_that_fit_or_an_error(seed: int, garbage: bytes) -> None:
    rng = random.Random(seed)
    size = Size(rng.randint(1, 200), rng.randint(1, 200))
    data = bytearray(encode_operations([size, operation_of(rng, size)]) + garbage)
    for _ in range(rng.randint(0, 3)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    canvas = Canvas(decode_jpeg, decode_exact)
    try:
        operations, after = parse_operations(bytes(data), None)
        canvas.carry_out(operations)
    except WireError:
        return
    assert after is not None
    assert canvas.picture.shape == (after.height, after.width)


@pytest.mark.parametrize(
    "operation",
    [
        Size(0, 5),
        Size(16_000, 16_000),
        Copy(Rect(0, 0, 10, 10), 91, 0),
        Copy(Rect(91, 0, 10, 10), 0, 0),
        Put(Rect(0, 0, 8, 8), encode_jpeg(np.zeros((9, 8), np.uint32), 50), False),
        Put(Rect(0, 0, 8, 8), b"\xff\xd8\xff\xd9", False),
        Put(Rect(95, 95, 8, 8), encode_exact(np.zeros((8, 8), np.uint32)), True),
    ],
)
def test_what_does_not_fit_is_refused(operation: Operation) -> None:
    with pytest.raises(WireError):
        parse_operations(encode_operations([operation]), Size(100, 100))


def test_an_exact_part_unfolds_to_its_size_and_no_further() -> None:
    data = encode_exact(np.zeros((4000, 4000), np.uint32))
    with pytest.raises(WireError, match="size"):
        decode_exact(data, 8, 8)


def test_a_jpeg_tells_its_size_before_it_is_decoded() -> None:
    assert jpeg_size(encode_jpeg(np.zeros((31, 77), np.uint32), 80)) == (77, 31)


@given(st.binary(max_size=3 * PART_BYTES_MAX), st.integers(2, 99), seeds)
def test_a_slice_is_the_sum_of_its_parts_in_any_order(data: bytes, number: int, seed: int) -> None:
    whole = Slice(number, 0, number, PRESENT, data)
    parts = [parse_part(payload) for payload in cut(whole)]
    random.Random(seed).shuffle(parts)
    assembly = Assembly()
    found = [ready for part in parts + parts for ready in assembly.put(part, 0.0)]
    assert found == [whole]
    assert not assembly.waits


@given(st.binary(max_size=60))
def test_bytes_are_a_part_or_an_error(data: bytes) -> None:
    for payload in (data, cut(Slice(9, 3, 9, 0, data))[0][: len(data)]):
        try:
            part = parse_part(payload)
        except WireError:
            continue
        assert part.index < part.count


gaps = st.builds(Gap, st.integers(0, (1 << 32) - 1), st.integers(0, ALL_PARTS), st.integers(0, ALL_PARTS))
words = st.integers(0, (1 << 32) - 1)
told = st.builds(Feedback, words, words, words, words, st.lists(gaps, max_size=ASKED_MAX).map(tuple))


@given(told, words)
def test_feedback_comes_back_as_it_was(feedback: Feedback, ssrc: int) -> None:
    assert parse_feedback(encode_feedback(ssrc, feedback)) == feedback


@given(st.binary(max_size=64), told)
def test_bytes_are_feedback_or_an_error(data: bytes, feedback: Feedback) -> None:
    for each in (data, encode_feedback(1, feedback)[:-1] + data):
        try:
            parse_feedback(each)
        except WireError:
            continue
