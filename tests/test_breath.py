"""Signs of life between beats: opened once, by who has the key, and said where there is nothing else to say."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import pytest

from meshchat.calling.breath import Breath
from meshchat.calling.incoming import Incoming
from meshchat.codec import OpusDecoder
from meshchat.media.mixer import Mixer
from meshchat.media.voice import Voice
from meshchat.peers import effects as out
from meshchat.peers.messages import Beat, Message
from meshchat.sframe import BASE_KEY_BYTES, STEP_BITS, ratchet
from meshchat.units import PeerId
from tests import simulation
from tests.breaths import breathe
from tests.invariants import broken
from tests.simulation import Village
from tests.villager import Villager

ANN = PeerId("a" * 64)
SSRC, KEY_ID = 7, 3 << STEP_BITS


def listening(base_key: bytes) -> Incoming:
    """Somebody who was told ann's key."""
    incoming = Incoming(Mixer(), lambda: Voice(OpusDecoder()), lambda *_: None)
    incoming.join(ANN)
    incoming.use_key(ANN, SSRC, KEY_ID, base_key)
    return incoming


def breathing(base_key: bytes, key_id: int = KEY_ID) -> Breath:
    breath = Breath()
    breath.use_key(SSRC, key_id, base_key)
    return breath


def heard_at(incoming: Incoming, datagram: bytes | None, now: float) -> float | None:
    assert datagram is not None
    incoming.datagram(datagram, now)
    return incoming.inflows[0].heard_at


def test_a_breath_is_a_sign_of_life_once() -> None:
    key = random.Random(1).randbytes(BASE_KEY_BYTES)
    ann, bob = breathing(key), listening(key)
    first, second = ann.datagram(), ann.datagram()
    assert heard_at(bob, second, 1.0) == 1.0
    assert heard_at(bob, first, 2.0) == 2.0
    assert heard_at(bob, first, 3.0) == 2.0
    assert heard_at(bob, second, 4.0) == 2.0
    assert bob.drops.not_opened == 2


def test_a_breath_is_small_and_is_not_played() -> None:
    key = random.Random(1).randbytes(BASE_KEY_BYTES)
    ann, bob = breathing(key), listening(key)
    datagram = ann.datagram()
    assert datagram is not None
    assert len(datagram) < 48
    bob.datagram(datagram, 1.0)
    assert bob.inflows[0].voice.stats().packets_received == 0


def test_a_breath_under_another_key_or_changed_on_its_way_is_none() -> None:
    rng = random.Random(1)
    key = rng.randbytes(BASE_KEY_BYTES)
    bob = listening(key)
    assert heard_at(bob, breathing(rng.randbytes(BASE_KEY_BYTES)).datagram(), 1.0) is None
    genuine = breathing(key).datagram()
    assert genuine is not None
    for at in range(2, len(genuine)):
        bob.datagram(genuine[:at] + bytes([genuine[at] ^ 1]) + genuine[at + 1 :], 1.0)
    assert bob.inflows[0].heard_at is None
    assert heard_at(bob, genuine, 2.0) == 2.0


def test_an_old_breath_is_no_sign_of_life_after_many_others_keys_were_asked_for() -> None:
    key = random.Random(1).randbytes(BASE_KEY_BYTES)
    ann, bob = breathing(key), listening(key)
    old = ann.datagram()
    assert heard_at(bob, old, 1.0) == 1.0
    later = key
    for step in range(1, 40):
        later = ratchet(later)
        assert heard_at(bob, breathing(later, KEY_ID + step).datagram(), 1.0 + step) == 1.0 + step
    assert heard_at(bob, old, 99.0) == 40.0


def test_who_is_in_no_room_does_not_breathe() -> None:
    breath = Breath()
    assert breath.datagram() is None
    breath.use_key(SSRC, KEY_ID, bytes(BASE_KEY_BYTES))
    breath.stop()
    assert breath.datagram() is None


class Signs:
    """What kind of sign of life goes out in a village."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, lost: bool = False) -> None:
        self.said: Counter[str] = Counter()
        self.lost = lost
        send = Village._send

        def sent(village: Village, peer: Villager, to: PeerId, message: Message) -> None:
            self.said["beat" if isinstance(message, Beat) else "word"] += 1
            send(village, peer, to, message)

        def breathed(village: Village, peer: Villager, others: Iterable[Villager]) -> None:
            listed = list(others)
            self.said["breath"] += len(listed)
            breathe(village, peer, () if self.lost else listed)

        monkeypatch.setattr(Village, "_send", sent)
        monkeypatch.setattr(simulation, "breathe", breathed)


def settled(count: int) -> Village:
    village = Village(1)
    names = [f"p{number}" for number in range(count)]
    for name in names:
        village.born(name)
    village.enter(names)
    village.run(8)
    assert broken(village) == []
    return village


@pytest.mark.parametrize("count", [2, 5, 16])
def test_in_a_room_at_peace_eight_signs_of_nine_are_breaths(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    signs = Signs(monkeypatch)
    village = settled(count)
    signs.said.clear()
    village.run(40)
    assert signs.said["breath"] > 6.5 * signs.said["beat"] > 0
    assert signs.said["word"] == 0


def test_where_breaths_pass_no_more_members_are_asked_and_beat_more_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signs = Signs(monkeypatch)
    village = settled(8)
    village.run(10)
    before = village.now
    signs.lost = True
    village.run(30)
    news = [event for peer in village.peers.values() for at, event in peer.events if at > before]
    assert not [event for event in news if not isinstance(event, out.MemberChanged)], "nobody is lost, nobody replaced"
    signs.said.clear()
    village.run(20)
    assert 1.5 * signs.said["beat"] < signs.said["breath"] < 2.5 * signs.said["beat"]
    assert signs.said["word"] == 0


def test_where_no_breath_passes_nobody_is_suspected(monkeypatch: pytest.MonkeyPatch) -> None:
    signs = Signs(monkeypatch, lost=True)
    village = settled(8)
    before = village.now
    signs.said.clear()
    village.run(60)
    assert signs.said["breath"] > 0
    assert signs.said["word"] == 0, "a question about somebody"
    assert not [event for peer in village.peers.values() for at, event in peer.events if at > before]


def test_a_line_of_the_chat_is_told_of_by_beats_until_both_ends_have_told_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signs = Signs(monkeypatch)
    village = settled(5)
    signs.said.clear()
    room = village.peers["p1"].node.room
    assert room is not None
    village.tell("p1", lambda node: room.chat.say("hello", village.clock(village.peers["p1"])))
    village.run(2)
    assert signs.said["breath"] < 5 * signs.said["beat"]
    signs.said.clear()
    village.run(40)
    assert signs.said["breath"] > 6.5 * signs.said["beat"]


def test_who_has_no_coordinator_yet_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    signs = Signs(monkeypatch)
    village = settled(5)
    leader = next(peer for peer in village.peers.values() if peer.coordinator() == peer.id)
    village.crash(leader.name)
    signs.said.clear()
    while any(peer.coordinator() == leader.id for peer in village.peers.values() if peer.awake):
        village.run(0.02)
    assert all(peer.seen(out.CoordinatorChanged) for peer in village.peers.values() if peer.awake)
    signs.said.clear()
    village.run(0.25)
    assert signs.said["breath"] == 0
