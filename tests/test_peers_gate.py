"""Stories of locked rooms: who knows the secret is in, who does not learns nothing and gets no key."""

from __future__ import annotations

from meshchat.peers import effects as out
from meshchat.peers.messages import Knock, Proven
from meshchat.peers.node import LINKS_MAX
from meshchat.units import Address, PeerId
from tests.simulation import Village
from tests.villager import Villager

SECRET, OTHER = b"s" * 16, b"o" * 16


def members(peer: Villager) -> set[str]:
    return {member.alias for member in peer.node.members()}


def test_those_who_know_the_secret_meet() -> None:
    village = Village()
    for name in ("ann", "bob", "eve"):
        village.born(name)
    village.enter(["ann", "bob", "eve"], secret=SECRET)
    village.run(4)
    assert all(members(peer) == {"ann", "bob", "eve"} for peer in village.peers.values())
    assert len({peer.coordinator() for peer in village.peers.values()}) == 1


def test_another_secret_or_none_brings_nobody_in_and_tells_nobody_anything() -> None:
    village = Village()
    for name in ("ann", "bob", "guesser", "open"):
        village.born(name)
    village.enter(["ann", "bob"], secret=SECRET)
    village.enter(["guesser"], secret=OTHER)
    village.enter(["open"])
    village.run(20)
    assert members(village.peers["ann"]) == members(village.peers["bob"]) == {"ann", "bob"}
    for name in ("guesser", "open"):
        stranger = village.peers[name]
        assert members(stranger) == {name}
        assert not stranger.seen(out.KeyReceived)
        told = [stranger.node.links.get(village.peers[member].id) for member in ("ann", "bob")]
        assert all(link is None or link.presence is None for link in told)


def test_a_member_that_restarts_proves_itself_anew() -> None:
    village = Village()
    for name in ("ann", "bob"):
        village.born(name)
    village.enter(["ann", "bob"], secret=SECRET)
    village.run(3)
    ann, bob = village.peers["ann"], village.peers["bob"]
    gate = ann.node.room.gate if ann.node.room else None
    assert gate is not None
    assert gate.trusts(ann.node.links[bob.id])
    village.crash("bob")
    village.run(8)
    assert members(ann) == {"ann"}
    assert bob.id not in ann.node.links


def test_a_proof_of_another_room_or_before_its_knock_is_worth_nothing() -> None:
    village = Village()
    for name in ("ann", "bob"):
        village.born(name)
    village.enter(["ann"], secret=SECRET)
    village.run(1)
    ann, bob = village.peers["ann"], village.peers["bob"]
    ann.node.link_up(bob.id, bob.address, None, village.now)
    room = ann.node.room
    assert room is not None
    link = ann.node.links[bob.id]
    link.greeted = True
    assert not room.gate.heard(link, Proven("0" * 32, (b"x" * 32,)))
    assert not room.gate.heard(link, Knock("0" * 32, b"c" * 16))
    assert not room.gate.trusts(link)


def test_strangers_cannot_use_up_the_places_of_members() -> None:
    village = Village()
    ann = village.born("ann")
    village.enter(["ann"])
    for number in range(LINKS_MAX + 10):
        ann.node.link_up(PeerId(f"{number:064x}"), Address("10.1.1.1", 1 + number), None, village.now)
        ann.node.effects()
    assert len(ann.node.links) == LINKS_MAX
    assert PeerId(f"{LINKS_MAX + 9:064x}") in ann.node.links
    assert PeerId(f"{0:064x}") not in ann.node.links
