"""The ear hears who is there, says where, finds the holes, and is not fooled by somebody else's voice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from meshchat.codec import OpusDecoder, OpusEncoder
from meshchat.hearing import Heard, heard, longest_silence_ms
from meshchat.units import SAMPLE_RATE, Samples

ASSETS = Path(__file__).parent.parent / "meshchat" / "assets"


def voice(seed: int, pitch_hz: float, seconds: float = 6.0) -> Samples:
    """Something like speech at 48 kHz, -20 dBFS: syllables of gliding harmonics under formants, with breath."""
    rng = np.random.default_rng(seed)
    parts: list[Samples] = []
    while sum(map(len, parts)) < seconds * SAMPLE_RATE:
        parts.append(_syllable(rng, pitch_hz))
        parts.append(np.zeros(int(rng.uniform(0.01, 0.06) * SAMPLE_RATE), np.float32))
    sound = np.concatenate(parts)[: int(seconds * SAMPLE_RATE)]
    scaled: Samples = (sound * (0.1 / np.sqrt(np.mean(sound**2)))).astype(np.float32)
    return scaled


def _syllable(rng: np.random.Generator, pitch_hz: float) -> Samples:
    size = int(rng.uniform(0.12, 0.28) * SAMPLE_RATE)
    course = np.linspace(0, 1, size)
    glide = pitch_hz * rng.uniform(0.85, 1.2) * (1 + rng.uniform(-0.15, 0.15) * course)
    phase = 2 * np.pi * np.cumsum(glide) / SAMPLE_RATE
    formants = (rng.uniform(300, 800), rng.uniform(900, 2200), rng.uniform(2300, 3200))
    sound = rng.choice((0.02, 0.1, 0.4)) * rng.standard_normal(size)
    for harmonic in range(1, int(4000 / pitch_hz)):
        gain = 0.02 + sum(np.exp(-(((harmonic * pitch_hz - formant) / 150) ** 2)) for formant in formants)
        sound += gain * np.sin(harmonic * phase + rng.uniform(0, 2 * np.pi))
    rises_and_falls = np.sin(np.pi * course).clip(0) ** 0.5
    shaped: Samples = (sound * rises_and_falls * rng.uniform(0.5, 1)).astype(np.float32)
    return shaped


ANN, BOB = voice(1, 210), voice(2, 115, seconds=5.5)


def loop(clip: Samples, begins_s: float, seconds: float) -> Samples:
    """A clip over and over, as heard from a moment of it on."""
    begin, size = int(begins_s * SAMPLE_RATE), int(seconds * SAMPLE_RATE)
    return np.tile(clip, 2 + (begin + size) // len(clip))[begin : begin + size]


def silenced(sound: Samples, at_s: float, ms: int) -> Samples:
    """The same sound with a hole."""
    result = sound.copy()
    begin = int(at_s * SAMPLE_RATE)
    result[begin : begin + ms * SAMPLE_RATE // 1000] = 0
    return result


def through_opus(sound: Samples) -> Samples:
    """What is left after 48 kbit/s."""
    encoder, decoder = OpusEncoder(frame_ms=20, bitrate=48_000, dtx=False), OpusDecoder()
    frames = sound[: len(sound) // encoder.frame_samples * encoder.frame_samples].reshape(-1, encoder.frame_samples)
    return np.concatenate([decoder.decode(encoder.encode(frame)).copy() for frame in frames])


def stretched(sound: Samples, seed: int) -> Samples:
    """As a jitter buffer leaves it: every second or so, up to 8 ms dropped or said twice."""
    rng = np.random.default_rng(seed)
    parts, at = [], 0
    while at < len(sound):
        size = int(rng.uniform(0.7, 2) * SAMPLE_RATE)
        parts.append(sound[at : at + size])
        at += size + int(rng.integers(-384, 384))
    return np.concatenate(parts)


def assert_present(found: Heard) -> None:
    """As the ear promises for one of two equal voices."""
    assert found.correlation > 0.7, found
    assert found.coverage > 0.9, found
    assert found.gap_ms_longest <= 100, found


def assert_absent(found: Heard, seconds: float) -> None:
    """As the ear promises for a voice that is not there at all."""
    assert found.correlation < 0.3, found
    assert found.coverage < 0.05, found
    assert found.gap_ms_longest > (seconds - 1.5) * 1000, found


# Who is there


def test_a_clip_is_found_in_itself_at_any_gain() -> None:
    found = heard(0.03 * ANN, ANN)
    assert found.correlation == pytest.approx(1, abs=0.01)
    assert found.delay_s == pytest.approx(0, abs=1e-4)
    assert (found.coverage, found.gap_ms_longest) == (1, 0)


def test_each_of_two_voices_is_found_in_the_mix_and_a_third_is_not() -> None:
    mix = loop(ANN, 1.0, 20) + loop(BOB, 2.0, 20)
    assert_present(heard(mix, ANN, looped=True))
    assert_present(heard(mix, BOB, looped=True))
    assert_absent(heard(mix, voice(3, 190), looped=True), 20)


def test_opus_does_not_hide_a_voice_nor_conjure_one_up() -> None:
    mix = through_opus(loop(ANN, 1.0, 10) + loop(BOB, 2.0, 10))
    assert_present(heard(mix, ANN, looped=True))
    assert_present(heard(mix, BOB, looped=True))
    assert_absent(heard(through_opus(loop(BOB, 2.0, 10)), ANN, looped=True), 10)


@pytest.mark.parametrize("what", ["noise", "nothing"])
def test_nobody_is_heard_in(what: str) -> None:
    noise = np.random.default_rng(4).standard_normal(10 * SAMPLE_RATE).astype(np.float32)
    assert_absent(heard(noise * (what == "noise"), ANN, looped=True), 10)


def test_the_spoken_clips_are_told_apart_at_their_own_rate() -> None:
    (ann, rate), (bob, _) = (soundfile.read(ASSETS / name, dtype="float32") for name in ("ann.wav", "bob.wav"))
    both = np.tile(ann, 3)[: 15 * rate] + np.tile(bob, 3)[: 15 * rate]
    assert_present(heard(both, ann, rate, looped=True))
    assert_present(heard(both, bob, rate, looped=True))
    assert_absent(heard(np.tile(ann, 3)[: 15 * rate], bob, rate, looped=True), 15)


# Where it is


@pytest.mark.parametrize("delay_s", [0.0, 0.8, 3.25])
def test_a_clip_played_once_is_found_where_it_begins(delay_s: float) -> None:
    recording = 0.5 * loop(BOB, 0, 12)
    begin = int(delay_s * SAMPLE_RATE)
    recording[begin : begin + len(ANN)] += 0.5 * ANN
    found = heard(recording, ANN)
    assert_present(found)
    assert found.delay_s == pytest.approx(delay_s, abs=1e-4)


def test_a_loop_is_found_at_its_first_beginning() -> None:
    found = heard(loop(ANN, 1.5, 10), ANN, looped=True)
    assert found.delay_s == pytest.approx(len(ANN) / SAMPLE_RATE - 1.5, abs=1e-4)


def test_a_recording_that_stops_too_early_covers_a_part() -> None:
    found = heard(ANN[: len(ANN) // 2], ANN)
    assert 0.3 < found.coverage < 0.6
    assert 2500 < found.gap_ms_longest < 3100


def test_a_wandering_playout_delay_is_followed() -> None:
    mix = stretched(loop(ANN, 1, 21), 5)[: 20 * SAMPLE_RATE] + stretched(loop(BOB, 2, 21), 6)[: 20 * SAMPLE_RATE]
    for clip in (ANN, BOB):
        found = heard(mix, clip, looped=True)
        assert found.correlation > 0.7, found
        assert found.coverage > 0.8, found
        assert found.gap_ms_longest < 250, found


def test_a_jump_of_the_delay_loses_nothing_but_the_jump() -> None:
    pause = np.zeros(SAMPLE_RATE // 4, np.float32)
    sound = np.concatenate([loop(ANN, 0, 6), pause, loop(ANN, 6, 6)])
    found = heard(sound, ANN, looped=True)
    assert found.coverage > 0.9, found
    assert found.correlation > 0.9, found


# Holes


@pytest.mark.parametrize("ms", [300, 500, 1000])
def test_a_hole_is_measured_while_another_goes_on_talking(ms: int) -> None:
    mix = silenced(loop(ANN, 0, 12), 5.2, ms) + loop(BOB, 2, 12)
    assert heard(mix, ANN, looped=True).gap_ms_longest == pytest.approx(ms, rel=0.3)
    assert heard(mix, BOB, looped=True).gap_ms_longest <= 100


def test_a_hole_is_no_shorter_for_a_pause_of_the_clip_within() -> None:
    paused = silenced(ANN, 2.0, 200)
    found = heard(silenced(paused, 1.8, 600), paused)
    assert found.gap_ms_longest == pytest.approx(600, abs=120)
    assert heard(paused, paused).gap_ms_longest == 0


def test_the_longest_silence_is_measured_in_steps_of_ten_milliseconds() -> None:
    tone = 0.1 * np.sin(np.arange(2 * SAMPLE_RATE) / 20).astype(np.float32)
    assert longest_silence_ms(tone, SAMPLE_RATE) == 0
    assert longest_silence_ms(silenced(silenced(tone, 0.5, 70), 1.0, 120), SAMPLE_RATE) == 120
    assert longest_silence_ms(silenced(tone, 1.9, 200), SAMPLE_RATE) == 100
    assert longest_silence_ms(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE) == 1000
    assert longest_silence_ms(0.001 * tone, SAMPLE_RATE, threshold_db=-90) == 0
    assert longest_silence_ms(tone[:0], SAMPLE_RATE) == 0


# The clips and the limits


@pytest.mark.parametrize("name", ["ann.wav", "bob.wav"])
def test_the_spoken_clips_are_as_their_page_says(name: str) -> None:
    clip, rate = soundfile.read(ASSETS / name, dtype="float32")
    assert (clip.ndim, rate) == (1, 16_000)
    assert 6 < len(clip) / rate < 6.5
    assert 20 * np.log10(np.max(np.abs(clip))) == pytest.approx(-3, abs=0.1)
    assert longest_silence_ms(np.tile(clip, 2), rate) <= 150


@pytest.mark.parametrize("clip", [ANN[:1000], np.zeros(SAMPLE_RATE, np.float32)], ids=["short", "silent"])
def test_a_clip_that_cannot_be_looked_for_is_our_own_bug(clip: Samples) -> None:
    with pytest.raises(ValueError, match="cannot be looked for"):
        heard(ANN, clip)


@pytest.mark.parametrize("samples", [0, 1, 20_000])
def test_a_recording_too_short_to_judge_holds_nothing(samples: int) -> None:
    assert heard(ANN[:samples], ANN, looped=True).coverage == 0
