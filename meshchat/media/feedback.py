"""What a watcher tells the one who shares: how far it has got, what is missing, and whether to begin anew.

It is an RTCP packet of the application's own kind (RFC 3550 section 6.7) in a QUIC datagram, like the receiver reports.
The generic NACK (RFC 4585 section 6.2.1) counts RTP sequence numbers, which have gaps here that are no loss: packets
that were for another watcher.

    |V=2|0| kind 0  |   PT = 204    |            length             |
    |                  SSRC of the watcher                          |
    |                  name: "SCRN"                                 |
    |                  the slice that was applied last              |
    |                  the newest slice that became whole           |
    |                  when, in 1/10 ms by the watcher's clock      |
    |       begin anew: all slices up to this one are given up      |
    |          number of gaps       |               0               |
    |  slice, 32, of a gap          |  first part   |  how many     |  a gap, 0..64 times
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from meshchat.errors import WireError
from meshchat.media.assembly import ASKED_MAX, Gap

PACKET_TYPE = 204
"""RTCP's number for packets of an application."""

_HEAD = struct.Struct("!BBHI4sIIIIHH")
_GAP = struct.Struct("!IHH")
_NAME = b"SCRN"


@dataclass(frozen=True, slots=True)
class Feedback:
    """How a screen arrives at one watcher."""

    applied: int
    newest: int
    newest_at: int
    """In 1/10 ms by the watcher's clock, 32 bits, going round."""
    anew: int
    """Every slice up to this one is given up, and a new chain wanted; 0: all goes well."""
    gaps: tuple[Gap, ...]


def is_feedback(data: bytes) -> bool:
    """Whether a report is about a screen."""
    return len(data) >= 2 and data[1] == PACKET_TYPE


def encode_feedback(ssrc: int, told: Feedback) -> bytes:
    """One packet by the watcher `ssrc`; more than `ASKED_MAX` gaps are our own bug: `ValueError`."""
    if len(told.gaps) > ASKED_MAX:
        raise ValueError(f"{len(told.gaps)} gaps in one packet")
    words = (_HEAD.size + len(told.gaps) * _GAP.size) // 4 - 1
    head = _HEAD.pack(
        0x80, PACKET_TYPE, words, ssrc, _NAME, told.applied, told.newest, told.newest_at, told.anew, len(told.gaps), 0
    )
    return head + b"".join(_GAP.pack(gap.number, gap.first, gap.count) for gap in told.gaps)


def parse_feedback(data: bytes) -> Feedback:
    """What a watcher told. Raises `WireError`, and nothing else, for other bytes."""
    if len(data) < _HEAD.size:
        raise WireError(f"RTCP packet of {len(data)} bytes")
    first, kind, words, _, name, applied, newest, newest_at, anew, count, zero = _HEAD.unpack_from(data)
    if first != 0x80 or kind != PACKET_TYPE or name != _NAME or zero or count > ASKED_MAX:
        raise WireError("RTCP packet that is no feedback on a screen")
    if len(data) != 4 * (words + 1) or len(data) != _HEAD.size + count * _GAP.size:
        raise WireError(f"feedback on a screen: {count} gaps, {words} words and {len(data)} bytes disagree")
    gaps = tuple(Gap(*_GAP.unpack_from(data, at)) for at in range(_HEAD.size, len(data), _GAP.size))
    return Feedback(applied, newest, newest_at, anew, gaps)
