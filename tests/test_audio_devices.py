"""Sound devices that come and go: what is said about it, what is sent meanwhile, and how soon they are back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from meshchat.audio import open_microphone, open_speaker
from meshchat.sound import driver, supervisor
from meshchat.sound.supervisor import RETRY_EVERY
from meshchat.units import SAMPLE_RATE, Samples, Seconds
from tests.test_audio_world import FRAME, PEAK, Card, Ear, World, live_in, play_tone, until


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    yield from live_in(monkeypatch)


def test_what_is_said_is_heard_and_what_is_pulled_is_played(world: World) -> None:
    world.plugged += [Card("Built-in", 2, 2)]
    ear = Ear()
    notices: list[str] = []
    microphone, speaker = open_microphone("default", FRAME, notices.append), open_speaker("0", FRAME, notices.append)
    microphone.start(ear)
    speaker.start(play_tone)
    until(lambda: len([frame for frame in ear.frames if frame.any()]) > 20)
    until(lambda: world.open("output") and world.open("output")[0].tape[-1:] and world.open("output")[0].tape[-1].any())
    assert microphone.describe() == "microphone Built-in (48000 Hz)"
    assert {frame.shape for frame in ear.frames} == {(FRAME,)}
    ages = np.subtract(ear.came, ear.captured)[-20:]
    assert float(np.median(ages)) == pytest.approx(FRAME / SAMPLE_RATE + 0.004, abs=0.003)
    microphone.stop()
    speaker.stop()
    microphone.stop()
    count = len(ear.frames)
    assert not world.streams
    assert len(ear.frames) == count
    assert not notices


def test_a_missing_device_is_said_stood_in_for_and_taken_when_it_is_plugged_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RETRY_EVERY", RETRY_EVERY)
    ear = Ear()
    notices: list[str] = []
    microphone = open_microphone("headset", FRAME, notices.append)
    microphone.start(ear)
    until(lambda: len(ear.frames) > 20 and notices)
    assert ear.hears_silence()
    assert notices == [
        "The microphone headset cannot be used: no microphone is called headset; plugged in: nothing. "
        "Silence is sent until it can."
    ]
    world.plugged.append(Card("Headset Pro"))
    assert until(ear.hears_tone) < 2
    until(lambda: len(notices) == 2)
    assert notices[1] == "The microphone headset is back."
    microphone.stop()
    assert ear.longest_gap() < 0.5


@pytest.mark.parametrize("silently", [False, True], ids=["with a word", "without a word"])
def test_a_device_pulled_out_ends_nothing_and_is_taken_back(world: World, silently: bool) -> None:
    headset = Card("Headset", 1, 1)
    world.plugged.append(headset)
    ear, mouth = Ear(), Ear()
    notices: list[str] = []

    def pull(samples: int, asked: Seconds) -> Samples:
        mouth(play_tone(samples, asked), asked)
        return play_tone(samples, asked)

    microphone, speaker = open_microphone("default", FRAME, notices.append), open_speaker("default", FRAME, print)
    microphone.start(ear)
    speaker.start(pull)
    until(ear.hears_tone)
    world.pull_out(headset, silently)
    assert until(ear.hears_silence) < 1
    pulls = len(mouth.frames)
    until(lambda: len(mouth.frames) > pulls + 20 and len(notices) == 1)
    assert "The microphone default cannot be used: " in notices[0]
    assert microphone.describe() == "microphone default (not there: silence)"
    world.plugged.append(headset)
    assert until(ear.hears_tone) < 2
    assert until(lambda: any(stream.tape[-1].any() for stream in world.open("output") if stream.tape)) < 2
    until(lambda: len(notices) == 2)
    microphone.stop()
    speaker.stop()
    assert max(ear.longest_gap(), mouth.longest_gap()) < 0.9


def test_a_busy_device_is_taken_when_it_is_free(world: World) -> None:
    card = Card("Built-in", busy=True)
    world.plugged.append(card)
    ear = Ear()
    notices: list[str] = []
    microphone = open_microphone("default", FRAME, notices.append)
    microphone.start(ear)
    until(lambda: notices)
    assert "Device unavailable" in notices[0]
    assert "another program may be holding it" in notices[0]
    card.busy = False
    assert until(ear.hears_tone) < 2
    microphone.stop()


def test_a_living_microphone_is_interrupted_once_and_only_when_the_lost_speaker_is_there_again(world: World) -> None:
    loudspeaker = Card("Loudspeaker", 0, 1)
    world.plugged += [Card("Built-in"), loudspeaker]
    ear = Ear()
    microphone, speaker = open_microphone("default", FRAME, print), open_speaker("Loudspeaker", FRAME, print)
    microphone.start(ear)
    speaker.start(play_tone)
    until(lambda: ear.hears_tone() and world.open("output"))
    looks = world.fresh_looks
    world.pull_out(loudspeaker)
    gone = len(ear.frames)
    until(lambda: len(ear.frames) > gone + 80)
    assert world.fresh_looks == looks
    assert all(frame.any() for frame in ear.frames[gone:])
    world.plugged.append(Card("Loudspeaker", 0, 1))
    assert until(lambda: world.open("output")) < 2
    until(ear.hears_tone)
    assert world.fresh_looks == looks + 1
    microphone.stop()
    speaker.stop()
    assert ear.longest_gap() < 0.5


def test_a_device_at_another_rate_and_channel_count_is_resampled(world: World) -> None:
    world.plugged.append(Card("Bluetooth", 2, 2, rate_hz=44_100, channels_min=2))
    ear = Ear()
    asked: list[int] = []
    played = 0

    def pull(samples: int, _: Seconds) -> Samples:
        nonlocal played
        asked.append(samples)
        steps = np.arange(played, played + samples)
        played += samples
        return (PEAK * np.sin(2 * np.pi * 1000 * steps / SAMPLE_RATE)).astype(np.float32)

    microphone, speaker = open_microphone("default", FRAME, print), open_speaker("default", FRAME, print)
    microphone.start(ear)
    speaker.start(pull)
    until(lambda: len([frame for frame in ear.frames if frame.any()]) > 60)
    tape = np.concatenate(world.open("output")[0].tape)
    microphone.stop()
    speaker.stop()
    heard = np.concatenate([frame for frame in ear.frames if frame.any()][5:55])
    assert {frame.shape for frame in ear.frames} == {(FRAME,)}
    assert set(asked) == {FRAME}
    assert pitch(heard, SAMPLE_RATE) == pytest.approx(440, abs=2)
    assert pitch(tape[-22_050:], 44_100) == pytest.approx(1000, abs=2)
    assert microphone.describe() == "microphone default (not there: silence)"


def pitch(sound: Samples, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size), 1 << 18))
    return float(np.argmax(spectrum) * rate_hz / (1 << 18))


@pytest.mark.parametrize("silently", [False, True])
def test_sound_is_back_a_second_after_a_device_returns(
    world: World, monkeypatch: pytest.MonkeyPatch, silently: bool
) -> None:
    """Both ends of a headset, pulled out and plugged in again, while something else stays in use or nothing does."""
    monkeypatch.setattr(supervisor, "RETRY_EVERY", RETRY_EVERY)
    headset = Card("Headset", 1, 2)
    world.plugged += [headset, Card("Built-in", 0, 2)]
    ear = Ear()
    microphone = open_microphone("headset", FRAME, lambda text: None)
    speaker = open_speaker("headset" if silently else "built-in", FRAME, lambda text: None)
    microphone.start(ear)
    speaker.start(play_tone)
    until(ear.hears_tone)
    until(lambda: speaker.device)
    world.pull_out(headset, silently)
    until(ear.hears_silence)
    for _ in range(25):  # until it is away for long, and the next try may be as far off as it gets
        threading.Event().wait(0.05)
    world.plugged.append(headset)
    assert until(lambda: ear.hears_tone() and speaker.device) < 1.0
    microphone.stop()
    speaker.stop()


def test_what_the_kernel_tells_of_a_plug_is_acted_on_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("RETRY_EVERY", "RETRY_LATER"):
        monkeypatch.setattr(supervisor, name, 30.0)
    cards = tmp_path / "cards"
    monkeypatch.setattr(driver, "KERNEL_CARDS", cards)
    ear = Ear()
    microphone = open_microphone("headset", FRAME, lambda text: None)
    microphone.start(ear)
    until(lambda: world.fresh_looks and ear.hears_silence())
    world.plugged.append(Card("Headset"))
    cards.write_text(" 1 [Headset        ]: USB-Audio - Headset")
    assert until(ear.hears_tone) < 1.0
    microphone.stop()


def test_a_device_that_stays_away_is_tried_less_often(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "EAGER_FOR", 0.5)
    monkeypatch.setattr(supervisor, "RETRY_EVERY", 0.02)
    microphone = open_microphone("headset", FRAME, lambda text: None)
    microphone.start(Ear())
    until(lambda: world.fresh_looks > 3)
    threading.Event().wait(0.6)
    looks = world.fresh_looks
    threading.Event().wait(0.5)
    assert world.fresh_looks <= looks + 1
    microphone.stop()


def test_a_numbered_device_is_found_again_by_name_when_the_numbers_have_changed(world: World) -> None:
    mine = Card("Mine")
    world.plugged += [Card("Other"), mine]
    ear = Ear()
    microphone = open_microphone("1", FRAME, print)
    microphone.start(ear)
    until(ear.hears_tone)
    world.pull_out(mine)
    until(ear.hears_silence)
    world.plugged[:] = [Card("New"), Card("Newer"), mine]
    until(ear.hears_tone)
    assert microphone.describe() == "microphone Mine (48000 Hz)"
    microphone.stop()


def test_raising_callees_are_logged_once_each_and_the_device_lives(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.plugged.append(Card("Built-in", 1, 1))
    calls = 0

    def broken_pull(samples: int, _: Seconds) -> Samples:
        nonlocal calls
        calls += 1
        raise ZeroDivisionError(samples)

    def broken_take(frame: Samples, _: Seconds) -> None:
        broken_pull(frame.size, _)

    microphone, speaker = open_microphone("default", FRAME, print), open_speaker("default", FRAME, print)
    microphone.start(broken_take)
    speaker.start(broken_pull)
    until(lambda: "Built-in" in microphone.describe() and "Built-in" in speaker.describe())
    before = calls
    until(lambda: calls > before + 60)
    assert world.open("input")
    assert world.open("output")
    microphone.stop()
    speaker.stop()
    assert len(caplog.records) == 2
