"""A moderator's orders as signed statements: every member checks them, and nobody can make, change or replay one.

A statement names its room, its author's key and what it says, and is signed with Ed25519 over all of it (RFC 8032).
What follows from all statements together is read off in `law`; which are kept, and how many, is decided in `book`.

    kind                subject   value                          who may
    found               -         nonce, then the public name    whoever the room's id follows from
    appoint, dismiss    a peer    -                              the founder
    kick, ban, pardon   a peer    -                              a moderator, see `law`
    mute, unmute        a peer    -                              a moderator
    lock, unlock        -         -                              a moderator
    settings            -         mutes_hold=yes or =no          a moderator
    secret              -         a commitment, see below        a moderator

`number` is a Lamport clock: one more than the highest that its author has seen. `warrant` is the digest of the
appointment under which a moderator acts, so that an order given in one term of office is not part of the next. `over`
names the statements that this one lifts or comes after, by digest, so that what its author had not seen stays.

A new secret is told from member to member; the statement only carries a hash of it, by which each knows that a
moderator drew it. The hash covers the passphrase too, and tells nothing of it to whoever lacks the secret.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Literal, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta, Struct

from meshchat.locks.bind import NONCE_BYTES, bind, locked_room, peer_id_of_key
from meshchat.units import PeerId, RoomId, safe_text

OVER_MAX = 16
"""Statements that one names: kicks of one peer that a pardon lifts. For more it takes more pardons."""

VALUE_CHARACTERS_MAX = 64
"""A commitment's digits are the longest value; a name with its nonce has 49."""

SALT_BYTES = 8
"""Enough that an author which lost its state, and counts from an old number again, does not repeat itself."""

FOUNDER_NUMBER_MAX = (1 << 53) - 1
"""As far as JSON counts exactly (RFC 8259 section 6)."""

MODERATOR_NUMBER_MAX = 1 << 32
"""A moderator that counts to the end of its numbers cannot take the last word from the founder, who has more."""

Kind: TypeAlias = Literal[
    "found",
    "appoint",
    "dismiss",
    "kick",
    "ban",
    "pardon",
    "mute",
    "unmute",
    "lock",
    "unlock",
    "settings",
    "secret",
]

REMOVALS: frozenset[Kind] = frozenset({"kick", "ban"})
FOUNDERS_ONLY: frozenset[Kind] = frozenset({"found", "appoint", "dismiss"})
ABOUT_A_PEER: frozenset[Kind] = frozenset({"appoint", "dismiss", "kick", "ban", "pardon", "mute", "unmute"})

Digest: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
DigestOrNone: TypeAlias = Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")]

# What each kind may have as its value; the name in `found` is checked further.
_VALUES: dict[Kind, re.Pattern[str]] = {
    "found": re.compile(r"[0-9a-f]{16} [^\n]{0,32}"),
    "settings": re.compile(r"mutes_hold=(?:yes|no)"),
    "secret": re.compile(r"[0-9a-f]{64}"),
}
_NO_VALUE = re.compile("")


class Statement(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One order, as it travels; an array in JSON, under 2 KiB."""

    room: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    author_key: Annotated[bytes, Meta(min_length=32, max_length=32)]
    """The raw Ed25519 public key."""
    number: Annotated[int, Meta(ge=0, le=FOUNDER_NUMBER_MAX)]
    kind: Kind
    subject: DigestOrNone
    """The peer id that it is about, or empty."""
    value: Annotated[str, Meta(max_length=VALUE_CHARACTERS_MAX)]
    warrant: DigestOrNone
    """The digest of the appointment that it was given under; empty for the founder."""
    over: Annotated[tuple[Digest, ...], Meta(max_length=OVER_MAX)]
    salt: Annotated[bytes, Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
    """Random, so that no two orders are one: a pardon of the first would lift the second unseen."""
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]

    @property
    def author(self) -> PeerId:
        """The peer id of whoever signed it."""
        return peer_id_of_key(self.author_key)


def canonical(statement: Statement) -> bytes:
    """What is signed: everything but the signature, spelled in one way only."""
    return bind(
        "statement",
        statement.room,
        statement.author_key,
        statement.number.to_bytes(8, "big"),
        statement.kind,
        statement.subject,
        statement.value,
        statement.warrant,
        statement.salt,
        *statement.over,
    )


def digest(statement: Statement) -> str:
    """The statement's own name, 64 hex digits. It leaves out the signature, of which one key can make many."""
    return hashlib.sha256(canonical(statement)).hexdigest()


def sign(
    private_key: Ed25519PrivateKey,
    room: RoomId,
    number: int,
    kind: Kind,
    subject: str = "",
    value: str = "",
    warrant: str = "",
    over: tuple[str, ...] = (),
    salt: bytes = bytes(SALT_BYTES),
) -> Statement:
    """A statement signed by that key. It is well-formed only if the arguments are; `Book.order` chooses them."""
    author_key = private_key.public_key().public_bytes_raw()
    draft = Statement(room, author_key, number, kind, subject, value, warrant, over, salt, bytes(64))
    signature = private_key.sign(canonical(draft))
    return Statement(room, author_key, number, kind, subject, value, warrant, over, salt, signature)


def found(private_key: Ed25519PrivateKey, nonce: bytes, public_name: str = "") -> Statement:
    """The statement that makes a room, whose id is `statement.room`.

    `public_name` is what strangers are shown of it; empty for nothing but that there is one.
    """
    room = locked_room(private_key.public_key().public_bytes_raw(), nonce)
    return sign(private_key, room, 0, "found", value=f"{nonce.hex()} {safe_text(public_name)}")


def well_formed(statement: Statement) -> bool:
    """Whether its parts fit its kind. Must hold before anything else is asked of a statement that came in."""
    kind, value = statement.kind, statement.value
    if not _VALUES.get(kind, _NO_VALUE).fullmatch(value):
        return False
    if (kind == "found") != (statement.number == 0) or (kind in ABOUT_A_PEER) != bool(statement.subject):
        return False
    if statement.warrant and (kind in FOUNDERS_ONLY or statement.number > MODERATOR_NUMBER_MAX):
        return False
    return kind != "found" or _founds(statement)


def _founds(statement: Statement) -> bool:
    nonce, name = bytes.fromhex(statement.value[: 2 * NONCE_BYTES]), statement.value[2 * NONCE_BYTES + 1 :]
    return safe_text(name) == name and locked_room(statement.author_key, nonce) == statement.room


def verify(statement: Statement) -> bool:
    """Whether it is well-formed and its author signed it; 0.1 ms."""
    if not well_formed(statement):
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(statement.author_key)
        key.verify(statement.signature, canonical(statement))
    except (InvalidSignature, ValueError):
        return False
    return True


def commitment(room: RoomId, secret: bytes, passphrase: str = "") -> str:
    """What a `secret` statement carries: by it members know a secret (16 bytes) and the key of a passphrase (its hex
    digits; empty for a room without) as those that a moderator set."""
    return hashlib.sha256(bind("secret commitment", room, secret, passphrase)).hexdigest()
