"""Words to type and words to compare: how they are drawn, how slowly guessed, and why nobody can search for them."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshchat.errors import UsageError, WireError
from meshchat.locks import phrase
from meshchat.locks.attempts import FAILURES_MAX, QUIET_S, Attempts
from meshchat.locks.passphrase import normalise, propose
from meshchat.locks.phrase import Commit, Reveal, Verification
from meshchat.locks.words import WORDS, pick, spell, words
from meshchat.units import PeerId, RoomId
from tests.locks_lab import seeded

ANN, BOB, EVE = (PeerId(digit * 64) for digit in "abe")
ROOM, OTHER_ROOM = RoomId("1" * 32), RoomId("2" * 32)
SECRET = bytes(range(16))
WORDS_TYPED = "acid yo-yo zoom brisk cedar"


# The words themselves


def test_the_list_is_whole() -> None:
    assert len(words()) == len(set(words())) == WORDS
    assert words()[0] == "acid"
    assert words()[-1] == "zoom"
    assert all(3 <= len(word) <= 5 and normalise(word * 3) == word * 3 for word in words())


def test_a_proposed_passphrase_is_five_words_that_can_be_typed() -> None:
    proposed = propose(seeded(7))
    assert len(proposed.split()) == 5
    assert set(proposed.split()) <= set(words())
    assert normalise(proposed) == proposed


def test_each_word_is_as_likely_as_any_other() -> None:
    """All 65 536 numbers of two bytes, one after the other: 50 for each word, 736 drawn again."""
    numbers = iter(range(1 << 16))
    drawn: Counter[str] = Counter()

    def draw(count: int) -> bytes:
        assert count == 2
        return next(numbers).to_bytes(2, "big")

    for _ in range(50 * WORDS):
        drawn[pick(draw, 1)] += 1
    assert set(drawn.values()) == {50}
    assert next(numbers) == 50 * WORDS


def test_a_phrase_needs_enough_to_spell_from() -> None:
    assert spell(bytes(16), 2) == "acid acid"
    for digest, count in ((bytes(15), 2), (bytes(32), 7)):
        with pytest.raises(ValueError, match="words"):
            spell(digest, count)


@pytest.mark.parametrize(
    "typed", ["Acid Yo-Yo  ZOOM", "  acid yo-yo\tzoom\n", "ａcid yo-yo zoom", "acid\u00a0yo-yo\u3000zoom"]
)
def test_a_passphrase_is_the_same_however_it_is_typed(typed: str) -> None:
    assert normalise(typed) == "acid yo-yo zoom"


@given(st.text(max_size=300))
def test_normalising_twice_changes_nothing_more(typed: str) -> None:
    try:
        once = normalise(typed)
    except UsageError as error:
        assert len(typed) < 6 or typed not in str(error)  # noqa: PT017
    else:
        assert normalise(once) == once
        once.encode()


def test_a_passphrase_too_short_to_hold_is_refused() -> None:
    for typed in ("1234567", " 1 2 3   ", "x" * 257, "x" * 5000, "bell\x07bell"):
        with pytest.raises(UsageError):
            normalise(typed)


# How often


def guesses(hours: float, pause_after: int = 0) -> int:
    """How many tries somebody gets who tries whenever it may, or rests until all is forgotten after so many."""
    attempts, now, tries = Attempts(), 0.0, 0
    while (now := now + attempts.wait_s(now)) <= 3600 * hours:
        assert attempts.begin(now)
        attempts.fail(now)
        tries += 1
        if pause_after and tries % pause_after == 0:
            now += QUIET_S
    return tries


def test_a_guesser_is_slowed_to_what_the_page_promises() -> None:
    assert (guesses(1), guesses(24)) == (64, 1444)


@pytest.mark.parametrize("burst", range(1, 12))
def test_resting_until_all_is_forgotten_gains_nothing(burst: int) -> None:
    assert guesses(24, pause_after=burst) <= guesses(24)


@given(st.lists(st.tuples(st.sampled_from(["try", "told"]), st.floats(0, 900), st.integers(-5, 999)), max_size=40))
def test_no_order_of_tries_and_tales_is_quicker(story: list[tuple[str, float, int]]) -> None:
    """Tales of other members only ever slow a guesser down, and by a minute at most."""
    attempts, now, tries = Attempts(), 0.0, 0
    for what, wait, failures in story:
        now += wait
        if what == "told":
            attempts.merge(failures, now)
        elif attempts.begin(now):
            attempts.fail(now)
            tries += 1
        assert 0 <= attempts.wait_s(now) <= 60.001
        assert 0 <= attempts.failures(now) <= FAILURES_MAX
    assert tries <= 7 + now / 60


def test_the_first_try_is_at_once_and_the_next_a_second_later() -> None:
    attempts = Attempts()
    assert attempts.begin(100.0)
    assert not attempts.begin(100.9)
    assert attempts.begin(101.0)


def test_a_success_forgets_and_so_does_quiet() -> None:
    attempts = Attempts()
    for n in range(4):
        attempts.fail(float(n))
    assert attempts.failures(4.0) == 4
    attempts.succeed()
    assert attempts.failures(4.0) == 0
    attempts.fail(5.0)
    assert attempts.failures(4.9 + QUIET_S) == 1
    assert attempts.failures(5.0 + QUIET_S) == 0


def test_what_another_member_saw_counts_here() -> None:
    attempts = Attempts()
    attempts.merge(3, 10.0)
    assert attempts.wait_s(10.0) == 8
    attempts.merge(2, 11.0)
    assert attempts.wait_s(11.0) == 7, "the greatest holds, and hearing it again moves nothing"
    attempts.merge(10**9, 12.0)
    assert attempts.wait_s(12.0) == 60


# Two words to compare


def compared(asker: Verification, other: Verification) -> tuple[str | None, str | None]:
    first = other.hear(asker.commit)
    assert first is not None
    second = asker.hear(first)
    assert second is not None
    assert other.hear(second) is None
    return asker.phrase, other.phrase


def test_both_sides_show_the_same_two_words() -> None:
    shown = compared(Verification(ANN, BOB, seeded(1), True), Verification(BOB, ANN, seeded(2), False))
    assert shown[0] == shown[1]
    assert shown[0] is not None
    assert set(shown[0].split()) <= set(words())
    assert len(shown[0].split()) == 2


def test_each_comparison_has_other_words() -> None:
    shown = {
        compared(Verification(ANN, BOB, seeded(n), True), Verification(BOB, ANN, seeded(n + 50), False))[0]
        for n in range(50)
    }
    assert len(shown) == 50


def test_somebody_in_the_middle_shows_two_people_different_words() -> None:
    for n in range(50):
        ann = Verification(ANN, EVE, seeded(n), True)
        eve = Verification(EVE, ANN, seeded(n + 100), False), Verification(EVE, BOB, seeded(n + 200), True)
        bob = Verification(BOB, EVE, seeded(n + 300), False)
        assert compared(ann, eve[0])[0] != compared(eve[1], bob)[0]


def test_relaying_the_very_messages_fails_on_the_commitment() -> None:
    """The hash names who asked whom, so Ann's is none between Eve and Bob."""
    ann, bob = Verification(ANN, EVE, seeded(1), True), Verification(BOB, EVE, seeded(2), False)
    answer = bob.hear(ann.commit)
    assert answer is not None
    opened = ann.hear(answer)
    assert opened is not None
    with pytest.raises(WireError, match="committed"):
        bob.hear(opened)
    assert bob.phrase is None


def test_choosing_the_nonce_after_seeing_the_other_is_found_out() -> None:
    bob = Verification(BOB, ANN, seeded(2), False)
    bob.hear(Verification(ANN, BOB, seeded(1), True).commit)
    with pytest.raises(WireError, match="committed"):
        bob.hear(Reveal(bytes(16)))
    assert (bob.state, bob.phrase) == (phrase.State.BROKEN, None)


@pytest.mark.parametrize(("state", "kind"), list(itertools.product(phrase.State, (Commit, Reveal))))
def test_every_pair_of_the_phrase_table_is_what_happens(state: phrase.State, kind: type[Commit | Reveal]) -> None:
    ann, bob = Verification(ANN, BOB, seeded(1), True), Verification(BOB, ANN, seeded(2), False)
    subject = ann if state in (phrase.State.COMMITTED, phrase.State.SHOWN) else bob
    if state in (phrase.State.SHOWN, phrase.State.BROKEN):
        compared(ann, bob)
    elif state is phrase.State.REVEALED:
        bob.hear(ann.commit)
    if state is phrase.State.BROKEN:
        with pytest.raises(WireError):
            bob.hear(ann.commit)
    told: Commit | Reveal = ann.commit if kind is Commit else Reveal(ann._nonce)
    expected = phrase.TABLE[state, kind]
    if expected is phrase.State.BROKEN:
        with pytest.raises(WireError):
            subject.hear(told)
    else:
        subject.hear(told)
    assert subject.state is expected
    assert (subject.phrase is not None) == (expected is phrase.State.SHOWN)


def test_when_both_ask_at_once_the_lower_id_goes_first() -> None:
    assert phrase.asks(ANN, BOB)
    assert not phrase.asks(BOB, ANN)
