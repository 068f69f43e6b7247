"""The judge of the simulated rooms is no rubber stamp: promises of `invariants.py` are broken, and it says so."""

from __future__ import annotations

import pytest

from meshchat.peers import effects as out
from meshchat.peers.lines import Line, id_of, signed_part
from tests.chatting import say
from tests.invariants import MESSAGES_PER_S_MAX, QUIET_S, broken, overheard, overloaded
from tests.law_lab import found_room, order
from tests.search import main
from tests.simulation import Village
from tests.villager import Villager, stay_in_spite


def settled() -> Village:
    village = Village(1)
    for name in ("ann", "bob", "eve"):
        village.born(name)
    village.enter(village.peers)
    village.run(QUIET_S)
    assert broken(village) == []
    return village


def found(village: Village, number: int, what: str) -> bool:
    return any(each.startswith(f"{number}: ") and what in each for each in broken(village))


def slip_in(peer: Villager, clock: int, text: str) -> None:
    """Has that peer hold a line that nobody handed to it."""
    assert peer.node.room is not None
    line = Line(peer.id, clock, 0, peer.name, text)
    peer.node.room.chat.history.add(id_of(signed_part(peer.node.room.id, line)), line)


def test_two_lists_of_one_room_are_found() -> None:
    village = settled()
    room = village.peers["bob"].node.room
    assert room is not None
    del room.chair.book.entries[village.peers["eve"].id]
    room.chair.watch.records.clear()
    village.peers["bob"].node.links.pop(village.peers["eve"].id)
    assert found(village, 3, "bob lacks ['eve']")


def test_a_key_that_did_not_arrive_is_found() -> None:
    village = settled()
    bob = village.peers["bob"]
    bob.events = [each for each in bob.events if not isinstance(each[1], out.KeyReceived)]
    assert found(village, 5, "bob cannot open what ann says")


def test_a_line_that_did_not_arrive_is_found() -> None:
    village = settled()
    say(village, "ann", "hello")
    village.run(QUIET_S)
    assert broken(village) == []
    room = village.peers["eve"].node.room
    assert room is not None
    room.chat.history.__init__()  # type: ignore[misc]
    assert found(village, 9, "eve lacks 'hello', which ['ann', 'bob'] have")


def test_another_order_and_what_was_said_before_one_came_are_found() -> None:
    village = settled()
    say(village, "ann", "hello")
    village.run(QUIET_S)
    village.born("late")
    village.enter(["late"])
    village.run(QUIET_S)
    assert broken(village) == []
    slip_in(village.peers["late"], 5, "hello")
    assert found(village, 9, "late shows 'hello', from before it came")
    for name, clock in (("ann", 1), ("bob", 9)):
        slip_in(village.peers[name], clock, "one")
        slip_in(village.peers[name], 5, "two")
    assert found(village, 9, "ann and bob show another order")


def test_different_orders_of_a_moderator_and_a_key_that_one_sent_away_can_use_are_found() -> None:
    village = Village(1)
    for name in ("ann", "bob", "dan"):
        village.born(name)
    found_room(village, "ann", ["bob", "dan"])
    village.run(QUIET_S)
    stay_in_spite(village.peers["dan"])
    order(village, "ann", "ban", "dan")
    village.run(QUIET_S)
    assert broken(village) + overheard(village) == []
    dan, ann = village.peers["dan"], village.peers["ann"]
    sealed = ann.seen(out.SendKeyChanged)[-1][1]
    assert isinstance(sealed, out.SendKeyChanged)
    dan.events.append((village.now, out.KeyReceived(ann.id, sealed.ssrc, sealed.key_id, sealed.base_key)))
    assert overheard(village) == ["4: dan, sent away, can hear ann"]
    order(village, "ann", "mute", "bob")  # and nobody has heard of it yet
    assert found(village, 8, "different laws")


def test_too_many_messages_are_found_but_for_those_of_coming_in() -> None:
    village = settled()
    village.load.clear()
    village.load["ann", int(village.now) + 1] = 5 * MESSAGES_PER_S_MAX + 1
    assert overloaded(village) == ["6: ann sent and received 200 messages a second"]
    village.load.clear()
    village.load["ann", int(village.peers["ann"].entered_at)] = 5 * MESSAGES_PER_S_MAX + 1
    assert overloaded(village) == []


def test_the_command_plays_one_seed_and_tells_its_story(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["search", "--seed", "42"])
    assert main() == 0
    told = capsys.readouterr().out
    assert told.startswith("seed 42; again: python -m tests.search --seed 42\n")
    assert "peers enter" in told


def test_the_command_searches_for_as_long_as_it_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["search", "--minutes", "0.005", "--first", "42", "--jobs", "1"])
    assert main() == 0
    assert "simulated hours" in capsys.readouterr().out
