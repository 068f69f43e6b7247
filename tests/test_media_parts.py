"""The parts of a voice one by one: lateness, order, stretching, meters, reports, and the sum of many."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshchat.media.arrivals import FIRST_GUESS, Arrival, Arrivals
from meshchat.media.decoding import FADE_UNTIL, Decoding
from meshchat.media.intake import Intake, Packet
from meshchat.media.jitter import JitterBuffer
from meshchat.media.level import Meter, audio_level, loudness_db
from meshchat.media.limiter import Limiter
from meshchat.media.mixer import Mixer
from meshchat.media.pace import Pace
from meshchat.media.reception import Reception
from meshchat.media.stretch import FADE_SAMPLES, LAG_MAX, lengthened, shortened
from meshchat.media.tape import HISTORY_SAMPLES, Tape
from meshchat.units import SAMPLE_RATE, Samples, Seconds
from tests.test_media_lab import RampDecoder, speech


def steady(arrivals: Arrivals, rng: random.Random, seconds: float, jitter: Seconds, start: float = 0.0) -> None:
    for number in range(round(100 * seconds)):
        sent = start + number / 100
        arrivals.add(5.0 + sent + rng.uniform(0, jitter), round(sent * SAMPLE_RATE), 480)


def test_the_wait_begins_with_a_guess_and_shrinks_to_what_a_still_network_needs() -> None:
    arrivals = Arrivals()
    assert arrivals.target >= FIRST_GUESS
    steady(arrivals, random.Random(1), 3, 0.0003)
    assert arrivals.target <= 0.002


def test_the_wait_grows_within_a_second_and_shrinks_slowly() -> None:
    arrivals, rng = Arrivals(), random.Random(2)
    steady(arrivals, rng, 5, 0.0)
    steady(arrivals, rng, 1, 0.05, start=5)
    assert 0.045 < arrivals.target < 0.055
    steady(arrivals, rng, 1, 0.0, start=6)
    assert arrivals.target > 0.03
    steady(arrivals, rng, 15, 0.0, start=7)
    assert arrivals.target < 0.005


def test_a_slower_path_is_no_jitter_once_it_has_settled() -> None:
    arrivals, rng = Arrivals(), random.Random(3)
    steady(arrivals, rng, 5, 0.001)
    for number in range(600):
        sent = 5 + number / 100
        arrivals.add(5.05 + sent + rng.uniform(0, 0.001), round(sent * SAMPLE_RATE), 480)
    assert arrivals.base == pytest.approx(5.05, abs=0.001)
    assert arrivals.target < 0.03, "sinking, and not growing once more"


def test_a_frozen_network_is_not_answered_by_as_much_delay() -> None:
    arrivals = Arrivals()
    steady(arrivals, random.Random(4), 5, 0.0)
    for number in range(50):
        arrivals.add(10.5, round((5 + number / 100) * SAMPLE_RATE), 480)
    assert arrivals.target < 0.05


@pytest.mark.parametrize("share", [0.05, 0.002])
def test_repair_is_waited_for_only_where_loss_is_worth_it(share: float) -> None:
    arrivals, rng = Arrivals(), random.Random(5)
    for number in range(2000):
        arrivals.add(number / 100, number * 480, 480)
        if rng.random() < share:
            arrivals.add_repair(number / 100, (number - 1) * 480, 480)
    assert (arrivals.target > 0.011) == (share > 0.01)


def arrival(sequence: int, timestamp: int, at: Seconds, samples: int = 480) -> Arrival:
    return Arrival(sequence, timestamp, False, RampDecoder.payload(timestamp, samples), at)


def test_timestamps_unwrap_and_copies_are_known_across_the_wrap() -> None:
    intake = Intake(RampDecoder().packet_samples)
    accepted = []
    for number in range(20):
        packet = arrival((65_530 + number) & 0xFFFF, ((1 << 32) - 4800 + 480 * number) % (1 << 32), number / 100)
        accepted += [*intake.accept(packet), *intake.accept(packet)]
    assert [packet.timestamp - accepted[0].timestamp for packet in accepted] == [480 * n for n in range(20)]
    assert intake.duplicated == 20


def test_a_stranger_is_believed_only_with_a_witness() -> None:
    intake = Intake(RampDecoder().packet_samples)
    assert intake.accept(arrival(1, 0, 0.0))
    assert not intake.accept(arrival(900, 1 << 30, 0.01))
    assert intake.accept(arrival(2, 480, 0.01))
    assert not intake.accept(arrival(901, (1 << 30) + 480, 0.02)), "an agreeing one in between cleared the suspicion"
    assert [packet.sequence for packet in intake.accept(arrival(902, (1 << 30) + 960, 0.03))] == [901, 902]
    assert (intake.restarts, intake.strayed) == (1, 1)


def waiting(timestamp: int, samples: int = 480) -> Packet:
    return Packet(timestamp // 480 & 0xFFFF, timestamp, samples, False, b"", 0.0)


@given(st.lists(st.integers(0, 400).map(lambda n: n * 480), max_size=300))
def test_packets_wait_in_order_and_in_bounds(timestamps: list[int]) -> None:
    buffer = JitterBuffer()
    for timestamp in timestamps:
        buffer.put(waiting(timestamp), played_until=4800)
    out = [buffer.pop().timestamp for _ in range(len(buffer))]
    assert out == sorted(set(out))
    assert len(out) + buffer.late == len(timestamps)
    assert all(timestamp >= 4800 for timestamp in out)
    assert not out or out[-1] + 480 - out[0] <= SAMPLE_RATE


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 4000)), max_size=40))
def test_a_tape_gives_back_what_was_put_on_it(steps: list[tuple[int, int]]) -> None:
    tape, put, taken = Tape(), [np.zeros(HISTORY_SAMPLES, np.float32)], [np.zeros(0, np.float32)]
    for number, (samples, wanted) in enumerate(steps):
        sound = np.full(samples, number + 1, np.float32)
        tape.append(sound)
        put.append(sound)
        assert (tape.recent(samples) == np.concatenate(put)[-samples - HISTORY_SAMPLES :]).all()
        taken.append(tape.take(min(wanted, tape.pending)).copy())
    everything, played = np.concatenate(put[1:] or put[:0] or [taken[0]]), np.concatenate(taken)
    assert (everything[: len(played)] == played).all()
    assert tape.pending == len(everything) - len(played)


def vowel(pitch_hz: float, samples: int = 4800) -> Samples:
    phase = 2 * np.pi * pitch_hz * np.arange(samples) / SAMPLE_RATE
    harmonics = np.arange(1, 12)[:, np.newaxis]
    sound: Samples = (0.2 * (np.sin(harmonics * phase + harmonics) / harmonics).sum(axis=0)).astype(np.float32)
    return sound


@pytest.mark.parametrize("pitch_hz", [85, 110, 160, 240, 390])
def test_one_period_goes_or_comes_and_nobody_hears_it(pitch_hz: float) -> None:
    sound, join = vowel(pitch_hz), 2400
    period = SAMPLE_RATE / pitch_hz
    for shaped in (shortened(sound[: join + 960], join, LAG_MAX), lengthened(sound[: join + 960], join, round(period))):
        assert shaped is not None
        periods = (len(shaped) - 960) / period
        assert abs(periods - round(periods)) < 0.05
        assert round(periods) != 0
        joined = np.concatenate((sound[:join], shaped))
        assert np.abs(np.diff(joined)).max() < 1.1 * np.abs(np.diff(sound)).max()


def test_noise_is_left_alone_unless_it_is_quiet_enough_not_to_matter() -> None:
    noise = np.random.default_rng(1).standard_normal(4800).astype(np.float32)
    assert shortened(noise, 2400, LAG_MAX) is None
    assert lengthened(noise, 2400, LAG_MAX) is None
    cut = shortened(noise, 2400, 2000, alike_min=-1.0)
    assert cut is not None
    assert len(cut) >= 4800 - 2400 - 2000
    longer = lengthened(noise, 2400, 480, alike_min=-1.0)
    assert longer is not None
    assert abs(len(longer) - 2400 - 480) < 200


def test_there_must_be_room_to_cut() -> None:
    sound = vowel(200)
    assert shortened(sound[: 2400 + FADE_SAMPLES], 2400, LAG_MAX) is None
    assert shortened(sound, 2400, 100) is None


def test_a_cut_within_a_block_costs_no_slack_and_one_more_costs_the_block() -> None:
    pace = Pace()
    pace.asked(480)
    pace.start(480 + 400.0)
    assert pace.slack(480, place=200) == 680
    assert pace.cut_max(480, 200, slack_min=100) == 200 + 480
    assert pace.cut_max(480, 200, slack_min=300) == 200
    assert pace.cut_max(480, 200, slack_min=700) == 0


@pytest.mark.parametrize(("block", "frame"), [(480, 480), (240, 480), (960, 480), (512, 480), (480, 960), (441, 240)])
def test_sound_begins_as_soon_as_every_later_packet_has_its_slack_and_no_sooner(block: int, frame: int) -> None:
    wish = 100.0
    for waited in range(0, 1500, 37):
        pace = Pace()
        place = pace.first_place(waited, block, frame, 0, wish)
        starts = [place + frame * number for number in range(200)]
        slack = min(waited + start // block * block - frame * number for number, start in enumerate(starts))
        assert slack >= wish
        earlier = place - 1
        if earlier >= 0:
            starts = [earlier + frame * number for number in range(block)]
            assert min(waited + start // block * block - frame * n for n, start in enumerate(starts)) < wish


class Hum:
    """A decoder that guesses a steady tone."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def decode(self, packet: bytes) -> Samples:
        return np.full(len(packet), 0.5, np.float32)

    def recover(self, following: bytes, samples: int) -> Samples:
        return np.full(samples, 0.25, np.float32)

    def conceal(self, samples: int) -> Samples:
        self.asked.append(samples)
        return np.full(samples, 0.5, np.float32)

    def packet_channels(self, packet: bytes) -> int:
        return 1

    def set_channels(self, channels: int) -> None:
        assert channels == 1

    def packet_samples(self, packet: bytes) -> int:
        return len(packet)

    def has_recovery(self, packet: bytes) -> bool:
        return True


def test_guesses_keep_their_level_then_fade_and_real_sound_comes_up_from_there() -> None:
    decoding = Decoding(Hum())
    decoding.play(bytes(480), 480)
    guessed = np.concatenate([decoding.guess(100) for _ in range(60)])
    assert (guessed[: 60 * 48] == 0.5).all()
    assert (np.diff(guessed) <= 0).all()
    assert (guessed[FADE_UNTIL:] == 0).all()
    assert decoding.faded
    back = decoding.play(bytes(480), 480)
    assert back[0] < 0.01
    assert back[-1] == 0.5
    assert np.abs(np.diff(back)).max() < 0.01


def test_guesses_are_made_in_whole_frames_and_their_rest_is_faded_out() -> None:
    hum = Hum()
    decoding = Decoding(hum)
    decoding.play(bytes(480), 480)
    assert len(decoding.guess(7)) == 7
    assert len(decoding.guess(470)) == 470
    assert hum.asked == [480]
    decoding.guess(100)
    recovered = decoding.recover(bytes(480), 480, 480)
    assert recovered[0] == 0.5
    assert recovered[-1] == 0.25
    assert np.abs(np.diff(recovered)).max() < 0.01


def test_the_level_is_that_of_rfc_6464() -> None:
    assert audio_level(np.ones(480, np.float32)) == 0
    assert audio_level(np.full(480, 0.1, np.float32)) == 20
    assert audio_level(vowel(0.0001)) >= 0
    assert audio_level(np.zeros(480, np.float32)) == 127
    assert audio_level(np.full(480, 1e-9, np.float32)) == 127
    assert loudness_db(np.zeros(0, np.float32)) == -127


def test_speaking_does_not_flicker_between_syllables() -> None:
    meter, states = Meter(), []
    sound = speech(8)
    for start in range(0, len(sound), 480):
        meter.hear(sound[start : start + 480], 480)
        states.append(meter.speaking)
    assert sum(a != b for a, b in pairwise(states)) == 3, "two sentences, the first from the start"
    meter.hear(None, 3 * SAMPLE_RATE)
    assert meter.at_rest


def sent(reception: Reception, numbers: list[int], start: float = 0.0) -> None:
    for place, number in enumerate(numbers):
        reception.put(number & 0xFFFF, number * 480 % (1 << 32), start + place / 100)


def test_a_report_counts_over_the_wrap_and_from_the_report_before() -> None:
    reception = Reception()
    sent(reception, [n for n in range(65_500, 65_600) if n % 4])
    first = reception.report()
    assert first.extended_highest_sequence == 65_599
    assert first.cumulative_lost == 24
    assert first.fraction_lost == pytest.approx(256 / 4, abs=2)
    sent(reception, list(range(65_600, 65_700)), start=2)
    assert reception.report().fraction_lost == 0
    assert reception.lost == 24


def test_copies_make_the_cumulative_loss_negative_and_the_fraction_none() -> None:
    reception = Reception()
    sent(reception, [number // 2 for number in range(100)])
    report = reception.report()
    assert (report.cumulative_lost, report.fraction_lost) == (-50, 0)


def test_a_leap_of_sequence_is_believed_at_the_second_packet() -> None:
    reception = Reception()
    sent(reception, [1, 2, 3])
    sent(reception, [40_000])
    assert reception.expected == 3
    sent(reception, [4, 40_001])
    assert reception.expected == 4
    sent(reception, [40_002])
    assert (reception.expected, reception.received) == (1, 1)


def test_jitter_is_that_of_rfc_3550() -> None:
    reception = Reception()
    for number in range(400):
        reception.put(number, number * 480, number / 100 + (0.002 if number % 2 else 0.0))
    assert reception.jitter_ms == pytest.approx(2, rel=0.01)
    assert reception.report().jitter == pytest.approx(96, abs=2)


@dataclass
class Player:
    """A source that repeats one block."""

    sound: Samples | None
    gain: float = 1.0

    def pull(self, samples: int, now: Seconds) -> Samples | None:
        return None if self.sound is None else np.resize(self.sound, samples)


def test_what_is_not_too_loud_passes_untouched_and_silence_is_free() -> None:
    mixer = Mixer()
    mixer.add("silent", Player(None))
    mixer.add("one", Player(vowel(100, 480)))
    mixer.add("two", Player(vowel(150, 480), gain=0.5))
    assert mixer.pull(480, 0.0) == pytest.approx(vowel(100, 480) + 0.5 * vowel(150, 480))
    mixer.remove("one")
    mixer.remove("one")
    mixer.remove("two")
    assert (mixer.pull(480, 0.0) == 0).all()


def test_a_changed_gain_and_deafening_come_without_a_step() -> None:
    mixer, player = Mixer(), Player(np.full(480, 0.5, np.float32))
    mixer.add(1, player)
    played = [mixer.pull(480, 0.0).copy()]
    player.gain = 0.2
    played += [mixer.pull(480, 0.0).copy() for _ in range(2)]
    mixer.deafened = True
    played += [mixer.pull(480, 0.0).copy() for _ in range(2)]
    mixer.deafened = False
    played += [mixer.pull(480, 0.0).copy() for _ in range(2)]
    assert [round(float(block[-1]), 3) for block in played] == [0.5, 0.1, 0.1, 0.0, 0.0, 0.1, 0.1]
    assert np.abs(np.diff(np.concatenate(played))).max() < 0.002


def test_a_table_may_change_while_it_is_pulled() -> None:
    mixer = Mixer()

    class Leaver(Player):
        def pull(self, samples: int, now: Seconds) -> Samples | None:
            mixer.remove("leaver")
            mixer.add("comer", Player(None))
            return super().pull(samples, now)

    mixer.add("leaver", Leaver(np.full(480, 0.5, np.float32)))
    assert mixer.pull(480, 0.0)[0] == 0.5
    assert mixer.pull(480, 0.0)[0] == 0.0


@given(st.lists(st.tuples(st.integers(1, 700), st.floats(0, 50)), min_size=1, max_size=30), st.integers(0, 1000))
@settings(deadline=None)
def test_the_limiter_never_lets_more_than_one_through_nor_turns_sound_over(
    blocks: list[tuple[int, float]], seed: int
) -> None:
    limiter, rng = Limiter(), np.random.default_rng(seed)
    for samples, loudness in blocks:
        sound = (loudness * rng.uniform(-1, 1, samples)).astype(np.float32)
        limited = sound.copy()
        limiter.limit(limited)
        assert np.abs(limited).max() <= 1
        assert (limited * sound >= 0).all()
        assert (np.abs(limited) <= np.abs(sound) + 1e-6).all()


def test_the_limiter_turns_down_smoothly_and_comes_back() -> None:
    limiter = Limiter()
    tone = vowel(200, 480 * 40)
    tone /= np.abs(tone).max()
    tone *= np.concatenate((np.full(4800, 0.5), np.full(4800, 3.0), np.full(9600, 0.5))).astype(np.float32)
    limited = tone.copy()
    for start in range(0, len(limited), 480):
        limiter.limit(limited[start : start + 480])
    gains = limited[np.abs(tone) > 0.05] / tone[np.abs(tone) > 0.05]
    assert gains[:2000] == pytest.approx(1)
    assert gains.min() > 0.3
    assert gains[-500:].min() > 0.5, "on its way back; tests/test_limiter.py follows it"
