"""One speaker through every network: heard at once, kept current, and never a hole where there need be none."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshchat.media.arrivals import Arrival
from meshchat.media.jitter import HELD_PACKETS_MAX, HELD_SAMPLES_MAX
from meshchat.media.mixer import Mixer
from meshchat.media.shaping import BUDGET_MAX
from meshchat.media.stretch import LAG_MAX
from meshchat.media.voice import Voice
from meshchat.units import SAMPLE_RATE
from tests.test_media_lab import RAMP_START, Lab, RampDecoder, counted, ramp_lab


def skipped(lab: Lab) -> int:
    """How many samples of the ramp were never heard, between the first and the last that were."""
    numbers = counted(lab)[240:]
    numbers = np.unique(numbers[numbers >= numbers[0]])
    return int(numbers[-1] - numbers[0] + 1 - len(numbers))


@pytest.mark.parametrize("block", [120, 240, 480, 512, 960])
def test_on_a_still_network_the_first_sound_is_prompt(block: int) -> None:
    for phase_ms in range(10):
        lab = ramp_lab(block=block)
        lab.phase = phase_ms / 1000
        lab.run(0.2)
        assert lab.heard_after_ms <= 30


@pytest.mark.parametrize("block", [120, 240, 480, 512, 441])
def test_on_a_still_network_a_packet_waits_less_than_15_ms(block: int) -> None:
    delays = []
    for phase_ms in (0.2, 1.7, 3.1, 5.3, 7.9, 9.8):
        lab = ramp_lab(block=block)
        lab.network.jitter = lambda rng: rng.expovariate(1 / 0.0002)
        lab.phase = phase_ms / 1000
        lab.run(6)
        assert lab.voice.stats().concealed_ms == 0
        delays.append(lab.voice.stats().playout_delay_ms)
    assert sum(delays) / len(delays) < 15


def test_when_the_network_turns_bad_the_delay_follows_within_a_second_and_later_returns() -> None:
    lab = ramp_lab(seed=3).run(4)
    assert lab.voice.stats().target_delay_ms < 4
    lab.network.jitter = lambda rng: rng.uniform(0, 0.03)
    lab.run(1)
    assert lab.voice.stats().target_delay_ms > 25
    concealed_ms = lab.voice.stats().concealed_ms
    lab.run(10)
    assert lab.voice.stats().concealed_ms - concealed_ms < 100, "one percent at most"
    lab.network.jitter = lambda rng: 0.0
    lab.run(12)
    assert lab.voice.stats().playout_delay_ms < 15


def test_one_stray_late_packet_is_not_paid_for_by_everybody() -> None:
    lab = ramp_lab().run(4)
    before = lab.voice.stats()
    strays = iter([0.15])
    lab.network.jitter = lambda rng: next(strays, 0.0)
    lab.run(2)
    after = lab.voice.stats()
    assert after.target_delay_ms == before.target_delay_ms
    assert after.playout_delay_ms < before.playout_delay_ms + 15
    assert after.packets_late == 0, "it was asked for, and there at once"


def test_two_minutes_of_loss_and_jitter_neither_hole_the_sound_nor_let_the_delay_drift() -> None:
    lab = ramp_lab(seed=7)
    lab.network.loss, lab.network.jitter = 0.05, lambda rng: rng.uniform(0, 0.02)
    lab.run(120)
    stats = lab.voice.stats()
    delays = [delay for _, delay in lab.delays]
    assert abs(np.mean(delays[2000:5000]) - np.mean(delays[-3000:])) < 12
    assert max(delays) < 60
    silent = np.flatnonzero(np.abs(lab.sound[SAMPLE_RATE:]) > 0)
    assert np.diff(silent).max() <= 60 * 48
    assert stats.concealed_ms < 1.15 * 10 * stats.packets_lost


@pytest.mark.parametrize(("clock", "frame", "block"), [(1.0002, 960, 960), (0.9998, 960, 1024)])
def test_ten_minutes_of_drifting_clocks_are_absorbed(clock: float, frame: int, block: int) -> None:
    absorbs(clock, frame, block, 600)


@pytest.mark.parametrize("clock", [1.001, 0.999])
def test_a_drift_five_times_as_fast_is_absorbed_too(clock: float) -> None:
    absorbs(clock, 480, 441, 60)


def absorbs(clock: float, frame: int, block: int, seconds: float) -> None:
    lab = ramp_lab(block=block)
    lab.sender.clock, lab.sender.frame = clock, frame
    lab.network.jitter = lambda rng: rng.uniform(0, 0.001)
    lab.run(seconds)
    stats = lab.voice.stats()
    assert max(delay for at, delay in lab.delays if at > 10) < (frame + block) / 48 + 15
    assert stats.concealed_ms == stats.waits == stats.packets_late == 0
    drifted_ms = 1000 * seconds * (clock - 1)
    assert abs(stats.shortened_ms - stats.lengthened_ms - drifted_ms) < frame / 48 + 20


def test_disorder_costs_nothing_once_it_is_known() -> None:
    lab = ramp_lab(seed=5)
    lab.network.jitter = lambda rng: 0.025 if rng.random() < 0.05 else 0.0
    lab.run(3)
    concealed_ms = lab.voice.stats().concealed_ms
    lab.run(20)
    assert lab.voice.stats().concealed_ms - concealed_ms <= 100
    assert lab.voice.stats().packets_lost == 0


def test_copies_are_counted_and_otherwise_nothing() -> None:
    lab = ramp_lab()
    lab.network.duplicate = 1.0
    lab.run(0.6)
    assert (np.diff(counted(lab)[240:]) == 1).all()
    stats = lab.voice.stats()
    assert stats.packets_duplicated == stats.packets_received / 2
    assert stats.packets_lost == stats.packets_late == stats.concealed_ms == 0


def test_numbers_wrap_unheard() -> None:
    lab = ramp_lab()
    lab.sender.sequence, lab.sender.timestamp = 65_520, (1 << 32) - 16_000
    lab.run(0.6)
    assert (np.diff(counted(lab)[240:]) == 1).all()
    assert lab.voice.stats().concealed_ms == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_sender_that_restarts_is_heard_again_within_200_ms(seed: int) -> None:
    lab = ramp_lab().run(3)
    rng = random.Random(seed)
    lab.sender.sequence, lab.sender.timestamp = rng.randrange(1 << 16), rng.randrange(1 << 32)
    restart = lab.sender.position
    lab.run(0.2)
    assert counted(lab)[-1] > RAMP_START + restart
    assert lab.voice.stats().restarts == 1
    lab.run(4)
    assert lab.voice.stats().playout_delay_ms < 20


def talk_and_pause(lab: Lab, talk: float, pause: float) -> None:
    """Lets the speaker be silent, and send nothing, after every `talk` seconds."""
    speak = lab.sender.encode

    def encode(position: int, samples: int) -> bytes:
        return speak(position, samples) if position / SAMPLE_RATE % (talk + pause) < talk else b""

    lab.sender.encode = encode


def test_the_silence_of_a_speaker_is_not_loss_and_no_word_is_cut() -> None:
    lab = ramp_lab(seed=2)
    talk_and_pause(lab, talk=0.9, pause=0.6)
    lab.network.jitter = lambda rng: rng.uniform(0, 0.002)
    lab.run(30)
    stats = lab.voice.stats()
    assert stats.concealed_ms == stats.packets_lost == stats.packets_late == stats.waits == 0
    heard = counted(lab) - RAMP_START
    for spurt in range(19):
        first = round(spurt * 1.5 * SAMPLE_RATE)
        spoken = np.isin(np.arange(first + 240, first + 43_200), heard)
        assert spoken.mean() > 0.97
        assert spoken[:480].all(), "the beginning counts most"


def test_a_pause_of_minutes_is_harmless() -> None:
    lab = ramp_lab(block=960)
    talk_and_pause(lab, talk=2, pause=240)
    lab.sender.clock = 1.0002
    lab.run(242)
    played = sum(block is not None for block in lab.blocks)
    assert played < 2.3 * SAMPLE_RATE / 960
    lab.run(2)
    stats = lab.voice.stats()
    assert stats.concealed_ms == stats.restarts == 0
    assert stats.playout_delay_ms < 30
    assert counted(lab)[-1] > RAMP_START + 243.8 * SAMPLE_RATE


def test_a_speaker_who_vanishes_fades_and_then_costs_nothing() -> None:
    lab = ramp_lab().run(2)
    lab.network.loss = 1.0
    lab.run(0.5)
    assert all(block is not None for block in lab.blocks[190:200])
    assert all(block is None for block in lab.blocks[-30:])


def test_frames_may_change_their_length() -> None:
    lab = ramp_lab()
    for frame in (480, 960, 120, 240, 2880, 480):
        lab.sender.frame = frame
        lab.run(1)
    assert lab.voice.stats().packets_lost == 0
    assert lab.voice.stats().concealed_ms < 110, "only the first longer frames come later than was known"
    assert skipped(lab) < 0.1 * 6 * SAMPLE_RATE


def test_blocks_may_have_any_size() -> None:
    lab = ramp_lab().run(0)
    rng = random.Random(9)
    for _ in range(400):
        lab.block = rng.choice([1, 64, 441, 480, 512, 960, 1999])
        lab.phase = lab.now
        lab._pulls = 0
        lab.run(lab.block / SAMPLE_RATE / 2)
        lab.now = lab.phase + lab.block / SAMPLE_RATE
        block = lab.blocks[-1]
        assert block is None or len(block) == lab.block
    assert lab.voice.stats().concealed_ms < 45


def test_garbage_is_counted_and_concealed() -> None:
    lab = ramp_lab(seed=4)
    speak, rng = lab.sender.encode, random.Random(4)

    def encode(position: int, samples: int) -> bytes:
        return rng.choice([b"?", RampDecoder.payload(0, samples, good=False)] + [speak(position, samples)] * 18)

    lab.sender.encode = encode
    lab.run(20)
    stats = lab.voice.stats()
    assert 150 < stats.packets_damaged < 250
    assert stats.concealed_ms < 11 * stats.packets_damaged
    assert stats.playout_delay_ms < 30


def freeze(lab: Lab, seconds: float) -> None:
    """The network holds everything back and then lets go of it at once."""
    end = lab.now + seconds
    lab.network.jitter = lambda rng: max(0.0, end - lab.sender.position / SAMPLE_RATE)


def test_a_short_freeze_delays_but_skips_nothing() -> None:
    lab = ramp_lab().run(4)
    before = lab.voice.stats()
    first = len(lab.blocks)
    freeze(lab, 0.08)
    lab.run(0.3)
    after = lab.voice.stats()
    assert after.waits == before.waits + 1
    assert after.packets_late == after.packets_lost == 0
    assert 60 <= after.concealed_ms <= 90
    lab.blocks = lab.blocks[first:]
    assert skipped(lab) <= 0.1 * 0.3 * SAMPLE_RATE + BUDGET_MAX + LAG_MAX, "shortened, not skipped"
    lab.run(6)
    assert lab.voice.stats().playout_delay_ms < before.playout_delay_ms + 5


def test_after_a_long_freeze_talk_is_current_again_at_once() -> None:
    lab = ramp_lab().run(4)
    freeze(lab, 0.7)
    lab.run(0.9)
    assert counted(lab)[-1] > RAMP_START + 4.85 * SAMPLE_RATE
    lab.run(4)
    assert lab.voice.stats().playout_delay_ms < 20


def test_copies_in_later_packets_repair_loss_and_buy_the_wait_they_need() -> None:
    lab = ramp_lab(seed=6, copies=True)
    lab.run(4)
    assert lab.voice.stats().target_delay_ms < 4, "nothing is paid before there is loss"
    lab.network.loss = 0.05
    lab.run(2)
    before = lab.voice.stats()
    assert before.target_delay_ms > 10
    lab.run(30)
    after = lab.voice.stats()
    lost_ms = 10 * (after.packets_lost - before.packets_lost)
    assert after.recovered_ms - before.recovered_ms > 0.9 * lost_ms
    assert after.concealed_ms - before.concealed_ms < 0.1 * lost_ms


def test_the_lost_first_packet_of_a_sentence_is_read_from_its_copy() -> None:
    lab = ramp_lab(copies=True)
    talk_and_pause(lab, talk=0.5, pause=0.5)
    lab.run(0.9)
    lab.network.loss = 1.0
    lab.run(0.111)
    lab.network.loss = 0.0
    lab.run(0.3)
    assert lab.voice.stats().packets_lost == 1
    assert RAMP_START + SAMPLE_RATE + 300 in counted(lab)


def test_a_flood_fills_no_more_than_its_share() -> None:
    voice = Voice(RampDecoder())
    for number in range(20_000):
        stamp = number * 7919 % 90_000
        voice.put(Arrival(number & 0xFFFF, stamp, False, RampDecoder.payload(stamp, 120), 1.0))
        if number % 150 == 0:
            voice.pull(480, 1.0)
            assert len(voice._inbox) <= HELD_PACKETS_MAX
            assert len(voice._jitter) <= HELD_PACKETS_MAX
            packets = voice._jitter._packets
            assert not packets or packets[-1].end - packets[0].timestamp <= HELD_SAMPLES_MAX


def test_timestamps_from_nowhere_do_not_disturb_a_speaker() -> None:
    lab = ramp_lab().run(0.1)
    rng = random.Random(8)
    for _ in range(300):
        lab.run(0.01)
        nowhere = rng.randrange(1 << 32)
        lab.voice.put(Arrival(rng.randrange(1 << 16), nowhere, False, RampDecoder.payload(1, 480), lab.now))
    stats = lab.voice.stats()
    assert stats.restarts == stats.concealed_ms == 0
    assert 290 <= stats.packets_damaged <= 300


def test_what_is_said_about_a_voice_is_true() -> None:
    lab = ramp_lab(seed=1)
    lab.network.loss = 0.1
    lab.run(10)
    stats = lab.voice.stats()
    assert 998 + 0.8 * stats.packets_lost <= stats.packets_received + stats.packets_lost
    assert stats.recovered_ms > 8 * stats.packets_lost
    assert stats.speaking
    assert -20 < stats.level_db < -8
    lab.network.loss = 1.0
    lab.run(3)
    assert not lab.voice.stats().speaking
    assert lab.voice.stats().level_db == -127


def test_silent_voices_are_nearly_free() -> None:
    voice = Voice(RampDecoder())
    assert all(voice.pull(480, number / 100) is None for number in range(1000))
    assert voice.stats().concealed_ms == 0


STEPS = st.one_of(
    st.builds(
        Arrival,
        sequence=st.integers(0, 20) | st.integers(0, 0xFFFF),
        timestamp=st.integers(0, 20).map(lambda n: n * 480) | st.integers(0, (1 << 32) - 1),
        marker=st.booleans(),
        payload=st.binary(max_size=12)
        | st.builds(
            RampDecoder.payload,
            timestamp=st.integers(480, 1 << 40),
            samples=st.sampled_from([120, 240, 480, 960, 5760]),
            copy=st.booleans(),
            good=st.booleans(),
        ),
        at=st.just(0.0),
    ),
    st.tuples(st.integers(1, 3000), st.floats(0, 2)),
)


class WildDecoder(RampDecoder):
    """Believes every 12 bytes, and its sound may be as loud as it likes, or no number at all."""

    def packet_samples(self, packet: bytes) -> int:
        samples = super().packet_samples(packet)
        return samples if samples in {120, 240, 480, 960, 5760} else 480

    def decode(self, packet: bytes) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        sound = self._ramp(int.from_bytes(packet[3:8], "big"), self.packet_samples(packet))
        sound[::7] = np.nan if packet[1] else np.inf
        return sound


@given(st.lists(STEPS, max_size=60))
@settings(max_examples=150, deadline=None)
def test_whatever_comes_what_leaves_is_sound(steps: list[Arrival | tuple[int, float]]) -> None:
    mixer = Mixer()
    voice = Voice(WildDecoder(), gain=3.0)
    mixer.add("somebody", voice)
    now = 100.0
    for step in steps:
        if isinstance(step, Arrival):
            voice.put(replace(step, at=now))
            continue
        samples, passed = step
        now += passed
        block = mixer.pull(samples, now)
        assert block.shape == (samples,)
        assert block.dtype == np.float32
        assert np.isfinite(block).all()
        assert np.abs(block).max() <= 1
        assert all(np.isfinite(value) for value in map(float, _figures(voice)))


def _figures(voice: Voice) -> list[float]:
    stats = voice.stats()
    return [getattr(stats, name) for name in stats.__slots__]
