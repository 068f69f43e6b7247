"""What is signed, hashed or proven, spelled so that no two meanings share one spelling; and the names made of keys.

Every hash, signature and proof of this folder is over `bind(...)`: a purpose that nothing else uses, then each part
with its length in front. So a signature given for one purpose is worth nothing for another, and `"ab", "c"` is
never taken for `"a", "bc"`.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import TypeAlias

from meshchat.units import PeerId, RoomId

Draw: TypeAlias = Callable[[int], bytes]
"""`draw(n)` gives n secret random bytes: `os.urandom` in a daemon, a seeded source in a simulation."""

PUBLIC_KEY_BYTES = 32
"""A raw Ed25519 public key (RFC 8032 section 5.1.5)."""

SECRET_BYTES = 16
"""The secret of a locked room: 128 bits, which nobody guesses."""

NONCE_BYTES = 8
"""What tells the rooms of one founder apart: drawn at random, it repeats once in some 2^32 rooms."""

ROOM_ID_DIGITS = 32

_PREFIX = b"meshchat 1 "
_LENGTH_BYTES = 4

# What precedes the raw key in a SubjectPublicKeyInfo of Ed25519, always the same twelve bytes (RFC 8410 section 4).
_SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")


def bind(purpose: str, *parts: bytes | str) -> bytes:
    """The purpose and the parts as one unambiguous string of bytes; text is taken as UTF-8."""
    pieces = [_PREFIX + purpose.encode(), *(part.encode() if isinstance(part, str) else part for part in parts)]
    return b"".join(len(piece).to_bytes(_LENGTH_BYTES, "big") + piece for piece in pieces)


@functools.lru_cache(maxsize=1024)  # a room's statements name their authors again and again
def peer_id_of_key(public_key: bytes) -> PeerId:
    """The id of whoever holds this raw Ed25519 public key (32 bytes): the same that `identity` reads off a
    certificate."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise ValueError(f"a public key of {len(public_key)} bytes")
    return PeerId(hashlib.sha256(_SPKI_PREFIX + public_key).hexdigest())


def locked_room(founder_key: bytes, nonce: bytes) -> RoomId:
    """The id of the locked room that the holder of `founder_key` (raw, 32 bytes) founded under `nonce` (8 bytes).

    It follows from the key, so that nobody else can claim to have founded a room of this id.
    """
    if len(founder_key) != PUBLIC_KEY_BYTES or len(nonce) != NONCE_BYTES:
        raise ValueError(f"a founder's key of {len(founder_key)} bytes, a nonce of {len(nonce)}")
    return RoomId(hashlib.sha256(bind("locked room", founder_key, nonce)).hexdigest()[:ROOM_ID_DIGITS])
