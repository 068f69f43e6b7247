"""What is done to a watcher's picture, and how that is written down: take a size, copy a part, put a part.

    operation, one after the other to the end of a slice
    +------+--------+--------+--------+--------+--------------+------------------------------+
    | kind |   x    |   y    | width  | height | length, 32   | as many bytes                |
    +------+--------+--------+--------+--------+--------------+------------------------------+
      0 size    0        0     of the whole       0
      1 copy    to where                          4             x and y of where from
      2 lossy   where                             n             a baseline JPEG of that size
      3 exact   where                             n             zlib of rows: a byte 0, then red, green, blue ...

An exact part is what a PNG of that size holds in its IDAT (rows without prediction), so that a browser can be given it
with a header around it and no further work. Everything is checked here, before a decoder of any kind sees it: a JPEG by
its own header, an exact part by how much it may unfold to.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from meshchat.errors import WireError
from meshchat.media.tiles import Rect

SIDE_MAX = 16_384
"""Widest and highest screen: no desktop of several monitors is larger, and two bytes hold it."""

PIXELS_MAX = 8192 * 4352
"""Most pixels of a screen, 8K and a little: what a watcher may be made to hold is four bytes of each."""

OPERATIONS_MAX = 4096
"""Most operations in one slice: every cell of an 8K screen once would be twice that, in several slices."""

PART_PIXELS_MAX = 256 * 1024
"""Largest part put at once: what one decoder is busy with, some milliseconds."""

SIZE, COPY, LOSSY, EXACT = range(4)

_HEAD = struct.Struct("!BHHHHI")
_FROM = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class Size:
    """The picture has this size from now on; a new size makes it black."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Copy:
    """A part of the picture is copied to another place in it; the two may overlap."""

    to: Rect
    x: int
    y: int

    @property
    def source(self) -> Rect:
        """Where it is copied from."""
        return Rect(self.x, self.y, self.to.width, self.to.height)


@dataclass(frozen=True, slots=True)
class Put:
    """A part of the picture is replaced."""

    where: Rect
    data: bytes
    exact: bool
    """Whether `data` is exact, or a JPEG."""


Operation: TypeAlias = Size | Copy | Put


def encode_operations(operations: Iterable[Operation]) -> bytes:
    """All of them, one after the other."""
    return b"".join(map(_encode, operations))


def _encode(operation: Operation) -> bytes:
    match operation:
        case Size(width, height):
            return _HEAD.pack(SIZE, 0, 0, width, height, 0)
        case Copy(to, x, y):
            return _HEAD.pack(COPY, to.x, to.y, to.width, to.height, _FROM.size) + _FROM.pack(x, y)
        case Put(where, data, exact):
            kind = EXACT if exact else LOSSY
            return _HEAD.pack(kind, where.x, where.y, where.width, where.height, len(data)) + data


def parse_operations(data: bytes, size: Size | None) -> tuple[tuple[Operation, ...], Size | None]:
    """The operations of a slice, fit for a picture of `size`, and its size afterwards.

    Raises `WireError`, and nothing else, for what is no operation, does not fit, or is not what it claims to be.
    """
    found: list[Operation] = []
    at = 0
    while at < len(data):
        if at + _HEAD.size > len(data) or len(found) >= OPERATIONS_MAX:
            raise WireError("a slice of a screen is cut short or has too many operations")
        kind, x, y, width, height, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        body = data[at : at + length]
        at += length
        if len(body) != length:
            raise WireError("an operation on a screen is cut short")
        operation = _parse(kind, Rect(x, y, width, height), body, size)
        size = operation if isinstance(operation, Size) else size
        found.append(operation)
    return tuple(found), size


def _parse(kind: int, rect: Rect, body: bytes, size: Size | None) -> Operation:
    if kind == SIZE:
        return _size(rect, body)
    if size is None:
        raise WireError("a screen without a size")
    _check_inside(rect, size)
    if kind == COPY and len(body) == _FROM.size:
        copy = Copy(rect, *_FROM.unpack(body))
        _check_inside(copy.source, size)
        return copy
    if kind not in (LOSSY, EXACT) or rect.area > PART_PIXELS_MAX:
        raise WireError(f"operation {kind} on {rect.area} pixels")
    if kind == LOSSY and jpeg_size(body) != (rect.width, rect.height):
        raise WireError("a JPEG of another size than was said")
    return Put(rect, body, kind == EXACT)


def _size(rect: Rect, body: bytes) -> Size:
    fits = 0 < rect.width <= SIDE_MAX and 0 < rect.height <= SIDE_MAX and rect.area <= PIXELS_MAX
    if not fits or rect.x or rect.y or body:
        raise WireError(f"a screen of {rect.width} by {rect.height}")
    return Size(rect.width, rect.height)


def _check_inside(rect: Rect, size: Size) -> None:
    inside = rect.x + rect.width <= size.width and rect.y + rect.height <= size.height
    if not inside or not rect.width or not rect.height:
        raise WireError("a part that lies outside its screen")


_START, _SCAN, _BASELINE = 0xD8, 0xDA, 0xC0
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # ITU-T T.81 table B.1: the markers that begin a frame


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height that a JPEG's header states (ITU-T T.81 section B.2.2), before any decoder sees it.

    Raises `WireError` for all but a baseline picture of one or three components.
    """
    if data[:2] != b"\xff\xd8":
        raise WireError("no JPEG")
    at = 2
    while at + 4 <= len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at] != 0xFF or length < 2 or marker == _SCAN:
            break
        if marker in _FRAMES:
            return _frame_size(marker, data[at + 4 : at + 2 + length])
        at += 2 + length
    raise WireError("a JPEG without a frame")


def _frame_size(marker: int, body: bytes) -> tuple[int, int]:
    if marker != _BASELINE or len(body) < 6 or body[0] != 8 or body[5] not in (1, 3) or len(body) != 6 + 3 * body[5]:
        raise WireError("a JPEG that is not baseline")
    return int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")
