"""The same voices with the real codec: no holes, no clicks, no buzz, and loss that is repaired."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshchat.codec import OpusDecoder, OpusEncoder
from meshchat.media.arrivals import Arrival
from meshchat.media.mixer import Mixer
from meshchat.media.voice import Voice
from meshchat.units import SAMPLE_RATE, Samples
from tests.test_media_lab import Lab, Network, Sender, speech


def opus_lab(sound: Samples, frame: int = 480, expected_loss: float = 0, seed: int = 1, block: int = 480) -> Lab:
    encoder = OpusEncoder(frame_ms=frame / 48)
    encoder.set_expected_loss(expected_loss)

    def encode(position: int, samples: int) -> bytes:
        piece = sound[position % len(sound) :][:samples]
        return encoder.encode(np.pad(piece, (0, samples - len(piece))))

    return Lab(Voice(OpusDecoder()), Sender(encode, frame), Network(random.Random(seed)), block)


def unbroken(seconds: float, pitch_hz: float = 130) -> Samples:
    """Speech without pauses, whose quietest syllable is still loud."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = pitch_hz * (1 + 0.15 * np.sin(2 * np.pi * 0.6 * t))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    voiced = sum(np.sin(k * phase) / k for k in range(1, 20))
    return (0.12 * voiced * (1.0 + 0.6 * np.sin(2 * np.pi * 4 * t))).astype(np.float32)


def longest_gap_ms(sound: Samples) -> float:
    """The longest stretch 30 dB under the mean loudness, in steps of 5 ms."""
    pieces = sound[: len(sound) // 240 * 240].reshape(-1, 240)
    loudness = np.sqrt(np.square(pieces).mean(axis=1))
    loud = np.flatnonzero(loudness > 0.03 * np.sqrt(np.square(sound).mean()))
    return 5.0 * float(np.diff(loud).max() - 1)


def steepest(sound: Samples) -> float:
    """The largest step from one sample to the next: what a click is."""
    return float(np.abs(np.diff(sound)).max())


@pytest.mark.parametrize("expected_loss", [0, 5])
def test_loss_and_jitter_make_no_hole_and_no_click(expected_loss: float) -> None:
    sound = unbroken(20)
    lab = opus_lab(sound, expected_loss=expected_loss)
    lab.network.loss, lab.network.jitter = 0.05, lambda rng: rng.uniform(0, 0.02)
    lab.run(20)
    heard = lab.sound[SAMPLE_RATE:]
    assert longest_gap_ms(heard) <= 60
    assert steepest(heard) < 1.6 * steepest(sound)
    stats = lab.voice.stats()
    assert stats.playout_delay_ms < 60
    if expected_loss:
        assert stats.recovered_ms > 0.6 * 10 * stats.packets_lost


@pytest.mark.parametrize("clock", [1.001, 0.999])
def test_drift_is_absorbed_without_clicks(clock: float) -> None:
    sound = unbroken(30)
    lab = opus_lab(sound)
    lab.sender.clock = clock
    lab.run(30)
    stats = lab.voice.stats()
    assert stats.shortened_ms + stats.lengthened_ms >= 15
    assert stats.playout_delay_ms < 25
    assert stats.concealed_ms < 30
    assert steepest(lab.sound[4800:]) < 1.6 * steepest(sound)


@pytest.mark.parametrize("frame", [120, 240, 480, 960, 2880])
def test_pauses_are_silent_and_no_loss_at_every_frame_length(frame: int) -> None:
    lab = opus_lab(speech(16), frame=frame)
    lab.run(16)
    stats = lab.voice.stats()
    assert stats.concealed_ms == stats.packets_lost == 0
    assert stats.packets_received < 0.97 * 16 * SAMPLE_RATE / frame
    loud = [block is not None and float(np.abs(block).max()) > 0.05 for block in lab.blocks]
    said = [float(np.abs(piece).max()) > 0.05 for piece in speech(16).reshape(-1, 480)]
    assert abs(sum(loud) - sum(said)) < 0.05 * sum(said)


def test_a_voice_that_breaks_off_fades_without_a_buzz() -> None:
    lab = opus_lab(unbroken(2))
    lab.run(1.5)
    lab.network.loss = 1.0
    lab.run(0.5)
    tail = lab.sound[round(1.51 * SAMPLE_RATE) :]
    assert np.abs(tail[: 20 * 48]).max() > 0.02, "it does not break off"
    assert np.abs(tail[130 * 48 :]).max() == 0
    assert steepest(lab.sound[4800:]) < 1.6 * steepest(unbroken(2))


def test_a_late_network_stretches_speech_without_clicks() -> None:
    sound = unbroken(12)
    lab = opus_lab(sound).run(3)
    lab.network.jitter = lambda rng: rng.uniform(0, 0.04)
    lab.run(4)
    grown = lab.voice.stats()
    lab.network.jitter = lambda rng: 0.0
    lab.run(15)
    assert grown.playout_delay_ms > 30
    assert lab.voice.stats().playout_delay_ms < 20
    assert lab.voice.stats().shortened_ms > 15
    assert steepest(lab.sound[4800:]) < 2 * steepest(np.append(sound, sound[:1]))


def test_sixteen_loud_voices_do_not_clip() -> None:
    mixer = Mixer()
    labs = [opus_lab(4 * unbroken(2, pitch_hz=90 + 13 * number), block=480) for number in range(16)]
    for number, lab in enumerate(labs):
        mixer.add(number, lab.voice)
    loudest = 0.0
    for pull in range(80):
        now = pull / 100
        for lab in labs:
            lab._deliver(now)
        block = mixer.pull(480, now)
        loudest = max(loudest, float(np.abs(block).max()))
        assert np.abs(block).max() <= 1
    assert loudest > 0.9


PACKETS = [
    OpusEncoder(frame_ms=length, dtx=False).encode(np.zeros(round(48 * length), np.float32)) for length in (5, 20)
]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 30), st.integers(0, 60), st.booleans(), st.sampled_from(PACKETS) | st.binary(max_size=30)
        )
        | st.integers(1, 2500),
        max_size=50,
    )
)
@settings(max_examples=80, deadline=None)
def test_any_bytes_in_any_order_leave_as_sound(steps: list[tuple[int, int, bool, bytes] | int]) -> None:
    mixer = Mixer()
    voice = Voice(OpusDecoder())
    mixer.add(1, voice)
    now = 5.0
    for step in steps:
        if isinstance(step, tuple):
            sequence, frames, marker, payload = step
            voice.put(Arrival(sequence, 240 * frames, marker, payload, now))
        else:
            now += step / SAMPLE_RATE
            block = mixer.pull(step, now)
            assert block.shape in ((step,), (step, 2))
            assert np.isfinite(block).all()
            assert np.abs(block).max() <= 1
