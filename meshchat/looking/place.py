"""Where a picture lies in a window: fitted or as large as somebody likes it, and moved about.

Scales are whole numbers of 32nds. So every 32 pixels of the picture are a whole number of pixels of the window, and
what changed can be drawn part by part without a seam, at a cost that goes with how much it is. The alternative, any
scale, would have the whole window drawn anew for each letter that is typed. The price: a fitted picture leaves up to
a 32nd of the window empty.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from meshchat.media.operations import Size
from meshchat.media.tiles import Rect

UNIT = 32
"""A scale of 1, and how many pixels of the picture are drawn as one piece."""

STEPS = (2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 48, 64, 96, 128, 192, 256, 512)
"""The scales that zooming goes through, in 32nds."""

KEPT_PIXELS = 32
"""So much of a picture stays in the window, however far it is moved."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the left top corner of a picture is in the window, and how large it is drawn there."""

    left: int
    top: int
    scale: int
    """In 32nds."""
    is_fitted: bool = True
    """Whether it follows the window's size."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a picture, and the part of the window that it is drawn on, which may reach beyond the window."""

    source: Rect
    target: Rect


def fitted(picture: Size, window: Size) -> Place:
    """The whole picture in the middle of the window, never larger than it is."""
    scale = min(UNIT * window.width // picture.width, UNIT * window.height // picture.height, UNIT)
    return _centred(picture, window, max(scale, 1))


def actual(picture: Size, window: Size) -> Place:
    """A pixel of the window for each of the picture, its middle in that of the window."""
    return replace(_centred(picture, window, UNIT), is_fitted=False)


def _centred(picture: Size, window: Size, scale: int) -> Place:
    width, height = drawn(picture.width, scale), drawn(picture.height, scale)
    return Place((window.width - width) // 2, (window.height - height) // 2, scale)


def drawn(pixels: int, scale: int) -> int:
    """How many pixels of the window so many of the picture are."""
    return -(-pixels * scale // UNIT)


def zoomed(place: Place, steps: int, x: int, y: int) -> Place:
    """Drawn larger by some steps, or smaller by as many below 0; what is at `x`, `y` in the window stays there."""
    if steps > 0:
        ahead = [each for each in STEPS if each > place.scale] or [STEPS[-1]]
        scale = ahead[min(steps, len(ahead)) - 1]
    else:
        behind = [each for each in reversed(STEPS) if each < place.scale] or [STEPS[0]]
        scale = behind[min(-steps, len(behind)) - 1] if steps else place.scale
    left, top = (at - round((at - corner) * scale / place.scale) for at, corner in ((x, place.left), (y, place.top)))
    return Place(left, top, scale, is_fitted=False)


def moved(place: Place, right: int, down: int) -> Place:
    """Dragged by so many pixels of the window."""
    return replace(place, left=place.left + right, top=place.top + down, is_fitted=False)


def kept(place: Place, picture: Size, window: Size) -> Place:
    """The same place, but so that a corner of the picture stays in sight; a fitted one is fitted anew."""
    if place.is_fitted:
        return fitted(picture, window)
    width, height = drawn(picture.width, place.scale), drawn(picture.height, place.scale)
    left = min(max(place.left, KEPT_PIXELS - width), window.width - KEPT_PIXELS)
    top = min(max(place.top, KEPT_PIXELS - height), window.height - KEPT_PIXELS)
    return replace(place, left=left, top=top)


def piece(part: Rect, picture: Size, place: Place, window: Size) -> Piece | None:
    """What to draw where when `part` of the picture has changed; None if that is out of sight.

    It begins and ends at multiples of 32 pixels of the picture, or at its edges, and is no more than is in sight.
    """
    across = _span(part.x, part.x + part.width, picture.width, place.left, window.width, place.scale)
    down = _span(part.y, part.y + part.height, picture.height, place.top, window.height, place.scale)
    if across is None or down is None:
        return None
    (x, right), (y, bottom) = across, down
    left, top = drawn(x, place.scale), drawn(y, place.scale)
    width, height = drawn(right, place.scale) - left, drawn(bottom, place.scale) - top
    return Piece(Rect(x, y, right - x, bottom - y), Rect(place.left + left, place.top + top, width, height))


def _span(first: int, end: int, size: int, corner: int, window: int, scale: int) -> tuple[int, int] | None:
    """Along one side: from where to where the picture is to be drawn."""
    seen_from, seen_until = -corner * UNIT // scale, -(-(window - corner) * UNIT // scale)
    first, end = max(first, seen_from, 0), min(end, seen_until, size)
    return (first // UNIT * UNIT, min(-(-end // UNIT) * UNIT, size)) if first < end else None
