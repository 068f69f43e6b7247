"""What a call promises of its delay and its silence, with the codec as it is set by default, in virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from meshchat.codec import OpusDecoder, OpusEncoder
from meshchat.config import Config
from meshchat.media.voice import Voice
from meshchat.units import SAMPLE_RATE, Samples, Seconds
from tests.test_media_lab import Lab, Network, Sender, speech

FRAME = 480


def encoder() -> OpusEncoder:
    return OpusEncoder(bitrate=Config().bitrate)


def talk(clock: float = 1.0) -> Lab:
    made, sound = encoder(), speech(20)
    sender = Sender(lambda position, samples: made.encode(sound[position % (len(sound) - samples) :][:samples]))
    sender.clock = clock
    return Lab(Voice(OpusDecoder()), sender, Network(random.Random(3)))


def room_noise(seconds: float, level: float, seed: int = 1) -> Samples:
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)


def coded(sound: Samples) -> list[bytes]:
    made = encoder()
    return [made.encode(sound[begin : begin + FRAME]) for begin in range(0, len(sound) - FRAME + 1, FRAME)]


def test_the_delay_is_at_its_floor_in_two_seconds() -> None:
    lab = talk().run(2)
    assert lab.voice.stats().target_delay_ms <= 3
    assert lab.voice.stats().playout_delay_ms <= 10


@pytest.mark.parametrize(
    ("jitter", "loss"), [(lambda rng: rng.uniform(0, 0.03), 0.0), (lambda rng: rng.uniform(0, 0.06), 0.0), (None, 0.2)]
)
def test_five_seconds_after_a_bad_episode_it_is_there_again(
    jitter: Callable[[random.Random], Seconds] | None, loss: float
) -> None:
    lab = talk().run(4)
    floor = lab.voice.stats().playout_delay_ms
    lab.network.jitter, lab.network.loss = jitter or (lambda rng: 0.0), loss
    lab.run(10)
    assert lab.voice.stats().playout_delay_ms > floor + 10
    lab.network.jitter, lab.network.loss = lambda rng: 0.0, 0.0
    lab.run(5.5)
    assert lab.voice.stats().playout_delay_ms <= floor + 3


@pytest.mark.parametrize("clock", [1.025, 0.975])
def test_clocks_a_fortieth_apart_are_survived(clock: float) -> None:
    lab = talk(clock).run(15)
    stats = lab.voice.stats()
    assert (stats.waits, stats.packets_late) == (0, 0)
    assert stats.concealed_ms <= 20
    assert max(delay for _, delay in lab.delays) < 120


@pytest.mark.parametrize("level", [0.0, 1e-4, 1e-3])
def test_the_noise_of_a_room_is_silence_even_before_anybody_spoke(level: float) -> None:
    packets = coded(room_noise(8, level))[200:]
    assert 8 * sum(map(len, packets)) / (len(packets) / 100) < 5000


def test_the_first_syllable_after_silence_goes_out_whole() -> None:
    silence = room_noise(3, 1e-4)
    voice = speech(1)
    packets = coded(np.concatenate((silence, voice)))
    onset = len(silence) // FRAME
    assert all(packets[onset : onset + 10])


def test_a_soft_voice_is_not_taken_for_the_noise_of_a_room() -> None:
    voice = (speech(6) * 0.1).astype(np.float32)
    heard = decoded(coded(voice))
    behind = encoder().look_ahead_samples
    said, came = (power_db(each) for each in (voice[: len(heard) - behind], heard[behind:]))
    cut = (said > said.max() - 45) & (came < said - 12)
    assert 8 * cut.sum() <= 40


def decoded(packets: list[bytes]) -> Samples:
    """As it is heard where nothing is made up for what was not sent."""
    decoder = OpusDecoder()
    silence = np.zeros(FRAME, np.float32)
    return np.concatenate([decoder.decode(each).copy() if len(each) > 2 else silence for each in packets])


def power_db(sound: Samples) -> Samples:
    """Of each 8 ms."""
    steps = sound[: len(sound) // 384 * 384].reshape(-1, 384)
    return np.asarray(10 * np.log10(np.mean(steps**2, axis=1) + 1e-12), np.float32)
