"""Copies of earlier frames: what they look like, when they are sent, and what they save of speech."""

from __future__ import annotations

import ast
import random
from dataclasses import astuple, dataclass, field

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshchat import wire
from meshchat.call import Call
from meshchat.calling.incoming import Incoming
from meshchat.calling.outgoing import Outgoing
from meshchat.codec import OpusDecoder, OpusEncoder
from meshchat.config import Config
from meshchat.errors import WireError
from meshchat.media.arrivals import Arrival
from meshchat.media.copies import (
    BITRATE_MAX,
    COPIES_MAX,
    OFFSET_MAX,
    Copier,
    Copy,
    depth,
    join_copies,
    split_copies,
)
from meshchat.media.mixer import Mixer
from meshchat.media.reception import Reception
from meshchat.media.voice import Voice, VoiceStats
from meshchat.units import SAMPLE_RATE, PeerId, Samples
from tests.test_media_lab import RAMP_START, RampDecoder, speech
from tests.test_wire import examples

KEY = b"k" * 32
ANN, BOB = PeerId("a" * 64), PeerId("b" * 64)
FRAME = 480

frames = st.binary(min_size=1, max_size=60)


@st.composite
def trains(draw: st.DrawFn) -> tuple[Copy, ...]:
    """Copies as a sender makes them."""
    count = draw(st.integers(1, COPIES_MAX))
    offsets = sorted(draw(st.sets(st.integers(1, OFFSET_MAX), min_size=count, max_size=count)))
    return tuple(Copy(n, offset, draw(st.booleans()), draw(frames)) for n, offset in enumerate(offsets, 1))


# The format


@given(trains(), frames)
def test_what_is_joined_is_split_again(copies: tuple[Copy, ...], own: bytes) -> None:
    assert split_copies(join_copies(copies, own)) == (copies, own)


@given(st.binary(max_size=200))
@example(b"")
@example(b"\x01\x01\xe0\x00\x01a")
def test_any_bytes_are_copies_in_their_one_spelling_or_a_wire_error(data: bytes) -> None:
    _split_or_wire_error(data)


@given(trains(), frames, st.integers(0, 40), st.integers(1, 255), st.integers(0, 300))
def test_mutated_copies_parse_to_what_they_then_say_or_are_a_wire_error(
    copies: tuple[Copy, ...], own: bytes, at: int, mask: int, length: int
) -> None:
    mutated = bytearray(join_copies(copies, own))
    mutated[at % len(mutated)] ^= mask
    _split_or_wire_error(bytes(mutated))
    _split_or_wire_error(bytes(mutated[:length]))


def _split_or_wire_error(data: bytes) -> None:
    try:
        copies, own = split_copies(data)
    except WireError:
        return
    assert join_copies(copies, own) == data
    assert own
    assert all(each.payload for each in copies)


@pytest.mark.parametrize(
    "copies",
    [
        [],
        [Copy(n, n * 480, False, b"x") for n in range(1, COPIES_MAX + 2)],
        [Copy(1, 0, False, b"x")],
        [Copy(1, OFFSET_MAX + 1, False, b"x")],
        [Copy(1, 960, False, b"x"), Copy(2, 960, False, b"x")],
        [Copy(1, 480, False, b"")],
    ],
)
def test_copies_that_we_do_not_send_are_refused(copies: list[Copy]) -> None:
    with pytest.raises(WireError):
        split_copies(join_copies(copies, b"own"))


def test_the_documents_copies_are_what_it_says() -> None:
    data, fields = examples()["sound with two copies"]
    copies, own = split_copies(data)
    assert tuple(astuple(each) for each in copies) == ast.literal_eval(fields["copies"])
    assert own == ast.literal_eval(fields["own"])


# How many


def test_the_depth_follows_loss_and_run_and_is_nothing_without_loss() -> None:
    assert [depth(percent, 1) for percent in (0, 0.5, 1, 5, 10, 20, 50, 100)] == [0, 0, 1, 2, 2, 3, 4, 4]
    assert [depth(5, run) for run in (0, 2, 3, 4, 100)] == [2, 2, 3, 4, 4]
    assert depth(0, 100) == 0


@given(st.lists(st.integers(1, 400), min_size=20, max_size=200), st.sampled_from([120, 240, 480, 960, 2880]))
def test_copies_keep_to_the_rate_and_to_the_datagram(sizes: list[int], samples: int) -> None:
    bytes_max = 600
    copier, total = Copier(samples, bytes_max), 0
    for number, size in enumerate(sizes):
        made = copier.add(number * samples, number == 0, bytes(size), 1, COPIES_MAX)
        total += len(made) if made else size
        if made:
            assert len(made) <= bytes_max
            assert 8 * total <= BITRATE_MAX * (number + 1) * samples / SAMPLE_RATE


def test_nothing_from_before_a_silence_or_another_key_goes_along() -> None:
    copier = Copier(FRAME, 1000)
    assert copier.add(0, True, b"one", 1, 4) is None
    assert copier.add(480, False, b"two", 1, 4) == join_copies([Copy(1, 480, True, b"one")], b"two")
    assert copier.add(4800, True, b"three", 1, 4) is None
    assert copier.add(5280, False, b"four", 2, 4) is None
    assert copier.add(5760, False, b"five", 2, 4) == join_copies([Copy(1, 480, False, b"four")], b"five")
    assert copier.add(6240, False, b"six", 2, 0) is None


# Through the call, in virtual time


@dataclass
class Line:
    """From one microphone to one listener through `Outgoing`, a network that loses, and `Incoming`; reports go back."""

    sound: Samples
    loss: float = 0.0
    burst: float = 1.0
    """Mean run of losses (Gilbert's model)."""
    rng: random.Random = field(default_factory=lambda: random.Random(5))
    sent: list[bytes] = field(default_factory=list)
    heard: list[Samples] = field(default_factory=list)
    frames: int = 0

    def __post_init__(self) -> None:
        self.outgoing = Outgoing(OpusEncoder(), self.sent.append)
        self.outgoing.use_key(7, 1, KEY)
        self.incoming = Incoming(Mixer(), lambda: Voice(OpusDecoder()), lambda *_: None)
        self.incoming.join(ANN)
        self.incoming.use_key(ANN, 7, 1, KEY)
        flow = self.incoming.inflow(ANN)
        assert flow is not None
        self.voice = flow.voice
        self._losing = False

    def run(self, seconds: float) -> VoiceStats:
        for _ in range(round(seconds * 100)):
            begin = self.frames * FRAME % (len(self.sound) - FRAME)
            self.frames += 1
            now, before = self.frames / 100, len(self.sent)
            self.outgoing.frame(self.sound[begin : begin + FRAME], now)
            for datagram in self.sent[before:]:
                if not self._lost():
                    self.incoming.datagram(datagram, now + 0.0003)
            block = self.voice.pull(FRAME, now + 0.004)
            self.heard.append(np.zeros(FRAME, np.float32) if block is None else block.copy())
            if self.frames % 100 == 0:
                report = self.voice.reception.report()
                self.outgoing.protect(100 * report.fraction_lost / 256, report.longest_run)
        return self.voice.stats()

    def _lost(self) -> bool:
        if not self.loss:
            return False
        stay, enter = 1 - 1 / self.burst, self.loss / (self.burst * (1 - self.loss))
        self._losing = self.rng.random() < ((stay if self._losing else enter) if self.burst > 1 else self.loss)
        return self._losing

    def kinds(self, since: int) -> set[int]:
        return {wire.parse_media(datagram).payload_type for datagram in self.sent[since:]}


@pytest.mark.parametrize(("loss", "burst", "share_max"), [(0.1, 1, 0.08), (0.2, 1, 0.06), (0.1, 3, 0.5)])
def test_most_of_what_is_lost_is_heard_all_the_same(loss: float, burst: float, share_max: float) -> None:
    line = Line(speech(8))
    line.run(2)
    line.loss, line.burst = loss, burst
    before, sent = line.run(4), len(line.sent)
    after = line.run(16)
    lost_ms = 10 * (after.packets_lost - before.packets_lost)
    assert lost_ms > 0.6 * loss * 16_000
    assert after.concealed_ms - before.concealed_ms < share_max * lost_ms
    assert after.packets_late == 0
    assert after.playout_delay_ms < 65
    inner = sum(len(datagram) - wire.HEADER_BYTES - 19 for datagram in line.sent[sent:])
    assert 8 * inner / 16 <= BITRATE_MAX


def test_nothing_is_added_without_loss_and_nothing_once_it_is_over() -> None:
    line = Line(speech(8))
    line.run(4)
    assert line.kinds(0) == {wire.PAYLOAD_TYPE_OPUS}
    assert line.voice.stats().target_delay_ms < 4
    line.loss, during = 0.1, len(line.sent)
    line.run(4)
    assert wire.PAYLOAD_TYPE_COPIES in line.kinds(during)
    line.loss = 0.0
    line.run(2)
    after = len(line.sent)
    line.run(12)
    assert line.kinds(after) == {wire.PAYLOAD_TYPE_OPUS}
    assert line.voice.stats().target_delay_ms < 4


def test_a_packet_that_is_sealed_but_nonsense_is_counted_and_dropped() -> None:
    line = Line(speech(1))
    line.run(0.05)
    stream = line.outgoing._stream
    assert stream is not None
    header = wire.media_header(wire.PAYLOAD_TYPE_COPIES, False, 1, 480, 7, 40, True)
    line.incoming.datagram(header + stream.key.seal(header, b"\x09nonsense"), 1.0)
    assert line.incoming.drops.malformed == 1
    assert line.incoming.drops.not_opened == 0


def test_the_worst_receiver_of_late_sets_the_copies_and_one_quiet_second_does_not_end_them() -> None:
    call = Call(Config(microphone="silence", speaker="null"), lambda _: None, lambda _, __: None, lambda *_: None)
    for peer in (ANN, BOB):
        call.member_joined(peer)
    call.send_key(7, 1, KEY)

    def told(peer: PeerId, now: float, percent: float, run: int) -> int:
        block = wire.ReportBlock(7, round(2.56 * percent), 0, 0, 0, 0, 0, run)
        call.report_came(peer, wire.encode_receiver_report(1, [block]), now)
        return call.outgoing.copies

    assert told(ANN, 1.0, 0, 0) == 0
    assert told(BOB, 1.0, 10, 3) == 3
    assert told(ANN, 2.0, 0, 0) == 3
    assert [told(BOB, now, 0, 0) for now in (2.0, 3.0, 4.0, 5.0)] == [2, 1, 1, 0]
    assert told(BOB, 6.0, 20, 1) == 3
    assert told(ANN, 12.0, 0, 0) == 0
    call.stop()


# At the listener


def ramp(number: int, *copied: int) -> Arrival:
    """Packet `number`, 10 ms long, that comes in time and carries those before it."""
    own, *copies = (RampDecoder.payload(RAMP_START + each * FRAME, FRAME) for each in (number, *copied))
    train = tuple(
        Copy(number - each, (number - each) * FRAME, False, copy) for each, copy in zip(copied, copies, strict=True)
    )
    return Arrival(number, number * FRAME, number == 0, own, number / 100, train)


def test_copies_of_what_came_cost_nothing() -> None:
    plain, copied = Voice(RampDecoder()), Voice(RampDecoder())
    for number in range(300):
        plain.put(ramp(number))
        copied.put(ramp(number, *(each for each in range(number - 1, number - 4, -1) if each >= 0)))
        one, other = (voice.pull(FRAME, number / 100 + 0.004) for voice in (plain, copied))
        assert (one is None and other is None) or np.array_equal(one, other)  # type: ignore[arg-type]
    assert plain.stats() == copied.stats()


def test_a_packet_that_its_copy_overtook_is_received_and_played_once() -> None:
    voice = Voice(RampDecoder())
    for number in [*range(100), 101, 100, *range(102, 200)]:
        voice.put(ramp(number, 100) if number == 101 else ramp(number))
        voice.pull(FRAME, number / 100 + 0.004)
    stats = voice.stats()
    assert (stats.packets_lost, stats.packets_duplicated, stats.packets_late) == (0, 0, 0)


def test_the_report_tells_the_longest_run_since_the_last() -> None:
    reception = Reception()
    for sequence in (1, 2, 4, 5, 9, 10):
        reception.put(sequence, sequence * FRAME, sequence / 100)
    assert reception.report().longest_run == 3
    reception.put(12, 12 * FRAME, 0.12)
    assert reception.report().longest_run == 1
    assert reception.report().longest_run == 0
