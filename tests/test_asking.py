"""Lost packets are asked for, sent again to the one who asks, and heard; and who asks for too much gets no more."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.line import LISTENER, SSRC, Line
from benchmarks.speech import clip_path, load_sound
from benchmarks.traces import Scenario
from meshchat.errors import WireError
from meshchat.media.asking import TIMES_MAX, TRIES_MAX, TRY_AGAIN, WORTH, Asking
from meshchat.media.nack import ITEMS_MAX, encode_nack, is_nack, parse_nack
from meshchat.media.resending import CREDIT_MAX, KEPT_PACKETS, Kept
from meshchat.units import SAMPLE_RATE, PeerId, Samples
from tests.test_wire import examples

ANN = PeerId("a" * 64)
FRAME_S = 0.01

gaps = st.lists(st.integers(1, 16), max_size=30)


# The format


@given(st.integers(0, 0xFFFF), gaps)
def test_what_is_asked_for_is_understood(first: int, steps: list[int]) -> None:
    sequences = [first]
    for step in steps:
        sequences.append((sequences[-1] + step) & 0xFFFF)
    sequences = [each for each in sequences if (each - first) & 0xFFFF < 17 * ITEMS_MAX - 16]
    data = encode_nack(1, 2, sequences)
    assert is_nack(data)
    assert parse_nack(data) == (2, tuple(sequences))


@given(st.binary(max_size=40))
def test_any_bytes_are_a_question_or_a_wire_error(data: bytes) -> None:
    try:
        stream, sequences = parse_nack(data)
    except WireError:
        return
    assert encode_nack(int.from_bytes(data[4:8], "big"), stream, sequences)
    assert 1 <= len(sequences) <= 17 * ITEMS_MAX


def test_the_documents_question_is_what_it_says() -> None:
    data, fields = examples()["a question for lost packets"]
    assert parse_nack(data) == (int(fields["stream"], 0), ast.literal_eval(fields["sequences"]))
    assert encode_nack(int(fields["listener"], 0), *parse_nack(data)) == data


def test_a_question_for_nothing_or_for_everything_is_our_own_bug() -> None:
    for sequences in ([], list(range(17 * ITEMS_MAX + 1))):
        with pytest.raises(ValueError, match="packets asked for"):
            encode_nack(1, 2, sequences)


# Who asks


def came(asking: Asking, *sequences: int, steps: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Packets arrive in time; what is asked for after the last."""
    found: tuple[int, ...] = ()
    for sequence in sequences:
        asking.came(sequence & 0xFFFF, steps, sequence * FRAME_S)
        found = asking.due(sequence * FRAME_S)
    return found


def test_a_gap_is_asked_for_by_the_packet_after_it() -> None:
    assert came(Asking(), 1, 2, 3) == ()
    assert came(Asking(), 1, 2, 4) == (3,)
    assert came(Asking(), 65_534, 65_535, 65_538) == (0, 1)


def test_what_came_as_a_copy_is_not_asked_for() -> None:
    asking = Asking()
    came(asking, 1)
    assert came(asking, 3, steps=(1,)) == ()
    assert came(asking, 6, steps=(1,)) == (4,)


def test_no_answer_is_reason_to_ask_again_but_not_for_ever() -> None:
    asking, asked = Asking(), 0
    came(asking, 1)
    for sequence in range(3, 30):
        asked += 2 in came(asking, sequence)
    assert asked == TRIES_MAX


def test_what_is_too_old_and_a_leap_are_not_asked_for() -> None:
    asking = Asking()
    came(asking, 1)
    missing = came(asking, 31)
    assert 0 < len(missing) < WORTH / FRAME_S
    assert missing[-1] == 30
    assert came(asking, 2000) == ()


def test_where_answers_take_too_long_only_a_try_is_left() -> None:
    asking, asked = Asking(), []
    came(asking, 0)
    for sequence in range(2, 2000, 2):
        now = sequence * FRAME_S
        for each in came(asking, sequence):
            asked.append(now)
            asking.came(each, (), now + 0.2)
    later = [at for at in asked if at > 2]
    assert 0 < len(later) <= 20 / TRY_AGAIN * WORTH / FRAME_S


def test_questions_are_repeated_as_loss_grows() -> None:
    asking = Asking()
    came(asking, *range(500))
    assert asking.times == 1
    came(asking, *(each for each in range(500, 1500) if each % 5))
    assert asking.times == TIMES_MAX


def test_what_was_overtaken_is_known_when_it_comes_once_more_than_it_was_asked_for() -> None:
    asking = Asking()
    assert came(asking, 1, 3) == (2,)
    assert asking.came(2, (), 0.035)
    assert asking.needless == 0
    asking.came_again(2)
    assert asking.needless == 1


# Who is asked


def kept(count: int) -> Kept:
    made = Kept()
    for sequence in range(count):
        made.add(sequence, b"%d" % sequence)
    return made


def test_the_very_bytes_come_again_as_long_as_they_are_kept() -> None:
    made = kept(100)
    assert made.again(ANN, [99, 98, 97]) == [b"99", b"98", b"97"]
    assert made.again(ANN, [100 - KEPT_PACKETS - 1, 100]) == []


def test_who_asks_for_everything_is_sent_twice_what_there_is_and_no_more() -> None:
    made, bob = kept(100), PeerId("b" * 64)
    everything = range(100)
    assert len(made.again(ANN, everything)) == CREDIT_MAX
    assert made.again(ANN, everything) == []
    answers = 0
    for sequence in range(100, 600):
        made.add(sequence, b"x")
        answers += len(made.again(ANN, range(sequence - 60, sequence + 1)))
    assert answers == 500
    assert len(made.again(bob, range(550, 600))) == CREDIT_MAX, "which nobody else pays for"


# Through the objects of a call, in virtual time


def speech(seconds: float) -> Samples:
    sound = load_sound(clip_path("ann"))
    return sound[: round(seconds * SAMPLE_RATE)]


@pytest.mark.parametrize(("loss", "burst", "concealed_max"), [(0.1, 1.0, 0.05), (0.2, 1.0, 0.08), (0.1, 3.0, 0.4)])
def test_most_of_what_is_lost_on_a_short_way_is_sent_again_and_heard(
    loss: float, burst: float, concealed_max: float
) -> None:
    line = Line(Scenario("lossy", loss=loss, burst=burst), 3, speech(6), 10.0, 80_000)
    played = line.run()
    stats = line.voice.stats()
    lost_ms = 10 * stats.packets_lost
    assert lost_ms > 0.5 * loss * 6000
    assert played.concealed_ms < concealed_max * lost_ms
    assert stats.playout_delay_ms < 60
    assert played.kbit < 200
    assert line.outgoing.copies == 0, "who asks needs no copies"


def test_a_still_network_asks_nothing_and_a_listener_outside_the_room_gets_nothing() -> None:
    line = Line(Scenario("still"), 3, speech(2), 10.0, 80_000)
    assert line.run().kbit < 90
    line.speaker.forget(LISTENER)
    outside = PeerId("c" * 64)
    with pytest.raises(WireError):
        line.speaker.asked(outside, SSRC, encode_nack(1, SSRC, [1]))


def test_packets_that_were_overtaken_are_not_taken_for_lost() -> None:
    line = Line(Scenario("mixed", reorder=0.05), 3, speech(5), 10.0, 80_000)
    line.run()
    assert line.voice.stats().packets_lost <= 3
    assert line.outgoing.copies == 0
