"""Whatever is said, by whom, in whatever order and on whichever side of a split, all read the same law in the end."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshchat.errors import Refused
from meshchat.locks import book as limits
from meshchat.locks.law import read_law
from meshchat.locks.statements import (
    ABOUT_A_PEER,
    FOUNDERS_ONLY,
    OVER_MAX,
    Kind,
    Statement,
    digest,
    sign,
)
from tests.locks_lab import (
    ANN,
    BOB,
    DAN,
    FAY,
    FOUND,
    ORDERS,
    PEOPLE,
    ROOM,
    VALUES,
    book_of,
    copy,
    heal,
    person,
    room_with_moderators,
    take,
    them,
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A statement before it is signed, naming others by their place in the story."""

    author: int
    number: int
    kind: Kind
    subject: int
    warrant: int
    over: tuple[int, ...]


def signed(drafts: Sequence[Draft]) -> list[Statement]:
    """Valid signatures all, some by people who have no right to what they say."""
    made: list[Statement] = []
    for draft in drafts:
        subject = PEOPLE[draft.subject].peer_id if draft.kind in ABOUT_A_PEER else ""
        appointments = [each for each in made if each.kind == "appoint"]
        own = [each for each in appointments if each.subject == PEOPLE[draft.author].peer_id]
        choice = (own or appointments)[draft.warrant % len(own or appointments)] if appointments else None
        warrant = digest(choice) if choice and draft.author and draft.kind not in FOUNDERS_ONLY else ""
        over = tuple(digest(made[place % len(made)]) for place in draft.over) if made else ()
        made.append(
            sign(
                PEOPLE[draft.author].key,
                ROOM,
                draft.number,
                draft.kind,
                subject,
                VALUES.get(draft.kind, ""),
                warrant,
                over,
            )
        )
    return made


drafts = st.builds(
    Draft,
    st.sampled_from([0, 0, 0, 1, 1, 2, 2, 3]),
    st.integers(1, 12),
    st.sampled_from([*ORDERS, "appoint", "appoint", "kick", "kick"]),
    st.integers(0, 4),
    st.integers(0, 5),
    st.lists(st.integers(0, 20), max_size=3).map(tuple),
)
FIRST = [Draft(0, 2, "appoint", 1, 0, ()), Draft(0, 4, "appoint", 2, 0, ())]
"""Most stories begin with Ann and Bob in office, or those by people without a right to anything would be the rule."""

stories = st.tuples(
    st.sampled_from([FIRST, FIRST, FIRST[:1], []]),
    st.one_of(st.lists(drafts, max_size=4), st.lists(drafts, min_size=9, max_size=16)),
).map(lambda parts: signed(parts[0] + parts[1]))


@settings(max_examples=150, deadline=None)
@given(stories, st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_gives_the_same_law(statements: list[Statement], chance: random.Random) -> None:
    shuffled = statements + chance.choices(statements, k=len(statements)) if statements else []
    chance.shuffle(shuffled)
    one, other = book_of(statements), book_of(shuffled)
    assert one.law == other.law
    assert one.fingerprint == other.fingerprint
    assert read_law(FOUND, shuffled) == one.law, "what a book leaves out has no effect"


@settings(max_examples=100, deadline=None)
@given(stories, st.data())
def test_two_sides_of_a_split_agree_once_they_have_talked(statements: list[Statement], data: st.DataObject) -> None:
    sides = [[each for each in statements if data.draw(st.booleans())] for _ in range(2)]
    left, right = map(book_of, sides)
    for _ in range(2):  # the second time brings what waited for an appointment
        take(left, right.statements)
        take(right, left.statements)
    assert left.law == right.law
    assert left.fingerprint == right.fingerprint
    together = [each for each in statements if each in sides[0] or each in sides[1]]
    assert left.law == read_law(FOUND, together)


@settings(max_examples=150, deadline=None)
@given(stories)
def test_the_law_makes_sense(statements: list[Statement]) -> None:
    law = read_law(FOUND, statements)
    assert not law.excluded & law.moderators
    assert FAY.peer_id not in law.excluded | law.muted
    assert law.banned <= law.excluded
    assert law.ranks[FAY.peer_id] == 0
    assert len(set(law.ranks.values())) == len(law.ranks)
    assert set(law.warrants) == law.moderators - them(FAY)
    assert all(order.statement.author in law.moderators for order in law.standing)


@settings(max_examples=150, deadline=None)
@given(stories)
def test_whoever_holds_no_office_has_changed_nothing(statements: list[Statement]) -> None:
    law = read_law(FOUND, statements)
    rest = [each for each in statements if each.author in law.moderators]
    assert read_law(FOUND, rest) == law


@settings(max_examples=100, deadline=None)
@given(stories, st.sampled_from(ORDERS), st.integers(0, 4), st.integers(1, 20))
def test_a_stranger_never_changes_the_law(statements: list[Statement], kind: Kind, whom: int, number: int) -> None:
    stranger = person("stranger")
    book = book_of(statements)
    before = book.law
    names = tuple(book._kept)[:OVER_MAX]
    subject = PEOPLE[whom].peer_id if kind in ABOUT_A_PEER else ""
    for warrant in ("", *before.warrants.values(), "e" * 64):
        take(book, [sign(stranger.key, ROOM, number, kind, subject, VALUES.get(kind, ""), warrant, names)])
    assert book.law == before


@settings(max_examples=100, deadline=None)
@given(stories, stories)
def test_the_founders_kick_holds_whatever_the_others_say(one: list[Statement], other: list[Statement]) -> None:
    """On one side Fay kicks Dan; on the other anything may have happened that is not by Fay."""
    left = book_of(one)
    if DAN.peer_id not in left.law.banned:
        left.order(FAY.key, "ban", DAN.peer_id)
    take(left, [each for each in other if each.author != FAY.peer_id])
    assert DAN.peer_id in left.law.excluded
    assert DAN.peer_id not in left.law.moderators


proper_orders = st.tuples(st.integers(0, 1), st.integers(0, 2), st.sampled_from(ORDERS), st.integers(3, 4))


@settings(max_examples=100, deadline=None)
@given(st.lists(proper_orders, max_size=16))
def test_a_kick_holds_whatever_was_ordered_on_the_other_side(story: list[tuple[int, int, Kind, int]]) -> None:
    """Fay, Ann and Bob are on both sides of a split, and order this and that about Cat and Dan."""
    sides = [room_with_moderators(ANN, BOB)]
    sides.append(copy(sides[0]))
    for side, author, kind, whom in story:
        subject = PEOPLE[whom].peer_id if kind in ABOUT_A_PEER else ""
        with contextlib.suppress(Refused):
            sides[side].order(PEOPLE[author].key, kind, subject, VALUES.get(kind, ""))
    out = sides[0].law.excluded | sides[1].law.excluded
    assert heal(*sides).excluded >= out


@settings(max_examples=40, deadline=None)
@given(stories, st.randoms(use_true_random=False))
def test_a_full_book_is_the_same_book_everywhere(statements: list[Statement], chance: random.Random) -> None:
    shuffled = list(statements)
    chance.shuffle(shuffled)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "OFFICE_MAX", 2)
        one, other = book_of(statements), book_of(shuffled)
        for _ in range(2):
            take(one, other.statements)
            take(other, one.statements)
    assert one.fingerprint == other.fingerprint
    assert one.law == other.law
