"""The pointer is laid over a picture, and lifted off without a trace."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meshchat.capture.pointer import Pointer
from meshchat.capture.x11 import joined

HALF_RED = np.uint32(0x8080_0000)
"""Colours multiplied by their opacity, as displays tell them."""


@given(st.integers(-20, 60), st.integers(-20, 40))
def test_it_leaves_the_picture_as_it_was(x: int, y: int) -> None:
    picture = np.random.default_rng(1).integers(0, 2**32, (32, 48), dtype=np.uint32)
    before, pointer = picture.copy(), Pointer()
    assert pointer.put(picture, x, y, np.full((16, 10), 0xFF00_FF00, np.uint32))
    inside = 0 <= x <= 38 and 0 <= y <= 16
    assert (np.count_nonzero(picture != before) == 160) or not inside
    pointer.lift(picture)
    assert np.array_equal(picture, before)


def test_half_of_it_shines_through_and_nothing_new_is_no_change() -> None:
    picture = np.full((8, 8), 0xFF00_00FF, np.uint32)
    pointer, shape = Pointer(), np.full((2, 2), HALF_RED, np.uint32)
    assert pointer.put(picture, 3, 3, shape)
    assert (int(picture[3, 3]) & 0xFFFFFF) == 0x80007F
    assert pointer.rows == ((3, 5),)
    pointer.lift(picture)
    assert not pointer.put(picture, 3, 3, shape)
    pointer.lift(picture)
    assert pointer.put(picture, 4, 3, shape)


def test_rows_close_to_each_other_are_one_range() -> None:
    assert joined(((50, 60), (0, 10), (5, 20), (200, 210)), 30) == ((0, 60), (200, 210))
