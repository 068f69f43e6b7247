"""Media keys as members come and go: who comes opens nothing of before, who was there loses nothing."""

from __future__ import annotations

import random

from meshchat.calling.derived import DerivedKeys
from meshchat.calling.incoming import Incoming
from meshchat.codec import OpusDecoder
from meshchat.media.mixer import Mixer
from meshchat.media.voice import Voice
from meshchat.peers.keyring import SETTLE_S, USE_S_MAX, Keyring
from meshchat.peers.messages import Key
from meshchat.sframe import REPLAY_WINDOW, STEP_BITS, STEPS_MAX, ReceiveKey, SendKey, music_key, ratchet
from meshchat.units import PeerId, RoomId
from meshchat.wire import PAYLOAD_TYPE_OPUS, media_header

ROOM, ANN = RoomId("0" * 32), PeerId("a" * 64)


def keyring() -> Keyring:
    return Keyring(random.Random(1).randbytes, 0.0)


def listener(*told: Key) -> Incoming:
    """Somebody in the room who was told these keys of ann."""
    incoming = Incoming(Mixer(), lambda: Voice(OpusDecoder()), lambda *_: None)
    incoming.join(ANN)
    for key in told:
        incoming.use_key(ANN, key.ssrc, key.key_id, key.base_key)
    return incoming


def packet(key: Key, sequence: int) -> bytes:
    header = media_header(PAYLOAD_TYPE_OPUS, False, sequence, 480 * sequence, key.ssrc, 40, True)
    return header + SendKey(key.key_id, key.base_key).seal(header, b"opus")


def opened(incoming: Incoming, datagram: bytes) -> bool:
    before = (incoming.drops.no_key, incoming.drops.not_opened)
    incoming.datagram(datagram, 1.0)
    return (incoming.drops.no_key, incoming.drops.not_opened) == before


def test_who_was_there_opens_what_is_sealed_after_others_came() -> None:
    ring = keyring()
    there = listener(ring.told(ROOM))
    for sequence in range(5):
        assert ring.admit()
        assert opened(there, packet(ring.told(ROOM), sequence))


def test_packets_of_several_steps_may_come_in_any_order_and_each_opens_once() -> None:
    ring = keyring()
    there, packets = listener(ring.told(ROOM)), []
    for sequence in range(STEPS_MAX):
        ring.admit()
        packets.append(packet(ring.told(ROOM), sequence))
    assert ring.is_spent
    random.Random(2).shuffle(packets)
    assert all(opened(there, each) for each in packets)
    assert not any(opened(there, each) for each in packets)


def test_who_comes_opens_nothing_of_before_and_everything_from_then_on() -> None:
    ring = keyring()
    before = ring.told(ROOM)
    ring.admit()
    newcomer = listener(ring.told(ROOM))
    assert not opened(newcomer, packet(before, 1))
    assert opened(newcomer, packet(ring.told(ROOM), 2))
    ring.rotate(10.0)
    assert not opened(newcomer, packet(ring.told(ROOM), 3)), "a key that is drawn does not follow from the one before"


def test_a_key_that_has_sealed_nothing_is_told_as_it_is() -> None:
    ring = keyring()
    ring.rotate(0.0)
    pending = ring.told(ROOM)
    assert not ring.admit()
    assert ring.told(ROOM) == pending
    assert ring.tick(SETTLE_S)
    assert ring.admit()
    assert ring.told(ROOM).base_key == ratchet(pending.base_key)


def test_however_many_leave_one_after_the_other_the_key_is_new_in_time() -> None:
    ring, now = keyring(), 0.0
    while not ring.tick(now):
        ring.rotate(now)
        now += 0.1
    assert now <= USE_S_MAX + 0.1


def test_forged_steps_cost_a_bounded_number_of_keys() -> None:
    ring = keyring()
    there = listener(ring.told(ROOM))
    (flow,) = there.inflows
    key = ring.told(ROOM)
    for forged in range(3 << STEP_BITS):
        there.datagram(packet(Key(ROOM, key.ssrc, forged, bytes(32)), forged), 1.0)
    assert len(flow.ahead) == STEPS_MAX
    assert opened(there, packet(key, 1))


def test_what_comes_of_a_key_is_made_once_and_goes_with_it() -> None:
    one, other, again = (ReceiveKey(key_id, bytes((fill,)) * 32) for key_id, fill in ((1, 1), (2, 2), (2, 1)))
    derived = DerivedKeys(music_key, REPLAY_WINDOW)
    first = derived.of(one, [one])
    assert first.base_key == music_key(one.base_key)
    assert derived.of(other, [one, other]) is not first
    assert derived.of(one, [one, other]) is first
    assert derived.of(again, [again]).key_id == again.key_id
    assert derived.of(one, [one, again]) is not first
