"""What meshchat's datagrams look like on the wire: bytes to packets, packets to bytes, and every limit.

One UDP port carries everything and the first byte tells which (RFC 9443 section 2, updating RFC 7983):

    byte        0..3    STUN: the datagram that opens a firewall        (RFC 8489)
                64..127 QUIC, short header; TURN channels (64..79) are not used here, so they do not clash
                128..191 RTP: sound, later pictures                     (RFC 3550)
                192..255 QUIC, long header                              (RFC 9000)
                others  nothing we speak: dropped

A media datagram is an RTP header with one header extension, then an SFrame ciphertext to the very end. The
twenty header bytes travel in clear, so that a receiver can sort, count and see who speaks without a key, and
are authenticated as SFrame's metadata, so that nobody can change them:

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +---+-+-+-------+-+-------------+-------------------------------+
    |V=2|0|1| CC=0  |M| payload type|        sequence number        |  RFC 3550 section 5.1
    +---+-+-+-------+-+-------------+-------------------------------+
    |                 timestamp (48 kHz for Opus)                   |  RFC 7587 section 4.1
    +---------------------------------------------------------------+
    |                synchronisation source (SSRC)                  |
    +-------------------------------+-------------------------------+
    |            0xBEDE             |  length = 1 (32-bit words)    |  RFC 8285 section 4.2
    +-------+-------+-+-------------+-------------------------------+
    | ID=1  | len=0 |V| level       |   0 (padding) |   0 (padding) |  RFC 6464 section 3
    +-------+-------+-+-------------+-------------------------------+
    |  SFrame header, ciphertext and tag: 17 .. 1180 bytes       ...|  RFC 9605 section 4.2
    +---------------------------------------------------------------+

The parser takes exactly that and no other RTP: no padding, no contributing sources, no second extension,
because this program sends none and each freedom would be a place for a stranger to hide something. The price
is that a later version that adds an extension needs a new layout on both sides; the hello of the control
connection carries the version. One fixed layout is also one `unpack`, and this is the hottest path there is.

Receiver reports are RTCP (RFC 3550 section 6.4.2), one report per message, without compound packets; a word for each
block follows as profile-specific extension (section 6.4.3), the longest run of losses. They travel in QUIC DATAGRAM
frames, which authenticate and encrypt them. Worked examples: docs/wire.md.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from meshchat.errors import WireError

DATAGRAM_BYTES_MAX = 1200
"""Largest UDP payload sent or taken as media: what every path that carries QUIC carries (RFC 9000 section 14)."""

HEADER_BYTES = 20
"""RTP header 12, extension header 4, one word of extension 4."""

SEALED_BYTES_MIN = 17
"""Shortest SFrame ciphertext: one byte of header, no plaintext, 16 bytes of tag (RFC 9605 section 4.2)."""

SEALED_BYTES_MAX = DATAGRAM_BYTES_MAX - HEADER_BYTES
"""Room for the SFrame ciphertext in one datagram."""

PAYLOAD_TYPE_OPUS = 111
"""RTP payload type of sound, from the dynamic range 96..127 (RFC 3551 section 6)."""

PAYLOAD_TYPE_SCREEN = 112
"""RTP payload type of a part of a shared screen, likewise."""

PAYLOAD_TYPE_COPIES = 113
"""RTP payload type of sound with earlier frames before it (`media.copies`), in the same stream and sequence."""

PAYLOAD_TYPE_BREATH = 114
"""RTP payload type of a sign of life without sound (`calling.breath`), sealed with a key of its own."""

LEVEL_EXTENSION_ID = 1
"""Local identifier of the audio level; there is no SDP to negotiate another (RFC 8285 section 4.2 allows 1..14)."""

LEVEL_SILENT = 127
"""The level that means silence: 127 dB under overload (RFC 6464 section 3)."""

REPORT_BLOCKS_MAX = 31
"""Blocks in one receiver report: the count has five bits (RFC 3550 section 6.4.1)."""

BINDING_BYTES = 20
"""A STUN header without attributes (RFC 8489 section 5)."""

_RTP = struct.Struct("!BBHIIIBBH")
_RTP_FIRST_BYTE = 0x90  # version 2, no padding, extension, no contributing sources
_EXTENSION_HEADER = 0xBEDE_0001
_LEVEL_ELEMENT = LEVEL_EXTENSION_ID << 4  # the low four bits are the length less one: one byte of data
# RTCP packet types 192..223 read as RTP are these payload types, with the marker set (RFC 5761 section 4).
_PAYLOAD_TYPES_RTCP = range(64, 96)

_REPORT_HEADER = struct.Struct("!BBHI")
_REPORT_BLOCK = struct.Struct("!IIIIII")
_REPORT_RUN = struct.Struct("!I")
_BLOCK_WORDS = (_REPORT_BLOCK.size + _REPORT_RUN.size) // 4
_RECEIVER_REPORT = 201
_PACKETS_LOST_MIN, _PACKETS_LOST_MAX = -(1 << 23), (1 << 23) - 1

_TRANSACTION_BYTES = 12
# Method Binding (0x001), class indication (0b01, its low bit at 0x0010), length 0, magic cookie (RFC 8489 section 5).
_BINDING_INDICATION = struct.pack("!HHI", 0x0011, 0, 0x2112_A442)


class Kind(Enum):
    """What a datagram claims to be, by its first byte."""

    STUN = "stun"
    QUIC = "quic"
    MEDIA = "media"
    UNKNOWN = "unknown"


def _kind_of_first_byte(first: int) -> Kind:
    if first <= 3:
        return Kind.STUN
    if 128 <= first <= 191:
        return Kind.MEDIA
    return Kind.QUIC if first >= 64 else Kind.UNKNOWN


_KINDS = tuple(_kind_of_first_byte(first) for first in range(256))


def kind(datagram: bytes) -> Kind:
    """Which parser a datagram goes to (RFC 9443 section 2); an empty one goes to none."""
    return _KINDS[datagram[0]] if datagram else Kind.UNKNOWN


@dataclass(frozen=True, slots=True)
class MediaPacket:
    """One RTP packet, still sealed; every field but `payload` is a claim until SFrame has opened it."""

    payload_type: int
    """What is inside: 0..127 without the RTCP range 64..95."""
    marker: bool
    """First packet after silence (RFC 7587 section 4.1)."""
    sequence: int
    """16 bits, one more for each packet, wraps."""
    timestamp: int
    """32 bits, ticks of 1/48000 s for sound, wraps."""
    ssrc: int
    """32 bits: which stream of this sender."""
    level: int
    """Loudness in -dBov: 0 the loudest possible, 127 silence (RFC 6464 section 3)."""
    voice: bool
    """The sender believes that somebody speaks."""
    header: bytes
    """The twenty bytes in clear, exactly as they came: SFrame's metadata."""
    payload: bytes
    """SFrame ciphertext, 17..1180 bytes."""


def parse_media(datagram: bytes) -> MediaPacket:
    """The packet in a datagram of kind MEDIA. Raises `WireError`, and nothing else, for anything but our layout."""
    if not HEADER_BYTES + SEALED_BYTES_MIN <= len(datagram) <= DATAGRAM_BYTES_MAX:
        raise WireError(f"media datagram of {len(datagram)} bytes")
    first, second, sequence, timestamp, ssrc, extension, element, level, padding = _RTP.unpack_from(datagram)
    if first != _RTP_FIRST_BYTE:
        raise WireError(f"RTP first byte is {first:#04x}")
    if extension != _EXTENSION_HEADER or element != _LEVEL_ELEMENT or padding:
        raise WireError("RTP header extension is not one audio level")
    payload_type = second & 0x7F
    if payload_type in _PAYLOAD_TYPES_RTCP:
        raise WireError(f"RTP payload type {payload_type} belongs to RTCP")
    return MediaPacket(
        payload_type,
        second >= 0x80,
        sequence,
        timestamp,
        ssrc,
        level & 0x7F,
        level >= 0x80,
        datagram[:HEADER_BYTES],
        datagram[HEADER_BYTES:],
    )


def media_header(
    payload_type: int, marker: bool, sequence: int, timestamp: int, ssrc: int, level: int, voice: bool
) -> bytes:
    """The twenty bytes before the sealed payload; `level` is 0..127 in -dBov. The caller wraps what wraps.

    A value that does not fit its field is our own bug and raises `ValueError` or `struct.error`.
    """
    if not 0 <= payload_type <= 0x7F or payload_type in _PAYLOAD_TYPES_RTCP:
        raise ValueError(f"payload type {payload_type} is not one that RTP may use beside RTCP")
    if not 0 <= level <= LEVEL_SILENT:
        raise ValueError(f"level {level} is outside 0..{LEVEL_SILENT}")
    second = payload_type | 0x80 if marker else payload_type
    loudness = level | 0x80 if voice else level
    return _RTP.pack(_RTP_FIRST_BYTE, second, sequence, timestamp, ssrc, _EXTENSION_HEADER, _LEVEL_ELEMENT, loudness, 0)


def is_screen(datagram: bytes) -> bool:
    """Whether a media datagram says that it is part of a screen; whether that is true, its key shows."""
    return len(datagram) > 1 and datagram[1] & 0x7F == PAYLOAD_TYPE_SCREEN


def screen_ssrc(ssrc: int) -> int:
    """The stream of the screen of whoever sends sound as `ssrc`: the next number, so that it need not be told."""
    return (ssrc + 1) & 0xFFFF_FFFF


def music_ssrc(ssrc: int) -> int:
    """The stream of what is played into the room by whoever sends sound as `ssrc`: the number after its screen's."""
    return (ssrc + 2) & 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """How one stream arrives at the reporter (RFC 3550 section 6.4.1)."""

    ssrc: int
    """The stream reported on, 32 bits."""
    fraction_lost: int
    """Share lost since the last report, in 1/256: 0..255."""
    packets_lost: int
    """Lost since the beginning; duplicates can make it negative. Clamped to -2^23..2^23-1 when encoded."""
    highest_sequence: int
    """Highest sequence number seen, its wraps counted in the upper 16 of 32 bits."""
    jitter: int
    """Interarrival jitter in timestamp ticks, 32 bits."""
    last_sender_report: int
    """Middle 32 bits of the time in the last sender report, 0 for none."""
    delay_since_last_sender_report: int
    """In 1/65536 s, 0 for none."""
    longest_run: int
    """Most packets missing at once since the last report, 32 bits; in the extension after the blocks."""


def encode_receiver_report(ssrc: int, blocks: Sequence[ReportBlock]) -> bytes:
    """One RTCP receiver report by `ssrc`; more than 31 blocks is our own bug and raises `ValueError`."""
    if len(blocks) > REPORT_BLOCKS_MAX:
        raise ValueError(f"{len(blocks)} report blocks, but one report holds {REPORT_BLOCKS_MAX}")
    header = _REPORT_HEADER.pack(0x80 | len(blocks), _RECEIVER_REPORT, 1 + _BLOCK_WORDS * len(blocks), ssrc)
    runs = b"".join(_REPORT_RUN.pack(block.longest_run) for block in blocks)
    return header + b"".join(_encode_block(block) for block in blocks) + runs


def _encode_block(block: ReportBlock) -> bytes:
    if not 0 <= block.fraction_lost <= 0xFF:
        raise ValueError(f"fraction lost {block.fraction_lost} is outside 0..255")
    lost = min(max(block.packets_lost, _PACKETS_LOST_MIN), _PACKETS_LOST_MAX)
    return _REPORT_BLOCK.pack(
        block.ssrc,
        block.fraction_lost << 24 | lost & 0xFF_FFFF,
        block.highest_sequence,
        block.jitter,
        block.last_sender_report,
        block.delay_since_last_sender_report,
    )


def parse_receiver_report(data: bytes) -> tuple[int, tuple[ReportBlock, ...]]:
    """Who reports, and on which streams; at most 31. Raises `WireError`, and nothing else, for other bytes."""
    if len(data) < _REPORT_HEADER.size:
        raise WireError(f"RTCP packet of {len(data)} bytes")
    first, packet_type, words, ssrc = _REPORT_HEADER.unpack_from(data)
    if first & 0xE0 != 0x80 or packet_type != _RECEIVER_REPORT:
        raise WireError(f"RTCP packet begins {first:#04x} {packet_type}, not a receiver report")
    count = first & 0x1F
    if words != 1 + _BLOCK_WORDS * count or len(data) != 4 * (1 + words):
        raise WireError(f"RTCP receiver report: {count} blocks, {words} words and {len(data)} bytes disagree")
    runs_at = _REPORT_HEADER.size + count * _REPORT_BLOCK.size
    blocks = range(_REPORT_HEADER.size, runs_at, _REPORT_BLOCK.size)
    runs = range(runs_at, len(data), _REPORT_RUN.size)
    return ssrc, tuple(_parse_block(data, at, run_at) for at, run_at in zip(blocks, runs, strict=True))


def _parse_block(data: bytes, at: int, run_at: int) -> ReportBlock:
    ssrc, losses, highest, jitter, last, delay = _REPORT_BLOCK.unpack_from(data, at)
    lost = losses & 0xFF_FFFF
    signed = lost - (1 << 24) if lost > _PACKETS_LOST_MAX else lost
    return ReportBlock(ssrc, losses >> 24, signed, highest, jitter, last, delay, *_REPORT_RUN.unpack_from(data, run_at))


def binding_indication(transaction: bytes) -> bytes:
    """A datagram that asks for nothing: sent so that our own firewall lets the peer's packets in.

    It is the STUN message that ICE keeps paths open with (RFC 8445 section 11). An indication is never answered,
    so it cannot be reflected at a third party. `transaction` is 12 bytes from a random source.
    """
    if len(transaction) != _TRANSACTION_BYTES:
        raise ValueError(f"a STUN transaction id is {_TRANSACTION_BYTES} bytes, not {len(transaction)}")
    return _BINDING_INDICATION + transaction


def is_binding_indication(datagram: bytes) -> bool:
    """Whether a datagram of kind STUN is such an indication, without attributes: the only STUN we know."""
    return len(datagram) == BINDING_BYTES and datagram.startswith(_BINDING_INDICATION)
