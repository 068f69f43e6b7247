"""The chat: the same for everybody, whoever coordinates, dies, sleeps, is cut off, comes late or lies."""

from __future__ import annotations

from tests.chatting import say
from tests.invariants import QUIET_S
from tests.simulation import Village

NAMES = ("ann", "bob", "eve", "gil")


def gathered(*names: str, seed: int = 1) -> Village:
    village = Village(seed)
    for name in names:
        village.born(name)
    village.enter(names)
    village.run(QUIET_S)
    return village


def chats(village: Village) -> dict[str, list[str]]:
    return {name: peer.chat() for name, peer in village.peers.items() if peer.awake}


def test_what_is_said_is_the_same_for_all_and_an_answer_comes_after_its_question() -> None:
    village = gathered(*NAMES)
    for number in range(6):
        say(village, NAMES[number % 4], f"{number}")
        village.run(0.05)
    assert set(map(tuple, chats(village).values())) == {tuple("012345")}


def test_the_coordinator_dies_while_all_write_and_no_word_is_lost() -> None:
    village = gathered(*NAMES)
    leader = next(name for name, peer in village.peers.items() if peer.coordinator() == peer.id)
    others = [name for name in NAMES if name != leader]
    say(village, leader, "last words")
    village.run(0.01)
    village.crash(leader)
    for number in range(15):
        say(village, others[number % 3], str(number))
        village.run(0.4)
    village.run(QUIET_S)
    assert set(map(tuple, chats(village).values())) == {("last words", *map(str, range(15)))}


def test_both_sides_of_a_split_end_with_one_chat_in_the_order_of_time() -> None:
    village = gathered(*NAMES)
    village.cut(["ann", "bob"], ["eve", "gil"])
    for number in range(10):
        say(village, NAMES[number % 4], str(number))
        village.run(2.0)
    assert chats(village)["ann"] == list("014589")
    village.heal()
    village.run(2 * QUIET_S)
    assert set(map(tuple, chats(village).values())) == {tuple("0123456789")}


def test_a_split_brings_what_one_wrote_who_is_gone_since() -> None:
    village = gathered(*NAMES)
    village.cut(["ann", "bob"], ["eve", "gil"])
    village.run(QUIET_S)
    say(village, "gil", "remember me")
    village.run(1.0)
    village.crash("gil")
    village.run(QUIET_S)
    village.heal()
    village.run(2 * QUIET_S)
    assert chats(village) == {name: ["remember me"] for name in ("ann", "bob", "eve")}


def test_who_was_cut_off_while_somebody_came_gets_from_it_what_one_wrote_who_is_gone_since() -> None:
    village = gathered("ann", "bob", "eve")
    village.cut(["bob"], ["ann", "eve", "gil"])
    village.run(0.3)
    village.born("gil")
    village.enter(["gil"])  # it hears of bob, who is in the list still; bob has never heard of it
    village.run(QUIET_S)
    say(village, "ann", "remember me")
    village.run(1.0)
    say(village, "gil", "so long")
    village.run(1.0)
    for name in ("ann", "eve"):
        village.leave(name)
    village.heal()
    village.run(QUIET_S)
    assert chats(village)["bob"] == chats(village)["gil"] == ["remember me", "so long"]
    assert village.sent["bob"] < 300, "and does not ask for ever"


def test_whoever_comes_gets_nothing_that_was_said_before() -> None:
    village = gathered("ann", "bob")
    say(village, "ann", "before")
    village.run(QUIET_S)
    village.born("eve")
    village.enter(["eve"])
    village.run(QUIET_S)
    say(village, "bob", "after")
    village.run(QUIET_S)
    assert chats(village) == {"ann": ["before", "after"], "bob": ["before", "after"], "eve": ["after"]}


def test_a_newcomer_to_one_side_gets_nothing_old_from_the_other_side() -> None:
    village = gathered(*NAMES)
    village.cut(["ann", "bob"], ["eve", "gil"])
    village.run(QUIET_S)
    say(village, "gil", "old")
    village.run(QUIET_S)
    village.born("ivy")
    village.cut(["ivy"], ["eve", "gil"])
    village.enter(["ivy"])
    village.run(QUIET_S)
    say(village, "gil", "new")
    village.heal()
    village.run(2 * QUIET_S)
    assert [chats(village)[name] for name in ("ann", "eve", "ivy")] == [["old", "new"], ["old", "new"], ["new"]]


def test_two_who_cannot_reach_each_other_read_each_other_through_a_third() -> None:
    village = gathered("ann", "bob", "eve")
    village.cut(["ann"], ["eve"])
    village.run(2 * QUIET_S)
    say(village, "ann", "can you hear me?")
    village.run(QUIET_S)
    assert chats(village)["eve"] == ["can you hear me?"]


def test_who_slept_gets_what_it_missed() -> None:
    village = gathered("ann", "bob", "eve")
    village.sleep("eve")
    for number in range(5):
        say(village, "ann", str(number))
        village.run(20.0)
    village.rouse("eve")
    village.run(2 * QUIET_S)
    assert chats(village)["eve"] == list("01234")


def test_who_starts_anew_gets_nothing_old() -> None:
    village = gathered("ann", "bob", "eve")
    say(village, "ann", "old")
    village.run(2.0)
    village.restart("eve")
    village.run(QUIET_S)
    say(village, "eve", "new")
    village.run(QUIET_S)
    assert chats(village) == {"ann": ["old", "new"], "bob": ["old", "new"], "eve": ["new"]}
