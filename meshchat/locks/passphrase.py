"""A room's passphrase as people propose, type and mistype it; how it opens the room is told in `pake`.

What opens the room is not the words but a key made of them, slowly (scrypt, RFC 7914), and for one room only. Members
who came in by an invite link are handed that key, so that each of them can keep the door, and not the words, which
somebody may have used elsewhere.
"""

from __future__ import annotations

import hashlib
import unicodedata

from meshchat.errors import UsageError
from meshchat.locks.bind import Draw, bind
from meshchat.locks.words import pick
from meshchat.units import RoomId

PASSPHRASE_CHARACTERS_MIN = 8
"""At the pace that `attempts` allows, four digits are half tried out in 4 days, six in a year, eight in 95 years."""

PASSPHRASE_CHARACTERS_MAX = 256
"""Far more than anybody types."""

PROPOSED_WORDS = 5
"""Words of a generated passphrase: 51.7 bits, which at 1444 tries a day is half tried out in 3000 million years."""

KEY_BYTES = 32
"""What a passphrase is made into."""

_COST, _BLOCK, _MEMORY_BYTES_MAX = 1 << 15, 8, 64 << 20
"""scrypt's N and r: 32 MiB and 0.1 s, once for each time that somebody types a passphrase."""


def normalise(text: str) -> str:
    """A passphrase as it is compared: composed (NFKC), without upper case, with single blanks.

    Raises `UsageError`, which does not repeat it, where it is too short, too long, or cannot be typed.
    """
    if len(text) > 4 * PASSPHRASE_CHARACTERS_MAX:
        raise UsageError(f"a passphrase has at most {PASSPHRASE_CHARACTERS_MAX} characters")
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    words = " ".join(folded.split())
    if not PASSPHRASE_CHARACTERS_MIN <= len(words) <= PASSPHRASE_CHARACTERS_MAX:
        raise UsageError(
            f"a passphrase has {PASSPHRASE_CHARACTERS_MIN} to {PASSPHRASE_CHARACTERS_MAX} characters; "
            f"this one has {len(words)}"
        )
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in words):
        raise UsageError("the passphrase has characters in it that nobody can type; check where it was read from")
    return words


def propose(draw: Draw) -> str:
    """A passphrase that nobody guesses: five words drawn from 1296."""
    return pick(draw, PROPOSED_WORDS)


def stretch(words: str, room: RoomId) -> bytes:
    """The key that these words, `normalise`d already, make for this room: 32 bytes. Takes 0.1 s, so not on a loop."""
    salt = bind("passphrase", room)
    return hashlib.scrypt(words.encode(), salt=salt, n=_COST, r=_BLOCK, p=1, maxmem=_MEMORY_BYTES_MAX, dklen=KEY_BYTES)
