"""Whether a member lives: every pair of state and input, and what the watch makes of silence, lateness and rumours."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from meshchat.peers import effects as out
from meshchat.peers.circle import Circle
from meshchat.peers.directory import Directory
from meshchat.peers.links import Link
from meshchat.peers.liveness import TABLE, Action, Input, State, diagram, step
from meshchat.peers.messages import ASKED_MAX, Ask, Heard, Tell
from meshchat.peers.watch import ANSWER_S, ISOLATED_S, Watch
from meshchat.units import Address, PeerId, Seconds
from tests.villager import SealingWax

ME = PeerId("0" * 64)
PEERS = [PeerId(f"{number:064x}") for number in range(1, 6)]


class Room:
    """A watch with five linked members, and a clock that the test turns."""

    def __init__(self) -> None:
        rng = random.Random(1)
        self.circle = Circle(ME, "me", Directory(ME, rng), SealingWax(ME), rng, now=100.0)
        self.listed: set[PeerId] = set()
        self.watch = Watch(self.circle, lambda peer: peer in self.listed, lambda _: False)
        for peer in PEERS:
            link = Link(peer, Address("192.0.2.1", 1), up_at=100.0, heard_at=100.0, admitted=True)
            self.circle.links[peer] = link
            self.watch.attach(link)

    def pass_time(self, seconds: Seconds, *, heard: list[PeerId]) -> list[tuple[PeerId, Action]]:
        """Lets time pass in small steps, with these members heard all the while."""
        changes = []
        for _ in range(round(seconds / 0.05)):
            self.circle.now += 0.05
            for peer in heard:
                self.circle.links[peer].heard_at = self.circle.now
            changes += self.watch.tick(self.circle.now)
        return changes

    def asked(self) -> list[tuple[PeerId, Ask]]:
        """The questions that went out since the last call."""
        wishes, self.circle.wishes = self.circle.wishes, []
        return [
            (each.peer, each.message) for each in wishes if isinstance(each, out.Send) and isinstance(each.message, Ask)
        ]


@pytest.mark.parametrize(("state", "what"), list(itertools.product(State, Input)))
def test_every_pair_moves_as_the_table_says_or_changes_nothing(state: State, what: Input) -> None:
    action, after = step(state, what)
    assert (action, after) == TABLE.get((state, what), (Action.NOTHING, state))
    assert (action is Action.ADMIT) == (state is State.GONE and after is not State.GONE)
    assert (action is Action.LOSE) == (state is not State.GONE and after is State.GONE)


def test_nobody_is_lost_before_others_were_asked() -> None:
    assert not [key for key, (_, after) in TABLE.items() if key[0] is State.ALIVE and after is State.GONE
                and key[1] is not Input.GOODBYE]  # fmt: skip


def test_the_drawing_in_the_documents_is_the_table() -> None:
    page = (Path(__file__).parent.parent / "docs" / "election.md").read_text()
    assert diagram() in page, "docs/election.md: put in what meshchat.peers.liveness.diagram() gives"


def test_a_silent_member_is_asked_about_and_then_lost() -> None:
    room = Room()
    lost, *others = PEERS
    patience = room.watch.suspect_after(room.watch.records[lost])
    assert room.pass_time(patience - 0.05, heard=others) == []
    room.pass_time(0.15, heard=others)
    asked = room.asked()
    assert len({peer for peer, _ in asked}) == 3
    assert all(ask.about == (lost,) for _, ask in asked)
    assert room.pass_time(ANSWER_S + 0.2, heard=others) == [(lost, Action.LOSE)]


def test_a_member_whom_others_hear_is_unreachable_and_stays() -> None:
    room = Room()
    lost, *others = PEERS
    room.pass_time(room.watch.suspect_after(room.watch.records[lost]) + 0.1, heard=others)
    for _ in range(20):
        for peer, ask in room.asked():
            room.watch.told(room.circle.links[peer], Tell(ask.stamp_ms, (Heard(lost, 100),)))
        assert (lost, Action.LOSE) not in room.pass_time(0.5, heard=others)
    assert room.watch.state(lost) is State.UNREACHABLE
    room.circle.links[lost].heard_at = room.circle.now
    assert room.watch.heard(room.circle.links[lost]) is Action.SHOW


def test_a_member_whom_the_coordinator_lists_stays_until_it_is_struck() -> None:
    room = Room()
    lost, *others = PEERS
    room.listed = {lost}
    assert (lost, Action.LOSE) not in room.pass_time(30, heard=others)
    room.listed = set()
    assert room.watch.unlist(lost) is Action.LOSE


def test_one_that_hears_nobody_suspects_itself_first() -> None:
    room = Room()
    assert all(action is Action.ASK for _, action in room.pass_time(ISOLATED_S - 0.1, heard=[]))
    lost = {peer for peer, action in room.pass_time(1, heard=[]) if action is Action.LOSE}
    assert lost == set(PEERS)


def test_one_whose_own_clock_is_late_waits_longer_for_a_while() -> None:
    room = Room()
    record = room.watch.records[PEERS[0]]
    before = room.watch.suspect_after(record)
    room.watch.doubt(0.4, room.circle.now)
    stretched = room.watch.suspect_after(record)
    assert 1.5 * before < stretched <= 4 * before
    room.pass_time(60, heard=PEERS)
    assert room.watch.suspect_after(record) == before


def test_an_answer_never_makes_news_newer_than_the_question() -> None:
    room = Room()
    lost, *others = PEERS
    room.pass_time(2, heard=others)
    record = room.watch.records[lost]
    room.watch.told(room.circle.links[others[0]], Tell(int((room.circle.now - 1) * 1000), (Heard(lost, 0),)))
    assert record.vouched_at <= room.circle.now - 1 + 0.001


def test_many_suspects_take_no_more_questions_than_they_must() -> None:
    room = Room()
    room.pass_time(1.5, heard=PEERS[:3])
    assert all(len(ask.about) <= ASKED_MAX for _, ask in room.asked())
