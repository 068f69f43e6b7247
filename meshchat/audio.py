"""Where sound comes from and goes to: sound devices, files and synthetic sources behind one interface.

A microphone pushes frames, a speaker pulls blocks, each on a thread of its own; both keep time whatever happens. A
device that is missing, busy or pulled out is told in words and stood in for by silence until it is back.

Microphones: `default`; a device's name, part of it, or its number; a sound file of any rate and channel count (WAV,
FLAC, Ogg, Opus, MP3, AIFF), played once in real time and followed by silence; `loop:FILE`, the same for ever;
`tone:440`, a sine at -20 dBFS; `silence`. Speakers: `default`; a device's name or number; `FILE.wav`, a recording at
48 kHz, one channel, 16 bits, replacing what was there; `stereo:FILE.wav`, the same with two; `null`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias, TypeVar

from meshchat.sound.device import DeviceMicrophone, DeviceSpeaker
from meshchat.sound.driver import SoundDevice
from meshchat.sound.files import FileSource
from meshchat.sound.paced import NullSink, PacedMicrophone, PacedSpeaker
from meshchat.sound.record import Recorder
from meshchat.sound.specs import DeviceSpec, FileSpec, NothingSpec, ToneSpec, parse_microphone, parse_speaker
from meshchat.sound.supervisor import shared_supervisor
from meshchat.sound.synthetic import SilentMicrophone, ToneSource
from meshchat.units import Samples, Seconds

__all__ = ["End", "Microphone", "SoundDevice", "Speaker", "list_devices", "open_microphone", "open_speaker"]


Given_co = TypeVar("Given_co", covariant=True)
Got_contra = TypeVar("Got_contra", contravariant=True)


class End(Protocol[Given_co, Got_contra]):
    """What a microphone and a speaker have in common: turns on a thread of its own, in each of which one is called."""

    @property
    def late_turns(self) -> int:
        """Turns that came late, or in which the sound system reported a gap, since the start."""
        ...

    @property
    def device(self) -> SoundDevice | None:
        """The device through which sound goes now; None for what is no device, or not there."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why no sound goes through it now, in words; None while it does. A file or a tone has none."""
        ...

    def start(self, turn: Callable[[Given_co, Seconds], Got_contra], /) -> None:
        """Call `turn` on a thread of its own. An exception from it is logged once. RuntimeError when started twice."""
        ...

    def stop(self) -> None:
        """Return when `turn` does not run and never will again, and a file is finished; harmless at any time.

        From any thread but its own (RuntimeError); the caller must hold no lock that `turn` takes. A sound
        system that hangs is waited for two seconds, a disk for ten.
        """
        ...

    def describe(self) -> str:
        """What it is, and whether it is there, in a few words."""
        ...


Microphone: TypeAlias = End[Samples, None]
"""Pushes frames: each is float32, shape (frame_samples,) or (frame_samples, 2), 48 kHz, and the callee's to keep, with
the instant (time.monotonic) at which its first sample was heard."""

Speaker: TypeAlias = End[int, Samples]
"""Pulls blocks: `turn(block_samples, now)` gives float32, shape (block_samples,) or (block_samples, 2), range -1..1,
48 kHz; another shape is logged once and heard as silence. `now` is when the block is asked for (time.monotonic)."""


def open_microphone(
    spec: str, frame_samples: int, notify: Callable[[str], None], channels: Literal[1, 2] = 1
) -> Microphone:
    """The microphone that `spec` names; nothing runs before `start`. AudioError when it names nothing or no such file.

    Of two `channels` it gives what it has, which may be one.
    `notify` gets sentences for a person (a device lost, a file at its end) on a sound thread; it must not wait.
    """
    match parse_microphone(spec):
        case DeviceSpec(wanted):
            return DeviceMicrophone(wanted, frame_samples, notify, shared_supervisor(), channels)
        case FileSpec(path, loop):
            return PacedMicrophone(FileSource(path, loop, frame_samples, notify, channels), frame_samples)
        case ToneSpec(hz):
            return PacedMicrophone(ToneSource(hz, frame_samples), frame_samples)
        case NothingSpec():
            return SilentMicrophone()


def open_speaker(spec: str, block_samples: int, notify: Callable[[str], None]) -> Speaker:
    """The speaker that `spec` names; a file is created at once. AudioError when it names nothing or cannot be written.

    `notify` gets sentences for a person (a device lost, a full disk) on a sound thread; it must not wait.
    """
    match parse_speaker(spec):
        case DeviceSpec(wanted):
            return DeviceSpeaker(wanted, block_samples, notify, shared_supervisor())
        case FileSpec(path, channels=channels):
            return PacedSpeaker(Recorder(path, block_samples, notify, channels), block_samples)
        case NothingSpec():
            return PacedSpeaker(NullSink(), block_samples)


def list_devices() -> tuple[SoundDevice, ...]:
    """What is plugged in now (as of the last look while a device is in use). AudioError says what is missing.

    The sound system may take its time, from 20 ms up to a second: not for an event loop.
    """
    return shared_supervisor().devices()
