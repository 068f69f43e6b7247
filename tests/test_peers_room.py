"""Stories of rooms: meeting, naming, leaving, crashing, splitting, healing, in virtual time."""

from __future__ import annotations

from collections import Counter

import pytest

from meshchat.peers import effects as out
from meshchat.peers.directory import RoomHint
from meshchat.peers.node import Node
from meshchat.units import Address, PeerId
from tests.invariants import MESSAGES_PER_S_MAX, broken, key_of, opens
from tests.simulation import Village
from tests.villager import Villager as Peer


def talkers(count: int, seed: int = 1) -> Village:
    """A village whose peers p0, p1, ... are in one room and have met."""
    village = Village(seed)
    names = [f"p{number}" for number in range(count)]
    for name in names:
        village.born(name)
    village.enter(names)
    village.run(5)
    return village


def living(village: Village) -> list[Peer]:
    return [peer for peer in village.peers.values() if peer.alive]


def coordinators(peers: list[Peer]) -> set[str | None]:
    return {peer.coordinator() for peer in peers}


def all_see(peers: list[Peer], count: int) -> bool:
    return all(len(list(peer.node.members())) == count for peer in peers)


def test_peers_that_create_a_room_at_the_same_moment_end_up_in_one() -> None:
    village = talkers(5)
    assert all_see(living(village), 5)
    assert len(coordinators(living(village))) == 1
    assert None not in coordinators(living(village))


def test_everybody_sees_the_same_order_and_names() -> None:
    village = Village()
    for name in ("a", "b", "c"):
        village.born(name, alias="ann")
    village.enter(["a"])
    village.run(2)
    village.enter(["b"])
    village.run(2)
    village.enter(["c"])
    village.run(2)
    assert village.peers["a"].aliases() == ["ann", "ann 2", "ann 3"]
    assert village.peers["c"].aliases() == ["ann 3", "ann", "ann 2"]


def test_an_alias_of_another_member_is_refused_and_a_free_one_reaches_all() -> None:
    village = talkers(3)
    refused: list[str] = []

    def rename(node: Node, alias: str) -> None:
        try:
            node.rename(alias)
        except Exception as error:
            refused.append(str(error))

    village.tell("p0", lambda node: rename(node, "P1"))
    assert refused == ["alias already taken: P1"]
    village.tell("p0", lambda node: rename(node, "zoe"))
    village.run(1)
    assert all("zoe" in peer.aliases() and "p0" not in peer.aliases() for peer in living(village))


def test_a_clean_leave_is_known_at_once_and_the_room_has_a_coordinator_again() -> None:
    village = talkers(4)
    leader = next(peer for peer in living(village) if peer.coordinator() == peer.id)
    village.leave(leader.name)
    village.run(0.5)
    rest = [peer for peer in living(village) if peer is not leader]
    assert all_see(rest, 3)
    assert len(coordinators(rest)) == 1
    assert coordinators(rest) & {peer.id for peer in rest}


def test_a_crashed_member_is_gone_from_every_roster_within_5_s() -> None:
    village = talkers(4)
    village.crash("p2")
    village.run(5)
    assert all_see(living(village), 3)


def test_a_crashed_coordinator_is_replaced_once() -> None:
    village = talkers(5)
    leader = next(peer for peer in living(village) if peer.coordinator() == peer.id)
    changes_before = {peer.name: len(peer.seen(out.CoordinatorChanged)) for peer in living(village)}
    village.crash(leader.name)
    village.run(8)
    rest = living(village)
    assert all_see(rest, 4)
    assert len(coordinators(rest)) == 1
    assert None not in coordinators(rest)
    for peer in rest:
        later = [event for _, event in peer.seen(out.CoordinatorChanged)][changes_before[peer.name] :]
        claims = {event.claim for event in later if isinstance(event, out.CoordinatorChanged) and event.claim}
        assert len(claims) == 1, f"seed {village.seed}: {peer.name} saw {later}"


def test_the_next_in_order_of_admission_takes_over() -> None:
    village = Village()
    for name in ("a", "b", "c"):
        village.born(name)
        village.enter([name])
        village.run(2)
    village.crash("a")
    village.run(8)
    assert village.peers["b"].coordinator() == village.peers["b"].id
    assert village.peers["c"].coordinator() == village.peers["b"].id


def test_both_sides_of_a_split_go_on_and_become_one_room_again() -> None:
    village = talkers(5)
    left, right = ["p0", "p1", "p2"], ["p3", "p4"]
    village.cut(left, right)
    village.run(30)
    for side in (left, right):
        members = [village.peers[name] for name in side]
        assert all_see(members, len(side))
        assert coordinators(members) <= {peer.id for peer in members}
        assert len(coordinators(members)) == 1
    village.heal()
    village.run(20)
    assert all_see(living(village), 5)
    assert len(coordinators(living(village))) == 1
    assert len({tuple(sorted(peer.aliases())) for peer in living(village)}) == 1


def test_losing_ones_own_link_to_the_coordinator_unseats_nobody() -> None:
    village = talkers(5)
    leader = next(peer for peer in living(village) if peer.coordinator() == peer.id)
    other = next(peer for peer in living(village) if peer is not leader)
    village.cut([leader.name], [other.name])
    village.run(20)
    assert coordinators(living(village)) == {leader.id}


def test_a_frozen_peer_is_given_up_and_comes_back() -> None:
    village = talkers(4)
    village.freeze("p1")
    village.run(30)
    assert all_see([peer for peer in living(village) if peer.name != "p1"], 3)
    village.thaw("p1")
    village.run(20)
    assert all_see(living(village), 4)
    assert len(coordinators(living(village))) == 1


def test_one_reachable_member_is_enough_to_find_the_others() -> None:
    village = Village()
    for name in ("a", "b", "c"):
        village.born(name)
    village.enter(["a", "b", "c"])
    village.run(3)
    stranger = village.born("far", mdns=False)
    stranger.node.directory.add_seed(village.peers["b"].address, village.now)
    village.tell("far", lambda node: node.tick(village.now))
    village.run(2)
    assert "lobby" in {hint.name for hints in stranger.node.directory.hints().values() for hint in hints}
    room = village.peers["a"].node.room
    assert room is not None
    village.tell("far", lambda node: node.enter(room.id, room.name, village.now))
    village.run(3)
    assert all_see(living(village), 4)


def test_peers_that_know_only_one_of_them_all_meet_whoever_leads() -> None:
    for seed in range(20):
        village = Village(seed)
        names = ["ann", "bob", "eve"]
        for name in names:
            village.born(name, mdns=False)
        for name in names[1:]:
            ann, peer = village.peers["ann"], village.peers[name]
            village.tell(name, lambda node, ann=ann, peer=peer: node.directory.add_seed(ann.address, 0.0))  # type: ignore[misc]
        village.enter(names, introduce=False)
        village.run(5)
        assert all_see(living(village), 3), f"seed {seed}"


def test_switching_rooms_takes_one_out_of_the_old_one() -> None:
    village = talkers(3)
    village.enter(["p2"], "kitchen")
    village.run(2)
    assert all_see([village.peers["p0"], village.peers["p1"]], 2)
    assert village.peers["p2"].aliases() == ["p2"]


def test_those_who_stay_seal_with_new_keys_within_a_second_of_a_leave() -> None:
    village = talkers(3)
    left_at = village.now
    village.leave("p1")
    village.run(1)
    for name in ("p0", "p2"):
        changes = [(at, event) for at, event in village.peers[name].seen(out.SendKeyChanged) if at >= left_at]
        assert len(changes) == 1
        assert changes[0][0] - left_at <= 1


def test_nobody_who_left_is_handed_a_later_key() -> None:
    village = talkers(3)
    gone = village.peers["p1"]
    village.leave("p1")
    village.run(10)
    told = {key_of(event) for _, event in gone.seen(out.KeyReceived) if isinstance(event, out.KeyReceived)}
    for name in ("p0", "p2"):
        last = village.peers[name].seen(out.SendKeyChanged)[-1][1]
        assert isinstance(last, out.SendKeyChanged)
        assert not opens(told, key_of(last))


def test_whoever_comes_is_handed_no_key_of_before() -> None:
    village = talkers(3)
    sealed = [event for peer in living(village) for _, event in peer.seen(out.SendKeyChanged)]
    village.born("late")
    came_at = village.now
    village.enter(["late"])
    village.run(3)
    late = village.peers["late"]
    told = {key_of(event) for _, event in late.seen(out.KeyReceived) if isinstance(event, out.KeyReceived)}
    assert len(told) == 3
    assert not any(opens(told, key_of(event)) for event in sealed if isinstance(event, out.SendKeyChanged))
    for name in ("p0", "p1", "p2"):
        ((at, now_in_use),) = village.peers[name].seen(out.SendKeyChanged)[-1:]
        assert isinstance(now_in_use, out.SendKeyChanged)
        assert at - came_at < 1
        assert opens(told, key_of(now_in_use))
    assert broken(village) == []


@pytest.mark.parametrize(("count", "seconds"), [(5, 60), (20, 30), (100, 8)])
def test_a_member_sends_and_receives_few_control_messages(count: int, seconds: int) -> None:
    village = talkers(count)
    village.load.clear()
    village.run(seconds)
    loads = Counter[str]()
    for (name, _), messages in village.load.items():
        loads[name] += messages
    assert max(loads.values()) / seconds <= MESSAGES_PER_S_MAX


def test_a_flood_of_forged_peers_makes_us_call_slowly() -> None:
    village = Village()
    peer = village.born("ann")
    village.enter(["ann"])
    room = peer.node.room
    assert room is not None
    hints = (RoomHint(room.id, room.name),)
    for number in range(5000):
        peer.node.directory.learn(PeerId(f"{number:064x}"), (Address("10.9.9.9", 1),), hints, village.now)
    assert len(peer.node.directory.hints()) == 1024
    calls = 0
    for _ in range(100):
        village.now += 0.01
        peer.node.tick(village.now)
        calls += sum(isinstance(effect, out.Dial | out.Punch) for effect in peer.node.effects())
    assert 0 < calls <= 120
