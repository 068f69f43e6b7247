"""What the tests of locked rooms share: people with keys, chance from a seed, a room and what is ordered in it."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from meshchat.errors import WireError
from meshchat.locks.bind import Draw, peer_id_of_key
from meshchat.locks.book import Book
from meshchat.locks.law import Law
from meshchat.locks.statements import (
    Kind,
    Statement,
    found,
)
from meshchat.units import PeerId, RoomId


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a key."""

    name: str
    key: Ed25519PrivateKey

    @property
    def raw(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    @property
    def peer_id(self) -> PeerId:
        return peer_id_of_key(self.raw)


def person(name: str) -> Person:
    """The same name has the same key in each run."""
    return Person(name, Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))


def seeded(seed: int) -> Draw:
    """Chance that a failing test can have again."""
    return random.Random(seed).randbytes


def certificate_of(key: Ed25519PrivateKey) -> x509.Certificate:
    """A certificate that shows this key."""
    name = x509.Name([])
    start = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
    return (
        x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + datetime.timedelta(days=36500))
    ).sign(key, None)


FAY, ANN, BOB, CAT, DAN = PEOPLE = [person(name) for name in ("fay", "ann", "bob", "cat", "dan")]
"""Fay founds the rooms."""

FOUND = found(FAY.key, b"8 bytes.", "the kitchen")
ROOM = RoomId(FOUND.room)

ORDERS: list[Kind] = [
    "appoint", "dismiss", "kick", "ban", "pardon", "mute", "unmute", "lock", "unlock", "settings", "secret",
]  # fmt: skip


def blank(seed: int = 0) -> Book:
    """The book of a room in which nothing has been ordered yet."""
    return Book(FOUND, seeded(seed))


def them(*people: Person) -> frozenset[PeerId]:
    return frozenset(each.peer_id for each in people)


def take(book: Book, statements: Iterable[Statement]) -> None:
    """Adds what can be added; what is refused is part of the story."""
    for statement in statements:
        try:
            book.add(statement)
        except WireError:
            continue


def book_of(statements: Iterable[Statement], seed: int = 0) -> Book:
    book = blank(seed)
    take(book, statements)
    return book


def copy(book: Book) -> Book:
    """The same on another machine, whose chance is its own."""
    return book_of(book.statements, seed=1)


def heal(*sides: Book) -> Law:
    """Each side sends the others all it has; what holds then, everywhere."""
    for one, other in itertools.permutations(sides, 2):
        other.merge(one.statements)
    assert len({side.fingerprint for side in sides}) == 1
    assert all(side.law == sides[0].law for side in sides)
    return sides[0].law


def room_with_moderators(*moderators: Person) -> Book:
    book = blank()
    for each in moderators:
        book.order(FAY.key, "appoint", each.peer_id)
    return book


VALUES: dict[Kind, str] = {"settings": "mutes_hold=yes", "secret": "a" * 64}
"""What a statement of that kind may say; the others say nothing."""
