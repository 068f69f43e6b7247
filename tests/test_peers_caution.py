"""Stories of familiar names: two who compare words see the same, and one who borrows a name is not spoken to."""

from __future__ import annotations

import pytest

from meshchat.errors import Refused, WireError
from meshchat.locks.phrase import Commit, Reveal
from meshchat.peers import effects as out
from meshchat.peers.caution import ASKED_PAUSE_S
from meshchat.units import PeerId
from tests.invariants import key_of, opens
from tests.simulation import Village
from tests.villager import Villager


def talkers(*names: str) -> Village:
    village = Village()
    for name in names:
        village.born(name)
    village.enter(names)
    village.run(4)
    return village


def compare(village: Village, one: str, other: str) -> None:
    room = village.peers[one].node.room
    assert room is not None
    village.tell(one, lambda _: room.caution.compare(village.peers[other].id))


def shown(peer: Villager) -> list[str]:
    return [event.words for _, event in peer.seen(out.WordsShown) if isinstance(event, out.WordsShown)]


def can_hear(listener: Villager, speaker: Villager) -> bool:
    """Whether the one was told what the other seals with now."""
    told = [event for _, event in listener.seen(out.KeyReceived) if isinstance(event, out.KeyReceived)]
    sealed = speaker.seen(out.SendKeyChanged)[-1][1]
    assert isinstance(sealed, out.SendKeyChanged)
    return opens([key_of(event) for event in told], key_of(sealed))


def test_both_are_shown_the_same_two_words_and_others_none() -> None:
    village = talkers("ann", "bob", "cat")
    compare(village, "ann", "bob")
    village.run(1)
    ann, bob, cat = (village.peers[name] for name in ("ann", "bob", "cat"))
    assert shown(ann) == shown(bob)
    assert [len(words.split()) for words in shown(ann)] == [2]
    assert shown(cat) == []


def test_two_who_ask_at_once_are_shown_the_same() -> None:
    village = talkers("ann", "bob")
    compare(village, "ann", "bob")
    compare(village, "bob", "ann")
    village.run(1)
    words = shown(village.peers["ann"])
    assert words == shown(village.peers["bob"])
    assert len(words) == 1


def test_each_comparison_has_words_of_its_own_and_nobody_is_worn_down_by_them() -> None:
    village = talkers("ann", "bob")
    for _ in range(20):
        compare(village, "ann", "bob")
        village.run(0.1)
    assert len(shown(village.peers["bob"])) == 1
    village.run(ASKED_PAUSE_S)
    compare(village, "ann", "bob")
    village.run(1)
    assert len(set(shown(village.peers["bob"]))) == 2


def test_words_out_of_turn_end_the_link_and_show_nothing() -> None:
    village = talkers("ann", "bob")
    ann, bob = village.peers["ann"], village.peers["bob"]
    room = ann.node.room
    assert room is not None
    with pytest.raises(WireError):
        room.caution.overhear(ann.node.links[bob.id], Reveal(b"n" * 16))
    village.inject("bob", ann.id, Commit(b"h" * 32))
    village.inject("bob", ann.id, Reveal(b"n" * 16))
    village.run(0.5)
    assert ann.refused == ["a nonce that is not the one committed to"]
    assert shown(ann) == []
    with pytest.raises(Refused, match="cannot be reached"):
        room.caution.compare(PeerId("0" * 64))


def test_one_who_borrows_a_name_hears_nothing_until_it_is_verified_or_drops_it() -> None:
    village = talkers("ann", "cat")
    ann = village.peers["ann"]
    believed: set[PeerId] = set()
    ann.node.doubt(lambda peer, alias: alias == "bob" and peer not in believed)
    village.born("eve", alias="bob")
    village.enter(["eve"])
    village.run(3)
    eve, cat, room = village.peers["eve"], village.peers["cat"], ann.node.room
    assert room is not None
    assert [event.peer for _, event in ann.seen(out.ImpostorCame) if isinstance(event, out.ImpostorCame)] == [eve.id]
    assert (can_hear(eve, ann), can_hear(eve, cat)) == (False, True)
    assert [link.peer for link in room.hearers()] == [cat.id]
    assert [member.impostor for member in ann.node.members() if member.peer == eve.id] == [True]
    village.leave("cat")
    village.run(2)
    assert not can_hear(eve, ann), "nor the next key"
    believed.add(eve.id)
    village.tell("ann", lambda _: room.caution.look_again())
    village.run(1)
    assert can_hear(eve, ann)


def test_a_member_that_takes_a_borrowed_name_hears_nothing_from_then_on() -> None:
    village = talkers("ann", "eve")
    ann, eve = village.peers["ann"], village.peers["eve"]
    ann.node.doubt(lambda _, alias: alias == "bob")
    assert can_hear(eve, ann)
    village.tell("eve", lambda node: node.rename("bob"))
    village.run(1)
    assert not can_hear(eve, ann)
    village.tell("eve", lambda node: node.rename("eve"))
    village.run(1)
    assert can_hear(eve, ann)
