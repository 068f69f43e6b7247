"""Entry with a passphrase: the newcomer shows that it knows the words, and whoever does not learns nothing of them.

A hash of a passphrase can be guessed off line by whoever sees it. With SPAKE2 (Abdalla and Pointcheval 2005, package
`spake2`) nobody can: a listener learns nothing, and a dishonest peer on either side tests one guess for each try,
which `attempts` counts. Both peer ids and the room are mixed in, so that a try relayed to another peer fails, and both
sides confirm their key before it is used (as RFC 9382 section 4 has it).

    newcomer (side A)                            doorkeeper (side B), a member who knows the words
        | knock: 33 bytes -------------------------> |
        | <-------------------------- reply: 33 bytes |
        | confirmation: 32 bytes ------------------> |   wrong: a failure is counted
        | <------------------------------- handover |   confirmation, then the room's card sealed (AES-128-GCM)

Both sides take the key that `passphrase.stretch` makes of the words. The card is what an invite link says without its
addresses (`invite.card`): the secret, who founded the room, and what it is called.

The newcomer confirms first: a guesser learns whether it was right from the handover alone, and the doorkeeper knows
that a guess was made. A try that stops before has taught nothing.

The library is slow (3 to 5 ms a step) and takes a time that depends on what it computes. Answers are therefore sent
`ANSWER_AFTER_S` after what they answer came, and `attempts` allows too few tries for an average.
Not taken: RFC 9382 to the letter, which `spake2` is older than and nothing well kept on PyPI offers; and CPace, whose
only package is a few weeks old. Either would fit in here: two messages, then confirmations.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from spake2 import SPAKE2_A, SPAKE2_B, SPAKEError
from spake2.ed25519_basic import NotOnCurve

from meshchat.errors import WireError
from meshchat.locks.bind import Draw, bind
from meshchat.locks.invite import CARD_BYTES_MAX
from meshchat.locks.passphrase import KEY_BYTES
from meshchat.units import PeerId, RoomId, Seconds

ANSWER_AFTER_S: Seconds = 0.1
"""When a doorkeeper's answer is sent, counted from the arrival of what it answers: ten times what either takes."""

KNOCK_BYTES = REPLY_BYTES = 33
"""One byte for the side, and a point of the curve."""

CONFIRMATION_BYTES = 32
"""A whole HMAC-SHA-256."""

TAG_BYTES = 16
"""What AES-GCM adds."""

HANDOVER_BYTES_MAX = CONFIRMATION_BYTES + CARD_BYTES_MAX + TAG_BYTES
"""A confirmation, then the card and its tag."""


class State(Enum):
    """How far one side has come."""

    WAITING = auto()
    """A newcomer for the reply, a doorkeeper for the knock."""
    AGREED = auto()
    """There is a key, which the other side may or may not have."""
    OPEN = auto()
    """The other side has shown that it has the key, so it knows the passphrase."""
    REFUSED = auto()


class Heard(Enum):
    """What can come from the other side."""

    POINT = auto()
    """A knock or a reply."""
    RIGHT = auto()
    """A confirmation or a handover under the same key."""
    WRONG = auto()
    """The same under another key: another passphrase."""
    NONSENSE = auto()
    """Bytes that are none of these."""


TABLE: Mapping[tuple[State, Heard], State] = {
    (State.WAITING, Heard.POINT): State.AGREED,
    (State.WAITING, Heard.RIGHT): State.REFUSED,
    (State.WAITING, Heard.WRONG): State.REFUSED,
    (State.WAITING, Heard.NONSENSE): State.REFUSED,
    (State.AGREED, Heard.POINT): State.REFUSED,
    (State.AGREED, Heard.RIGHT): State.OPEN,
    (State.AGREED, Heard.WRONG): State.REFUSED,
    (State.AGREED, Heard.NONSENSE): State.REFUSED,
    (State.OPEN, Heard.POINT): State.OPEN,
    (State.OPEN, Heard.RIGHT): State.OPEN,
    (State.OPEN, Heard.WRONG): State.OPEN,
    (State.OPEN, Heard.NONSENSE): State.OPEN,
    (State.REFUSED, Heard.POINT): State.REFUSED,
    (State.REFUSED, Heard.RIGHT): State.REFUSED,
    (State.REFUSED, Heard.WRONG): State.REFUSED,
    (State.REFUSED, Heard.NONSENSE): State.REFUSED,
}
"""Both sides go the same way; one try has one end."""


@dataclass(frozen=True, slots=True)
class _Keys:
    """What both sides derive from the key that they agreed on."""

    guest: bytes
    door: bytes
    seal: bytes
    nonce: bytes
    """The sealing key seals one message in its life, so its nonce may be derived with it."""
    told: bytes
    """All that was said, and by whom."""


class _Side:
    """What newcomer and doorkeeper have in common."""

    def __init__(self, room: RoomId, guest: PeerId, door: PeerId) -> None:
        if guest == door:
            raise ValueError("nobody opens the door to itself")
        self.state = State.WAITING
        self._told = (room, guest, door)
        self._keys: _Keys | None = None

    def _finish(self, spake: SPAKE2_A | SPAKE2_B, point: bytes) -> bytes:
        """The shared key, which is another one for each passphrase."""
        self._expect(State.WAITING, len(point) == KNOCK_BYTES)
        try:
            shared = bytes(spake.finish(point))
        except (SPAKEError, NotOnCurve, ValueError) as error:
            self.state = TABLE[self.state, Heard.NONSENSE]
            raise WireError(f"a passphrase exchange with no point in it: {error}") from None
        self.state = TABLE[self.state, Heard.POINT]
        return shared

    def _expect(self, state: State, well_formed: bool) -> None:
        """Ends the try with a `WireError` if this is not the time, or not the thing."""
        if self.state is not state or not well_formed:
            before = self.state
            self.state = TABLE[self.state, Heard.NONSENSE]
            raise WireError(f"a passphrase exchange out of step: {before.name.lower()}")

    def _agree(self, shared: bytes, knock: bytes, reply: bytes) -> _Keys:
        """RFC 9382 section 4: the keys of both confirmations, here with one that seals, over the whole exchange."""
        told = bind("entry by passphrase", *self._told, knock, reply)
        material = HKDF(SHA256(), 92, None, told).derive(shared)
        self._keys = _Keys(material[:32], material[32:64], material[64:80], material[80:], told)
        return self._keys

    def _judge(self, right: bool) -> None:
        self.state = TABLE[self.state, Heard.RIGHT if right else Heard.WRONG]


class Guest(_Side):
    """The newcomer's side of one try; `knock` is what it sends first."""

    def __init__(self, key: bytes, room: RoomId, me: PeerId, door: PeerId, draw: Draw) -> None:
        """`key` is what `passphrase.stretch` made of the words, 32 bytes."""
        super().__init__(room, me, door)
        self._spake = SPAKE2_A(_checked(key), *_ids(room, me, door), entropy_f=draw)
        self.knock = bytes(self._spake.start())

    def confirm(self, reply: bytes) -> bytes:
        """The confirmation that answers a doorkeeper's reply; `WireError` if that is none or out of turn."""
        keys = self._agree(self._finish(self._spake, reply), self.knock, reply)
        return hmac.digest(keys.guest, keys.told, "sha256")

    def enter(self, handover: bytes) -> bytes | None:
        """The room's card; None if whoever answered does not know the passphrase.

        Raises `WireError` if it is no handover, or out of turn.
        """
        self._expect(State.AGREED, CONFIRMATION_BYTES + TAG_BYTES <= len(handover) <= HANDOVER_BYTES_MAX)
        assert self._keys is not None
        card = _unseal(self._keys, handover)
        self._judge(card is not None)
        return card


class Doorkeeper(_Side):
    """The member's side of one try."""

    def __init__(self, key: bytes, card: bytes, room: RoomId, me: PeerId, guest: PeerId, draw: Draw) -> None:
        """`key` is what `passphrase.stretch` made of the words, 32 bytes; `card` is the room's."""
        super().__init__(room, guest, me)
        if len(card) > CARD_BYTES_MAX:
            raise ValueError(f"a card of {len(card)} bytes")
        self._card = card
        self._spake = SPAKE2_B(_checked(key), *_ids(room, guest, me), entropy_f=draw)
        self._reply = bytes(self._spake.start())

    def reply(self, knock: bytes) -> bytes:
        """What answers a knock; `WireError` if it is none or out of turn."""
        self._agree(self._finish(self._spake, knock), knock, self._reply)
        return self._reply

    def open(self, confirmation: bytes) -> bytes | None:
        """The handover for whoever knows the passphrase; None for whoever does not, which is a failure to count.

        Raises `WireError` if it is no confirmation, or out of turn.
        """
        self._expect(State.AGREED, len(confirmation) == CONFIRMATION_BYTES)
        assert self._keys is not None
        right = hmac.compare_digest(hmac.digest(self._keys.guest, self._keys.told, "sha256"), confirmation)
        self._judge(right)
        return _seal(self._keys, self._card) if right else None


def _checked(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key of {len(key)} bytes; it is the stretched one that is used, not the words")
    return key


def _ids(room: RoomId, guest: PeerId, door: PeerId) -> tuple[bytes, bytes]:
    """Who the two sides are, as SPAKE2 mixes it into the key."""
    return bind("newcomer", room, guest), bind("doorkeeper", room, door)


def _seal(keys: _Keys, card: bytes) -> bytes:
    confirmation = hmac.digest(keys.door, keys.told, "sha256")
    return confirmation + AESGCM(keys.seal).encrypt(keys.nonce, card, keys.told)


def _unseal(keys: _Keys, handover: bytes) -> bytes | None:
    confirmation, sealed = handover[:CONFIRMATION_BYTES], handover[CONFIRMATION_BYTES:]
    if not hmac.compare_digest(hmac.digest(keys.door, keys.told, "sha256"), confirmation):
        return None
    try:
        return AESGCM(keys.seal).decrypt(keys.nonce, sealed, keys.told)
    except InvalidTag:
        return None
