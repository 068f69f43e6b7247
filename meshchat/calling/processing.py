"""Which of echo, noise and gain are seen to: what the person wishes, what the microphone is, and what is installed.

`auto` means a sound device: around it there is a room. A file, a tone or silence has none, and goes out as it is. And
an echo is taken out by itself only once one is heard (`media.echofinder`): with headphones there is none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace

from meshchat.calling.echowatch import EchoWatch
from meshchat.calling.voicefront import VoiceFront
from meshchat.cleaning import NOT_THERE, REMEDY, Cleaner, Wishes, is_installed
from meshchat.errors import AudioError
from meshchat.sound.specs import DeviceSpec, parse_microphone
from meshchat.units import SAMPLE_RATE, ProcessingWish


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the person wishes."""

    echo: ProcessingWish = "auto"
    noise: ProcessingWish = "auto"
    gain: ProcessingWish = "off"


class Processing:
    """Gives a microphone's front the cleaner that it is to have."""

    def __init__(
        self, wanted: Wanted, microphone: str, frame_samples: int, front: VoiceFront, notify: Callable[[str], None]
    ) -> None:
        """`microphone` in the words of `--mic`; `notify` is told, on any thread, what is to be done and cannot."""
        self._wanted = wanted
        self._microphone = microphone
        self._frame_samples = frame_samples
        self._front = front
        self._notify = notify
        self._lock = threading.Lock()
        """One change at a time; no sound thread takes it."""
        self._do_what_can_be_done()

    @property
    def wanted(self) -> Wanted:
        """What the person wishes."""
        return self._wanted

    @property
    def done(self) -> Wishes:
        """What is done now."""
        cleaner = self._in_use
        return cleaner.wishes if cleaner else Wishes()

    @property
    def late_ms(self) -> float:
        """By how much the sound is late through it."""
        cleaner = self._in_use
        return 1000 * cleaner.late_samples / SAMPLE_RATE if cleaner else 0.0

    @property
    def lacking(self) -> str:
        """What would have to be installed for it, in words; empty where it is."""
        return "" if is_installed() else REMEDY

    def use(self, wanted: Wanted) -> None:
        """Does this from now on. Takes up to some tenths of a second; raises `AudioError`, and then nothing changed."""
        with self._lock:
            self._do(wanted)
            self._wanted = wanted

    def use_microphone(self, spec: str) -> None:
        """Another microphone is in use: its room is another, and it may have none."""
        with self._lock:
            self._microphone = spec
            self._do_what_can_be_done()

    def _do_what_can_be_done(self) -> None:
        self._front.watch = self._front.cleaner = None
        try:
            self._do(self._wanted)
        except AudioError as error:
            self._notify(f"{error}; sound goes out as it is")

    @property
    def _in_use(self) -> Cleaner | None:
        return None if self._front.music else self._front.cleaner

    def _do(self, wanted: Wanted) -> None:
        """Raises `AudioError`, and then nothing changed."""
        if "on" in astuple(wanted) and not is_installed():
            raise AudioError(f"{NOT_THERE}; {REMEDY}")
        has_room = is_installed() and isinstance(parse_microphone(self._microphone), DeviceSpec)
        wishes = Wishes(*(each == "on" or (each == "auto" and has_room) for each in astuple(wanted)))
        if wishes.echo and wanted.echo == "auto":
            now, watch = replace(wishes, echo=False), EchoWatch(Cleaner(wishes, self._frame_samples), self._found)
        else:
            now, watch = wishes, None
        cleaner = Cleaner(now, self._frame_samples) if now.named() else None
        self._front.watch, self._front.cleaner = watch, cleaner

    def _found(self) -> None:
        self._notify("it hears our own loudspeaker, whose echo is taken out from now on")
