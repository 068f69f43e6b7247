"""What an Opus packet says about itself without being decoded: its length, and whether it copies its predecessor.

This is RFC 6716 sections 3 and 4.2 in plain Python: it is needed for every packet before anybody decodes it, works
without the library, and `opus_packet_has_lbrr` exists only in libopus 1.4 and later.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshchat.errors import WireError

PACKET_SAMPLES_MAX = 5760
"""120 ms, the longest packet (RFC 6716 section 3.4, rule R5)."""

FRAME_BYTES_MAX = 1275
"""The longest frame (RFC 6716 section 3.4, rule R2)."""

PACKET_BYTES_MAX = 6 * FRAME_BYTES_MAX + 7
"""Six full 20 ms frames and their lengths: 120 ms at the highest rate of the format. Longer packets are refused."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the head of a packet says: samples in each frame at 48 kHz, how many frames, where the first lies."""

    frame_samples: int
    frames: int
    first_offset: int
    first_bytes: int


def packet_samples(packet: bytes) -> int:
    """How long a packet lasts, in samples at 48 kHz: 120..5760; `WireError` if it breaks RFC 6716 section 3.4."""
    layout = _layout(packet)
    return layout.frame_samples * layout.frames


def packet_channels(packet: bytes) -> int:
    """How many channels a packet was coded with, 1 or 2 (RFC 6716 section 3.1); `WireError` if it is empty."""
    if not packet:
        raise WireError("an Opus packet of 0 bytes")
    return 2 if packet[0] & 4 else 1


def has_recovery(packet: bytes) -> bool:
    """Whether a packet holds a copy of the frame before it (low bit-rate redundancy, RFC 6716 section 4.2.4).

    Only SILK and hybrid frames can. Their range-coded data opens with flags of even odds, which therefore lie there
    as plain bits: one voice-activity flag for each 20 ms, then the one asked for; a stereo frame follows with the
    same for its side channel. `WireError` if it is no packet.
    """
    layout = _layout(packet)
    if packet[0] & 0x80 or layout.first_bytes == 0:
        return False
    flags = packet[layout.first_offset]
    spans = max(1, layout.frame_samples // 960)
    middle = flags >> (7 - spans) & 1
    side = flags >> (6 - 2 * spans) & 1 if packet[0] & 4 and spans < 3 else 0
    return bool(middle or side)


def _layout(packet: bytes) -> _Layout:
    """Reads the table-of-contents byte and the frame lengths (RFC 6716 sections 3.1 and 3.2), checking R1 to R7."""
    if not 0 < len(packet) <= PACKET_BYTES_MAX:
        raise WireError(f"an Opus packet of {len(packet)} bytes")
    frame_samples = _frame_samples(packet[0])
    body = len(packet) - 1
    match packet[0] & 3:
        case 0:
            frames, offset, first, last = 1, 1, body, body
        case 1:
            if body % 2:
                raise WireError("two Opus frames of equal length in an odd number of bytes")
            frames, offset, first, last = 2, 1, body // 2, body // 2
        case 2:
            first, used = _length(packet, 1)
            frames, offset, last = 2, 1 + used, body - used - first
        case _:
            frames, offset, first, last = _many(packet)
    if not 0 <= last <= FRAME_BYTES_MAX or first > FRAME_BYTES_MAX:
        raise WireError("an Opus frame longer than the packet or than 1275 bytes")
    if frame_samples * frames > PACKET_SAMPLES_MAX:
        raise WireError("an Opus packet of more than 120 ms")
    return _Layout(frame_samples, frames, offset, first)


def _frame_samples(contents: int) -> int:
    """The length of each frame (RFC 6716 section 3.1, table 2): CELT, hybrid, then SILK configurations."""
    configuration = contents >> 3
    if configuration >= 16:
        return 120 << (configuration & 3)
    if configuration >= 12:
        return 480 << (configuration & 1)
    return (480, 960, 1920, 2880)[configuration & 3]


def _many(packet: bytes) -> tuple[int, int, int, int]:
    """Frames, offset of the first, its length, length of the last, of a code 3 packet (RFC 6716 section 3.2.5)."""
    if len(packet) < 2:
        raise WireError("an Opus packet that ends before its frame count")
    frames, offset, end = packet[1] & 0x3F, 2, len(packet)
    if frames == 0 or frames * _frame_samples(packet[0]) > PACKET_SAMPLES_MAX:
        raise WireError(f"an Opus packet of {frames} frames")
    if packet[1] & 0x40:
        offset, end = _without_padding(packet)
    if not packet[1] & 0x80:
        each, rest = divmod(end - offset, frames)
        if rest or each < 0:
            raise WireError("equal Opus frames that do not fill their packet")
        return frames, offset, each, each
    lengths = []
    for _ in range(frames - 1):
        length, used = _length(packet, offset)
        lengths.append(length)
        offset += used
    last = end - offset - sum(lengths)
    return frames, offset, lengths[0] if lengths else last, last


def _without_padding(packet: bytes) -> tuple[int, int]:
    """Where the frame lengths start and where the padding does (each 255 stands for 254 bytes and goes on)."""
    offset, padding = 2, 0
    while True:
        if offset >= len(packet):
            raise WireError("an Opus packet that ends inside its padding length")
        size = packet[offset]
        offset += 1
        padding += min(size, 254)
        if size < 255:
            break
    if offset + padding > len(packet):
        raise WireError("an Opus packet with more padding than bytes")
    return offset, len(packet) - padding


def _length(packet: bytes, offset: int) -> tuple[int, int]:
    """A frame's length in one or two bytes (RFC 6716 section 3.2.1), and how many it took."""
    if offset < len(packet) and packet[offset] < 252:
        return packet[offset], 1
    if offset + 1 < len(packet):
        return packet[offset] + 4 * packet[offset + 1], 2
    raise WireError("an Opus packet that ends inside a frame length")
