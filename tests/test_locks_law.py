"""Moderators give orders, everybody reads the same law off them, and whoever has no right to order changes nothing."""

from __future__ import annotations

import pytest

from meshchat.errors import Refused, WireError
from meshchat.locks.book import Reception
from meshchat.locks.statements import (
    ABOUT_A_PEER,
    FOUNDERS_ONLY,
    MODERATOR_NUMBER_MAX,
    Kind,
    sign,
)
from tests.locks_lab import (
    ANN,
    BOB,
    CAT,
    DAN,
    FAY,
    ORDERS,
    ROOM,
    VALUES,
    Person,
    copy,
    heal,
    room_with_moderators,
    them,
)


def test_a_day_in_a_room() -> None:
    book = room_with_moderators(ANN)
    book.order(ANN.key, "mute", DAN.peer_id)
    book.order(ANN.key, "kick", CAT.peer_id)
    book.order(ANN.key, "unlock")
    book.order(FAY.key, "ban", DAN.peer_id)
    book.order(FAY.key, "settings", value="mutes_hold=yes")
    book.order(ANN.key, "secret", value="5" * 64)
    law = book.law
    assert law.moderators == them(FAY, ANN)
    assert (law.excluded, law.banned, law.muted) == (them(CAT, DAN), them(DAN), them(DAN))
    assert (law.locked, law.mutes_hold, law.secret) == (False, True, "5" * 64)
    book.order(ANN.key, "pardon", CAT.peer_id)
    book.order(FAY.key, "unmute", DAN.peer_id)
    book.order(ANN.key, "lock")
    assert (book.law.excluded, book.law.muted, book.law.locked) == (them(DAN), them(), True)


def test_a_kick_on_either_side_of_a_split_holds() -> None:
    left = room_with_moderators(ANN, BOB)
    right = copy(left)
    left.order(ANN.key, "kick", CAT.peer_id)
    left.order(ANN.key, "pardon", CAT.peer_id)
    right.order(BOB.key, "kick", CAT.peer_id)
    right.order(BOB.key, "kick", DAN.peer_id)
    assert left.law.excluded == them()
    assert heal(left, right).excluded == them(CAT, DAN), "the pardon did not know of Bob's kick"
    left.order(ANN.key, "pardon", CAT.peer_id)
    assert heal(left, right).excluded == them(DAN)


def test_a_founder_that_lost_its_state_does_not_repeat_an_order_that_was_lifted() -> None:
    """The same kick, with the same number: it would be the same statement, and pardoned, but for the salt."""
    before = room_with_moderators(ANN)
    restarted = copy(before)
    before.order(FAY.key, "kick", CAT.peer_id)
    before.order(FAY.key, "pardon", CAT.peer_id)
    restarted.order(FAY.key, "kick", CAT.peer_id)
    assert heal(before, restarted).excluded == them(CAT)


def test_a_kick_wins_over_an_appointment_that_did_not_know_of_it() -> None:
    left = room_with_moderators(ANN)
    right = copy(left)
    left.order(ANN.key, "kick", CAT.peer_id)
    right.order(FAY.key, "appoint", CAT.peer_id)
    right.order(CAT.key, "kick", DAN.peer_id)
    law = heal(left, right)
    assert (law.excluded, law.moderators) == (them(CAT), them(FAY, ANN))
    left.order(FAY.key, "appoint", CAT.peer_id)
    assert CAT.peer_id in heal(left, right).moderators, "and one that did lifts it"
    assert DAN.peer_id not in left.law.excluded, "what was ordered in the first term is not part of the second"


def test_moderators_who_kick_each_other_go_by_seniority() -> None:
    left = room_with_moderators(ANN, BOB)
    right = copy(left)
    left.order(ANN.key, "kick", BOB.peer_id)
    with pytest.raises(Refused, match="longer than you"):
        right.order(BOB.key, "kick", ANN.peer_id)
    right.add(sign(BOB.key, ROOM, 9, "kick", ANN.peer_id, "", right.law.warrants[BOB.peer_id]))
    law = heal(left, right)
    assert (law.excluded, law.moderators) == (them(BOB), them(FAY, ANN))


def test_whoever_removes_a_moderator_keeps_its_orders_or_undoes_them() -> None:
    kept, undone = room_with_moderators(ANN), room_with_moderators(ANN)
    for book in (kept, undone):
        book.order(ANN.key, "kick", CAT.peer_id)
        book.order(ANN.key, "unlock")
    assert [each.kind for each in kept.order(FAY.key, "dismiss", ANN.peer_id)] == ["kick", "unlock", "dismiss"]
    assert [each.kind for each in undone.order(FAY.key, "dismiss", ANN.peer_id, undo=True)] == ["dismiss"]
    assert (kept.law.excluded, kept.law.locked) == (them(CAT), False)
    assert (undone.law.excluded, undone.law.locked) == (them(), True)
    assert kept.law.moderators == undone.law.moderators == them(FAY)


def test_at_no_moment_of_a_dismissal_is_the_kicked_one_let_in() -> None:
    ann = room_with_moderators(ANN)
    ann.order(ANN.key, "kick", CAT.peer_id)
    member = copy(ann)
    for statement in ann.order(FAY.key, "kick", ANN.peer_id):
        member.add(statement)
        assert CAT.peer_id in member.law.excluded
    assert member.law.excluded == them(CAT, ANN)


@pytest.mark.parametrize("removal", ["dismiss", "kick", "ban"])
def test_a_removed_moderator_can_do_nothing_not_even_dated_back(removal: Kind) -> None:
    book = room_with_moderators(ANN)
    warrant = book.law.warrants[ANN.peer_id]
    book.order(FAY.key, removal, ANN.peer_id)
    before = book.law
    kinds: list[Kind] = ["kick", "mute", "pardon"]
    for number, kind in enumerate(kinds, 1):
        assert book.add(sign(ANN.key, ROOM, number, kind, DAN.peer_id, "", warrant)) is Reception.DROPPED
    with pytest.raises(Refused, match="only a moderator"):
        book.order(ANN.key, "unlock")
    assert book.law == before


def test_a_pardon_lets_in_again_but_gives_no_office_back() -> None:
    book = room_with_moderators(ANN)
    book.order(FAY.key, "kick", ANN.peer_id)
    book.order(FAY.key, "pardon", ANN.peer_id)
    assert (book.law.excluded, book.law.moderators) == (them(), them(FAY))
    book.order(FAY.key, "appoint", ANN.peer_id)
    assert book.law.moderators == them(FAY, ANN)


def test_what_the_founder_ordered_only_the_founder_lifts() -> None:
    book = room_with_moderators(ANN)
    book.order(FAY.key, "kick", CAT.peer_id)
    book.order(FAY.key, "mute", DAN.peer_id)
    lifting: list[tuple[Kind, Person]] = [("pardon", CAT), ("unmute", DAN)]
    for kind, peer in lifting:
        with pytest.raises(Refused, match="only the founder"):
            book.order(ANN.key, kind, peer.peer_id)
        names = tuple(order.digest for order in book.law.standing)
        book.add(sign(ANN.key, ROOM, 50, kind, peer.peer_id, "", book.law.warrants[ANN.peer_id], names))
    assert (book.law.excluded, book.law.muted) == (them(CAT), them(DAN))


def test_a_moderator_that_counts_to_the_end_leaves_the_founder_the_last_word() -> None:
    book = room_with_moderators(ANN, BOB)
    book.add(sign(ANN.key, ROOM, MODERATOR_NUMBER_MAX, "unlock", warrant=book.law.warrants[ANN.peer_id]))
    assert not book.law.locked
    with pytest.raises(Refused, match="used up"):
        book.order(BOB.key, "lock")
    book.order(FAY.key, "lock")
    assert book.law.locked
    with pytest.raises(WireError):
        book.add(sign(ANN.key, ROOM, MODERATOR_NUMBER_MAX + 9, "unlock", warrant=book.law.warrants[ANN.peer_id]))
    book.order(FAY.key, "dismiss", ANN.peer_id)
    assert book.law.locked


def test_of_two_orders_of_one_moment_the_founders_holds() -> None:
    for turn in range(8):
        left = room_with_moderators(ANN)
        right = copy(left)
        left.order(FAY.key, "secret", value=f"{turn:064x}")
        right.order(ANN.key, "secret", value="f" * 64)
        assert heal(left, right).secret == f"{turn:064x}"


def test_a_moderator_cannot_appoint_even_with_a_warrant() -> None:
    book = room_with_moderators(ANN)
    for number, warrant in enumerate((book.law.warrants[ANN.peer_id], ""), 5):
        with pytest.raises(WireError):
            book.add(sign(ANN.key, ROOM, number, "appoint", BOB.peer_id, "", warrant))
    assert book.law.moderators == them(FAY, ANN)


@pytest.mark.parametrize("kind", ORDERS)
def test_who_may_give_which_order(kind: Kind) -> None:
    book = room_with_moderators(ANN)
    subject, value = DAN.peer_id if kind in ABOUT_A_PEER else "", VALUES.get(kind, "")
    with pytest.raises(Refused, match="moderator of this room"):
        book.order(CAT.key, kind, subject, value)
    if kind in FOUNDERS_ONLY:
        with pytest.raises(Refused, match="only the founder"):
            book.order(ANN.key, kind, subject, value)
    if kind in ("kick", "ban", "mute"):
        for whom, words in ((ANN, "yourself"), (FAY, "longer than you")):
            with pytest.raises(Refused, match=words):
                book.order(ANN.key, kind, whom.peer_id)


@pytest.mark.parametrize("kind", ORDERS)
def test_an_order_that_would_change_nothing_is_not_signed(kind: Kind) -> None:
    book = room_with_moderators(ANN)
    subject, value = DAN.peer_id if kind in ABOUT_A_PEER else "", VALUES.get(kind, "")
    undo: dict[Kind, Kind] = {"pardon": "ban", "unmute": "mute", "lock": "unlock", "dismiss": "appoint"}
    if kind in undo:
        book.order(FAY.key, undo[kind], subject)
    book.order(FAY.key, kind, subject, value)
    with pytest.raises(Refused):
        book.order(FAY.key, kind, subject, value)
