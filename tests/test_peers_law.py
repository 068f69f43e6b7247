"""Stories of moderated rooms: who is sent away stays away, whatever the network and its own program do."""

from __future__ import annotations

import pytest

from meshchat.errors import Refused
from meshchat.peers import effects as out
from tests.invariants import broken, key_of, opens, overheard
from tests.law_lab import found_room, order
from tests.simulation import Village
from tests.villager import Villager, stay_in_spite

NAMES = ["ann", "bob", "cat", "dan"]


def board(seed: int = 1, names: list[str] = NAMES) -> Village:
    """A village with a locked room that ann founded, and all of them in it."""
    village = Village(seed)
    for name in names:
        village.born(name)
    found_room(village, "ann", names[1:])
    village.run(4)
    return village


def room_of(village: Village, name: str) -> set[str]:
    """Whom that peer sees in its room, itself among them; nobody if it is in none."""
    names = {peer.id: peer.name for peer in village.peers.values()}
    return {names[peer] for peer in village.peers[name].sees()}


def all_see(village: Village, *names: str) -> bool:
    return all(room_of(village, name) == set(names) for name in names)


def left_for(peer: Villager) -> list[str]:
    return [event.reason for _, event in peer.seen(out.RoomLeft) if isinstance(event, out.RoomLeft)]


def test_everybody_has_the_founders_book() -> None:
    village = board()
    assert all_see(village, *NAMES)
    books = {peer.node.links[each].book for peer in village.peers.values() for each in peer.node.links}
    assert len(books) == 1
    assert "" not in books


def test_who_is_kicked_is_out_at_once_and_told_why() -> None:
    village = board()
    order(village, "ann", "kick", "bob")
    village.run(1)
    assert all_see(village, "ann", "cat", "dan")
    assert left_for(village.peers["bob"]) == ["kicked by ann"]
    assert room_of(village, "bob") == set()
    assert broken(village) == []


def test_after_a_kick_all_who_stay_seal_with_new_keys_within_a_second_of_the_news() -> None:
    village = board()
    order(village, "ann", "kick", "bob")
    village.run(1.2)
    for name in ("ann", "cat", "dan"):
        peer = village.peers[name]
        (heard_at,) = peer.excluded_at.values()
        ((at, key),) = peer.seen(out.SendKeyChanged)[-1:]
        assert 0 < at - heard_at <= 1
        assert isinstance(key, out.SendKeyChanged)
        told = [each for _, each in village.peers["bob"].seen(out.KeyReceived) if isinstance(each, out.KeyReceived)]
        assert not opens(map(key_of, told), key_of(key))


def test_who_was_kicked_and_then_banned_by_somebody_else_is_told_who_banned_it() -> None:
    village = board()
    order(village, "ann", "appoint", "cat")
    village.run(1)
    order(village, "ann", "kick", "bob")
    village.run(1)
    order(village, "cat", "ban", "bob")
    village.run(1)
    dan = village.peers["dan"].node.room
    assert dan is not None
    assert dan.discipline.why(village.peers["bob"].id) == "banned by cat"


def test_what_was_kicked_cannot_come_back_by_the_link() -> None:
    village = board()
    order(village, "ann", "kick", "bob")
    village.run(3)
    for _ in range(3):
        village.enter(["bob"], "board")
        village.run(5)
        assert room_of(village, "bob") <= {"bob"}
    assert len(left_for(village.peers["bob"])) == 4
    assert all_see(village, "ann", "cat", "dan")


def test_the_old_link_lets_nobody_in_after_a_kick_and_the_new_one_does() -> None:
    village = board()
    order(village, "ann", "kick", "bob")
    village.run(2)
    for name in ("eve", "fay"):
        village.born(name)
    village.enter(["eve"], "board")
    village.run(6)
    assert room_of(village, "eve") == {"eve"}
    room = village.peers["dan"].node.room
    assert room is not None
    village.enter(["fay"], "board", secret=room.gate.secret)
    village.run(3)
    assert all_see(village, "ann", "cat", "dan", "fay")


def test_a_member_that_was_away_comes_back_with_the_old_secret() -> None:
    village = board()
    village.cut(["dan"], ["ann", "bob", "cat"])
    village.run(10)
    order(village, "ann", "kick", "bob")
    village.run(3)
    village.heal()
    village.run(5)
    assert all_see(village, "ann", "cat", "dan")
    assert len({peer.node.room.gate.secret for peer in village.peers.values() if peer.node.room}) == 1


def test_a_member_that_started_again_comes_back_with_the_old_link() -> None:
    village = board()
    village.crash("dan")
    order(village, "ann", "kick", "bob")
    village.run(8)
    village.restart("dan", "board")
    village.run(5)
    assert all_see(village, "ann", "cat", "dan")


@pytest.mark.parametrize("seed", range(6))
def test_kicks_on_both_sides_of_a_split_hold_after_it(seed: int) -> None:
    names = [*NAMES, "eve", "fay"]
    village = board(seed, names)
    order(village, "ann", "appoint", "bob")
    village.run(2)
    village.cut(["ann", "cat", "eve"], ["bob", "dan", "fay"])
    village.run(8)
    order(village, "ann", "kick", "cat")
    order(village, "bob", "kick", "dan")
    village.run(8)
    village.heal()
    village.run(8)
    assert all_see(village, "ann", "bob", "eve", "fay")
    assert broken(village) == []


def test_who_is_kicked_on_the_other_side_of_a_split_is_out_when_it_heals() -> None:
    village = board()
    village.cut(["ann", "bob"], ["cat", "dan"])
    village.run(8)
    order(village, "ann", "kick", "cat")
    village.run(5)
    assert all_see(village, "cat", "dan")
    village.heal()
    village.run(6)
    assert all_see(village, "ann", "bob", "dan")
    assert left_for(village.peers["cat"])[0].startswith("kicked by ")
    assert broken(village) == []


@pytest.mark.parametrize("leads", [True, False])
def test_a_patched_program_that_stays_gets_no_key_and_holds_nothing_up(leads: bool) -> None:
    village = board()
    coordinator = next(peer.name for peer in village.peers.values() if peer.coordinator() == peer.id)
    if leads and coordinator == "ann":
        village.crash("ann")
        village.run(8)
        village.restart("ann", "board")
        village.run(6)
        coordinator = next(peer.name for peer in village.peers.values() if peer.coordinator() == peer.id)
    bad = coordinator if leads else "dan"
    stay_in_spite(village.peers[bad])
    order(village, "ann", "ban", bad)
    village.run(1.5)
    others = [name for name in NAMES if name != bad]
    assert all_see(village, *others)
    for _ in range(10):
        village.run(3)
        assert broken(village) == []
        assert overheard(village) == []
    assert all_see(village, *others)


def test_only_a_moderator_gives_orders_and_an_open_room_has_none() -> None:
    village = board()
    with pytest.raises(Refused, match="only a moderator"):
        order(village, "bob", "kick", "cat")
    order(village, "ann", "appoint", "bob")
    village.run(1)
    order(village, "bob", "kick", "cat")
    village.run(1)
    assert all_see(village, "ann", "bob", "dan")
    village.enter(["ann", "bob"], "lobby")
    village.run(3)
    with pytest.raises(Refused, match="belongs to nobody"):
        order(village, "ann", "kick", "bob")


def test_who_is_pardoned_may_come_back_with_a_new_link() -> None:
    village = board()
    order(village, "ann", "kick", "bob")
    village.run(2)
    order(village, "ann", "pardon", "bob")
    room = village.peers["cat"].node.room
    assert room is not None
    village.enter(["bob"], "board", secret=room.gate.secret)
    village.run(3)
    assert all_see(village, *NAMES)


def silenced(village: Village, name: str) -> set[str]:
    """Who does not play that peer."""
    peer = village.peers[name]
    others = [each for each in village.peers.values() if each is not peer and each.node.room]
    return {each.name for each in others if each.node.room and each.node.room.discipline.silences(peer.id)}


def test_who_is_muted_is_mute_and_not_played_until_it_unmutes_itself() -> None:
    village = board()
    order(village, "ann", "mute", "bob")
    village.run(1)
    assert village.peers["bob"].node.muted
    assert silenced(village, "bob") == {"ann", "cat", "dan"}
    assert [member.muted_by for member in village.peers["cat"].node.members() if member.alias == "bob"] == [
        village.peers["ann"].id
    ]
    village.tell("bob", lambda node: node.set_silence(False, False))
    village.run(1)
    assert silenced(village, "bob") == set()
    assert village.peers["bob"].law() == village.peers["ann"].law()


def test_where_mutes_hold_nobody_unmutes_itself_and_a_moderators_unmute_opens_no_microphone() -> None:
    village = board()
    order(village, "ann", "mute", "bob")
    village.run(1)
    village.tell("bob", lambda node: node.set_silence(False, False))
    village.run(1)
    order(village, "ann", "settings", value="mutes_hold=yes")
    village.run(1)
    assert village.peers["bob"].node.muted
    assert silenced(village, "bob") == {"ann", "cat", "dan"}
    with pytest.raises(Refused, match="only a moderator"):
        village.tell("bob", lambda node: node.set_silence(False, False))
    order(village, "ann", "unmute", "bob")
    village.run(1)
    assert silenced(village, "bob") == set()
    assert village.peers["bob"].node.muted
    village.tell("bob", lambda node: node.set_silence(False, False))
    assert not village.peers["bob"].node.muted


def test_a_patched_program_that_goes_on_talking_is_played_by_nobody() -> None:
    village = board()
    stay_in_spite(village.peers["bob"])
    order(village, "ann", "mute", "bob")
    village.run(5)
    assert not village.peers["bob"].node.muted
    assert silenced(village, "bob") == {"ann", "cat", "dan"}


def test_who_comes_later_takes_the_muted_at_their_word() -> None:
    village = board()
    order(village, "ann", "mute", "bob")
    order(village, "ann", "mute", "cat")
    village.run(1)
    village.tell("bob", lambda node: node.set_silence(False, False))
    village.run(1)
    village.born("eve")
    village.enter(["eve"], "board")
    village.run(3)
    assert "eve" not in silenced(village, "bob")
    assert "eve" in silenced(village, "cat")


def test_an_unlocked_room_takes_everybody_but_who_was_banned_and_a_lock_shuts_it_again() -> None:
    village = board()
    order(village, "ann", "ban", "dan")
    order(village, "ann", "unlock")
    village.run(2)
    for name in ("eve", "fay"):
        village.born(name)
    room, link_secret = village.rooms["board"]
    village.tell("eve", lambda node: node.enter(room, "board", village.clock(village.peers["eve"])))
    village.enter(["dan"], "board")
    village.run(3)
    assert all_see(village, "ann", "bob", "cat", "eve")
    assert room_of(village, "dan") == set()
    order(village, "ann", "lock")
    village.run(3)
    assert all_see(village, "ann", "bob", "cat", "eve")
    eve = village.peers["eve"].node.room
    assert eve is not None
    assert eve.gate.secret not in (None, link_secret)
    village.enter(["fay"], "board")
    village.run(5)
    assert room_of(village, "fay") == {"fay"}
    village.leave("fay")
    village.enter(["fay"], "board", secret=eve.gate.secret)
    village.run(3)
    assert all_see(village, "ann", "bob", "cat", "eve", "fay")


def test_two_sides_with_new_secrets_become_one_room_newcomers_too() -> None:
    village = board(3, [*NAMES, "eve", "fay"])
    order(village, "ann", "appoint", "bob")
    village.run(2)
    for name in ("gil", "hal"):
        village.born(name)
    left, right = ["ann", "cat", "eve", "gil"], ["bob", "dan", "fay", "hal"]
    village.cut(left, right)
    village.run(8)
    order(village, "ann", "kick", "cat")
    order(village, "bob", "kick", "dan")
    village.run(2)
    for host, guest in (("ann", "gil"), ("bob", "hal")):
        room = village.peers[host].node.room
        assert room is not None
        village.enter([guest], "board", secret=room.gate.secret)
    village.run(5)
    village.heal()
    village.run(10)
    assert all_see(village, "ann", "bob", "eve", "fay", "gil", "hal")
    assert broken(village) == []
