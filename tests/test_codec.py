"""The codec: sound survives it, silence costs nothing, a lost frame comes back, and garbage is only ever refused."""

from __future__ import annotations

import ctypes
import gc
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshchat.codec import OpusDecoder, OpusEncoder, has_recovery, packet_samples
from meshchat.errors import AudioError, WireError
from meshchat.opus import library as opus
from meshchat.opus.packets import PACKET_BYTES_MAX
from meshchat.units import Samples
from tests.test_media_lab import speech


def frames(sound: Samples, samples: int) -> list[Samples]:
    return [sound[start : start + samples] for start in range(0, len(sound) - samples + 1, samples)]


def through(encoder: OpusEncoder, sound: Samples) -> Samples:
    decoder = OpusDecoder()
    packets = [encoder.encode(frame) for frame in frames(sound, encoder.frame_samples)]
    return np.concatenate([decoder.decode(packet).copy() for packet in packets])


def likeness(one: Samples, other: Samples) -> float:
    return float(np.dot(one, other) / np.sqrt(np.dot(one, one) * np.dot(other, other)))


@pytest.mark.parametrize("frame_ms", [2.5, 5, 10, 20, 40, 60])
def test_speech_survives_every_frame_length(frame_ms: float) -> None:
    encoder = OpusEncoder(frame_ms=frame_ms, dtx=False)
    sound = speech(1.2)
    heard = through(encoder, sound)
    assert encoder.frame_samples == round(frame_ms * 48)
    assert encoder.look_ahead_samples == (120 if frame_ms < 10 else 312)
    likenesses = [likeness(sound[9600:48_000], heard[9600 + delay : 48_000 + delay]) for delay in range(0, 480, 12)]
    assert abs(12 * int(np.argmax(likenesses)) - encoder.look_ahead_samples) <= 36
    assert max(likenesses) > (0.98 if frame_ms < 10 else 0.75), "the speech model of longer frames bends phases"


@pytest.mark.parametrize("frame_ms", [2.5, 5, 10, 20, 40, 60])
def test_a_packet_tells_its_length(frame_ms: float) -> None:
    encoder = OpusEncoder(frame_ms=frame_ms, dtx=False)
    for frame in frames(speech(0.5), encoder.frame_samples):
        packet = encoder.encode(frame)
        assert packet_samples(packet) == encoder.frame_samples == len(OpusDecoder().decode(packet))


def test_a_lower_rate_narrows_the_band() -> None:
    noise = (0.1 * np.random.default_rng(3).standard_normal(24_000)).astype(np.float32)

    def treble(rate: int) -> float:
        spectrum = np.abs(np.fft.rfft(through(OpusEncoder(rate=rate, dtx=False), noise))) ** 2
        return float(spectrum[5000:].sum() / spectrum.sum())  # bins of 2 Hz: above 10 kHz

    assert treble(48_000) > 0.2
    assert treble(16_000) < 0.01


@pytest.mark.parametrize("frame_ms", [5, 10, 20])
def test_silence_is_not_sent_and_speech_after_it_is(frame_ms: float) -> None:
    encoder = OpusEncoder(frame_ms=frame_ms)
    hum = (1e-4 * np.random.default_rng(4).standard_normal(96_000)).astype(np.float32)
    talk = frames(speech(0.5), encoder.frame_samples)
    assert all(encoder.encode(frame) for frame in talk)
    quiet = [encoder.encode(frame) for frame in frames(hum, encoder.frame_samples)]
    assert sum(not packet for packet in quiet[len(quiet) // 2 :]) > 0.9 * len(quiet) / 2
    assert sum(not encoder.encode(frame) for frame in talk) <= 1


def test_without_dtx_silence_is_sent() -> None:
    encoder = OpusEncoder(dtx=False)
    assert all(encoder.encode(np.zeros(480, np.float32)) for _ in range(100))


def test_a_lost_frame_comes_back_from_the_next_packet_better_than_guessed() -> None:
    encoder = OpusEncoder()
    encoder.set_expected_loss(5)
    sound = speech(3, pitch_hz=180)
    packets = [encoder.encode(frame) for frame in frames(sound, 480)]
    errors = {"recovered": 0.0, "guessed": 0.0}
    whole, recovering, guessing = OpusDecoder(), OpusDecoder(), OpusDecoder()
    for number, packet in enumerate(packets[:-1]):
        truth = whole.decode(packet).copy()
        if number % 10 == 9 and has_recovery(packets[number + 1]):
            errors["recovered"] += float(np.square(recovering.recover(packets[number + 1], 480) - truth).sum())
            errors["guessed"] += float(np.square(guessing.conceal(480) - truth).sum())
        else:
            recovering.decode(packet)
            guessing.decode(packet)
    assert 0 < errors["recovered"] < 0.5 * errors["guessed"]


def test_copies_are_sent_only_when_loss_is_expected() -> None:
    def copies(encoder: OpusEncoder) -> int:
        packets = [encoder.encode(frame) for frame in frames(speech(1), encoder.frame_samples)]
        return sum(has_recovery(packet) for packet in packets)

    encoder = OpusEncoder()
    assert copies(encoder) == 0
    encoder.set_expected_loss(3)
    assert copies(encoder) > 50
    encoder.set_expected_loss(0.5)
    assert copies(encoder) > 50, "a little less loss is no reason to stop"
    encoder.set_expected_loss(0)
    assert copies(encoder) <= 1
    low_delay = OpusEncoder(frame_ms=5)
    low_delay.set_expected_loss(20)
    assert copies(low_delay) == 0


def test_a_stereo_packet_comes_out_mono() -> None:
    library = opus.library()
    state = opus.created(library.encoder_create, 48_000, 2, 2049)
    left_and_right = np.repeat(speech(0.02), 2)
    packet = ctypes.create_string_buffer(1275)
    size = library.encode(state, left_and_right.ctypes.data, 960, packet, 1275)
    library.encoder_destroy(state)
    assert packet.raw[0] & 4
    assert len(OpusDecoder().decode(packet.raw[:size])) == 960


def by_libopus(packet: bytes) -> int | None:
    """What libopus thinks of a packet's framing: its samples, or None."""
    from opuslib.api import libopus

    parse = opus.function(
        libopus, "opus_packet_parse", ctypes.c_int32, ctypes.c_char_p, ctypes.c_int32, *[ctypes.c_void_p] * 4
    )
    sizes = (ctypes.c_int16 * 48)()
    frame_count = parse(packet, len(packet), None, None, ctypes.addressof(sizes), None)
    if frame_count <= 0:
        return None
    frame_samples = opus.function(
        libopus, "opus_packet_get_samples_per_frame", ctypes.c_int32, ctypes.c_char_p, ctypes.c_int32
    )
    return int(frame_count) * int(frame_samples(packet, 48_000))


@given(st.binary(max_size=60) | st.builds(bytes.__add__, st.binary(min_size=2, max_size=9), st.just(bytes(700))))
@settings(max_examples=400, deadline=None)
def test_packets_are_judged_as_libopus_judges_them(packet: bytes) -> None:
    try:
        samples = packet_samples(packet)
    except WireError:
        with pytest.raises(WireError):
            has_recovery(packet)
        assert by_libopus(packet) is None
    else:
        assert samples == by_libopus(packet)
        assert 120 <= samples <= 5760
        assert has_recovery(packet) in {True, False}


@given(st.lists(st.binary(max_size=40), max_size=8))
@settings(max_examples=100, deadline=None)
def test_garbage_is_refused_or_is_sound_but_never_more(packets: list[bytes]) -> None:
    decoder = OpusDecoder()
    for packet in packets:
        try:
            sound = decoder.decode(packet)
            recovered = decoder.recover(packet, 480)
        except WireError:
            continue
        assert sound.dtype == np.float32
        assert len(recovered) == 480
    assert len(decoder.conceal(480)) == 480


def test_what_is_no_packet_is_refused() -> None:
    decoder = OpusDecoder()
    for nonsense in (b"", b"\x03", b"\xff\x00", bytes(PACKET_BYTES_MAX + 1), b"\x03\x3f" + bytes(70)):
        with pytest.raises(WireError):
            packet_samples(nonsense)
        with pytest.raises(WireError):
            decoder.decode(nonsense)
        with pytest.raises(WireError):
            decoder.recover(nonsense, 480)


def test_promises_of_the_caller_are_checked() -> None:
    with pytest.raises(ValueError, match="480"):
        OpusEncoder().encode(np.zeros(481, np.float32))
    with pytest.raises(ValueError, match="multiples"):
        OpusDecoder().conceal(481)
    with pytest.raises(ValueError, match="15 ms"):
        OpusEncoder(frame_ms=15)
    with pytest.raises(ValueError, match="96000"):
        OpusEncoder(rate=96_000)
    with pytest.raises(ValueError, match="4002"):
        OpusEncoder(bitrate=-7)


def test_a_machine_without_libopus_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opuslib.api", None)
    opus.library.cache_clear()
    try:
        for platform, package in (("linux", "libopus0"), ("darwin", "brew install opus"), ("win32", r"opus\.dll")):
            monkeypatch.setattr(sys, "platform", platform)
            with pytest.raises(AudioError, match=package):
                OpusDecoder()
    finally:
        opus.library.cache_clear()


def test_states_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    library = opus.library()
    freed: list[int] = []
    monkeypatch.setattr(library, "encoder_destroy", freed.append)
    monkeypatch.setattr(library, "decoder_destroy", freed.append)
    encoder, decoder = OpusEncoder(), OpusDecoder()
    states = {encoder._state, decoder._state.at}
    del encoder, decoder
    gc.collect()
    assert set(freed) == states


def test_a_packet_fits_what_it_must_fit() -> None:
    encoder = OpusEncoder(frame_ms=60, bitrate=256_000, packet_bytes_max=1147)
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, encoder.frame_samples).astype(np.float32)
    sizes = [len(encoder.encode(noise)) for _ in range(5)]
    assert 900 < max(sizes) <= 1147


def test_any_rate_takes_the_narrowest_band_that_carries_it() -> None:
    for rate in (8000, 11025, 44100, 48000):
        assert OpusEncoder(rate=rate).encode(np.full(480, 0.1, np.float32))
