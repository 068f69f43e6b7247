"""Where a picture lies in a window: every pixel is drawn from its place, part by part as well as all at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meshchat.looking.place import (
    KEPT_PIXELS,
    STEPS,
    UNIT,
    Place,
    actual,
    drawn,
    fitted,
    kept,
    moved,
    piece,
    zoomed,
)
from meshchat.media.operations import Size
from meshchat.media.tiles import Rect

SCREEN = Size(1920, 1080)

sizes = st.builds(Size, st.integers(1, 5000), st.integers(1, 3000))
windows = st.builds(Size, st.integers(64, 4000), st.integers(64, 3000))
places = st.builds(Place, st.integers(-3000, 3000), st.integers(-3000, 3000), st.sampled_from(STEPS), st.just(False))


def test_a_picture_that_fits_is_shown_as_it_is_and_a_larger_one_smaller() -> None:
    assert fitted(SCREEN, Size(2560, 1440)) == Place(320, 180, UNIT)
    small = fitted(SCREEN, Size(1280, 800))
    assert small.scale / UNIT == 21 / 32
    assert (small.left, small.top) == (10, 45)
    assert actual(SCREEN, Size(1280, 800)) == Place(-320, -140, UNIT, is_fitted=False)


@given(sizes, windows)
def test_a_fitted_picture_is_whole_and_fills_the_window_to_a_32nd(picture: Size, window: Size) -> None:
    place = fitted(picture, window)
    width, height = drawn(picture.width, place.scale), drawn(picture.height, place.scale)
    if place.scale > 1:
        assert width <= window.width
        assert height <= window.height
    larger = place.scale + 1
    is_full = drawn(picture.width, larger) > window.width or drawn(picture.height, larger) > window.height
    assert is_full or place.scale == UNIT
    assert kept(place, picture, window) == place


@given(places, st.integers(-20, 20), st.integers(0, 1000), st.integers(0, 1000))
def test_zooming_stays_within_bounds_and_holds_what_is_under_the_pointer(
    place: Place, steps: int, x: int, y: int
) -> None:
    after = zoomed(place, steps, x, y)
    assert STEPS[0] <= after.scale <= STEPS[-1]
    assert (after.scale > place.scale) == (steps > 0 and place.scale < STEPS[-1])
    assert abs((x - place.left) / place.scale - (x - after.left) / after.scale) <= 0.5 / after.scale + 1e-9


def test_zooming_in_and_out_again_comes_back() -> None:
    place = Place(0, 0, UNIT, is_fitted=False)
    assert zoomed(zoomed(place, 3, 100, 100), -3, 100, 100).scale == UNIT
    assert zoomed(Place(0, 0, 21), 1, 0, 0).scale == 24


@given(sizes, windows, places, st.integers(-9999, 9999), st.integers(-9999, 9999))
def test_a_picture_can_not_be_lost_out_of_the_window(
    picture: Size, window: Size, place: Place, right: int, down: int
) -> None:
    there = kept(moved(place, right, down), picture, window)
    assert there.left + drawn(picture.width, there.scale) >= min(KEPT_PIXELS, window.width - KEPT_PIXELS)
    assert there.left <= window.width - KEPT_PIXELS
    assert there.top + drawn(picture.height, there.scale) >= min(KEPT_PIXELS, window.height - KEPT_PIXELS)
    assert there.top <= window.height - KEPT_PIXELS


@given(sizes, windows, places, st.data())
def test_a_piece_covers_what_is_seen_of_a_part_and_lies_on_the_grid(
    picture: Size, window: Size, place: Place, data: st.DataObject
) -> None:
    x, y = data.draw(st.integers(0, picture.width - 1)), data.draw(st.integers(0, picture.height - 1))
    part = Rect(x, y, data.draw(st.integers(1, picture.width - x)), data.draw(st.integers(1, picture.height - y)))
    found = piece(part, picture, place, window)
    # Some pixel of the part, where it is in the window
    column = data.draw(st.integers(part.x, part.x + part.width - 1))
    row = data.draw(st.integers(part.y, part.y + part.height - 1))
    left, top = place.left + column * place.scale // UNIT, place.top + row * place.scale // UNIT
    if not (0 <= left < window.width and 0 <= top < window.height):
        return
    assert found is not None
    source, target = found.source, found.target
    assert source.x <= column < source.x + source.width <= picture.width
    assert source.y <= row < source.y + source.height <= picture.height
    assert target.x <= left < target.x + target.width
    assert target.y <= top < target.y + target.height
    assert (source.x % UNIT, source.y % UNIT) == (0, 0)
    assert target.x - place.left == source.x * place.scale // UNIT
    assert target.width <= window.width + 2 * place.scale


def test_pieces_drawn_one_by_one_make_the_picture() -> None:
    picture = np.arange(320 * 192, dtype=np.uint32).reshape(192, 320)
    size, window, place = Size(320, 192), Size(400, 300), Place(20, 10, 16, is_fitted=False)
    shown = np.zeros((300, 400), np.uint32)
    for y in range(0, 192, 48):
        for x in range(0, 320, 80):
            found = piece(Rect(x, y, 80, 48), size, place, window)
            assert found
            found.target.of(shown)[:] = found.source.of(picture)[::2, ::2]
    assert np.array_equal(shown[10:106, 20:180], picture[::2, ::2])
