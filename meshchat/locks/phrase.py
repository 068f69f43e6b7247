"""Two people read the same two words to each other, and so know that nobody sits between their machines.

The words come from both peer ids and from a nonce of each side. Whoever sat in the middle would have a key of its own
on each side and so get two pairs of words, which agree by chance once in 1296 * 1296 = 1 679 616 tries, each of which
two people hear fail. It cannot search for a pair that agrees, because the first nonce is bound by a hash before
the second one is told (the commitment of RFC 6189 section 4.4.1.1, for the reason given there):

    who asks (`verify MEMBER`)              the other
        | commit: hash of nonce A --------> |
        | <---------------- reveal: nonce B |
        | reveal: nonce A ----------------> |   checks the hash; both now show the words

Not taken: a fingerprint to compare. It needs some 25 words to be safe without a commitment, and nobody reads them;
eight characters of one were searched for and found in KDE Connect (CVE-2025-32898). ZRTP takes two words of 256.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from enum import Enum, auto
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from meshchat.errors import WireError
from meshchat.locks.bind import Draw, bind
from meshchat.locks.words import spell
from meshchat.units import PeerId

PHRASE_WORDS = 2
"""Words to compare: one chance in 1.7 million, and short enough that people do."""

NONCE_BYTES = 16
HASH_BYTES = 32


class Commit(Struct, frozen=True, tag_field="type", tag="commit", forbid_unknown_fields=True):
    """First, from whoever asks: a nonce is chosen, and its hash binds the sender to it."""

    hash: Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]


class Reveal(Struct, frozen=True, tag_field="type", tag="reveal", forbid_unknown_fields=True):
    """The nonce itself."""

    nonce: Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]


Told: TypeAlias = Commit | Reveal


class State(Enum):
    """How far one side has come."""

    COMMITTED = auto()
    """It asked, and waits for the other's nonce."""
    ASKED = auto()
    """It waits for the commitment."""
    REVEALED = auto()
    """It told its nonce, and waits for the one that was committed to."""
    SHOWN = auto()
    """It has a phrase."""
    BROKEN = auto()
    """The other side did not keep to the rules: there will be no phrase."""


TABLE: Mapping[tuple[State, type[Told]], State] = {
    (State.COMMITTED, Commit): State.BROKEN,
    (State.COMMITTED, Reveal): State.SHOWN,
    (State.ASKED, Commit): State.REVEALED,
    (State.ASKED, Reveal): State.BROKEN,
    (State.REVEALED, Commit): State.BROKEN,
    (State.REVEALED, Reveal): State.SHOWN,
    (State.SHOWN, Commit): State.BROKEN,
    (State.SHOWN, Reveal): State.BROKEN,
    (State.BROKEN, Commit): State.BROKEN,
    (State.BROKEN, Reveal): State.BROKEN,
}
"""Where each message leads. A nonce that was not the one committed to leads to BROKEN as well."""


def asks(me: PeerId, peer: PeerId) -> bool:
    """Who is the one that asked, if both asked at once: the lower id. The other drops its own and answers."""
    return me < peer


class Verification:
    """One side of one comparison. A new one is made for each, by `verify` or by a `Commit` that comes."""

    def __init__(self, me: PeerId, peer: PeerId, draw: Draw, initiator: bool) -> None:
        if me == peer:
            raise ValueError("nobody compares words with itself")
        self.state = State.COMMITTED if initiator else State.ASKED
        self.phrase: str | None = None
        """The words, once there are any."""
        self._asker, self._other = (me, peer) if initiator else (peer, me)
        self._nonce = draw(NONCE_BYTES)
        self._hash = b""

    @property
    def commit(self) -> Commit:
        """What the side that asks sends first."""
        return Commit(self._commitment(self._nonce))

    def hear(self, told: Told) -> Reveal | None:
        """What to answer, if anything. Raises `WireError` where the other side does not keep to the rules; then the
        comparison is over, and no phrase is shown."""
        before = self.state
        self.state = TABLE[before, type(told)]
        self.phrase = self.phrase if self.state is State.SHOWN else None
        if self.state is State.BROKEN:
            raise WireError(f"a {type(told).__name__.lower()} out of turn")
        if isinstance(told, Commit):
            self._hash = told.hash
            return Reveal(self._nonce)
        if before is State.REVEALED:
            self._open(told.nonce)
            return None
        self._show(self._nonce, told.nonce)
        return Reveal(self._nonce)

    def _open(self, nonce: bytes) -> None:
        if not hmac.compare_digest(self._hash, self._commitment(nonce)):
            self.state = State.BROKEN
            raise WireError("a nonce that is not the one committed to")
        self._show(nonce, self._nonce)

    def _commitment(self, nonce: bytes) -> bytes:
        return hashlib.sha256(bind("phrase commitment", self._asker, self._other, nonce)).digest()

    def _show(self, askers: bytes, others: bytes) -> None:
        told = bind("phrase", self._asker, self._other, askers, others)
        self.phrase = spell(hashlib.sha256(told).digest(), PHRASE_WORDS)
