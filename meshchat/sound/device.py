"""A sound device as microphone or speaker, with a stand-in that keeps time while the device is away.

Exactly one of two clocks calls outwards at any instant: the device's own thread while it is live, a pacer while it is
not. So whoever takes the frames or gives the blocks sees time go on through a missing, busy or pulled-out device, and
hears of it only in words. When a device has come (back), its turns are watched for a moment before they count, and the
pacer runs on until then: some sound servers call three times at once and then nothing for a second and a half.

    state     device's turns go to   pacer   left when
    away      -                      runs    the opener has opened it -> settling
    settling  nothing                runs    steady for SETTLED_AFTER -> live; ended, or SETTLING_MAX over -> away
    live      on_frame / pull        -       ended, or none for DEAD_AFTER -> away

Opening and closing is done by the supervisor's opener, handing over and stepping in by its watchman.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import Literal, Protocol

from meshchat.channels import silence
from meshchat.sound.choose import choose, full_name
from meshchat.sound.driver import DeviceStream, Ended, PortAudio, SoundDevice, Way
from meshchat.sound.guard import GuardedFrames, GuardedPull, Notify, OnFrame, Pull, guarded_notify
from meshchat.sound.pace import Pacer
from meshchat.units import SAMPLE_RATE, Samples, Seconds

SETTLED_AFTER: Seconds = 0.1
"""Turns must have come for this long, and the last one within as much, before the device takes over."""

SETTLING_MAX: Seconds = 3.0
"""A device that is not steady by then is closed and tried again."""

DEAD_AFTER: Seconds = 0.5
"""A live device without a turn for this long is gone, whatever the system says about it."""

DEAD_BLOCKS = 4
"""The same in blocks, where blocks are long."""


class Watch:
    """When a stream's turns came; written by its thread, read by the supervisor's."""

    def __init__(self, opened: Seconds) -> None:
        self.opened = opened
        self.first: Seconds | None = None
        self.latest: Seconds = opened
        self.ended = threading.Event()

    def saw_turn(self) -> None:
        """A turn runs."""
        self.latest = time.monotonic()
        if self.first is None:
            self.first = self.latest

    def is_steady(self, now: Seconds) -> bool:
        """Turns came for a while and still come."""
        return self.first is not None and self.latest - self.first >= SETTLED_AFTER > now - self.latest


class Supervision(Protocol):
    """What an end needs from the supervisor."""

    def add(self, end: DeviceEnd) -> None:
        """Begin to look after it."""
        ...

    def remove(self, end: DeviceEnd) -> None:
        """Close its stream and forget it; returns when none of its turns runs."""
        ...

    def wake(self) -> None:
        """Look again at once; from any thread."""
        ...


class DeviceEnd(ABC):
    """A microphone or a speaker that is a device; None as `wanted` is the system's default."""

    way: Way
    word: str
    """What a person calls it."""
    meanwhile: str
    """What is done while it is away."""

    def __init__(self, wanted: str | int | None, samples: int, notify: Notify, supervision: Supervision) -> None:
        self.wanted = wanted
        self.stream: DeviceStream | None = None
        self.live = False
        self.failed: str | None = None
        """Why its stream has to be closed; None while all is well."""
        self._notify = notify
        self._told: str | None = None
        """What a person was last told is wrong; None while all is well."""
        self._samples = samples
        self._supervision = supervision
        self._watch = Watch(0.0)
        self._turn = threading.Lock()
        self._life = threading.Lock()
        self._clock = threading.Lock()
        """Held while one clock hands over to the other."""
        self._started = False
        self._over = False
        self._troubled = 0
        self._pacer: Pacer | None = None

    @property
    def late_turns(self) -> int:
        """Turns in which the sound system reported a gap, and late ones of the stand-in."""
        stream, pacer = self.stream, self._pacer
        return self._troubled + (stream.troubled_turns if stream else 0) + (pacer.late_turns if pacer else 0)

    @property
    def device(self) -> SoundDevice | None:
        """The device, while it is live."""
        stream = self.stream
        return stream.device if stream is not None and self.live else None

    @property
    def trouble(self) -> str | None:
        """Why it is not live; None while it is."""
        return None if self.live else self._told or f"the {self.word} {self.name()} has not given any sound yet"

    def describe(self) -> str:
        """`microphone Headset (44100 Hz)`, or what is wrong."""
        stream = self.stream
        if stream is None or not self.live:
            return f"{self.word} {self.name()} (not there: silence)"
        return f"{self.word} {stream.device.name} ({stream.rate_hz} Hz)"

    def name(self) -> str:
        """What the person asked for."""
        return "default" if self.wanted is None else str(self.wanted)

    def stop(self) -> None:
        """Return when no turn runs and none will; harmless before start and again. RuntimeError inside a turn."""
        stream, pacer = self.stream, self._pacer
        if (stream is not None and stream.is_current()) or (pacer is not None and pacer.is_current()):
            raise RuntimeError("a sound thread cannot stop itself: stop from another one")
        with self._life:
            if self._started and not self._over:
                with self._clock:
                    self._over = True
                    self.live = False
                    self._end_pacer()
                self._supervision.remove(self)
            self._over = True

    def could_be(self, name: str) -> bool:
        """Whether a device of that name may be the one that is wanted."""
        return (
            not isinstance(self.wanted, str)
            or name.casefold() in self.wanted.casefold()
            or self.wanted.casefold() in name.casefold()
        )

    def attach(self, driver: PortAudio, devices: tuple[SoundDevice, ...]) -> None:
        """away -> settling; AudioError leaves it away, and so does a stop that came first.

        A number is good for the first time only: with something else plugged in or out it is another device's, and
        nobody wants to be heard through a microphone that they did not choose. So it is replaced by the name.
        """
        if self._over:
            return
        device = choose(devices, self.wanted, self.way)
        if isinstance(self.wanted, int):
            self.wanted = full_name(device)
        watch = Watch(time.monotonic())

        def ended() -> None:
            watch.ended.set()
            self._supervision.wake()

        self._watch = watch
        self.stream = self._open(driver, device, ended)

    def check(self, now: Seconds) -> str | None:
        """settling -> live when it is time, or why the device has to be given up."""
        watch = self._watch
        if watch.ended.is_set():
            return "the system ended it"
        if self.live:
            silent_for = now - watch.latest
            dead = silent_for > max(DEAD_AFTER, DEAD_BLOCKS * self._samples / SAMPLE_RATE)
            return "it has stopped giving any sign of life" if dead else None
        if watch.is_steady(now):
            self._hand_over()
            return None
        return "it gives no steady sound" if now - watch.opened > SETTLING_MAX else None

    def excuse(self, now: Seconds) -> None:
        """The whole program stood still until now: what did not come meanwhile is nobody's fault."""
        self._watch.latest = now

    def step_in(self) -> None:
        """The pacer takes over; its stream, if there is one still, is heard no more."""
        with self._clock:
            self.live = False
            if self._pacer is None and not self._over:
                self._pacer = Pacer(f"meshchat-{self.word}-away", self._samples, self._stand_in)
                self._pacer.start()

    def close(self) -> None:
        """Give the device back; no turn of it runs afterwards. Can take as long as the sound system likes."""
        self.live = False
        stream, self.stream = self.stream, None
        if stream is not None:
            self._troubled += stream.troubled_turns
            stream.close()
        self.failed = None

    def tell_away(self, reason: str) -> None:
        """Say it once, until `tell_back`."""
        if self._told is None and not self._over:
            self._told = reason
            text = f"The {self.word} {self.name()} cannot be used: {reason}. {self.meanwhile} until it can."
            guarded_notify(self._notify, text)

    def tell_back(self) -> None:
        """Take it back, if anything was said."""
        if self._told is not None:
            self._told = None
            guarded_notify(self._notify, f"The {self.word} {self.name()} is back.")

    def _hand_over(self) -> None:
        with self._clock:
            if not self._over and self.failed is None and self.stream is not None:
                self._end_pacer()
                self.live = True

    def _end_pacer(self) -> None:
        if self._pacer is not None:
            self._pacer.stop()
            self._troubled += self._pacer.late_turns
            self._pacer = None

    def _begin(self) -> None:
        with self._life:
            if self._started:
                raise RuntimeError("started twice: open another one")
            self._started = True
            if not self._over:
                self.step_in()
                self._supervision.add(self)

    @abstractmethod
    def _open(self, driver: PortAudio, device: SoundDevice, ended: Ended) -> DeviceStream: ...

    @abstractmethod
    def _stand_in(self, index: int, due: Seconds) -> None: ...


class DeviceMicrophone(DeviceEnd):
    """Frames from a device, or silence in its place."""

    way: Way = "input"
    word = "microphone"
    meanwhile = "Silence is sent"
    _on_frame: OnFrame | None = None

    def __init__(
        self,
        wanted: str | int | None,
        samples: int,
        notify: Notify,
        supervision: Supervision,
        channels: Literal[1, 2] = 1,
    ) -> None:
        """Of two `channels` it gives what the device has, which may be one."""
        super().__init__(wanted, samples, notify, supervision)
        self._channels = channels

    def start(self, on_frame: OnFrame) -> None:
        """Begin to call `on_frame`; the device follows when it is open. RuntimeError when repeated."""
        self._on_frame = self._on_frame or GuardedFrames(on_frame)
        self._begin()

    def _open(self, driver: PortAudio, device: SoundDevice, ended: Ended) -> DeviceStream:
        return driver.open_input(device, self._samples, self._hear, ended, self._channels)

    def _hear(self, frame: Samples, captured: Seconds) -> None:
        self._watch.saw_turn()
        if self.live and self._on_frame is not None and self._turn.acquire(blocking=False):
            try:
                self._on_frame(frame, captured)
            finally:
                self._turn.release()

    def _stand_in(self, index: int, due: Seconds) -> None:
        with self._turn:
            if self._on_frame is not None:
                self._on_frame(silence(self._samples), due - self._samples / SAMPLE_RATE)


class DeviceSpeaker(DeviceEnd):
    """Blocks to a device, or pulled and thrown away in its place, so that what is played stays in time."""

    way: Way = "output"
    word = "speaker"
    meanwhile = "Nothing is heard"
    _pull: Pull | None = None

    def start(self, pull: Pull) -> None:
        """Begin to call `pull`; the device follows when it is open. RuntimeError when repeated."""
        self._pull = self._pull or GuardedPull(pull)
        self._begin()

    def _open(self, driver: PortAudio, device: SoundDevice, ended: Ended) -> DeviceStream:
        return driver.open_output(device, self._samples, self._play, ended)

    def _play(self, samples: int, asked: Seconds) -> Samples:
        self._watch.saw_turn()
        if not self.live or self._pull is None or not self._turn.acquire(blocking=False):
            return silence(samples)
        try:
            return self._pull(samples, asked)
        finally:
            self._turn.release()

    def _stand_in(self, index: int, due: Seconds) -> None:
        with self._turn:
            if self._pull is not None:
                self._pull(self._samples, time.monotonic())
