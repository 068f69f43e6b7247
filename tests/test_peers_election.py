"""The election's table: every pair of state and input, and the claims that move it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshchat.peers.election import SEEK_ALONE_S, TABLE, TURN_S, Action, Election, Input, State, diagram
from meshchat.peers.messages import Claim
from meshchat.units import PeerId

ME, OTHER, THIRD = PeerId("5" * 64), PeerId("1" * 64), PeerId("9" * 64)


def brought_to(state: State) -> Election:
    """An election in that state, by the shortest way."""
    election = Election(ME)
    if state is not State.OUTSIDE:
        election.enter(0.0, known=0)
    if state in (State.FOLLOWING, State.VACANT):
        election.hear(Claim(5, 1, OTHER), OTHER, 0.1)
    if state is State.VACANT:
        election.lose_leader(rank=1, now=0.2)
    if state is State.LEADING:
        election.tick(order=2, now=SEEK_ALONE_S)
    assert election.state is state
    return election


@pytest.mark.parametrize(("state", "what"), list(itertools.product(State, Input)))
def test_every_pair_moves_as_the_table_says_or_changes_nothing(state: State, what: Input) -> None:
    election = brought_to(state)
    before = election.claim
    own = what in (Input.WAIT_ENDED, Input.COMPANY, Input.HANDED)
    claim = Claim(50, 2, ME) if own else Claim(50, 1, THIRD)
    moved = election._feed(what, 1000.0, claim=claim if own or what is Input.HEARD_BETTER else None)
    assert moved == ((state, what) in TABLE)
    action, after = TABLE.get((state, what), (Action.NOTHING, state))
    assert election.state is after
    if action is Action.NOTHING:
        assert election.claim == before
    if action in (Action.FORGET, Action.RELEASE):
        assert election.claim is None
    if action in (Action.CLAIM, Action.LEAD, Action.ADOPT):
        assert election.claim == claim
    assert (election.timer is not None) == (after in (State.SEEKING, State.VACANT))


def test_a_leader_that_comes_back_before_anybody_claimed_is_followed_again() -> None:
    election = brought_to(State.VACANT)
    assert not election.hear(Claim(5, 1, OTHER), THIRD, 0.3)
    assert election.hear(Claim(5, 1, OTHER), OTHER, 0.3)
    assert election.followed == Claim(5, 1, OTHER)


def test_a_new_claim_has_a_greater_epoch_than_any_heard() -> None:
    election = brought_to(State.FOLLOWING)
    election.hear(Claim(3, 1, THIRD), THIRD, 1.0)
    election.lose_leader(rank=0, now=2.0)
    election.tick(order=7, now=2.0)
    assert election.followed == Claim(6, 7, ME)


def test_those_of_higher_rank_wait_less() -> None:
    election = brought_to(State.FOLLOWING)
    election.lose_leader(rank=2, now=10.0)
    assert not election.tick(order=3, now=10.0 + 2 * TURN_S - 0.01)
    assert election.tick(order=3, now=10.0 + 2 * TURN_S)


def test_a_claim_in_our_own_name_from_before_a_restart_only_uses_up_its_epoch() -> None:
    election = Election(ME)
    election.enter(0.0, known=1)
    assert not election.hear(Claim(8, 1, ME), OTHER, 0.1)
    election.tick(order=1, now=60.0)
    assert election.followed == Claim(9, 1, ME)


claims = st.builds(Claim, epoch=st.integers(0, 3), order=st.integers(0, 3), leader=st.sampled_from([ME, OTHER, THIRD]))


@given(claims, claims, claims)
def test_claims_are_in_one_strict_order(a: Claim, b: Claim, c: Claim) -> None:
    assert (a == b) == (not a.outranks(b) and not b.outranks(a))
    assert not (a.outranks(b) and b.outranks(a))
    assert not (a.outranks(b) and b.outranks(c)) or a.outranks(c)
    assert a.outranks(None)


def test_the_drawing_in_the_documents_is_the_table() -> None:
    page = (Path(__file__).parent.parent / "ARCHITECTURE.md").read_text()
    assert diagram() in page, "ARCHITECTURE.md: put in what meshchat.peers.election.diagram() gives"
