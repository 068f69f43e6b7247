"""Media encrypted once by its sender for everybody in the room: SFrame (RFC 9605), cipher suite 0x0004.

Intuition: each sender draws one secret and gives it to each member over their private QUIC connection. A frame
is then sealed once, with AES-128-GCM, and the same bytes go to everybody; a member that relays them needs no
key. What makes that safe is one rule: a (key, counter) pair seals one frame in its life. So the counter lives
inside `SendKey`, is never set from outside, never goes back, a base key makes one `SendKey`, and none outlives the
process.

    SFrame header (section 4.3)                                 then
    +-+-----+-+-----+-------------------+-------------------+   +------------------+---------------+
    |X|  K  |Y|  C  | key id, 0..8 bytes| counter 0..8 bytes|   | ciphertext       | tag, 16 bytes |
    +-+-----+-+-----+-------------------+-------------------+   +------------------+---------------+
    X = 0: K is the key id (0..7); X = 1: the key id takes K + 1 bytes. Y and C say the same of the counter.

The nonce is the key's salt xor the counter (section 4.4.3); the SFrame header and the metadata (here the RTP
header) are authenticated with it. Numbers must be written as short as possible, and longer forms are refused:
one frame has one spelling.

A receiver remembers which of the last 1024 counters it has opened, as bits of one integer; the window moves
only after the tag was found right, so a forger cannot push it. A frame behind the window counts as replayed,
because nobody can tell any more.

Not taken: one SRTP context per pair (a sender would encrypt once for each receiver), and the suites with short
tags (a listener could forge a frame in 2^32 tries to save 12 bytes). What SFrame does not give: inside
the room, whoever holds a sender's key (every member) could forge that sender (RFC 9605 section 7.2); a signature
would settle it at 45 us a frame.

Threads: a `SendKey` belongs to the thread that seals, a `ReceiveKey` to the one that opens. Neither locks.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from meshchat.errors import WireError

BASE_KEY_BYTES = 32
"""The secret that a sender draws and hands out: as long as a ratcheted one (Nh of the suite, section 5.1)."""

BASE_KEY_BYTES_MIN = 16
"""The shortest that is taken: as long as the AES key that comes of it."""

STEP_BITS = 6
"""Of a key id, the low bits count the steps of its ratchet, the others the keys that were drawn (section 5.1)."""

STEPS_MAX = (1 << STEP_BITS) - 1
"""Steps after which a fresh key is drawn, so that no receiver ever has more to catch up with than these."""

KEY_ID_MAX = (1 << 64) - 1
"""Largest key id that the header can carry (RFC 9605 section 4.3)."""

OVERHEAD_BYTES_MAX = 33
"""What sealing adds at most: one byte of configuration, eight of key id, eight of counter, the whole 16-byte tag."""

FRAMES_MAX = 1 << 28
"""Frames that one key seals, far below the 2^64 that the header could count.

AES-GCM under one key stays within an attacker's advantage of 2^-57 for 2^28 messages of up to 2^11 bytes (RFC 9001
appendix B.1.1). At 100 frames a second that is 31 days. The owner watches `frames_left` and hands out a fresh key in
time; past the limit `seal` raises `OverflowError`, a bug of ours, rather than weaken the room."""

REPLAY_WINDOW = 1024
"""Counters behind the newest that may still arrive: 10 s of 10 ms frames, more than any jitter buffer waits."""

_CIPHER_SUITE = 0x0004
_KEY_BYTES = 16
_SALT_BYTES = 12
_SHORT_MAX = 7  # the largest number that fits in the configuration byte itself


def _derive(key_id: int, base_key: bytes) -> tuple[AESGCM, int]:
    """The cipher and the salt, as a number, of one key (RFC 9605 section 4.4.2)."""
    suffix = key_id.to_bytes(8, "big") + _CIPHER_SUITE.to_bytes(2, "big")
    # HKDF-Extract with an empty salt, then HKDF-Expand: what `HKDF` does with salt=None (RFC 5869 section 2.2).
    key = HKDF(SHA256(), _KEY_BYTES, None, b"SFrame 1.0 Secret key " + suffix).derive(base_key)
    salt = HKDF(SHA256(), _SALT_BYTES, None, b"SFrame 1.0 Secret salt " + suffix).derive(base_key)
    return AESGCM(key), int.from_bytes(salt, "big")


def ratchet(base_key: bytes) -> bytes:
    """The base key of the next step, 32 bytes (RFC 9605 section 5.1). From it nobody finds the one before; 8 us."""
    return HKDF(SHA256(), BASE_KEY_BYTES, None, b"SFrame 1.0 Ratchet").derive(base_key)


def _fits(base_key: bytes) -> bool:
    return BASE_KEY_BYTES_MIN <= len(base_key) <= BASE_KEY_BYTES


def _minimal(number: int) -> bytes:
    """A number above 7 in as few bytes as hold it, big-endian."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def screen_key(base_key: bytes) -> bytes:
    """The base key of a member's screen, which comes of the one it hands out for its sound.

    The two streams count their frames apart, and so must not share a key: a nonce must never come twice.
    """
    return HKDF(SHA256(), BASE_KEY_BYTES, None, b"meshchat screen").derive(base_key)


def music_key(base_key: bytes) -> bytes:
    """The base key of what a member plays besides its voice, likewise."""
    return HKDF(SHA256(), BASE_KEY_BYTES, None, b"meshchat music").derive(base_key)


def breath_key(base_key: bytes) -> bytes:
    """The base key of a member's signs of life, likewise: the event loop seals them, and counts by itself."""
    return HKDF(SHA256(), BASE_KEY_BYTES, None, b"meshchat breath").derive(base_key)


def encode_header(key_id: int, counter: int) -> bytes:
    """The SFrame header, 1..17 bytes; both numbers are 0..2^64-1 (RFC 9605 section 4.3)."""
    key_part = b"" if key_id <= _SHORT_MAX else _minimal(key_id)
    counter_part = b"" if counter <= _SHORT_MAX else _minimal(counter)
    high = 0x8 | len(key_part) - 1 if key_part else key_id
    low = 0x8 | len(counter_part) - 1 if counter_part else counter
    return bytes((high << 4 | low,)) + key_part + counter_part


def peek(frame: bytes) -> tuple[int, int, int]:
    """Key id, counter and length of the header in bytes. Raises `WireError` if cut short or not minimal."""
    if not frame:
        raise WireError("SFrame is empty")
    config = frame[0]
    key_id, counter = config >> 4 & 0x7, config & 0x7
    at = 1
    if config & 0x80:
        at = 2 + key_id
        key_id = _number(frame, 1, at)
    if config & 0x08:
        end = at + 1 + counter
        counter = _number(frame, at, end)
        at = end
    return key_id, counter, at


def _number(frame: bytes, start: int, end: int) -> int:
    if end > len(frame):
        raise WireError("SFrame header is cut short")
    value = int.from_bytes(frame[start:end], "big")
    if frame[start] == 0 or value <= _SHORT_MAX:
        raise WireError("SFrame header is not written as short as possible")
    return value


class SendKey:
    """One sender's key in one process: seals frames, each with the next counter."""

    __slots__ = ("_cipher", "_counter", "_salt", "base_key", "key_id")

    def __init__(self, key_id: int, base_key: bytes) -> None:
        """`key_id` is 0..2^64-1; `base_key` is 32 fresh random bytes that no other `SendKey` was ever made of."""
        if not 0 <= key_id <= KEY_ID_MAX or not _fits(base_key):
            raise ValueError(f"SFrame key id {key_id} with a base key of {len(base_key)} bytes")
        self.key_id = key_id
        self.base_key = base_key
        self._cipher, self._salt = _derive(key_id, base_key)
        self._counter = 0

    @property
    def frames_left(self) -> int:
        """How many more frames this key may seal."""
        return FRAMES_MAX - self._counter

    def seal(self, metadata: bytes, plaintext: bytes) -> bytes:
        """SFrame header, ciphertext and tag; authenticates `metadata` too. `OverflowError` after 2^28 frames."""
        counter = self._counter
        if counter >= FRAMES_MAX:
            raise OverflowError(f"SFrame key {self.key_id} has sealed {counter} frames; draw a fresh key")
        self._counter = counter + 1
        header = encode_header(self.key_id, counter)
        nonce = (self._salt ^ counter).to_bytes(_SALT_BYTES, "big")
        return header + self._cipher.encrypt(nonce, plaintext, header + metadata)


class ReceiveKey:
    """Another member's key: opens each of its frames once."""

    __slots__ = ("_cipher", "_mask", "_newest", "_salt", "_seen", "_window", "base_key", "key_id", "replayed")

    def __init__(self, key_id: int, base_key: bytes, window: int = REPLAY_WINDOW) -> None:
        """`window` is how many counters behind the newest may still arrive.

        Raises `WireError` for an id or a length that no key has: both come from the peer.
        """
        if not 0 <= key_id <= KEY_ID_MAX or not _fits(base_key):
            raise WireError(f"SFrame key id {key_id} with a base key of {len(base_key)} bytes")
        self.key_id = key_id
        self.base_key = base_key
        self.replayed = 0
        """Frames refused because their counter was opened before, or lies behind the window."""
        self._cipher, self._salt = _derive(key_id, base_key)
        self._window, self._mask = window, (1 << window) - 1
        self._newest = -1
        self._seen = 0  # bit n: the counter `newest - n` was opened

    def open(self, metadata: bytes, frame: bytes) -> bytes:
        """The plaintext. Raises `WireError` for a frame that is garbled, forged, of another key or seen before."""
        key_id, counter, header_bytes = peek(frame)
        if key_id != self.key_id:
            raise WireError(f"SFrame is sealed with key {key_id}, not {self.key_id}")
        behind = self._newest - counter
        if behind >= 0 and (behind >= self._window or self._seen >> behind & 1):
            self.replayed += 1
            raise WireError(f"SFrame {counter} came again or {behind} frames late")
        nonce = (self._salt ^ counter).to_bytes(_SALT_BYTES, "big")
        try:
            plaintext = self._cipher.decrypt(nonce, frame[header_bytes:], frame[:header_bytes] + metadata)
        except InvalidTag:
            raise WireError(f"SFrame {counter} is forged or damaged") from None
        self._remember(counter, behind)
        return plaintext

    def _remember(self, counter: int, behind: int) -> None:
        """Marks a counter whose frame proved genuine; the window follows the newest."""
        if behind >= 0:
            self._seen |= 1 << behind
            return
        # A jump beyond the window forgets all of it; shifting by the jump itself could take 2^64 bits.
        self._seen = (self._seen << -behind & self._mask) | 1 if -behind < self._window else 1
        self._newest = counter


def fresh_key(key_id: int) -> SendKey:
    """A key made of 32 bytes from the operating system's random source."""
    return SendKey(key_id, os.urandom(BASE_KEY_BYTES))
