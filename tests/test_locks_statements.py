"""A statement is what its author signed, fits its kind, and a book of them has an end."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshchat.errors import Refused, WireError
from meshchat.locks import book as limits
from meshchat.locks.book import BATCH, Book, Reception
from meshchat.locks.statements import (
    ABOUT_A_PEER,
    MODERATOR_NUMBER_MAX,
    OVER_MAX,
    Kind,
    Statement,
    commitment,
    digest,
    found,
    sign,
    verify,
)
from tests.locks_lab import (
    ANN,
    BOB,
    CAT,
    DAN,
    FAY,
    FOUND,
    ORDERS,
    ROOM,
    VALUES,
    blank,
    person,
    room_with_moderators,
    seeded,
    take,
    them,
)

# A statement by itself


def test_the_founder_is_whoever_the_room_id_follows_from() -> None:
    law = blank().law
    assert (law.founder, law.moderators, law.public_name) == (FAY.peer_id, them(FAY), "the kitchen")
    assert (law.locked, law.mutes_hold, law.secret, law.excluded, law.muted) == (True, False, "", them(), them())
    stolen = msgspec.structs.replace(found(ANN.key, b"8 bytes."), room=FOUND.room)
    for impostor in (stolen, sign(ANN.key, ROOM, 0, "found", value=FOUND.value), sign(FAY.key, ROOM, 1, "lock")):
        with pytest.raises(WireError, match="founded"):
            Book(impostor, seeded(0))


@pytest.mark.parametrize("kind", ORDERS)
def test_a_statement_with_anything_changed_is_forged(kind: Kind) -> None:
    subject = ANN.peer_id if kind in ABOUT_A_PEER else ""
    real = sign(FAY.key, ROOM, 3, kind, subject, VALUES.get(kind, ""), "", ("c" * 64,))
    assert verify(real)
    changes: dict[str, object] = {
        "room": "0" * 32, "author_key": ANN.raw, "number": 4, "kind": "ban" if kind == "kick" else "kick",
        "subject": BOB.peer_id, "value": "b" * 64, "warrant": "d" * 64, "over": (), "salt": b"8 others",
        "signature": bytes(64),
    }  # fmt: skip
    assert set(changes) == set(Statement.__struct_fields__)
    for field, value in changes.items():
        forged = msgspec.structs.replace(real, **{field: value})
        assert not verify(forged), field
        with pytest.raises(WireError):
            blank().add(forged)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 511), st.integers(0, 7))
def test_a_signature_with_one_bit_turned_is_no_signature(place: int, bit: int) -> None:
    real = sign(FAY.key, ROOM, 3, "lock")
    bent = bytearray(real.signature)
    bent[place % 64] ^= 1 << bit
    assert not verify(msgspec.structs.replace(real, signature=bytes(bent)))


@pytest.mark.parametrize(
    ("kind", "subject", "value"),
    [
        ("kick", "", ""), ("lock", "a" * 64, ""), ("lock", "", "x"), ("settings", "", "mutes_hold=perhaps"),
        ("settings", "", "anything=yes"), ("secret", "", "a" * 63), ("secret", "", ""), ("settings", "", ""),
        ("secret", "", "a" * 64 + "\n"),
    ],
)  # fmt: skip
def test_what_does_not_fit_its_kind_is_refused_though_signed(kind: Kind, subject: str, value: str) -> None:
    with pytest.raises(WireError, match="belong"):
        blank().add(sign(FAY.key, ROOM, 1, kind, subject, value))


def test_a_name_that_commands_the_terminal_founds_no_room() -> None:
    assert found(FAY.key, bytes(8), "a\x1b[2Jb").value.endswith(" a[2Jb")
    hostile = sign(FAY.key, ROOM, 0, "found", value=f"{b'8 bytes.'.hex()} a\x1b[2J")
    with pytest.raises(WireError):
        Book(hostile, seeded(0))


def test_text_that_cannot_be_written_down_is_refused_before_it_is_hashed() -> None:
    with pytest.raises(WireError, match="belong"):
        blank().add(msgspec.structs.replace(sign(FAY.key, ROOM, 1, "lock"), value="\ud800"))


def test_a_statement_of_another_room_is_refused() -> None:
    elsewhere = found(FAY.key, b"others..")
    with pytest.raises(WireError, match="belong"):
        blank().add(sign(FAY.key, Book(elsewhere, seeded(0)).room, 1, "kick", ANN.peer_id))


def test_a_batch_of_the_longest_statements_fits_one_message() -> None:
    longest = sign(FAY.key, ROOM, MODERATOR_NUMBER_MAX, "unmute", "f" * 64, "f" * 64, "f" * 64, ("f" * 64,) * OVER_MAX)
    line = msgspec.json.encode(longest)
    assert msgspec.json.decode(line, type=Statement) == longest
    assert len(line) * BATCH + 1024 < 128 * 1024


def test_a_commitment_covers_room_secret_and_passphrase() -> None:
    three = ((ROOM, bytes(16), "some words"), (ROOM, bytes(16), ""), (ROOM, b"x" * 16, "some words"))
    assert len({commitment(*each) for each in three}) == 3


# How many


def test_what_comes_before_its_appointment_waits_for_it() -> None:
    book = room_with_moderators(ANN)
    book.order(ANN.key, "kick", CAT.peer_id)
    appointment, kick = book.statements[1:]
    late = blank()
    assert late.add(kick) is Reception.WAITING
    assert late.law.excluded == them()
    assert late.add(kick) is Reception.KNOWN
    assert late.add(appointment) is Reception.NEW
    assert late.law == book.law


def test_new_ones_are_named_to_be_passed_on() -> None:
    book = room_with_moderators(ANN)
    kick = book.order(ANN.key, "kick", CAT.peer_id)
    other = blank()
    assert other.merge([*kick, *book.statements]) == book.statements[1:]
    assert other.merge(book.statements) == ()


def test_the_same_content_signed_twice_is_one_statement() -> None:
    """An Ed25519 key can make many signatures of one text, so a statement is not known by its signature."""
    book = blank()
    lock = sign(FAY.key, ROOM, 1, "lock")
    assert book.add(lock) is Reception.NEW
    assert book.add(msgspec.structs.replace(lock, signature=bytes(64))) is Reception.KNOWN


def test_a_full_office_refuses_the_new_and_an_ended_one_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OFFICE_MAX", 3)
    book = room_with_moderators(ANN)
    for peer in (CAT, DAN, BOB):
        book.order(ANN.key, "mute", peer.peer_id)
    with pytest.raises(Refused, match="too many"):
        book.order(ANN.key, "lock" if not book.law.locked else "unlock")
    assert len(book.statements) == 5
    book.order(FAY.key, "dismiss", ANN.peer_id, undo=True)
    book.order(FAY.key, "appoint", ANN.peer_id)
    book.order(ANN.key, "unlock")
    assert [each.kind for each in book.statements] == ["found", "appoint", "dismiss", "appoint", "unlock"]


def test_the_founder_runs_out_too_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FOUNDER_MAX", 4)
    book = blank()
    there_and_back: list[Kind] = ["unlock", "lock", "unlock", "lock"]
    for kind in there_and_back:
        book.order(FAY.key, kind)
    with pytest.raises(Refused, match="too many"):
        book.order(FAY.key, "unlock")
    assert book.law.locked


def test_no_flood_makes_a_book_grow_past_its_limit() -> None:
    """Eight moderators and the founder sign as fast as they can; a new member takes it all in."""
    founder = [sign(FAY.key, ROOM, n, "kick", f"{n:064x}") for n in range(100, 100 + limits.FOUNDER_MAX + 40)]
    flooders = [person(f"flooder {n}") for n in range(6)]
    offices = [sign(FAY.key, ROOM, n, "appoint", each.peer_id) for n, each in enumerate(flooders, 1)]
    kicks = [
        sign(each.key, ROOM, n, "kick", f"{n:064x}", "", digest(office))
        for each, office in zip(flooders, offices, strict=True)
        for n in range(700, 700 + limits.OFFICE_MAX + 10)
    ]
    book = blank()
    book.merge([*offices, *founder, *kicks])
    assert len(book.statements) == limits.STATEMENTS_MAX == 1024
    late = blank()
    late.merge(reversed([*offices, *founder]))
    late.merge(reversed(kicks))
    assert late.fingerprint == book.fingerprint


def test_strangers_take_no_room() -> None:
    book = room_with_moderators(ANN)
    for number in range(1, 200):
        take(book, [sign(person(f"sybil {number % 7}").key, ROOM, number, "kick", DAN.peer_id, "", f"{number:064x}")])
    assert len(book.statements) == 2
    assert len(book._waiting) == limits.WAITING_MAX
