"""Earlier frames sent once more inside a later packet, so that what was lost comes again before anybody misses it.

Intuition: bits are cheap on a local network and sound that is gone is dear. While receivers report loss, each packet
carries the last few frames again, whole, as RFC 2198 has it: at 20 % loss and three copies one frame in 600 is lost for
good. A run of lost packets is repaired if there are as many copies as it is long, so the depth follows the loss and the
longest run reported, and is nothing while nothing is lost. The price is paid in bits, never in delay that is not worth
it: whether to wait for a copy is the receiver's choice (`media.arrivals`).

    +-------+---+------------+-------------+ ... +-----------------+ ... +--------------------+
    | count | M | offset, 15 | length, 16  |     | copy, length    |     | this packet's frame|
    +-------+---+------------+-------------+ ... +-----------------+ ... +--------------------+
        1         `count` heads of 4 bytes, the newest frame first; then the copies in that order

The n-th copy is of the packet n before this one, its sound begins `offset` ticks of 48 kHz before this one's, and M is
its marker. RFC 2198's own heads have ten bits of length and fourteen of offset, too few for four frames of 60 ms, lose
the marker, and name a payload type for each copy, which here is always the same.

Asking for lost packets (`media.asking`) needs no bits where nothing is lost and is preferred where the way is short.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from meshchat.errors import WireError
from meshchat.units import SAMPLE_RATE

COPIES_MAX = 4
"""Frames sent again in one packet; more is nonsense. They fit the rate at 40 kbit/s, and more would come too late."""

OFFSET_MAX = COPIES_MAX * 2880
"""Ticks that a copy may lie back: four frames of 60 ms, a quarter of a second. More is nonsense."""

BITRATE_MAX = 200_000
"""Bits a second of sound, copies included, while loss lasts; a copy for which there is no room is left out."""

SAVED_FRAMES = 4
"""Frames whose unused share of the rate may be spent later: coded speech is not even."""

LOSS_PERCENT_MIN = 0.7
"""From here on there are copies: one packet in a hundred is reported as 2 of 256."""

RESIDUE = 0.002
"""Share of the frames that may be lost with all their copies, as long as the rate allows more copies."""

_COUNT_BYTES = 1
_HEAD = struct.Struct("!HH")
_MARKER = 0x8000


@dataclass(frozen=True, slots=True)
class Copy:
    """An earlier frame inside a later packet."""

    steps: int
    """How many packets before it: 1..COPIES_MAX."""
    offset: int
    """How many ticks before it: 1..OFFSET_MAX."""
    marker: bool
    """Whether it was the first after silence."""
    payload: bytes
    """One Opus packet, at least a byte."""


def join_copies(copies: Sequence[Copy], payload: bytes) -> bytes:
    """What a packet with copies (1..COPIES_MAX, steps 1, 2, ...) holds besides its own frame's `payload`."""
    heads = b"".join(_HEAD.pack(each.offset | _MARKER * each.marker, len(each.payload)) for each in copies)
    return bytes((len(copies),)) + heads + b"".join(each.payload for each in copies) + payload


def split_copies(data: bytes) -> tuple[tuple[Copy, ...], bytes]:
    """The copies in a packet and its own frame. Raises `WireError`, and nothing else, for anything but our layout."""
    count = data[0] if data else 0
    at = _COUNT_BYTES + count * _HEAD.size
    if not 1 <= count <= COPIES_MAX or len(data) <= at:
        raise WireError(f"a packet of {len(data)} bytes with {count} copies")
    found: list[Copy] = []
    before = 0
    for step in range(1, count + 1):
        word, length = _HEAD.unpack_from(data, _COUNT_BYTES + (step - 1) * _HEAD.size)
        offset = word & ~_MARKER
        if not before < offset <= OFFSET_MAX or length == 0 or at + length >= len(data):
            raise WireError(f"copy {step} of {length} bytes, {offset} ticks back, in a packet of {len(data)} bytes")
        found.append(Copy(step, offset, word >= _MARKER, data[at : at + length]))
        at, before = at + length, offset
    return tuple(found), data[at:]


def depth(loss_percent: float, longest_run: int) -> int:
    """How many copies suit the loss (0..100) and the longest run of packets lost at once: 0..COPIES_MAX."""
    if loss_percent < LOSS_PERCENT_MIN:
        return 0
    share, copies = min(loss_percent, 99.0) / 100, 1
    while copies < COPIES_MAX and share ** (copies + 1) > RESIDUE:
        copies += 1
    return max(copies, min(longest_run, COPIES_MAX))


@dataclass(frozen=True, slots=True)
class _Sent:
    timestamp: int
    marker: bool
    payload: bytes


class Copier:
    """Remembers the last frames of a stream and chooses which of them go along with the next.

    Only frames that followed each other without silence, and under the same key: whoever may open only what comes from
    now on must find nothing of before in it.
    """

    def __init__(self, frame_samples: int, bytes_max: int) -> None:
        """`bytes_max` is what a packet holds."""
        self._share = BITRATE_MAX / 8 * frame_samples / SAMPLE_RATE
        self._credit = 0.0
        self._bytes_max = bytes_max
        self._sent: tuple[_Sent, ...] = ()
        self._key_id = -1

    def add(self, timestamp: int, marker: bool, payload: bytes, key_id: int, copies: int) -> bytes | None:
        """What the next packet holds if it carries up to `copies` earlier frames; None if it carries none."""
        if marker or key_id != self._key_id:
            self._sent = ()
        self._key_id = key_id
        self._credit = min(self._credit + self._share, SAVED_FRAMES * self._share) - len(payload) - _COUNT_BYTES
        chosen = self._chosen(timestamp, copies, len(payload))
        self._sent = (_Sent(timestamp, marker, payload), *self._sent)[:COPIES_MAX]
        return join_copies(chosen, payload) if chosen else None

    def _chosen(self, timestamp: int, copies: int, size: int) -> list[Copy]:
        chosen: list[Copy] = []
        size += _COUNT_BYTES
        for steps, sent in enumerate(self._sent[:copies], 1):
            cost = _HEAD.size + len(sent.payload)
            offset = (timestamp - sent.timestamp) & 0xFFFF_FFFF
            if cost > self._credit or size + cost > self._bytes_max or not 0 < offset <= OFFSET_MAX:
                break
            self._credit -= cost
            size += cost
            chosen.append(Copy(steps, offset, sent.marker, sent.payload))
        return chosen
