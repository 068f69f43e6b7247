"""The words that name a microphone or a speaker, read into one small record each.

Microphone: `default`, a device's name or number, a sound file, `loop:` and a sound file, `tone:` and hertz, `silence`.
Speaker: `default`, a device's name or number, a file ending in .wav, `stereo:` and such a file, `null`.

The loop mark stands in front: behind the name, `x.wav:loop` is a legal file name on Linux and an alternate data
stream on Windows, while no drive has four letters (`loop:C:\\sounds\\x.wav` reads as meant). What looks like a file is
one: an ending known for sound, a path separator, or a file that is there. Everything else names a device, which may
be plugged in later, and so cannot be refused here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from meshchat.errors import AudioError

MICROPHONES = (
    "default, a device's name or number, a sound file, loop:FILE, tone:HZ (20 to 20000) or silence are what a "
    "microphone can be"
)
SPEAKERS = (
    "default, a device's name or number, a file ending in .wav, stereo:FILE.wav or null are what a speaker can be"
)

SOUND_ENDINGS = frozenset(
    (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64", ".m4a", ".aac")
)
"""Endings that mark a word as a file even when no such file is there, so that a slip of the pen names the file."""

TONE_HZ_MIN = 20.0
TONE_HZ_MAX = 20_000.0
"""What people hear, and below half the sample rate."""


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """A sound device: None is the system's default, a number is PortAudio's index, a text is (part of) its name."""

    wanted: str | int | None


@dataclass(frozen=True, slots=True)
class FileSpec:
    """A sound file, played once or for ever, or written."""

    path: Path
    loop: bool = False
    channels: Literal[1, 2] = 1
    """How many are written."""


@dataclass(frozen=True, slots=True)
class ToneSpec:
    """A sine at this many hertz."""

    hz: float


@dataclass(frozen=True, slots=True)
class NothingSpec:
    """`silence` in, `null` out."""


def parse_microphone(spec: str) -> DeviceSpec | FileSpec | ToneSpec | NothingSpec:
    """What a microphone's words mean; AudioError names what is allowed."""
    if spec == "silence":
        return NothingSpec()
    if spec.startswith("tone:"):
        return ToneSpec(_hertz(spec))
    if spec.startswith("loop:"):
        return FileSpec(_path(spec.removeprefix("loop:"), MICROPHONES), loop=True)
    if spec == "null" or spec.startswith("stereo:"):
        raise AudioError(f"{spec} is a speaker, not a microphone: {MICROPHONES}")
    return FileSpec(Path(spec).expanduser()) if _looks_like_file(spec) else _device(spec, MICROPHONES)


def parse_speaker(spec: str) -> DeviceSpec | FileSpec | NothingSpec:
    """What a speaker's words mean; AudioError names what is allowed."""
    if spec == "null":
        return NothingSpec()
    if spec == "silence" or spec.startswith(("tone:", "loop:")):
        raise AudioError(f"{spec} is a microphone, not a speaker: {SPEAKERS}")
    if not spec.startswith("stereo:") and not _looks_like_file(spec):
        return _device(spec, SPEAKERS)
    path = _path(spec.removeprefix("stereo:"), SPEAKERS)
    if path.suffix.lower() != ".wav":
        raise AudioError(f"{path} cannot be recorded: sound is written as WAV, so name a file ending in .wav")
    return FileSpec(path, channels=2 if spec.startswith("stereo:") else 1)


def recording_path(spec: str) -> Path | None:
    """The file that a speaker's words name, links followed; None for other speakers. AudioError as `parse_speaker`."""
    match parse_speaker(spec):
        case FileSpec(path):
            return path.resolve()
        case _:
            return None


def seen_from_anywhere(spec: str, parsed: DeviceSpec | FileSpec | ToneSpec | NothingSpec) -> str:
    """The same words, with the whole path where they name a file: good for a process with another working folder."""
    if not isinstance(parsed, FileSpec):
        return spec
    mark = "loop:" if parsed.loop else "stereo:" if parsed.channels == 2 else ""
    return mark + str(parsed.path.absolute())


def _hertz(spec: str) -> float:
    try:
        hz = float(spec.removeprefix("tone:"))
    except ValueError:
        hz = 0.0
    if not TONE_HZ_MIN <= hz <= TONE_HZ_MAX:
        raise AudioError(f"{spec} is no tone; write tone:440, for instance: {MICROPHONES}")
    return hz


def _path(name: str, allowed: str) -> Path:
    if not name:
        raise AudioError(f"a file's name is missing: {allowed}")
    return Path(name).expanduser()


def _looks_like_file(spec: str) -> bool:
    if not spec.strip() or "\0" in spec:
        return False
    separators = [os.sep, os.altsep or os.sep]
    return Path(spec).suffix.lower() in SOUND_ENDINGS or any(s in spec for s in separators) or Path(spec).is_file()


def _device(spec: str, allowed: str) -> DeviceSpec:
    name = spec.strip()
    if not name or not name.isprintable():
        raise AudioError(f"{spec!r} names nothing: {allowed}")
    if name == "default":
        return DeviceSpec(None)
    return DeviceSpec(int(name) if name.isascii() and name.isdigit() else name)
