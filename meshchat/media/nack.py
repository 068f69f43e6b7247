"""How a listener names the packets that it wants once more: RTCP's generic NACK (RFC 4585 section 6.2.1).

    |V=2|0| kind 1  |   PT = 205    |            length             |
    |                  SSRC of the listener                         |
    |                  SSRC of the stream                           |
    |      a sequence number        |   which of the 16 after it    |  1..4 times

It travels in a QUIC datagram like the receiver reports, which authenticates it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from meshchat.errors import WireError

PACKET_TYPE = 205
"""RTCP's number for feedback about the transport."""

ITEMS_MAX = 4
"""Words in one packet, 17 sequence numbers each: as many as a sender keeps (`media.resending`). More is nonsense."""

_HEAD = struct.Struct("!BBHII")
_ITEM = struct.Struct("!HH")
_FIRST = 0x81  # version 2, no padding, format 1
_SPAN = 17


def is_nack(data: bytes) -> bool:
    """Whether a report asks for packets."""
    return len(data) >= 2 and data[1] == PACKET_TYPE


def encode_nack(ssrc: int, stream: int, sequences: Sequence[int]) -> bytes:
    """One packet by the listener `ssrc`, who lacks these of a `stream`, oldest first.

    None, or more than fit `ITEMS_MAX` words, is our own bug: `ValueError`.
    """
    items: list[tuple[int, int]] = []
    for sequence in sequences:
        step = (sequence - items[-1][0]) & 0xFFFF if items else _SPAN
        if step == 0:
            continue
        if step < _SPAN:
            items[-1] = items[-1][0], items[-1][1] | 1 << (step - 1)
        else:
            items.append((sequence & 0xFFFF, 0))
    if not 1 <= len(items) <= ITEMS_MAX:
        raise ValueError(f"{len(sequences)} packets asked for at once")
    words = (_HEAD.size + len(items) * _ITEM.size) // 4 - 1
    return _HEAD.pack(_FIRST, PACKET_TYPE, words, ssrc, stream) + b"".join(_ITEM.pack(*item) for item in items)


def parse_nack(data: bytes) -> tuple[int, tuple[int, ...]]:
    """Of which stream which packets are asked for. Raises `WireError`, and nothing else, for other bytes."""
    if len(data) < _HEAD.size + _ITEM.size:
        raise WireError(f"RTCP packet of {len(data)} bytes")
    first, kind, words, _, stream = _HEAD.unpack_from(data)
    if first != _FIRST or kind != PACKET_TYPE:
        raise WireError(f"RTCP packet begins {first:#04x} {kind}, not a generic NACK")
    if len(data) != 4 * (words + 1) or len(data) > _HEAD.size + ITEMS_MAX * _ITEM.size:
        raise WireError(f"generic NACK: {words} words and {len(data)} bytes disagree, or are too many")
    found: list[int] = []
    for at in range(_HEAD.size, len(data), _ITEM.size):
        base, following = _ITEM.unpack_from(data, at)
        found += [base, *((base + 1 + bit) & 0xFFFF for bit in range(16) if following >> bit & 1)]
    return stream, tuple(found)
