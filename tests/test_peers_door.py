"""Stories at the door of a room with a passphrase: one try at a time in the whole room, whoever keeps the door."""

from __future__ import annotations

from dataclasses import replace

from meshchat.errors import WireError
from meshchat.locks.attempts import FIRST_WAIT_S, Attempts
from meshchat.locks.passphrase import normalise, stretch
from meshchat.peers import effects as out
from meshchat.peers.entry import Confirm, Opened, Reply, Ring, Shut, Tried, Words
from meshchat.units import RoomId
from tests.door_lab import INVITE, RIGHT, ROOM, WRONG, answer, keeper, run_until, village_with_a_room, visit


def test_the_passphrase_brings_one_in_and_hands_over_all_that_a_link_says() -> None:
    village = village_with_a_room("ann")
    assert visit(village, "bob", RIGHT) == out.DoorOpened(INVITE, RIGHT)
    village.enter(["bob"], "board")
    village.run(1)
    assert village.peers["ann"].aliases() == ["ann", "bob"]
    assert set(village.peers["bob"].aliases()) == {"ann", "bob"}


def test_a_wrong_one_does_not_and_says_when_the_next_may_be_tried() -> None:
    village = village_with_a_room("ann")
    shut = visit(village, "bob", WRONG)
    assert shut == out.DoorShut(ROOM, "wrong", 2 * FIRST_WAIT_S)
    assert village.door("ann").attempts.failures(0.0) == 1


def test_whoever_rings_elsewhere_is_sent_to_the_coordinator() -> None:
    village = village_with_a_room("ann", "cat", "dan")
    first = keeper(village)
    village.cut(["bob"], [first])
    assert visit(village, "bob", RIGHT, 1) is None
    sent_on = [each for each in village.said if isinstance(each.message, Shut)]
    assert sent_on
    assert all(isinstance(each.message, Shut) and each.message.keeper == village.peers[first].id for each in sent_on)
    village.heal()
    village.run(5)
    assert answer(village, "bob") == out.DoorOpened(INVITE, RIGHT)
    assert [each.sender for each in village.said if isinstance(each.message, Opened)] == [first]


def test_members_who_came_by_link_can_keep_the_door_when_the_founder_goes() -> None:
    village = village_with_a_room("ann", "cat", "dan")
    village.crash("ann")
    village.run(8)
    assert keeper(village) != "ann"
    assert visit(village, "bob", RIGHT) == out.DoorOpened(INVITE, RIGHT)


def test_each_failure_is_told_to_all_members_before_the_guesser_hears_of_it() -> None:
    village = village_with_a_room("ann", "cat", "dan")
    for failures in (1, 2, 3):
        shut = visit(village, "bob", WRONG, 40)
        assert isinstance(shut, out.DoorShut)
        assert shut.reason == "wrong"
        assert {village.door(name).attempts.failures(village.peers[name].node._circle.now) for name in
                ("ann", "cat", "dan")} == {failures}  # fmt: skip
    told = [number for number, each in enumerate(village.said) if isinstance(each.message, Tried)]
    heard = [number for number, each in enumerate(village.said) if isinstance(each.message, Shut)]
    assert told[-1] < heard[-1]


def test_a_success_is_told_too() -> None:
    village = village_with_a_room("ann", "cat")
    visit(village, "bob", WRONG, 5)
    assert isinstance(visit(village, "bob", RIGHT, 5), out.DoorOpened)
    now = village.peers["cat"].node._circle.now
    assert village.door("cat").attempts.failures(now) == village.door("ann").attempts.failures(now) == 0


def test_another_doorkeeper_goes_on_from_the_count_and_waits_first() -> None:
    village = village_with_a_room("ann", "cat", "dan")
    for _ in range(4):
        visit(village, "bob", WRONG, 20)
    village.run(20)
    before = keeper(village)
    village.crash(before)
    others = [village.peers[name] for name in ("ann", "cat", "dan") if name != before]
    run_until(village, lambda: all(peer.coordinator() not in (None, village.peers[before].id) for peer in others))
    shut = visit(village, "bob", RIGHT, 12)
    assert isinstance(shut, out.DoorShut)
    assert shut.reason == "wait"
    assert 10 < shut.wait_s <= 16
    village.run(shut.wait_s)
    assert isinstance(visit(village, "bob", RIGHT, 5), out.DoorOpened)


def test_whoever_kills_one_doorkeeper_after_the_other_gains_no_try() -> None:
    """After each try the doorkeeper dies, and comes back later knowing nothing."""
    village = village_with_a_room("ann", "cat", "dan", "eva")
    began, deaths, allowed, attempts = village.now, 0, 0, Attempts()
    for at in range(150):  # what one doorkeeper that lives would have allowed
        if attempts.begin(at):
            attempts.fail(at)
            allowed += 1
    while village.now - began < 150:
        shut = visit(village, "bob", WRONG, 6)
        if isinstance(shut, out.DoorShut) and shut.reason == "wrong":
            dead, deaths = keeper(village), deaths + 1
            village.crash(dead)
            village.run(8)
            village.restart(dead, "board")
            village.door(dead).equip(INVITE, None)
            village.run(2)
    assert 2 <= deaths <= sum(isinstance(each.message, Confirm) for each in village.said) <= allowed


def test_both_sides_of_a_split_take_the_greater_count_when_they_meet() -> None:
    village = village_with_a_room("ann", "cat", "dan", "eva", strangers=("bob", "carl"))
    village.cut(["ann", "cat", "bob"], ["dan", "eva", "carl"])
    village.run(10)
    for _ in range(3):
        visit(village, "bob", WRONG, 15)
    visit(village, "carl", WRONG, 15)
    counts = {name: village.door(name).attempts._failures for name in ("ann", "cat", "dan", "eva")}
    assert counts == {"ann": 3, "cat": 3, "dan": 1, "eva": 1}
    village.heal()
    village.run(20)
    door = village.door(keeper(village))
    assert door.attempts._failures == 3


def test_many_who_come_at_once_each_get_their_turn() -> None:
    names = tuple(f"guest{number}" for number in range(6))
    village = village_with_a_room("ann", strangers=names)
    for name in names:
        village.ring(name, RIGHT)
    village.run(15)
    assert all(isinstance(answer(village, name), out.DoorOpened) for name in names)


def test_a_room_without_a_passphrase_says_so() -> None:
    village = village_with_a_room("ann")
    village.door("ann").equip(INVITE, None)
    assert visit(village, "bob", RIGHT) == out.DoorShut(ROOM, "closed", 0.0)


def test_a_secret_that_was_changed_shuts_the_door() -> None:
    """Whoever was sent out knows the passphrase too."""
    village = village_with_a_room("ann")
    village.door("ann").equip(replace(INVITE, secret=b"t" * 16), RIGHT)
    assert visit(village, "bob", RIGHT) == out.DoorShut(ROOM, "closed", 0.0)


def test_a_room_that_nobody_answers_for_ends_the_visit_in_time() -> None:
    village = village_with_a_room("ann")
    village.crash("ann")
    assert visit(village, "bob", RIGHT, 21) == out.DoorShut(ROOM, "silent", 0.0)
    village.restart("ann")
    village.run(5)
    assert visit(village, "bob", RIGHT, 21) == out.DoorShut(ROOM, "silent", 0.0)


def test_a_member_that_does_not_answer_is_left_for_another() -> None:
    village = village_with_a_room("ann", "cat", "dan")
    asleep = min((name for name in ("cat", "dan", "ann") if name != keeper(village)),
                 key=lambda name: village.peers[name].id)  # fmt: skip
    visit(village, "bob", WRONG, 1)
    village.run(3)
    village.freeze(asleep)
    assert isinstance(visit(village, "bob", RIGHT, 10), out.DoorOpened)


def test_a_doorkeeper_that_dies_after_the_confirmation_ends_the_visit_there() -> None:
    """Nobody else gets a confirmation: it would be another guess that somebody may test."""
    village = village_with_a_room("ann", "cat")
    village.ring("bob", RIGHT)
    run_until(village, lambda: any(isinstance(each.message, Confirm) for each in village.said))
    village.crash(keeper(village))
    village.run(10)
    assert answer(village, "bob") == out.DoorShut(ROOM, "silent", 0.0)
    assert sum(isinstance(each.message, Confirm) for each in village.said) == 1


def test_no_member_says_before_the_passphrase_who_is_there() -> None:
    village = village_with_a_room("ann", "cat")
    visit(village, "bob", WRONG, 5)
    for message in village.heard_by("bob"):
        assert not isinstance(message, Words | Tried)
        assert not {"ann", "cat", "board"} & set(str(message).replace("'", " ").split())


def test_a_liar_among_the_members_slows_the_door_and_no_more() -> None:
    village = village_with_a_room("ann", "cat")
    first, other = (keeper(village), "cat" if keeper(village) == "ann" else "ann")
    door, link = village.door(first), village.peers[first].node.links[village.peers[other].id]
    now = village.peers[first].node._circle.now
    for _ in range(100):
        door.told(link, Tried(ROOM, 6))
        door.told(link, Words(ROOM, WRONG, 6))
    assert door.attempts.wait_s(now) <= 60
    village.run(61)
    assert isinstance(visit(village, "bob", RIGHT), out.DoorOpened)


def test_confirmations_and_answers_that_nobody_asked_for_open_nothing() -> None:
    village = village_with_a_room("ann")
    visit(village, "bob", WRONG, 5)
    ann, bob = village.peers["ann"], village.peers["bob"]
    at_ann, at_bob = ann.node.links[bob.id], bob.node.links[ann.id]
    village.door("ann").heard(at_ann, Confirm(ROOM, bytes(32)))
    village.door("ann").heard(at_ann, Ring(RoomId("0" * 32), b"A" + bytes(32)))
    for message in (Reply(ROOM, b"B" + bytes(32)), Opened(ROOM, bytes(64)), Shut(ROOM, "wrong")):
        bob.node.received(ann.id, message, bob.node._circle.now)
    assert not [effect for effect in bob.node.effects() if isinstance(effect, out.DoorOpened | out.DoorShut)]
    assert at_bob.presence is None


def test_a_ring_with_no_point_in_it_costs_the_ringer_its_link_and_the_room_nothing() -> None:
    village = village_with_a_room("ann")
    visit(village, "bob", WRONG, 5)
    ann, bob = village.peers["ann"], village.peers["bob"]
    try:
        village.door("ann").heard(ann.node.links[bob.id], Ring(ROOM, b"A" + b"\xff" * 32))
    except WireError:
        assert not village.door("ann")._tries
    else:
        raise AssertionError("taken for a point of the curve")


def test_a_key_is_made_of_the_words_for_one_room_only() -> None:
    words, other = normalise("Acid  yo-yo ZOOM brisk cedar"), RoomId("0" * 32)
    assert len({stretch(words, ROOM), stretch(words, other), stretch(words + "s", ROOM)}) == 3
    assert stretch(words, ROOM) == stretch("acid yo-yo zoom brisk cedar", ROOM)
