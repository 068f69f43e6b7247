"""Words instead of numbers, for what people read aloud, remember or type.

The list is the Electronic Frontier Foundation's first short list: 1296 common words of at most five letters, so
one word is worth 10.3 bits. It lies in `assets/words.txt` with its licence.
"""

from __future__ import annotations

import functools
import importlib.resources

from meshchat.locks.bind import Draw

WORDS = 1296
"""How many words the list has: four throws of a die."""


@functools.cache
def words() -> tuple[str, ...]:
    """The list, in its order."""
    text = importlib.resources.files("meshchat").joinpath("assets", "words.txt").read_text("utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


def pick(draw: Draw, count: int) -> str:
    """`count` words, each as likely as any other, with blanks between them."""
    return " ".join(words()[_below(draw, WORDS)] for _ in range(count))


def spell(digest: bytes, count: int) -> str:
    """The first `count` words that a digest of at least 16 bytes spells; at most six, or their odds would be uneven."""
    if count > 6 or len(digest) < 16:
        raise ValueError(f"{count} words from {len(digest)} bytes")
    number, spelled = int.from_bytes(digest, "big"), []
    for _ in range(count):
        number, place = divmod(number, WORDS)
        spelled.append(words()[place])
    return " ".join(spelled)


def _below(draw: Draw, limit: int) -> int:
    """A number from 0 to `limit` - 1. What would favour the low ones is drawn again, which two in a hundred are."""
    span = 1 << 16
    while (number := int.from_bytes(draw(2), "big")) >= span - span % limit:
        continue
    return number % limit
