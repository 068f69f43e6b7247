"""The limiter: sixteen loud people at once are neither cut nor pumped, and one voice goes through untouched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshchat.media.limiter import CEILING, PIECE_SAMPLES, Limiter
from meshchat.units import SAMPLE_RATE, Samples
from tests.peers_lab import clip

BLOCK = 480
WHOLE = CEILING + 1e-6
"""As loud as it may get, but for the last bit of a float."""


def crowd(people: int, level: float, seconds: float = 6.0) -> Samples:
    """Two people, said to be so many, each talking in another place of what they have to say, at that RMS."""
    rng, sound = np.random.default_rng(1), np.zeros(int(seconds * SAMPLE_RATE), np.float32)
    voices = [clip(name) for name in ("ann", "bob")]
    for number in range(people):
        voice = voices[number % 2]
        voice = np.roll(voice, int(rng.integers(len(voice)))) * (level / float(np.sqrt(np.mean(voice**2))))
        sound += np.resize(voice, len(sound)).astype(np.float32)
    return sound


def limited(sound: Samples, block: int = BLOCK, limiter: Limiter | None = None) -> Samples:
    """What the loudspeaker gets, block by block."""
    limiter, heard = limiter or Limiter(), sound.copy()
    for begin in range(0, len(heard), block):
        limiter.limit(heard[begin : begin + block])
    return heard


def gains_db(before: Samples, after: Samples) -> Samples:
    """The gain of each 10 ms."""
    pieces, made = (each[: len(each) // BLOCK * BLOCK].reshape(-1, BLOCK) for each in (before, after))
    gains: Samples = (20 * np.log10((pieces * made).sum(axis=1) / np.square(pieces).sum(axis=1))).astype(np.float32)
    return gains


def pumping_db(gains: Samples) -> float:
    """How much the gain moves at the pace of syllables, 2 to 20 times a second: RMS."""
    spectrum = np.fft.rfft(gains - gains.mean())
    hertz = np.fft.rfftfreq(len(gains), BLOCK / SAMPLE_RATE)
    return float(np.sqrt(2 * np.sum(np.abs(spectrum[(hertz >= 2) & (hertz <= 20)]) ** 2)) / len(gains))


@pytest.mark.parametrize("level", [0.1, 0.2])
def test_sixteen_loud_people_are_not_cut_and_do_not_pump(level: float) -> None:
    sound = crowd(16, level)
    assert np.abs(sound).max() > 2.0, "far more than can be played"
    heard = limited(sound)
    assert np.abs(heard).max() <= WHOLE, "not one sample is cut"
    gains = gains_db(sound, heard)[SAMPLE_RATE // BLOCK :]
    assert pumping_db(gains) < 0.8
    assert np.percentile(gains, 95) - np.percentile(gains, 5) < 3.0


@pytest.mark.parametrize("block", [120, 240, 333, 960])
def test_whatever_the_device_asks_for_nothing_is_cut(block: int) -> None:
    assert np.abs(limited(crowd(16, 0.2, 2.0), block)).max() <= WHOLE


def test_a_tone_beside_the_crowd_stays_clean() -> None:
    """A gain that jumps, or a peak that is cut, spreads a tone over all frequencies."""
    turns = 1000.0 * np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    tone = (3.0 * np.sin(2 * np.pi * turns)).astype(np.float32)
    heard = limited(tone)[SAMPLE_RATE:]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    spectrum /= spectrum.max()
    around = int(1000 * len(heard) / SAMPLE_RATE)
    spectrum[around - 50 : around + 50] = 0.0
    assert spectrum.max() < 0.003, "50 dB under it"


def test_a_clap_is_forgotten_at_once_and_a_crowd_over_seconds() -> None:
    quiet = np.random.default_rng(1).normal(0, 0.05, 4 * SAMPLE_RATE).astype(np.float32)
    clap, laughter = quiet.copy(), quiet.copy()
    clap[SAMPLE_RATE : SAMPLE_RATE + 240] += 2.0
    laughter[: 2 * SAMPLE_RATE] += crowd(16, 0.2, 2.0)
    after_clap = gains_db(quiet[-280 * BLOCK :], limited(clap)[-280 * BLOCK :])
    after_laughter = gains_db(quiet[-190 * BLOCK :], limited(laughter)[-190 * BLOCK :])
    assert after_clap.min() > -1.5, "0.2 s later"
    assert after_laughter[0] < -6
    assert np.diff(after_laughter).max() < 0.3, "it comes back, and nobody hears it come"
    assert after_laughter[-1] > after_laughter[0] + 1


def test_what_is_not_too_loud_is_not_touched() -> None:
    sound = crowd(1, 0.1, 2.0)
    sound *= CEILING / np.abs(sound).max()
    assert np.array_equal(limited(sound), sound)


@given(
    loudness=st.lists(st.floats(0, 30), min_size=1, max_size=20), block=st.sampled_from([1, 31, 120, 480, 1000]),
    channels=st.sampled_from([1, 2]), seed=st.integers(0, 1000),
)  # fmt: skip
@settings(max_examples=60)
def test_any_sound_leaves_within_bounds(loudness: list[float], block: int, channels: int, seed: int) -> None:
    rng, limiter = np.random.default_rng(seed), Limiter()
    for level in loudness:
        sound = (rng.normal(0, 1, (block, 2)[:channels]) * level).astype(np.float32)
        before = sound.copy()
        limiter.limit(sound)
        assert np.abs(sound).max() <= 1.0
        assert (np.abs(sound) <= np.abs(before) + 1e-6).all(), "it never makes anything louder"
    for _ in range(40 * SAMPLE_RATE // 4800):
        limiter.limit(np.zeros(4800, np.float32))
    assert not limiter.active, "at rest it costs nothing"
    assert PIECE_SAMPLES < 48
