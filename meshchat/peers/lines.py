"""What members say to each other about the chat: lines, which of them somebody holds, and which it lacks.

A line is signed by its author, so that any member can hand it on and nobody can change it or put words into
another's mouth. What is signed begins with the room, so that nothing said in one room can be repeated in another.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, NewType, TypeAlias

import msgspec
from msgspec import Meta, Struct

from meshchat.peers.fields import Digest, Hex32, Hex64, Name, Natural, Proof
from meshchat.units import TEXT_CHARACTERS_MAX, RoomId

LineId = NewType("LineId", str)
"""Which line: 32 hex digits, the beginning of the SHA-256 of what its author signed."""

HELD_MAX = 512
"""Most lines that a member keeps: hours of talk. When full, the oldest quarter goes at once."""

LINES_MAX = 64
"""Most lines in one message; the rest comes when it is asked for again."""

_encoder = msgspec.json.Encoder()


class Line(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Somebody wrote something."""

    author: Hex64
    clock: Natural
    """The room's clock as the author reads it, in ms: greater than that of every line that it had seen."""
    said_ms: Natural
    """The time of day by the author's clock, in ms since 1970; shown, and never relied on."""
    alias: Name
    """What the author called itself."""
    text: Annotated[str, Meta(min_length=1, max_length=TEXT_CHARACTERS_MAX)]
    proof: Proof = b""


class Lines(Struct, frozen=True, tag_field="type", tag="lines", forbid_unknown_fields=True):
    """A line that the sender just wrote, or those that the receiver lacked."""

    lines: Annotated[tuple[Line, ...], Meta(max_length=LINES_MAX)]


class Early(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Which lines the sender holds for the receiver from before the receiver knew the sender."""

    floor: Natural
    """When the sender first knew of the receiver, or came itself, or how far back it remembers."""
    upto: Natural
    digest: Digest


class Tally(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Which lines the sender holds: a digest of all those after `floor` up to `upto`, by the room's clock."""

    floor: Natural
    """Since when both know each other, and remember."""
    upto: Natural
    digest: Digest
    early: Early | None = None
    """Where the sender knew of the receiver first, and holds something from between."""


class Lack(Struct, frozen=True, tag_field="type", tag="lack", forbid_unknown_fields=True):
    """Between `floor` and `upto` the sender holds these lines only, and asks for the others."""

    floor: Natural
    upto: Natural
    held: Annotated[tuple[Hex32, ...], Meta(max_length=HELD_MAX)]


Key: TypeAlias = tuple[int, str, LineId]
"""The place of a line in the order that is the same everywhere: clock, author, id."""


def signed_part(room: RoomId, line: Line) -> bytes:
    """What an author signs."""
    said = (room, line.author, line.clock, line.said_ms, line.alias, line.text)
    return b"meshchat line\0" + _encoder.encode(said)


def id_of(signed: bytes) -> LineId:
    """The id of the line of which this is the signed part."""
    return LineId(hashlib.sha256(signed).hexdigest()[:32])


def size_of(line: Line) -> int:
    """How many bytes it takes in memory and on the wire, roughly."""
    return len(line.text.encode("utf-8", "replace")) + 300
