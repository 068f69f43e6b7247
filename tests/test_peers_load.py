"""How much is said in a full room: little enough when its halves meet, and nobody is given up for what is left out."""

from __future__ import annotations

from meshchat.peers import effects as out
from meshchat.peers.load import AT_ONCE, PER_S, Load
from tests.chatting import say
from tests.invariants import broken, overloaded
from tests.simulation import Village

FIFTY = 50


def test_two_halves_of_fifty_that_meet_say_little_enough() -> None:
    village = Village(1)
    names = [f"p{number}" for number in range(2 * FIFTY)]
    for name in names:
        village.born(name, mdns=False)
    village.cut(names[:FIFTY], names[FIFTY:])
    village.enter(names)
    village.run(5)
    for number in range(20):
        say(village, names[37 * number % 100], f"{number}")
    village.run(1)
    village.load.clear()
    village.heal()
    met_at = village.now
    village.run(6)
    assert overloaded(village) == []
    assert broken(village) == []
    lost = [name for name, peer in village.peers.items() for at, _ in peer.seen(out.MemberLeft) if at > met_at]
    assert lost == []


def test_one_that_starts_anew_in_a_room_of_forty_burdens_nobody() -> None:
    village = Village(1)
    names = [f"p{number}" for number in range(40)]
    for name in names:
        village.born(name)
    village.enter(names)
    village.run(6)
    village.load.clear()
    village.restart("p7")
    village.run(6)
    assert overloaded(village) == []
    assert broken(village) == []


def test_what_can_be_left_out_waits_until_the_news_has_been_said() -> None:
    load, beats_per_s = Load(), 90.0
    load.add(AT_ONCE, 10.0, beats_per_s)
    assert not load.is_high(10.0, beats_per_s)
    load.add(PER_S - 90, 10.0, beats_per_s)
    assert load.is_high(10.9, beats_per_s)
    assert not load.is_high(11.1, beats_per_s)
