"""Corners of a screen's way that a calm network seldom shows: silence, repetition, strangers with one's number."""

from __future__ import annotations

from meshchat.media.backlog import Backlog
from meshchat.media.chain import Chain
from meshchat.media.parts import PART_BYTES_MAX, Slice, cut
from meshchat.media.rate import Rate
from meshchat.sframe import BASE_KEY_BYTES, SendKey, screen_key
from meshchat.showing.inflow import Inflows
from meshchat.units import PeerId
from meshchat.wire import LEVEL_SILENT, PAYLOAD_TYPE_SCREEN, media_header, screen_ssrc

ANN, BOB = PeerId("a" * 64), PeerId("b" * 64)
SSRC = 7


def test_what_is_drawn_after_a_rest_goes_out_once() -> None:
    backlog = Backlog(everything=1, rate=Rate(1e6))
    backlog.caught_up(1)
    backlog.push(1, [b"one"])
    assert backlog.burst(100.0) == [b"one"]
    backlog.push(2, [b"two"])
    assert backlog.burst(103.0) == [b"two"]
    assert backlog.burst(106.0) == [b"two"], "nothing was heard: it asks by sending the last again"


def test_a_watcher_that_lacks_nothing_is_back_at_once() -> None:
    chain = Chain(lambda payload, _: payload, 1e6)
    chain.screen_is(0b11)
    assert chain.add(ANN)
    backlog = chain.backlogs[ANN]
    backlog.dirty = 0
    lack = chain.lack(100.0)
    assert lack is not None
    assert lack.mask == 0
    chain.caught_up([], settled=True)
    assert not backlog.behind
    assert chain.lack(101.0) is None


def part_of(key: SendKey) -> bytes:
    """The first half of a slice, on its way."""
    header = media_header(PAYLOAD_TYPE_SCREEN, False, 1, 0, screen_ssrc(SSRC), LEVEL_SILENT, False)
    return header + key.seal(header, cut(Slice(1, 0, 1, 0, bytes(PART_BYTES_MAX + 1)))[0])


def test_a_datagram_that_comes_again_is_answered_and_counts_once() -> None:
    base_key = bytes(BASE_KEY_BYTES)
    flows = Inflows(lambda peer, whole: None)
    flows.use_key(ANN, SSRC, 0, base_key)
    assert flows.watch(ANN, True)
    data = part_of(SendKey(0, screen_key(base_key)))
    flow = flows.datagram(data, 1.0)
    assert flow is not None
    assert flow.peer == ANN
    received = flow.bytes_received
    assert flows.datagram(data, 2.0) is flow, "its sharer has not heard that it came"
    assert flow.bytes_received == received
    fresh = part_of(SendKey(0, screen_key(bytes(BASE_KEY_BYTES - 1) + b"x")))
    other = Inflows(lambda peer, whole: None)
    other.use_key(ANN, SSRC, 0, base_key)
    other.watch(ANN, True)
    assert other.datagram(fresh, 1.0) is None, "forged"


def test_two_screens_of_one_number_are_told_apart_by_their_keys() -> None:
    flows = Inflows(lambda peer, whole: None)
    keys = {ANN: bytes(BASE_KEY_BYTES), BOB: bytes([1]) * BASE_KEY_BYTES}
    for peer, base_key in keys.items():
        flows.use_key(peer, SSRC, 0, base_key)
        assert flows.watch(peer, True)
    for peer, base_key in keys.items():
        taken = flows.datagram(part_of(SendKey(0, screen_key(base_key))), 1.0)
        assert taken is not None
        assert taken.peer == peer
