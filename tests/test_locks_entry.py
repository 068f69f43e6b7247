"""People come in by the secret or by the passphrase, and nobody else does."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshchat.errors import WireError
from meshchat.locks import pake
from meshchat.locks.pake import Doorkeeper, Guest, Heard
from meshchat.locks.proof import SecretEntry
from meshchat.units import PeerId, RoomId
from tests.locks_lab import seeded

ANN, BOB, EVE = (PeerId(digit * 64) for digit in "abe")
ROOM, OTHER_ROOM = RoomId("1" * 32), RoomId("2" * 32)
SECRET = bytes(range(16))
WORDS_TYPED = "acid yo-yo zoom brisk cedar"


# By secret


def entries(
    newcomers: bytes = SECRET, members: bytes = SECRET, rooms: tuple[RoomId, RoomId] = (ROOM, ROOM)
) -> tuple[SecretEntry, SecretEntry]:
    """Ann comes, Bob is there."""
    return (
        SecretEntry(newcomers, rooms[0], ANN, BOB, seeded(1)),
        SecretEntry(members, rooms[1], BOB, ANN, seeded(2)),
    )


def both_satisfied(newcomer: SecretEntry, member: SecretEntry) -> tuple[bool, bool]:
    """Whether the newcomer, then the member, takes the other for one who knows."""
    return (
        newcomer.check(member.challenge, member.answers(newcomer.challenge)),
        member.check(newcomer.challenge, newcomer.answers(member.challenge)),
    )


def test_two_who_know_the_secret_let_each_other_in() -> None:
    assert both_satisfied(*entries()) == (True, True)


@given(st.binary(min_size=16, max_size=16).filter(lambda secret: secret != SECRET))
def test_whoever_has_another_secret_convinces_nobody(other: bytes) -> None:
    assert both_satisfied(*entries(newcomers=other)) == (False, False)


def test_the_secret_of_another_room_does_not_fit() -> None:
    assert both_satisfied(*entries(rooms=(OTHER_ROOM, ROOM))) == (False, False)


def test_eve_between_them_gets_answers_that_name_eve() -> None:
    """She has a link to each and passes everything on."""
    ann_at_eve, bob_at_eve = (SecretEntry(SECRET, ROOM, me, EVE, seeded(n)) for n, me in enumerate((ANN, BOB)))
    assert not bob_at_eve.check(ann_at_eve.challenge, ann_at_eve.answers(bob_at_eve.challenge))
    assert not ann_at_eve.check(bob_at_eve.challenge, bob_at_eve.answers(ann_at_eve.challenge))


def test_an_answer_sent_back_to_its_author_proves_nothing() -> None:
    _, bob = entries()
    assert not bob.check(bob.challenge, bob.answers(bob.challenge))
    assert not any(bob.check(theirs, bob.answers(theirs)) for theirs in (bytes(16), SECRET))


def test_an_answer_of_yesterday_is_no_answer_today() -> None:
    ann, bob = entries()
    old = ann.answers(bob.challenge)
    today = SecretEntry(SECRET, ROOM, BOB, ANN, seeded(3))
    assert bob.check(ann.challenge, old)
    assert not today.check(ann.challenge, old)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_bytes_from_nowhere_open_nothing(challenge: bytes, answer: bytes) -> None:
    _, bob = entries()
    assert not bob.check(challenge, (answer,))
    if len(challenge) != 16:
        with pytest.raises(WireError, match="challenge"):
            bob.answers(challenge)


# By passphrase


def key(words: str) -> bytes:
    """A key that these words make, sooner than `stretch` makes it."""
    return hashlib.sha256(words.encode()).digest()


def at_the_door(
    typed: str = WORDS_TYPED, known: str = WORDS_TYPED, room: RoomId = ROOM, door: PeerId = BOB
) -> tuple[Guest, Doorkeeper]:
    """Ann, who may be mistaken about the room and about who opens, and Bob."""
    return Guest(key(typed), room, ANN, door, seeded(1)), Doorkeeper(key(known), SECRET, ROOM, BOB, ANN, seeded(2))


def test_whoever_knows_the_words_is_handed_the_secret() -> None:
    guest, door = at_the_door()
    confirmation = guest.confirm(door.reply(guest.knock))
    handover = door.open(confirmation)
    assert handover is not None
    assert SECRET not in handover
    assert guest.enter(handover) == SECRET
    assert (guest.state, door.state) == (pake.State.OPEN, pake.State.OPEN)
    assert (len(guest.knock), len(confirmation), len(handover)) == (
        pake.KNOCK_BYTES, pake.CONFIRMATION_BYTES, pake.CONFIRMATION_BYTES + len(SECRET) + pake.TAG_BYTES,
    )  # fmt: skip


@pytest.mark.parametrize(
    "pair",
    [at_the_door(typed="acid yo-yo zoom brisk cedars"), at_the_door(room=OTHER_ROOM), at_the_door(door=EVE)],
    ids=["wrong words", "another room", "relayed by eve"],
)
def test_whoever_does_not_is_found_out_only_by_its_confirmation(pair: tuple[Guest, Doorkeeper]) -> None:
    guest, door = pair
    assert door.open(guest.confirm(door.reply(guest.knock))) is None
    assert door.state is pake.State.REFUSED


def test_a_door_that_does_not_know_the_words_cannot_pretend() -> None:
    guest, door = at_the_door(known="whatever eve guessed")
    guest.confirm(door.reply(guest.knock))
    assert door._keys is not None
    assert guest.enter(pake._seal(door._keys, bytes(16))) is None
    assert guest.state is pake.State.REFUSED


def test_a_garbled_handover_gives_no_secret() -> None:
    guest, door = at_the_door()
    handover = door.open(guest.confirm(door.reply(guest.knock)))
    assert handover is not None
    assert guest.enter(handover[:-1] + bytes((handover[-1] ^ 1,))) is None


def test_each_try_is_another_exchange() -> None:
    knocks = {Guest(key(WORDS_TYPED), ROOM, ANN, BOB, seeded(n)).knock for n in range(3)}
    assert len(knocks) == 3


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40) | st.binary(min_size=32, max_size=32).map(lambda point: b"A" + point))
def test_a_knock_that_is_none_ends_the_try(knock: bytes) -> None:
    _, door = at_the_door()
    try:
        door.reply(knock)
    except WireError:
        assert door.state is pake.State.REFUSED
    else:
        assert door.open(bytes(32)) is None, "a point of the curve by luck, but no key"


def test_a_reflected_knock_and_a_small_subgroup_are_refused() -> None:
    guest, door = at_the_door()
    for point in (guest.knock, b"B" + bytes(32), b"B\x01" + bytes(31)):
        with pytest.raises(WireError):
            at_the_door()[0].confirm(point)
    with pytest.raises(WireError):
        door.reply(door._reply)


def led(side: str, state: pake.State) -> tuple[Guest, Doorkeeper]:
    """Both, of whom the one named is in that state."""
    guest, door = at_the_door(typed=WORDS_TYPED if state is pake.State.OPEN else "some other words")
    if state is pake.State.WAITING:
        return guest, door
    confirmation = guest.confirm(door.reply(guest.knock))
    if state is pake.State.AGREED:
        return guest, door
    handover = door.open(confirmation)
    if side == "guest":
        guest.enter(handover or bytes(pake.HANDOVER_BYTES_MAX))
    return guest, door


@pytest.mark.parametrize("side", ["guest", "door"])
@pytest.mark.parametrize(("state", "heard"), list(itertools.product(pake.State, Heard)))
def test_every_pair_of_the_table_is_what_happens(side: str, state: pake.State, heard: Heard) -> None:
    guest, door = led(side, state)
    subject: Guest | Doorkeeper = guest if side == "guest" else door
    if heard is Heard.RIGHT and state is pake.State.AGREED:  # what only somebody with the same key can send
        guest, door = at_the_door()
        confirmation = guest.confirm(door.reply(guest.knock))
        subject = guest if side == "guest" else door
        last = confirmation if side == "door" else door.open(confirmation)
    else:
        last = bytes(pake.CONFIRMATION_BYTES if side == "door" else pake.HANDOVER_BYTES_MAX)
    assert last is not None
    points = {"guest": door._reply, "door": guest.knock}
    try:
        if heard is Heard.POINT:
            (guest.confirm if side == "guest" else door.reply)(points[side])
        else:
            (guest.enter if side == "guest" else door.open)(b"" if heard is Heard.NONSENSE else last)
    except WireError:
        assert (state, heard) not in {
            (pake.State.WAITING, Heard.POINT), (pake.State.AGREED, Heard.RIGHT), (pake.State.AGREED, Heard.WRONG),
        }  # fmt: skip
    assert subject.state is pake.TABLE[state, heard]
