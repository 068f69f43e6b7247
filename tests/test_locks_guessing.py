"""What is left to guess with for those who listened, or lied, when somebody came in by passphrase: nothing.

Each test plays somebody who keeps every byte that it saw and every number that it drew, and then tries a list of
passphrases at home, the right one among them. A scheme in which a hash of the passphrase is sent would fail the first.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshchat.errors import WireError
from meshchat.locks.pake import Doorkeeper, Guest
from meshchat.peers import effects as out
from meshchat.peers.entry import Confirm, Opened, Reply, Ring, Shut, Words
from meshchat.peers.messages import encode
from meshchat.units import PeerId, RoomId
from tests.door_lab import INVITE, RIGHT, WRONG, key, village_with_a_room, visit
from tests.locks_lab import seeded

ANN, BOB = PeerId("a" * 64), PeerId("b" * 64)
ROOM = RoomId("1" * 32)
CARD = b"c" * 90
LIST = [key(f"guess {number}") for number in range(6)]
"""Passphrases that somebody tries at home."""

Exchange = tuple[bytes, bytes, bytes, bytes | None]

few = settings(max_examples=8, deadline=None)


def exchange(seed: int, typed: bytes, known: bytes) -> Exchange:
    """All that is sent when Ann types one passphrase and Bob knows another, or the same."""
    guest = Guest(typed, ROOM, ANN, BOB, seeded(seed))
    door = Doorkeeper(known, CARD, ROOM, BOB, ANN, seeded(seed + 1))
    reply = door.reply(guest.knock)
    confirmation = guest.confirm(reply)
    return guest.knock, reply, confirmation, door.open(confirmation)


def as_bob(seed: int, guess: bytes, knock: bytes, reply: bytes) -> Doorkeeper:
    """Bob at home: with the number that he drew for that reply, and another guess at what it was blinded with."""
    door = Doorkeeper(guess, CARD, ROOM, BOB, ANN, seeded(seed + 1))
    door._spake.outbound_message = reply[1:]
    door._agree(door._finish(door._spake, knock), knock, reply)
    return door


@few
@given(st.integers(0, 1 << 30), st.integers(0, 5), st.integers(0, 5))
def test_a_false_doorkeeper_tests_the_one_guess_that_it_made_and_no_other(seed: int, right: int, guessed: int) -> None:
    knock, reply, confirmation, _ = exchange(seed, LIST[right], LIST[guessed])
    fitting = [guess for guess in LIST if as_bob(seed, guess, knock, reply).open(confirmation) is not None]
    assert fitting == ([LIST[right]] if right == guessed else [])


@few
@given(st.integers(0, 1 << 30), st.integers(0, 5))
def test_a_guesser_that_was_wrong_is_left_with_a_reply_that_fits_every_passphrase(seed: int, right: int) -> None:
    """Unblinded with whichever guess, it is a proper point of the group: none can be struck off the list."""
    _, reply, _, handover = exchange(seed, key("wrong"), LIST[right])
    assert handover is None
    for guess in LIST:
        spake = Guest(guess, ROOM, ANN, BOB, seeded(seed))._spake
        group = spake.params.group
        point = group.bytes_to_element(reply[1:]).add(spake.my_unblinding().scalarmult(-spake.pw_scalar))
        assert group.bytes_to_element(point.to_bytes()).to_bytes() == point.to_bytes()


@few
@given(st.integers(0, 1 << 30), st.integers(0, 5))
def test_a_listener_who_learns_the_words_later_cannot_open_what_was_sent(seed: int, right: int) -> None:
    knock, reply, confirmation, handover = exchange(seed, LIST[right], LIST[right])
    assert handover is not None
    for guess in LIST:
        guest = Guest(guess, ROOM, ANN, BOB, seeded(seed + 7))
        assert guest.confirm(reply) != confirmation
        assert guest.enter(handover) is None
        assert as_bob(seed + 7, guess, knock, reply).open(confirmation) is None


@few
@given(st.integers(0, 1 << 30))
def test_no_two_entries_by_one_passphrase_have_anything_in_common(seed: int) -> None:
    first, second = (exchange(seed + 10 * n, LIST[0], LIST[0]) for n in range(2))
    assert not {part[1:] for part in first if part} & {part[1:] for part in second if part}


def test_an_exchange_that_is_passed_on_to_another_member_fails_there() -> None:
    """Eve, called by Ann, plays Ann to Bob: the ids do not fit, though the words do."""
    eve = PeerId("e" * 64)
    guest = Guest(RIGHT, ROOM, ANN, eve, seeded(1))
    door = Doorkeeper(RIGHT, CARD, ROOM, BOB, eve, seeded(2))
    assert door.open(guest.confirm(door.reply(guest.knock))) is None


@pytest.mark.parametrize("point", [b"A" + bytes([1]) + bytes(31), b"A" + bytes(32), b"A" + b"\xff" * 32])
def test_a_point_that_would_give_the_answer_away_is_refused(point: bytes) -> None:
    """The neutral element and points of small order, which would make the key the same for each number drawn."""
    with pytest.raises(WireError):
        Doorkeeper(RIGHT, CARD, ROOM, BOB, ANN, seeded(2)).reply(point)


# In a room


def hashes(secret: bytes) -> set[bytes]:
    """The secret, and what somebody might send instead who had not heard of PAKE."""
    plain = {secret, *(hashlib.new(name, secret).digest() for name in ("md5", "sha1", "sha256", "sha512"))}
    room = INVITE.room.encode()
    return plain | {hmac.digest(secret, room, "sha256"), hmac.digest(room, secret, "sha256")}


@pytest.mark.parametrize("words", [RIGHT, WRONG])
def test_nothing_that_a_newcomer_hears_or_says_is_made_of_what_opens_the_room_alone(words: bytes) -> None:
    village = village_with_a_room("ann", "cat")
    visit(village, "bob", words, 5)
    said = [each.message for each in village.said if "bob" in (each.sender, each.to)]
    assert {type(message) for message in said} >= {Ring, Reply, Confirm, Opened if words == RIGHT else Shut}
    assert not any(isinstance(message, Words) for message in said)
    sent = b"".join(encode(message) for message in said)
    fields = [getattr(message, name) for message in said for name in message.__struct_fields__]
    for known, field in itertools.product((RIGHT, INVITE.secret), fields):
        assert not (isinstance(field, bytes) and any(each in field for each in hashes(known)))
    assert not any(each.hex().encode() in sent for known in (RIGHT, INVITE.secret) for each in hashes(known))


def test_a_stranger_that_claims_to_be_a_member_gets_one_guess_and_then_the_visit_is_over() -> None:
    """Eve announces herself in the room, plays its doorkeeper, and does not know the words."""
    village = village_with_a_room("ann", strangers=("bob", "eve"))
    village.crash("ann")
    village.run(1)
    village.enter(["eve"], "board")
    village.door("eve").equip(INVITE, WRONG)
    village.run(4)
    shut = visit(village, "bob", RIGHT, 20)
    assert isinstance(shut, out.DoorShut)
    assert shut.reason == "wrong"
    assert sum(isinstance(each.message, Confirm) for each in village.said) == 1
    assert not any(isinstance(each.message, Opened) for each in village.said)
