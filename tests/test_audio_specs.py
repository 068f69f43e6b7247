"""The words for microphones and speakers: what each means, and that a wrong one says what is allowed."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshchat.audio import open_microphone, open_speaker
from meshchat.errors import AudioError
from meshchat.sound.choose import choose
from meshchat.sound.driver import SoundDevice
from meshchat.sound.specs import DeviceSpec, FileSpec, NothingSpec, ToneSpec, parse_microphone, parse_speaker


@pytest.mark.parametrize(
    ("spec", "meaning"),
    [
        ("default", DeviceSpec(None)),
        ("3", DeviceSpec(3)),
        ("Headset Pro", DeviceSpec("Headset Pro")),
        ("speech.flac", FileSpec(Path("speech.flac"))),
        ("loop:speech.wav", FileSpec(Path("speech.wav"), loop=True)),
        ("loop:C:\\sounds\\speech.wav", FileSpec(Path("C:\\sounds\\speech.wav"), loop=True)),
        ("tone:440", ToneSpec(440.0)),
        ("silence", NothingSpec()),
    ],
)
def test_each_word_for_a_microphone_means_one_thing(spec: str, meaning: object) -> None:
    assert parse_microphone(spec) == meaning


def test_a_speaker_is_a_device_a_recording_or_nothing() -> None:
    assert parse_speaker("default") == DeviceSpec(None)
    assert parse_speaker("1") == DeviceSpec(1)
    assert parse_speaker("out/call.WAV") == FileSpec(Path("out/call.WAV"))
    assert parse_speaker("null") == NothingSpec()


@pytest.mark.parametrize(
    "spec", ["", "  ", "tone:", "tone:loud", "tone:nan", "tone:5", "tone:inf", "loop:", "null", "\x1b[2J"]
)
def test_a_bad_microphone_says_what_is_allowed(spec: str) -> None:
    with pytest.raises(AudioError, match=r"tone:HZ .* or silence"):
        open_microphone(spec, 480, print)


@pytest.mark.parametrize("spec", ["", "silence", "tone:440", "loop:x.wav"])
def test_a_bad_speaker_says_what_is_allowed(spec: str) -> None:
    with pytest.raises(AudioError, match=r"a file ending in \.wav, stereo:FILE\.wav or null"):
        open_speaker(spec, 480, print)


@given(st.text(max_size=40))
def test_any_words_are_read_or_refused(spec: str) -> None:
    for parse in (parse_microphone, parse_speaker):
        with contextlib.suppress(AudioError):
            assert parse(spec) is not None


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"there is no file .*speech\.wav"):
        open_microphone(str(tmp_path / "speech.wav"), 480, print)
    text = tmp_path / "text.wav"
    text.write_text("no sound at all")
    with pytest.raises(AudioError, match=r"text\.wav is not a sound file"):
        open_microphone(str(text), 480, print)
    with pytest.raises(AudioError, match="cannot be read: Is a directory"):
        open_microphone(f"{tmp_path}/", 480, print)
    with pytest.raises(AudioError, match=r"gone/call\.wav cannot be written: No such file"):
        open_speaker(str(tmp_path / "gone" / "call.wav"), 480, print)
    with pytest.raises(AudioError, match=r"name a file ending in \.wav"):
        open_speaker("call.mp3", 480, print)


def device(index: int, name: str, host: str = "ALSA", default: bool = False) -> SoundDevice:
    return SoundDevice(index, name, host, 1, 0, 48_000.0, default_input=default, default_output=False)


BUILT_IN = device(0, "Built-in Microphone", default=True)
USB = device(1, "USB Microphone")
USB_PRO = device(2, "USB Microphone Pro")
DEVICES = (BUILT_IN, USB, USB_PRO)


def test_a_device_is_found_by_default_number_name_or_part_of_one() -> None:
    assert choose(DEVICES, None, "input") == BUILT_IN
    assert choose(DEVICES, 2, "input") == USB_PRO
    assert choose(DEVICES, "pro", "input") == USB_PRO
    assert choose(DEVICES, "usb microphone", "input") == USB
    assert choose(DEVICES, "USB Microphone, ALSA", "input") == USB


def test_a_doubtful_device_is_not_guessed() -> None:
    with pytest.raises(AudioError, match="usb could be any of USB Microphone, USB Microphone Pro"):
        choose(DEVICES, "usb", "input")
    with pytest.raises(AudioError, match="no microphone is called Headset; plugged in: Built-in Microphone"):
        choose(DEVICES, "Headset", "input")
    with pytest.raises(AudioError, match="no default speaker; plugged in: nothing"):
        choose(DEVICES, None, "output")


def test_of_the_same_device_the_quicker_way_to_it_is_taken() -> None:
    slow, quick = device(0, "Headset", "MME"), device(1, "Headset", "Windows WASAPI")
    assert choose((slow, quick), "headset", "input") == quick
