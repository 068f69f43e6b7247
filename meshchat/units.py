"""The words that cross between rooms: ids, addresses, seconds, samples, sequence numbers, safe text."""

from __future__ import annotations

import ipaddress
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NewType, TypeAlias, TypeVar

from meshchat.errors import WireError

if TYPE_CHECKING:  # a command that only talks to the daemon need not wait for numpy
    import numpy as np
    import numpy.typing as npt

PeerId = NewType("PeerId", str)
"""Who a peer is: 64 lowercase hex digits, the SHA-256 of its public key (SubjectPublicKeyInfo, DER)."""

RoomId = NewType("RoomId", str)
"""Which room: 32 lowercase hex digits."""

Seconds: TypeAlias = float
"""A monotonic instant or a duration; never wall-clock time."""

Samples: TypeAlias = "npt.NDArray[np.float32]"
"""Sound: float32, nominal range -1..1; one channel has shape (n,), two (left and right) shape (n, 2)."""

Pixels: TypeAlias = "npt.NDArray[np.uint32]"
"""A picture: shape (height, width), each pixel 0xXXRRGGBB; the highest byte means nothing."""

TransmitMode: TypeAlias = Literal["continuous", "voice", "push"]
"""When the microphone's sound goes out: always, while it is over a threshold, or while a key is held."""

ProcessingWish: TypeAlias = Literal["auto", "on", "off"]
"""Whether the sound of a microphone is to be processed; auto: where it is a sound device and the library is there."""

Key = TypeVar("Key")
Value = TypeVar("Value")

SAMPLE_RATE = 48_000
"""Samples per second everywhere inside; Opus over RTP always counts at this rate (RFC 7587 section 4.1)."""

THRESHOLD_DB = -45.0
"""The level over which the microphone opens by voice, unless it is set: over room noise and breath, under talk."""

THRESHOLD_DB_MIN = -90.0
"""The lowest: a silent room's own noise is louder."""

THRESHOLD_DB_MAX = -10.0
"""The highest: a shout."""

FPS_MAX = 60
"""Most pictures a second of a shared screen."""

QUALITY_MIN, QUALITY_MAX = 10, 95
"""Of what moves on it, as JPEG counts it."""

SHORT_ID_DIGITS = 8
"""How many digits of an id a person is shown."""

NAME_CHARACTERS_MAX = 32
"""Longest alias or room name, in characters: what fits a line of a narrow terminal beside its marks."""

NAME_BYTES_MAX = 128
"""Longest alias or room name in UTF-8: half of what one DNS character-string can carry (RFC 6763 section 6.1)."""

TEXT_CHARACTERS_MAX = 2000
"""Longest text that somebody writes to the room: a screenful. What is longer is a file."""

TEXT_LINES_MAX = 40
"""Most lines in one such text: as many as a terminal shows."""

COMBINING_MARKS_MAX = 2
"""Marks that may follow one letter; more is decoration that runs over the neighbouring lines."""


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where a UDP socket is: an IPv4 or IPv6 literal (link-local with its `%scope`) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """The address that `str(Address)` wrote: `192.0.2.1:47474` or `[2001:db8::1]:47474`, literals only.

    Raises `WireError`, since it is peers who send such text.
    """
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        ipaddress.ip_address(host)
        number = int(port)
    except ValueError:
        raise WireError(f"no address: {text[:80]!r}") from None
    if not 0 < number < 1 << 16:
        raise WireError(f"no port: {number}")
    return Address(host, number)


def short(peer_id: str) -> str:
    """The first digits of an id, enough to tell peers apart by eye."""
    return peer_id[:SHORT_ID_DIGITS]


def clock(seconds: Seconds) -> str:
    """How long something lasts, in minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def sequence_distance(newer: int, older: int) -> int:
    """How far `newer` is ahead of `older` among 16-bit RTP sequence numbers: -32768..32767 (RFC 3550 appendix A.1)."""
    return ((newer - older + 0x8000) & 0xFFFF) - 0x8000


def timestamp_distance(newer: int, older: int) -> int:
    """How far `newer` is ahead of `older` among 32-bit RTP timestamps, in ticks: -2^31..2^31-1."""
    return ((newer - older + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000


def bound(table: dict[Key, Value], most: int) -> None:
    """Forgets the oldest entry of a table that has outgrown its limit by one."""
    if len(table) > most:
        del table[next(iter(table))]


def safe_text(text: str, characters_max: int = NAME_CHARACTERS_MAX, bytes_max: int = NAME_BYTES_MAX) -> str:
    """Other people's text made fit to show on one line: the one cleaning function at the boundary.

    Composes (NFC), turns white space into single blanks, and drops what a terminal could obey or a reader could
    be fooled by: control, format (bidirectional overrides among them), surrogate, private and unassigned
    characters, and combining marks beyond two in a row. Cuts to the limits at a character's edge. The result may
    be empty.
    """
    kept: list[str] = []
    marks = 0
    size = 0
    for letter in unicodedata.normalize("NFC", text[: 4 * characters_max]):
        character = " " if letter.isspace() else letter
        category = unicodedata.category(character)
        marks = marks + 1 if category.startswith("M") else 0
        blank_after_blank = character == " " and (not kept or kept[-1] == " ")
        if category.startswith("C") or marks > COMBINING_MARKS_MAX or blank_after_blank:
            continue
        size += len(character.encode())
        if len(kept) == characters_max or size > bytes_max:
            break
        kept.append(character)
    return "".join(kept).strip()


def safe_lines(text: str) -> str:
    """The same for a text of several lines: at most `TEXT_CHARACTERS_MAX` and `TEXT_LINES_MAX` of it are left."""
    rows = text[: 4 * TEXT_CHARACTERS_MAX].strip().splitlines()[:TEXT_LINES_MAX]
    cleaned = (safe_text(row, TEXT_CHARACTERS_MAX, 4 * TEXT_CHARACTERS_MAX) for row in rows)
    return "\n".join(cleaned)[:TEXT_CHARACTERS_MAX].strip()
