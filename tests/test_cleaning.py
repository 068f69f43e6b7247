"""A microphone's sound, cleaned: as late as it says, without the echo of our own loudspeaker, and only where wished."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshchat import cleaning
from meshchat.calling.outgoing import Outgoing
from meshchat.calling.processing import Processing, Wanted
from meshchat.calling.voicefront import VoiceFront
from meshchat.cleaning import Cleaner, Wishes
from meshchat.codec import OpusEncoder
from meshchat.errors import AudioError
from meshchat.media.echofinder import EchoFinder
from meshchat.media.gate import Rule
from meshchat.media.level import loudness_db
from meshchat.media.regroup import Regroup
from meshchat.units import SAMPLE_RATE, ProcessingWish, Samples
from tests.peers_lab import clip

FRAMES = [120, 240, 480, 960, 1920, 2880]

library = pytest.mark.skipif(find_spec("livekit") is None, reason="the extra `voice` is not installed")


@given(st.sampled_from(FRAMES), st.sampled_from([120, 480, 960]), st.integers(1, 40))
def test_regrouped_sound_comes_back_whole_in_order_and_as_late_as_it_says(frame: int, piece: int, frames: int) -> None:
    if frame % piece and piece % frame:
        with pytest.raises(ValueError, match="multiple"):
            Regroup(frame, piece, lambda _piece: None)
        return
    seen = []

    def negate(sound: Samples) -> None:
        seen.append(len(sound))
        np.negative(sound, out=sound)

    regroup = Regroup(frame, piece, negate)
    sound = np.arange(1, frame * frames + 1, dtype=np.float32)
    out = np.concatenate([regroup.through(sound[at : at + frame]).copy() for at in range(0, len(sound), frame)])
    late = regroup.late_samples
    assert late == max(0, piece - frame)
    np.testing.assert_array_equal(out[:late], 0)
    np.testing.assert_array_equal(out[late:], -sound[: max(0, len(sound) - late)])
    assert set(seen) <= {piece}


def cleaned(wishes: Wishes, heard: Samples, played: Samples | None = None, frame: int = 480) -> tuple[Samples, int]:
    """What came out, and how late it says that is; of what is played each frame goes before that of the microphone."""
    cleaner = Cleaner(wishes, frame)
    out = []
    for at in range(0, len(heard) - frame + 1, frame):
        if played is not None:
            cleaner.played(played[at : at + frame])
        out.append(cleaner.clean(heard[at : at + frame]).copy())
    return np.concatenate(out), cleaner.late_samples


def echoed(sound: Samples, delay_ms: float, seed: int = 1) -> Samples:
    """What a microphone near a loudspeaker hears of it in a room whose echo fades within 0.2 s."""
    rng, t = np.random.default_rng(seed), np.arange(int(0.2 * SAMPLE_RATE)) / SAMPLE_RATE
    response = 0.02 * rng.standard_normal(len(t)) * np.exp(-6.9 * t / 0.2)
    response[0] = 1.0
    response = np.concatenate([np.zeros(int(delay_ms * SAMPLE_RATE / 1000)), 0.4 * response])
    size = 1 << (len(sound) + len(response)).bit_length()
    return np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response, size))[: len(sound)].astype(np.float32)


@library
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("wishes", [Wishes(gain=True), Wishes(echo=True), Wishes(noise=True), Wishes(True, True, True)])
def test_the_sound_is_as_late_as_it_says(wishes: Wishes, frame: int) -> None:
    voice = clip("ann")[: 2 * SAMPLE_RATE // 2880 * 2880]
    out, late = cleaned(wishes, voice, np.zeros_like(voice), frame)
    size = 2 * len(voice)
    spectrum = np.fft.rfft(out, size) * np.conj(np.fft.rfft(voice, size))
    found = int(np.argmax(np.fft.irfft(spectrum / (np.abs(spectrum) + 1e-3))))
    assert abs(found - late) <= 3


@library
@pytest.mark.parametrize("delay_ms", [20, 150])
def test_of_the_echo_next_to_nothing_is_left_after_some_seconds_and_a_voice_comes_through(delay_ms: int) -> None:
    far = np.tile(0.5 * clip("bob"), 2)[: 10 * SAMPLE_RATE]
    heard = echoed(far, delay_ms)
    voice = 0.5 * clip("ann")[: 3 * SAMPLE_RATE]
    heard[7 * SAMPLE_RATE :] += voice
    out, _ = cleaned(Wishes(echo=True, noise=True), heard, far)
    alone = slice(4 * SAMPLE_RATE, 7 * SAMPLE_RATE)
    assert loudness_db(heard[alone]) - loudness_db(out[alone]) > 40
    assert abs(loudness_db(out[7 * SAMPLE_RATE :]) - loudness_db(voice)) < 4


@library
def test_noise_goes_and_a_voice_stays() -> None:
    hiss = (10 ** (-45 / 20) * np.random.default_rng(1).standard_normal(6 * SAMPLE_RATE)).astype(np.float32)
    hiss[3 * SAMPLE_RATE : 5 * SAMPLE_RATE] += clip("ann")[: 2 * SAMPLE_RATE]
    out, _ = cleaned(Wishes(noise=True), hiss)
    before, during = slice(2 * SAMPLE_RATE, 3 * SAMPLE_RATE), slice(int(3.2 * SAMPLE_RATE), 5 * SAMPLE_RATE)
    assert loudness_db(hiss[before]) - loudness_db(out[before]) > 10
    assert abs(loudness_db(hiss[during]) - loudness_db(out[during])) < 2


@library
def test_a_microphone_that_stands_still_lets_nothing_pile_up() -> None:
    cleaner = Cleaner(Wishes(echo=True), 480)
    for _ in range(1000):
        cleaner.played(np.zeros(333, np.float32))
    assert len(cleaner._played) == cleaning.PLAYED_PIECES_MAX


@library
def test_what_is_too_loud_is_cut_and_does_not_wrap() -> None:
    loud = np.repeat(np.array([3.0, -3.0], np.float32), 2400)
    cleaner = Cleaner(Wishes(gain=True), 480)
    cleaner._write(loud[:480], cleaner._whole)
    assert cleaner._whole.min() == 32767
    cleaner._write(loud[-480:], cleaner._whole)
    assert cleaner._whole.max() == -32768


def front() -> tuple[VoiceFront, list[Samples]]:
    """A microphone's front, and what goes out of it."""

    class Kept(Outgoing):
        def frame(self, samples: Samples, at: float) -> None:
            sent.append(samples.copy())

    sent: list[Samples] = []
    return VoiceFront(Kept(OpusEncoder(), lambda _data: None), Rule()), sent


def processing(wanted: Wanted, microphone: str = "default") -> tuple[Processing, VoiceFront, list[str]]:
    """The processing of a microphone, its front, and what it has to say."""
    told: list[str] = []
    behind = front()[0]
    return Processing(wanted, microphone, 480, behind, told.append), behind, told


@library
@pytest.mark.parametrize(
    ("wish", "microphone", "done"),
    [
        ("auto", "default", True), ("auto", "Headset", True), ("auto", "tone:440", False), ("auto", "silence", False),
        ("on", "tone:440", True), ("off", "default", False),
    ],
)  # fmt: skip
def test_auto_is_for_sound_devices(wish: ProcessingWish, microphone: str, done: bool) -> None:
    processed, behind, told = processing(Wanted(echo="off", noise=wish), microphone)
    assert processed.done == Wishes(noise=done)
    assert (behind.cleaner is not None) == done
    assert processed.late_ms == (7.0 if done else 0.0)
    processed.use_microphone("tone:440")
    assert processed.done == Wishes(noise=wish == "on")
    assert not told


@library
@pytest.mark.parametrize("noise", ["off", "on"])
def test_an_echo_is_taken_out_as_soon_as_one_is_heard(noise: ProcessingWish) -> None:
    processed, behind, told = processing(Wanted(echo="auto", noise=noise))
    far = np.tile(0.5 * clip("bob"), 2)[: 8 * SAMPLE_RATE]
    for sound, seconds in ((0.5 * clip("ann")[: 4 * SAMPLE_RATE], 4), (echoed(far, 60), 2)):
        assert processed.done == Wishes(noise=noise == "on"), "with headphones there is nothing to be done"
        for at in range(0, seconds * SAMPLE_RATE, 480):
            behind.played(far[at : at + 480])
            behind.frame(sound[at : at + 480], 0.0)
    assert processed.done == Wishes(echo=True, noise=noise == "on")
    assert told == ["it hears our own loudspeaker, whose echo is taken out from now on"]
    assert behind.watch is None
    processed.use(Wanted(echo="off", noise=noise))
    assert processed.done == Wishes(noise=noise == "on")


@pytest.mark.parametrize("block", [120, 512, 480, 960])
@pytest.mark.parametrize(("delay_ms", "softer_db"), [(5, 6), (60, 30), (450, 20)])
def test_an_echo_is_found_within_a_second_and_a_half(block: int, delay_ms: float, softer_db: float) -> None:
    far = clip("bob")[: 3 * SAMPLE_RATE] * np.float32(0.3)
    hiss = 1e-4 * np.random.default_rng(1).standard_normal(len(far)).astype(np.float32)
    heard = echoed(far, delay_ms) * np.float32(10 ** (-softer_db / 20)) + hiss
    finder = EchoFinder()
    for at in range(0, len(far) - block + 1, block):
        finder.play(far[at : at + block])
        finder.hear(heard[at : at + block])
        if finder.found:
            break
    assert finder.found
    assert at < 1.5 * SAMPLE_RATE


def test_two_who_talk_at_once_and_a_silent_loudspeaker_are_no_echo() -> None:
    ann, bob = clip("ann"), clip("bob")
    for far, heard in ((bob, ann), (ann, bob), (1e-4 * ann, ann), (ann, np.roll(bob, 5 * SAMPLE_RATE)), (ann, 0 * ann)):
        finder = EchoFinder()
        for at in range(0, min(len(far), len(heard)) - 480, 480):
            finder.play(far[at : at + 480])
            finder.hear(heard[at : at + 480])
        assert finder.strength < 7
        assert not finder.found


def test_without_the_library_auto_does_nothing_and_on_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshchat.calling.processing.is_installed", lambda: False)
    processed, behind, told = processing(Wanted())
    assert processed.done == Wishes()
    assert not told
    assert "pip install 'meshchat[voice]'" in processed.lacking
    with pytest.raises(AudioError, match=r"not installed.*pip install 'meshchat\[voice\]'"):
        processed.use(Wanted(echo="on"))
    assert processed.wanted == Wanted(), "nothing has changed"
    processing_on, behind, told = processing(Wanted(noise="on"))
    assert behind.cleaner is None
    assert "pip install" in told[0]
    assert processing_on.late_ms == 0


def test_a_library_that_does_not_load_is_told_and_sound_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshchat.calling.processing.is_installed", lambda: True)
    monkeypatch.setitem(__import__("sys").modules, "livekit.rtc.apm", None)
    processed, behind, told = processing(Wanted())
    assert behind.cleaner is None
    assert "does not load" in told[0]
    assert processed.done == Wishes()


@library
def test_from_one_to_the_other_there_is_no_click() -> None:
    behind, sent = front()
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = (0.5 * np.sin(2 * np.pi * 200 * t)).astype(np.float32)
    cleaner = Cleaner(Wishes(noise=True), 480)
    for count in range(90):
        if count in (30, 60):
            behind.cleaner = cleaner if count == 30 else None
        behind.frame(tone[480 * count :][:480], 0.0)
    steps = np.abs(np.diff(np.concatenate(sent)))
    assert steps.max() < 1.3 * 0.5 * 2 * np.pi * 200 / SAMPLE_RATE
