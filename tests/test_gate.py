"""When sound goes out: no word loses its beginning, no key its last syllable, and a closed gate sends nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshchat.calling.outgoing import Outgoing
from meshchat.calling.voicefront import VoiceFront
from meshchat.codec import OpusDecoder, OpusEncoder
from meshchat.media.gate import BACK_SAMPLES_MAX, HANG_PIECES, OPEN_PIECES, PIECE_SAMPLES, TAIL_PIECES, Gate, Rule
from meshchat.media.level import loudness_db
from meshchat.media.preroll import Preroll
from meshchat.media.stretch import LAG_MIN
from meshchat.sframe import ReceiveKey
from meshchat.units import SAMPLE_RATE, Samples
from meshchat.wire import parse_media
from tests.peers_lab import clip

FRAME = 480
VOICE = Rule("voice", -45.0)
HELD, LET_GO = Rule("push", pressed=True), Rule("push")
KEY = bytes(range(16))

LENGTHS = pytest.mark.parametrize("frame", [120, 240, 480, 960, 1920, 2880])


def noise(samples: int, level_db: float, seed: int = 1) -> Samples:
    """The room's own noise."""
    sound = np.random.default_rng(seed).standard_normal(samples).astype(np.float32)
    return sound * np.float32(10 ** (level_db / 20))


def through(preroll: Preroll, sound: Samples, rule: Rule, frame: int = FRAME) -> Iterator[tuple[int, Samples]]:
    """What goes out, frame by frame, each with the place in `sound` at which it did."""
    for place in range(0, len(sound) - frame + 1, frame):
        out = preroll.hear(sound[place : place + frame], rule)
        if out is not None:
            assert out.shape == (frame,)
            yield place, out.copy()


def hiss_then_word(level_db: float = -58.0) -> tuple[Samples, int]:
    """2 s of a quiet room, a hiss of 100 ms under the threshold, a loud word of 0.6 s; and where the hiss begins."""
    sound = noise(4 * SAMPLE_RATE, -72.0)
    begin = 2 * SAMPLE_RATE + 77
    sound[begin : begin + 4800] += noise(4800, level_db, seed=2)
    word = clip("ann")[: int(0.6 * SAMPLE_RATE)]
    sound[begin + 4800 :][: len(word)] += word
    return sound, begin


def beginning(heard: Samples, sound: Samples, fade: int = 120, width: int = 96) -> int:
    """Where in `sound` the first frame that went out was taken from."""
    wanted = heard[fade : fade + width]
    places = np.flatnonzero(sound[: -len(heard)] == wanted[0])
    found = [place for place in places if np.array_equal(sound[place : place + width], wanted)]
    assert len(found) == 1
    return int(found[0]) - fade


@LENGTHS
def test_a_word_that_begins_under_the_threshold_is_sent_from_its_first_hiss_on(frame: int) -> None:
    sound, begin = hiss_then_word()
    preroll = Preroll()
    first = next(through(preroll, sound, VOICE, max(frame, 240)))[1]
    assert begin - 2400 <= beginning(first, sound) <= begin, "all of the hiss, and at most 50 ms of room before it"


@LENGTHS
def test_what_it_ran_late_by_is_caught_up_with_within_the_sentence(frame: int) -> None:
    sound = np.concatenate([noise(2 * SAMPLE_RATE, -72.0), noise(4800, -58.0, 2), clip("bob")[: 3 * SAMPLE_RATE]])
    preroll = Preroll()
    late = {place: preroll.late for place, _ in through(preroll, sound, VOICE, frame)}
    opened = min(late)
    assert late[opened] <= BACK_SAMPLES_MAX
    assert max(late.values()) >= 4800 - frame
    soon = [behind for place, behind in late.items() if place > opened + 1.2 * SAMPLE_RATE]
    assert max(soon) < LAG_MIN + 720, "less than a long pitch period"


def test_every_word_that_two_people_say_is_whole_in_a_noisy_room() -> None:
    """Words with pauses between them: nothing that stands out from the room is cut off, at either end."""
    for name in ("ann", "bob"):
        voice = clip(name) * 0.5
        for seed in range(4):
            begin = 3 * SAMPLE_RATE + 1111 * seed
            word = voice[12_000 * seed : 12_000 * seed + 36_000]
            sound = noise(6 * SAMPLE_RATE, -60.0, seed)
            sound[begin : begin + len(word)] += word
            loud = np.flatnonzero(np.convolve(np.square(word), np.ones(240) / 240, "same") > 10 ** (-48 / 10))
            out = list(through(Preroll(), sound, VOICE))
            assert beginning(out[0][1], sound) <= begin + loud[0]
            assert out[-1][0] >= begin + loud[-1] + 0.3 * SAMPLE_RATE


@LENGTHS
def test_a_quiet_room_and_a_click_do_not_open_it(frame: int) -> None:
    sound = noise(3 * SAMPLE_RATE, -60.0)
    sound[SAMPLE_RATE : SAMPLE_RATE + 480] = noise(480, -10.0)
    assert not list(through(Preroll(), sound, VOICE, frame))


def test_it_opens_within_40_ms_of_a_voice_and_closes_half_a_second_after_it() -> None:
    voice = clip("ann")[: 2 * SAMPLE_RATE]
    sound = np.concatenate([noise(SAMPLE_RATE, -70.0), voice, noise(2 * SAMPLE_RATE, -70.0)])
    places = [place for place, _ in through(Preroll(), sound, VOICE)]
    assert SAMPLE_RATE <= places[0] <= 1.04 * SAMPLE_RATE
    assert 3.0 * SAMPLE_RATE <= places[-1] <= 3.5 * SAMPLE_RATE
    assert len(places) == 1 + (places[-1] - places[0]) // FRAME, "and not once in between"


def test_it_ends_in_silence_so_that_nobody_guesses_on() -> None:
    sound = np.concatenate([noise(SAMPLE_RATE, -20.0), noise(SAMPLE_RATE, -70.0)])
    last = list(through(Preroll(), sound, VOICE))[-1][1]
    assert loudness_db(last[-48:]) < loudness_db(last[:48]) - 15
    held = Preroll()
    list(through(held, noise(SAMPLE_RATE, -20.0), HELD))
    assert loudness_db(list(through(held, noise(SAMPLE_RATE, -20.0), LET_GO))[-1][1][-24:]) < -40


@LENGTHS
def test_the_key_lets_out_what_is_said_while_it_is_held_and_a_moment_after_and_nothing_before(frame: int) -> None:
    preroll = Preroll()
    before, during, after = (noise(SAMPLE_RATE, -20.0, seed) for seed in range(3))
    assert not list(through(preroll, before, LET_GO, frame))
    out = list(through(preroll, during, HELD, frame))
    assert [place for place, _ in out] == list(range(0, len(during) - frame + 1, frame))
    faded = out[0][1][120:], during[120:frame]
    np.testing.assert_array_equal(*faded)
    np.testing.assert_array_equal(out[1][1], during[frame : 2 * frame])
    tail = [place + frame for place, _ in through(preroll, after, LET_GO, frame)]
    assert TAIL_PIECES * PIECE_SAMPLES <= max(tail) <= TAIL_PIECES * PIECE_SAMPLES + frame


def test_always_means_untouched() -> None:
    sound, preroll = clip("ann"), Preroll()
    whole = np.concatenate([out for _, out in through(preroll, sound, Rule())])
    np.testing.assert_array_equal(whole, sound[: len(whole)])
    assert preroll.late == 0


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([Rule(), VOICE, HELD, LET_GO, Rule("voice", -90.0), Rule("voice", -10.0)]),
            st.sampled_from([-127.0, -60.0, -40.0, -5.0]),
            st.integers(1, 60),
        ),
        max_size=12,
    ),
    st.sampled_from([120, 240, 480, 960, 2880]),
)
def test_whatever_is_heard_and_set_a_frame_comes_out_whole_or_not_at_all(
    story: list[tuple[Rule, float, int]], frame: int
) -> None:
    preroll = Preroll()
    for rule, level_db, frames in story:
        sound = noise(frame * frames, level_db)
        for _, out in through(preroll, sound, rule, frame):
            assert np.isfinite(out).all()
            assert np.abs(out).max() < 4.0, "as loud as the loudest of the noise, however it was joined"
        assert preroll.late <= BACK_SAMPLES_MAX + frame
        if rule.mode == "continuous":
            assert preroll.open


def test_digital_silence_before_a_word_is_no_reason_to_take_a_breath_for_it() -> None:
    gate = Gate()
    for _ in range(100):
        gate.hear(np.zeros(FRAME, np.float32), VOICE)
    breath = noise(2400, -80.0)
    for place in range(0, 2400, FRAME):
        gate.hear(breath[place : place + FRAME], VOICE)
    told = [gate.hear(noise(FRAME, -20.0, seed), VOICE) for seed in range(4)]
    assert gate.open
    assert max(told) <= (OPEN_PIECES + 4) * PIECE_SAMPLES


class Sent:
    """A microphone's way to the network, and what left."""

    def __init__(self, rule: Rule) -> None:
        self.datagrams: list[bytes] = []
        self.outgoing = Outgoing(OpusEncoder(dtx=False), self.datagrams.append)
        self.outgoing.use_key(7, 1, KEY)
        self.front = VoiceFront(self.outgoing, rule)

    def say(self, sound: Samples) -> list[bytes]:
        """What left while this was heard."""
        before = len(self.datagrams)
        for place in range(0, len(sound) - FRAME + 1, FRAME):
            self.front.frame(sound[place : place + FRAME], place / SAMPLE_RATE)
        return self.datagrams[before:]


def test_a_closed_gate_sends_nothing_shows_the_level_and_keeps_the_time() -> None:
    line = Sent(VOICE)
    assert not line.say(noise(5 * SAMPLE_RATE, -55.0)), "an encoder's DTX would send some of this"
    assert -58 < line.front.level_db < -52
    assert not line.front.talking
    assert not line.outgoing.speaking
    said = [parse_media(each) for each in line.say(clip("ann")[:SAMPLE_RATE])]
    assert line.front.talking
    assert line.outgoing.speaking
    assert [each.marker for each in said] == [True] + [False] * (len(said) - 1)
    line.say(noise(SAMPLE_RATE, -70.0))
    assert not line.outgoing.speaking
    again = parse_media(line.say(clip("ann")[:SAMPLE_RATE])[0])
    assert again.marker
    apart = (again.timestamp - said[0].timestamp) & 0xFFFF_FFFF
    assert abs(apart - 2 * SAMPLE_RATE) <= FRAME, "the pause is as long for the others as it was"


def test_by_key_nobody_hears_what_was_said_before() -> None:
    line = Sent(LET_GO)
    assert not line.say(clip("bob")[:SAMPLE_RATE])
    line.front.rule = HELD
    assert line.front.talking
    assert len(line.say(clip("ann")[:SAMPLE_RATE])) == SAMPLE_RATE // FRAME
    line.front.rule = LET_GO
    assert not line.front.talking
    assert len(line.say(clip("bob")[:SAMPLE_RATE])) == TAIL_PIECES * PIECE_SAMPLES // FRAME + 1, "the last one fades"


def test_another_microphone_begins_closed() -> None:
    line = Sent(VOICE)
    line.say(clip("ann")[:SAMPLE_RATE])
    assert line.front.talking
    line.front.begin_anew()
    assert not line.front.talking
    assert line.front.level_db == -127


def test_the_listener_hears_silence_after_it_closed_and_not_a_guess() -> None:
    """The last packet decodes to something that dies away."""
    line = Sent(VOICE)
    line.say(np.concatenate([clip("ann")[: 2 * SAMPLE_RATE], noise(HANG_PIECES * PIECE_SAMPLES + 9600, -60.0)]))
    key, decoder, sound = ReceiveKey(1, KEY), OpusDecoder(), np.zeros(0, np.float32)
    for each in line.datagrams:
        packet = parse_media(each)
        sound = decoder.decode(key.open(packet.header, packet.payload)).copy()
    assert loudness_db(sound) < -50
