"""One watchman for all sound devices: opens them, sees them go, tells a person, and takes them back when they return.

There is one for microphone and speaker together because of PortAudio: it learns what is plugged in only when it is
initialised anew, and that is safe only while no stream is open. So: when everything is away it looks anew at each try;
when one device is away and another lives, it first tries to open what it knows, and then asks a fresh process whether
the list of devices has changed. Only when it has, and holds what is missing, the living device is interrupted for the
fraction of a second that a fresh look takes, at growing intervals should that not help. The alternatives, interrupting
at every try and never, would be heard every second, and would leave a headset plugged in later unused.

All calls to PortAudio are made under one lock, notices after it is released.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from meshchat.errors import AudioError
from meshchat.sound.device import DeviceEnd
from meshchat.sound.driver import Census, PortAudio, SoundDevice, Way, census
from meshchat.sound.guard import Notify, guarded_notify
from meshchat.units import Seconds

log = logging.getLogger(__name__)

LOOK_EVERY: Seconds = 0.05
"""How often the devices' pulses are felt."""

RETRY_EVERY: Seconds = 1.0
"""How often a device that is away is tried: soon enough for a person with a plug in hand."""

STANDSTILL: Seconds = 0.3
"""A watchman who comes this late was stopped together with everything else, and accuses nobody."""

INTERRUPT_PAUSE_MIN: Seconds = 2.0
INTERRUPT_PAUSE_MAX: Seconds = 60.0
"""Between two interruptions of a living device for one that is away: doubled each time it does not help."""

HUNG_MAX: Seconds = 5.0
"""How long `stop` waits for a sound system that does not answer before it leaves the stream to the watchman."""


class Supervisor:
    """Looks after every device end that was added; its thread runs while there is one."""

    def __init__(self, driver: PortAudio, census: Callable[[], Census | None]) -> None:
        self._driver = driver
        self._census = census
        self._portaudio = threading.Lock()
        """Held during every call to PortAudio; such a call can take long."""
        self._lists = threading.Lock()
        """Held for an instant, for the three that follow."""
        self._ends: list[DeviceEnd] = []
        self._left_behind: list[DeviceEnd] = []
        self._thread: threading.Thread | None = None
        self._awake = threading.Event()
        self._notices: list[tuple[Notify, str]] = []
        self._looked: Seconds = 0.0
        self._retry_at: Seconds = 0.0
        self._changed = False
        self._interrupt_at: Seconds = 0.0
        self._interrupt_pause = INTERRUPT_PAUSE_MIN

    def add(self, end: DeviceEnd) -> None:
        """Begin to look after it; it is tried at once, on the watchman's thread."""
        with self._lists:
            self._ends.append(end)
            self._retry_at = 0.0
            if self._thread is None:
                self._looked = time.monotonic()
                self._thread = threading.Thread(target=self._run, name="meshchat-sound-devices", daemon=True)
                self._thread.start()
        self._awake.set()

    def wake(self) -> None:
        """Look again at once; from any thread."""
        self._awake.set()

    def remove(self, end: DeviceEnd) -> None:
        """Close its stream and forget it. A sound system that hangs is waited for `HUNG_MAX`, then left behind."""
        with self._lists:
            self._ends.remove(end)
        if not self._portaudio.acquire(timeout=HUNG_MAX):
            log.warning("the sound system does not answer; the %s is closed when it does", end.word)
            with self._lists:
                self._left_behind.append(end)
            return
        try:
            end.close()
        finally:
            self._portaudio.release()
        self._retire()

    def devices(self) -> tuple[SoundDevice, ...]:
        """What is plugged in: looked at anew unless a stream is open. AudioError when it cannot be told."""
        with self._portaudio:
            with self._lists:
                ends = [*self._ends, *self._left_behind]
            if all(end.stream is None for end in ends):
                self._driver.refresh()
            return self._driver.devices()

    def _retire(self) -> None:
        """End the thread if there is nothing left to look after, and wait for it."""
        with self._lists:
            if self._ends or self._left_behind:
                return
            thread, self._thread = self._thread, None
        self._awake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while True:
            self._awake.wait(LOOK_EVERY)
            self._awake.clear()
            with self._lists:
                if self._thread is not threading.current_thread():
                    return
            self._close_left_behind()
            with self._portaudio:
                census_due = self._look(time.monotonic())
            seen = self._census() if census_due else None
            if seen is not None:
                with self._portaudio:
                    self._weigh(seen)
            self._pass_on_notices()

    def _close_left_behind(self) -> None:
        with self._lists:
            left_behind, self._left_behind = self._left_behind, []
        if left_behind:
            with self._portaudio:
                for end in left_behind:
                    end.close()
            self._retire()

    def _pass_on_notices(self) -> None:
        notices, self._notices = self._notices, []
        for notify, text in notices:
            guarded_notify(notify, text)

    def _look(self, now: Seconds) -> bool:
        """One round; whether to ask a fresh process what is plugged in, because one device lives and one is away."""
        ends = self._looked_after()
        stood_still = now - self._looked > STANDSTILL
        for end in ends:
            if end.stream is not None:
                if stood_still:
                    end.excuse(now)
                self._check(end, now)
        tried = now >= self._retry_at and any(end.stream is None for end in ends)
        if tried:
            self._retry(ends)
        self._looked = time.monotonic()
        return tried and any(end.stream is None for end in ends) and any(end.stream is not None for end in ends)

    def _looked_after(self) -> list[DeviceEnd]:
        with self._lists:
            return list(self._ends)

    def _check(self, end: DeviceEnd, now: Seconds) -> None:
        was_live = end.live
        reason = end.check(now)
        if reason is not None:
            end.detach()
            self._retry_at = now if was_live else self._retry_at
            self._tell_away(end, reason)
        elif end.live and end.told is not None:
            end.told = None
            self._notices.append((end.notify, f"The {end.word} {end.name()} is back."))

    def _retry(self, ends: list[DeviceEnd]) -> None:
        """Open whatever is away; with a fresh look first if nothing at all is open."""
        self._retry_at = time.monotonic() + RETRY_EVERY
        away = [end for end in ends if end.stream is None]
        try:
            if len(away) == len(ends):
                self._driver.refresh()
            devices = self._driver.devices()
        except AudioError as fault:
            for end in away:
                self._tell_away(end, str(fault))
            return
        for end in away:
            try:
                end.attach(self._driver, devices)
            except AudioError as fault:
                self._tell_away(end, str(fault))

    def _weigh(self, seen: Census) -> None:
        """Interrupt the living for a fresh look if the list of devices has changed and holds what is missing."""
        ends = self._looked_after()
        away = [end for end in ends if end.stream is None]
        try:
            known = _names(self._driver.devices())
        except AudioError:
            return
        self._changed = self._changed or seen != known
        offered = any(way == end.way and end.could_be(name) for end in away for name, way in seen)
        if not (self._changed and offered and time.monotonic() >= self._interrupt_at):
            return
        for end in ends:
            if end.stream is not None:
                end.detach()
        self._changed = False
        self._retry(ends)
        helped = all(end.stream is not None for end in away)
        self._interrupt_pause = INTERRUPT_PAUSE_MIN if helped else min(2 * self._interrupt_pause, INTERRUPT_PAUSE_MAX)
        self._interrupt_at = time.monotonic() + self._interrupt_pause

    def _tell_away(self, end: DeviceEnd, reason: str) -> None:
        if end.told is None:
            end.told = reason
            text = f"The {end.word} {end.name()} cannot be used: {reason}. {end.meanwhile} until it can."
            self._notices.append((end.notify, text))


def _names(devices: tuple[SoundDevice, ...]) -> Census:
    ways: tuple[Way, Way] = ("input", "output")
    return frozenset((device.name, way) for device in devices for way in ways if device.channels(way))


_shared: Supervisor | None = None
_sharing = threading.Lock()


def shared_supervisor() -> Supervisor:
    """The one of this process, because PortAudio is one for the process."""
    global _shared  # noqa: PLW0603
    with _sharing:
        if _shared is None:
            _shared = Supervisor(PortAudio(), census)
        return _shared
