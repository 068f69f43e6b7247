"""What a peer tells the network about itself in one DNS-SD record: who it is, where, and which rooms it sits in.

The TXT record (RFC 6763 section 6) reads, one string a line:

    v=1                                     protocol version
    id=<64 hex digits>                      who: the hash of its key
    p=<UDP port>
    r0=o,3,<32 hex digits>,Lobby            open room, three members
    r1=l,12,<32 hex digits>,                locked room that hides its name
    s0=1                                    somebody shares a screen in the first room

Text and not bytes, so that `avahi-browse -r` and `dns-sd` show it to a person who looks for a fault. The instance
and the host carry the id as 52 letters of base 32, since 64 hex digits exceed a DNS label by one. Everything
one peer announces, addresses included, is kept small enough for one packet: then a receiver never has to put halves
together, and never has to hold halves for a stranger. Nothing in it is proved; a reader takes it as a hint.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from meshchat.errors import WireError
from meshchat.units import Address, PeerId, RoomId, safe_text

PROTOCOL = 1

ROOMS_MAX = 8
"""Rooms announced by one peer: more than a person can sit in. Further ones are not announced."""

MEMBERS_MAX = 9999
"""Largest member count told; four digits keep the record's size known."""

NAMES_BYTES_MAX = 320
"""All room names of one record together; each room gets an equal share and longer names are cut, so that eight rooms
and sixteen addresses still fit the 1460 bytes that python-zeroconf puts in one packet."""

TXT_BYTES_MAX = 1300
"""Longest TXT record read: what fits an Ethernet frame (RFC 6763 section 6.2); longer ones are dropped."""

ADDRESSES_MAX = 16
"""Addresses announced or believed per peer: a laptop with Wi-Fi, cable, tunnel and their IPv6 has about ten.
Link-local and then surplus ones go first."""

LABELS_REMEMBERED = 2048
"""Conversions between id and label remembered, since a packet names its peer five times and Python's base 32 is slow:
twice the table of peers, at most 1 MB; the least recently used makes room."""

_LABEL = re.compile(r"[a-z2-7]{51}[aq]")
"""52 letters hold 260 bits: the last four have to be 0, or two labels would name one id."""
_NUMBER = re.compile(rb"[0-9]{1,5}")
_ID = re.compile(rb"[0-9a-f]{64}")
_ROOM = re.compile(rb"([ol]),([0-9]{1,4}),([0-9a-f]{32}),(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RoomNotice:
    """A room as one of its members announces it."""

    id: RoomId
    name: str
    """Safe to show; empty for a locked room that hides its name."""
    locked: bool
    members: int
    """As far as the announcer knows, 0..9999."""
    sharing: bool = False
    """Whether somebody shares a screen there; not told of a locked room."""


@dataclass(frozen=True, slots=True)
class PeerNotice:
    """A peer as its record describes it: a hint, until the peer proves its key."""

    peer_id: PeerId
    addresses: tuple[Address, ...]
    """Where to try, the likeliest first; at most 16."""
    protocol: int
    rooms: tuple[RoomNotice, ...]


@lru_cache(LABELS_REMEMBERED)
def label_of(peer_id: PeerId) -> str:
    """The peer's DNS label: its id in base 32, 52 letters and digits."""
    return base64.b32encode(bytes.fromhex(peer_id)).decode().rstrip("=").lower()


@lru_cache(LABELS_REMEMBERED)
def peer_of(label: str) -> PeerId | None:
    """Whose label this is; None when it is nobody's (only the one spelling that `label_of` writes counts)."""
    if not _LABEL.fullmatch(label):
        return None
    return PeerId(base64.b32decode(label.upper() + "====").hex())


def write_record(me: PeerId, port: int, rooms: Sequence[RoomNotice]) -> bytes:
    """The TXT record of a peer that listens on UDP `port` (1..65535) and sits in `rooms`; at most 792 bytes."""
    told = rooms[:ROOMS_MAX]
    share = NAMES_BYTES_MAX // max(1, len(told))
    strings = [b"v=%d" % PROTOCOL, b"id=" + me.encode(), b"p=%d" % port]
    for number, room in enumerate(told):
        name = safe_text(room.name, bytes_max=share).encode()
        members = min(max(room.members, 0), MEMBERS_MAX)
        head = b"r%d=%c,%d,%s," % (number, b"l" if room.locked else b"o", members, room.id.encode())
        strings.append(head + name)
        if room.sharing:
            strings.append(b"s%d=1" % number)
    return b"".join(bytes([len(string)]) + string for string in strings)


def parse_record(label: str, text: bytes, hosts: Iterable[str]) -> PeerNotice:
    """The notice in the TXT record `text` of the instance called `label`, reachable at the literals `hosts`.

    Raises WireError when the record is too long, malformed, or names another id than its label does. Unknown keys
    are skipped, so that later versions may add some (RFC 6763 section 6.4).
    """
    fields = dict(_fields(text))
    version, port = _number(fields, b"v"), _number(fields, b"p")
    digits = fields.get(b"id", b"")
    if not _ID.fullmatch(digits) or peer_of(label) != digits.decode():
        raise WireError("the id is malformed or not the one in the instance's name")
    if not 1 <= version <= 255 or not 1 <= port <= 65535:
        raise WireError("version or port out of range")
    told = [(fields.get(b"r%d" % number), fields.get(b"s%d" % number) == b"1") for number in range(ROOMS_MAX)]
    rooms = tuple(_room(value, sharing) for value, sharing in told if value is not None)
    if len({room.id for room in rooms}) < len(rooms):
        raise WireError("one room told twice")
    addresses = tuple(Address(host, port) for host in likeliest(hosts))
    return PeerNotice(PeerId(digits.decode()), addresses, version, rooms)


def likeliest(hosts: Iterable[str]) -> list[str]:
    """At most 16 of these IP literals, without doubles, those that work from most places first."""
    return sorted(set(hosts), key=_preference)[:ADDRESSES_MAX]


def _fields(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The key=value strings of a TXT record, keys in lower case; of a key told twice the first counts, as told last."""
    if len(text) > TXT_BYTES_MAX:
        raise WireError("TXT record too long")
    strings: list[bytes] = []
    at = 0
    while at < len(text):
        end = at + 1 + text[at]
        if end > len(text):
            raise WireError("TXT string runs past the record")
        strings.append(text[at + 1 : end])
        at = end
    for string in reversed(strings):
        key, sign, value = string.partition(b"=")
        if sign:
            yield key.lower(), value


def _number(fields: dict[bytes, bytes], key: bytes) -> int:
    digits = fields.get(key, b"")
    if not _NUMBER.fullmatch(digits):
        raise WireError("a number is missing or malformed")
    return int(digits)


def _room(value: bytes, sharing: bool) -> RoomNotice:
    match = _ROOM.fullmatch(value)
    if match is None:
        raise WireError("malformed room")
    flag, members, room_id, name = match.groups()
    try:
        shown = safe_text(name.decode())
    except UnicodeDecodeError as error:
        raise WireError("room name is not UTF-8") from error
    return RoomNotice(RoomId(room_id.decode()), shown, flag == b"l", int(members), sharing)


def _preference(host: str) -> tuple[bool, int, str]:
    """Link-local last: it works only from the interface that heard it; IPv4 before IPv6: home networks route it."""
    address = ipaddress.ip_address(host)
    return address.is_link_local, address.version, host
