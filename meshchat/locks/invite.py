"""An invite is a link that carries all a newcomer needs: the room's secret, who founded it, and where to knock.

    meshchat://AZv0...                                   base64url without padding (RFC 4648 section 5) of:

    +---------+-----------+-------------+---------+----------+------+-----------+----------+
    | version | secret 16 | founder  32 | nonce 8 | length 1 | name | addresses | check  4 |
    +---------+-----------+-------------+---------+----------+------+-----------+----------+
    address: 4 or 6 in one byte, then 4 or 16 bytes, then the port in two

The room's id follows from founder and nonce, so it is not written. The check, the first bytes of a hash of all the
rest, lies at the same place in every version to come, so that a slip of the pen is told from a newer program.

Whoever reads the link is let in: it is a key, to be handed over as one. Not taken: parameters in plain text
(`?name=...`), which would double the length and so the QR code.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
from dataclasses import dataclass, field

from meshchat.errors import UsageError, WireError
from meshchat.locks.bind import NONCE_BYTES, PUBLIC_KEY_BYTES, SECRET_BYTES, bind, locked_room
from meshchat.units import NAME_BYTES_MAX, Address, RoomId, safe_text

SCHEME = "meshchat://"

ADDRESSES_MAX = 4
"""Addresses in a link: one reachable member is enough, and each makes the QR code larger. The rest is left out."""

LINK_CHARACTERS_MAX = 512
"""Longest text that is looked at: the longest link, with a name of 128 bytes and four IPv6 addresses, has 366."""

CARD_BYTES_MAX = 1 + SECRET_BYTES + PUBLIC_KEY_BYTES + NONCE_BYTES + 1 + NAME_BYTES_MAX
"""Longest card: what a link says without its addresses and its check."""

_VERSION = 1
_CHECK_BYTES = 4
_FIXED_BYTES = SECRET_BYTES + PUBLIC_KEY_BYTES + NONCE_BYTES
_MISTYPED = "this invite link is mistyped or cut short; copy it again, all of it"


@dataclass(frozen=True, slots=True)
class Invite:
    """What a link says; `room` is always `locked_room(founder, nonce)`."""

    room: RoomId
    name: str
    """What to call the room: at most 32 characters, as `safe_text` leaves them."""
    secret: bytes = field(repr=False)
    """16 bytes."""
    addresses: tuple[Address, ...]
    """Where members may be, best first."""
    founder: bytes
    """The raw Ed25519 public key of whoever founded the room, 32 bytes."""
    nonce: bytes
    """8 bytes."""

    def __post_init__(self) -> None:
        if len(self.secret) != SECRET_BYTES or self.room != locked_room(self.founder, self.nonce):
            raise ValueError("an invite takes a secret of 16 bytes and the room that its founder made")


def link(invite: Invite) -> str:
    """The invite as one word. Left out are addresses with a scope, which mean nothing elsewhere, and all after the
    fourth."""
    usable = [address for address in invite.addresses if "%" not in address.host][:ADDRESSES_MAX]
    body = b"".join((card(invite), *map(_pack, usable)))
    return SCHEME + base64.urlsafe_b64encode(body + _check(body)).decode().rstrip("=")


def card(invite: Invite) -> bytes:
    """What the link says without addresses: what a newcomer with the passphrase is handed."""
    name = safe_text(invite.name).encode()
    fixed = (bytes((_VERSION,)), invite.secret, invite.founder, invite.nonce, bytes((len(name),)))
    return b"".join((*fixed, name))


def read_card(data: bytes) -> Invite:
    """The invite whose `card` that is; `WireError` if it is none, or of another version."""
    try:
        if data[:1] != bytes((_VERSION,)):
            raise ValueError("version")
        return _parse(data[1:])
    except (ValueError, IndexError):
        raise WireError("a room's card that makes no sense") from None


def read_link(text: str) -> Invite:
    """The invite that `link` wrote. Blanks and line ends, which pasting leaves, do no harm.

    Raises `UsageError` that says whether it is no link, a mistyped one, or one from a newer meshchat. The message
    never quotes the link.
    """
    body = _body(text)
    if body[:1] != bytes((_VERSION,)):
        raise UsageError("this invite link was made by a newer meshchat; bring yours up to date and try again")
    try:
        return _parse(body[1:])
    except (ValueError, IndexError):
        # The check was right, so this is no slip: somebody made it so.
        raise UsageError("this invite link makes no sense; ask for another one") from None


def is_link(text: str) -> bool:
    """Whether this means to be an invite link."""
    return text.lower().startswith(SCHEME)


def _body(text: str) -> bytes:
    """Everything before the check, which was right."""
    word = "".join(text[:LINK_CHARACTERS_MAX].split())
    if not is_link(word):
        raise UsageError(f"this is no invite link: one begins with {SCHEME}")
    digits = word[len(SCHEME) :].rstrip("/")  # some programs close an address with one
    try:
        data = base64.b64decode(digits.encode("ascii") + b"=" * (-len(digits) % 4), b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise UsageError(_MISTYPED) from None
    body, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
    # A last digit has bits to spare; only the spelling with zeros in them is ours.
    spelled = base64.urlsafe_b64encode(data).decode().rstrip("=")
    if spelled != digits or check != _check(body):
        raise UsageError(_MISTYPED)
    return body


def _check(body: bytes) -> bytes:
    return hashlib.sha256(bind("invite link", body)).digest()[:_CHECK_BYTES]


def _parse(body: bytes) -> Invite:
    """`ValueError` or `IndexError` where the body does not add up."""
    secret, founder, nonce, rest = (
        body[:SECRET_BYTES],
        body[SECRET_BYTES : SECRET_BYTES + PUBLIC_KEY_BYTES],
        body[_FIXED_BYTES - NONCE_BYTES : _FIXED_BYTES],
        body[_FIXED_BYTES:],
    )
    end = 1 + rest[0]
    if rest[0] > NAME_BYTES_MAX or len(rest) < end:
        raise ValueError("name")
    name = safe_text(rest[1:end].decode())
    return Invite(locked_room(founder, nonce), name, secret, _addresses(rest[end:]), founder, nonce)


def _addresses(data: bytes) -> tuple[Address, ...]:
    found: list[Address] = []
    while data:
        size = {4: 4, 6: 16}[data[0]] if data[0] in (4, 6) else 0
        packed, port = data[1 : 1 + size], int.from_bytes(data[1 + size : 3 + size], "big")
        if not size or len(data) < 3 + size or not port or len(found) == ADDRESSES_MAX:
            raise ValueError("address")
        found.append(Address(str(ipaddress.ip_address(packed)), port))
        data = data[3 + size :]
    return tuple(found)


def _pack(address: Address) -> bytes:
    host = ipaddress.ip_address(address.host)
    return bytes((host.version,)) + host.packed + address.port.to_bytes(2, "big")
