"""What the daemon and its screen process say to each other through a pipe: length, then msgpack."""

from __future__ import annotations

from typing import IO, Annotated, TypeAlias

import msgspec
from msgspec import Meta, Struct

from meshchat.units import FPS_MAX, QUALITY_MAX, QUALITY_MIN

LENGTH_BYTES = 4

DEFAULT_SOURCE = "screen"


class Spec(Struct, frozen=True, array_like=True):
    """What to share, and how."""

    source: str = DEFAULT_SOURCE
    """`screen`, `test-pattern[:KIND]`, or the path of a picture or of a folder of pictures."""
    monitor: int = 0
    """Which monitor, counted from 1; 0 for all of them as one screen."""
    region: tuple[int, int, int, int] | None = None
    """A part of it only: x, y, width, height in pixels."""
    fps: Annotated[int, Meta(ge=1, le=FPS_MAX)] = 30
    quality: Annotated[int, Meta(ge=QUALITY_MIN, le=QUALITY_MAX)] = 75
    """Of what moves, as JPEG counts it; what rests is exact."""


class Follow(Struct, frozen=True, array_like=True, tag=True):
    """Whether anybody watches, and whether pictures are to be compressed for all."""

    watched: bool
    followed: bool
    quality: int = 100
    """Of what moves, at most, whatever the spec says: what the best link takes."""


class Bring(Struct, frozen=True, array_like=True, tag=True):
    """Compress these cells once more, for somebody who saw picture `number` of the daemon's count last."""

    mask: bytes
    number: int
    quality: int


class Opened(Struct, frozen=True, array_like=True, tag=True):
    """The source is open, or has another size now."""

    width: int
    height: int
    title: str


class Slice(Struct, frozen=True, array_like=True, tag=True):
    """A slice of a picture that changes the cells of `mask`."""

    number: int
    mask: bytes
    operations: bytes
    first: bool
    last: bool
    settled: bool
    coded: bool = True
    """False: nobody was to be sent it, so there are no operations."""


class Brought(Struct, frozen=True, array_like=True, tag=True):
    """The answer to `Bring`."""

    slices: tuple[bytes, ...]
    settled: bool


class Trouble(Struct, frozen=True, array_like=True, tag=True):
    """Something that a person should know; the end of the share if it is `fatal`."""

    text: str
    fatal: bool


Order: TypeAlias = Follow | Bring
Told: TypeAlias = Opened | Slice | Brought | Trouble

_encoder = msgspec.msgpack.Encoder()
_orders: msgspec.msgpack.Decoder[Order] = msgspec.msgpack.Decoder(Order)
_told: msgspec.msgpack.Decoder[Told] = msgspec.msgpack.Decoder(Told)


def write(pipe: IO[bytes], message: Order | Told) -> None:
    """Writes one message, whole. Raises `OSError` or `ValueError` when the other end is gone."""
    body = _encoder.encode(message)
    pipe.write(len(body).to_bytes(LENGTH_BYTES, "big") + body)
    pipe.flush()


def read_order(pipe: IO[bytes]) -> Order | None:
    """The next order; None when the daemon is gone."""
    body = _body(pipe)
    return None if body is None else _orders.decode(body)


def read_told(pipe: IO[bytes]) -> Told | None:
    """What the screen process tells next; None when it has ended."""
    body = _body(pipe)
    return None if body is None else _told.decode(body)


def _body(pipe: IO[bytes]) -> bytes | None:
    head = pipe.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "big")
    body = pipe.read(length)
    return body if len(body) == length else None


def mask_bytes(mask: int) -> bytes:
    """A set of cells in as few bytes as hold it."""
    return mask.to_bytes((mask.bit_length() + 7) // 8, "big")
