"""A slice of a screen cut into parts that fit a datagram each, and what such a part looks like.

A slice is what a watcher applies at once: some operations on its picture. Slices form a chain, because a copy needs the
picture as it was: each names the one before it, and what the picture stands at after it. A slice that names none begins
a chain anew: it and those that follow bring whoever fell behind to where the shared chain stands, whatever was missed.

    in the sealed payload of an RTP packet
    +-------+----------------+----------------+----------------+-------+-------+---------------
    | flags |   slice, 32    |   after, 32    |  becomes, 32   | index | count |  bytes of the operations ...
    +-------+----------------+----------------+----------------+-------+-------+---------------

`slice` grows with each slice of a sender, for whomever it is; 0 stands for none. A sender would wrap it after half a
year of 300 slices a second without a break; its key, and with it the chain, is new long before.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from meshchat.errors import WireError
from meshchat.sframe import OVERHEAD_BYTES_MAX
from meshchat.wire import SEALED_BYTES_MAX

SLICE_BYTES_MAX = 1 << 20
"""Longest slice: an exact strip of noise takes three quarters of it."""

PRESENT = 1
"""Flag: the picture is whole after this slice, and can be shown."""

SETTLED = 2
"""Flag: and exact, as far as it will be made exact."""

_HEAD = struct.Struct("!BIIIHH")

PART_BYTES_MAX = SEALED_BYTES_MAX - OVERHEAD_BYTES_MAX - _HEAD.size
"""What one datagram carries of a slice."""

PARTS_MAX = -(-SLICE_BYTES_MAX // PART_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Slice:
    """Operations that are applied at once."""

    number: int
    after: int
    """The slice that must have been applied before; 0: none."""
    becomes: int
    """What the picture stands at afterwards: this slice, or the shared one that a new chain catches up with."""
    flags: int
    operations: bytes

    @property
    def is_present(self) -> bool:
        """Whether the picture can be shown afterwards."""
        return bool(self.flags & PRESENT)

    @property
    def is_settled(self) -> bool:
        """Whether the picture is exact afterwards."""
        return bool(self.flags & SETTLED)


@dataclass(frozen=True, slots=True)
class Part:
    """What one datagram carries."""

    number: int
    after: int
    becomes: int
    flags: int
    index: int
    count: int
    data: bytes


def cut(whole: Slice) -> list[bytes]:
    """The payloads that carry a slice, at least one. A slice that is too long is our own bug: `ValueError`."""
    if len(whole.operations) > SLICE_BYTES_MAX:
        raise ValueError(f"a slice of {len(whole.operations)} bytes")
    count = max(1, -(-len(whole.operations) // PART_BYTES_MAX))
    return [
        _HEAD.pack(whole.flags, whole.number, whole.after, whole.becomes, index, count)
        + whole.operations[index * PART_BYTES_MAX : (index + 1) * PART_BYTES_MAX]
        for index in range(count)
    ]


def parse_part(payload: bytes) -> Part:
    """A part. Raises `WireError`, and nothing else, for what is none."""
    if len(payload) < _HEAD.size:
        raise WireError(f"part of a screen of {len(payload)} bytes")
    flags, number, after, becomes, index, count = _HEAD.unpack_from(payload)
    data = payload[_HEAD.size :]
    if not index < count <= PARTS_MAX or flags > PRESENT | SETTLED:
        raise WireError(f"part {index} of {count} of a screen")
    is_full = len(data) == PART_BYTES_MAX or (index == count - 1 and len(data) < PART_BYTES_MAX)
    if not is_full or after >= number or not (becomes == number or (0 < becomes < number)):
        raise WireError(f"part of slice {number} after {after}")
    return Part(number, after, becomes, flags, index, count, data)
