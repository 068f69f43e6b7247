"""One watch over all sound devices: sees them go, lets silence step in, and takes them back when they return.

There is one for microphone and speaker together, because PortAudio is one for the process (see `opener`). It has two
threads. The watchman feels the devices' pulses and never calls PortAudio: a stopped sound server was seen to hold up
the closing of a stream for a minute, and in that minute the other device needs its stand-in. The opener closes, opens
and looks for what is plugged in, however long it takes. Both run while there is a device to look after.

A person is told by whichever thread finds out, with no lock held.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from meshchat.sound.device import DeviceEnd
from meshchat.sound.driver import Census, PortAudio, SoundDevice, census, plugged_in
from meshchat.sound.opener import Failures, Opener
from meshchat.units import Seconds

log = logging.getLogger(__name__)

LOOK_EVERY: Seconds = 0.05
"""How often the devices' pulses are felt."""

RETRY_EVERY: Seconds = 0.6
"""How often a device that just went is tried. A try takes 0.2 s and a new device 0.1 s to settle: it is heard within a
second of its return."""

EAGER_FOR: Seconds = 60.0
"""So long after one went: whoever wiggles a plug is done by then."""

RETRY_LATER: Seconds = 3.0
"""How often it is tried afterwards: each try costs a fifth of a second of processor time, and a headset may be away for
days. What the kernel tells is acted on at once all the same."""

STANDSTILL: Seconds = 0.3
"""A watchman who comes this late was stopped together with everything else, and accuses nobody."""

HUNG_MAX: Seconds = 2.0
"""How long `stop` waits for a sound system that does not answer, before it leaves the stream to the opener."""


class Supervisor:
    """Looks after every device end that was added."""

    def __init__(self, driver: PortAudio, census: Callable[[], Census | None]) -> None:
        self._driver = driver
        self._opener = Opener(driver)
        self._census = census
        self._portaudio = threading.Lock()
        """Held during every call to PortAudio; such a call can take long."""
        self._lists = threading.Lock()
        """Held for an instant, for the three that follow."""
        self._ends: list[DeviceEnd] = []
        self._left_behind: list[DeviceEnd] = []
        self._shift: tuple[threading.Thread, ...] = ()
        """The threads on duty; one that does not find itself here goes home."""
        self._pulse = threading.Event()
        self._work = threading.Event()
        self._looked: Seconds = 0.0
        self._retry_at: Seconds = 0.0
        self._went_at: Seconds = 0.0
        self._plugged = b""

    def add(self, end: DeviceEnd) -> None:
        """Begin to look after it; it is tried at once, on the opener's thread."""
        with self._lists:
            self._ends.append(end)
            self._retry_at = 0.0
            if not self._shift:
                self._looked = self._went_at = time.monotonic()
                self._plugged = plugged_in()
                self._shift = (
                    threading.Thread(target=self._watch, name="meshchat-sound-watch", daemon=True),
                    threading.Thread(target=self._open, name="meshchat-sound-open", daemon=True),
                )
                for thread in self._shift:
                    thread.start()
        self._work.set()

    def wake(self) -> None:
        """Feel the pulses at once; from any thread."""
        self._pulse.set()

    def remove(self, end: DeviceEnd) -> None:
        """Close its stream and forget it. A sound system that hangs is waited for `HUNG_MAX`, then left behind."""
        if not self._portaudio.acquire(timeout=HUNG_MAX):
            log.warning("the sound system does not answer; the %s is closed when it does", end.word)
            self._driver.abandon()
            with self._lists:
                self._ends.remove(end)
                self._left_behind.append(end)
            self._work.set()
            return
        try:
            end.close()
            with self._lists:
                self._ends.remove(end)
        finally:
            self._portaudio.release()
        self._retire()

    def devices(self) -> tuple[SoundDevice, ...]:
        """What is plugged in: looked at anew unless a stream is open. AudioError when it cannot be told."""
        with self._portaudio:
            return self._opener.devices()

    def _retire(self) -> None:
        """Send the threads home if there is nothing left to look after, and wait for them."""
        with self._lists:
            if self._ends or self._left_behind:
                return
            shift, self._shift = self._shift, ()
        self._pulse.set()
        self._work.set()
        for thread in shift:
            if thread is not threading.current_thread():
                thread.join()

    def _on_duty(self) -> list[DeviceEnd] | None:
        """What to look after; None when the calling thread's time is over. To open or close it, hold PortAudio."""
        with self._lists:
            return list(self._ends) if threading.current_thread() in self._shift else None

    def _watch(self) -> None:
        while (ends := self._on_duty()) is not None:
            self._look(ends, time.monotonic())
            self._look_for_plugs(ends)
            self._pulse.wait(LOOK_EVERY)
            self._pulse.clear()

    def _look(self, ends: list[DeviceEnd], now: Seconds) -> None:
        stood_still = now - self._looked > STANDSTILL
        self._looked = now
        for end in ends:
            if end.stream is None or end.failed is not None:
                continue
            if stood_still:
                end.excuse(now)
            self._check(end, now)

    def _look_for_plugs(self, ends: list[DeviceEnd]) -> None:
        """Has what is away tried at once when the kernel has other sound devices than before."""
        if all(end.stream is not None for end in ends):
            return
        before, self._plugged = self._plugged, plugged_in()
        if self._plugged != before:
            self._retry_at, self._went_at = 0.0, time.monotonic()
            self._work.set()

    def _check(self, end: DeviceEnd, now: Seconds) -> None:
        was_live = end.live
        reason = end.check(now)
        if reason is None:
            if end.live:
                end.tell_back()
            return
        end.step_in()
        end.failed = reason
        if was_live:
            self._retry_at, self._went_at = 0.0, now
        self._work.set()
        end.tell_away(reason)

    def _open(self) -> None:
        while (ends := self._open_round()) is not None:
            away = any(end.stream is None for end in ends)
            self._work.wait(max(0.0, self._retry_at - time.monotonic()) if away else RETRY_EVERY)
            self._work.clear()

    def _open_round(self) -> list[DeviceEnd] | None:
        with self._portaudio:
            ends = self._on_duty()
            if ends is None:
                return None
            left_behind = self._close(ends)
            tried, failures = self._retry(ends)
        self._tell(failures)
        if left_behind:
            self._retire()
        away = [end.stream is None for end in ends]
        seen = self._census() if tried and any(away) and not all(away) else None
        if seen is not None:
            self._weigh(seen)
        return ends

    def _close(self, ends: list[DeviceEnd]) -> bool:
        with self._lists:
            left_behind, self._left_behind = self._left_behind, []
        for end in [*left_behind, *[end for end in ends if end.failed is not None]]:
            end.close()
        return bool(left_behind)

    def _retry(self, ends: list[DeviceEnd]) -> tuple[bool, Failures]:
        if all(end.stream is not None for end in ends) or time.monotonic() < self._retry_at:
            return False, []
        now = time.monotonic()
        self._retry_at = now + (RETRY_EVERY if now - self._went_at < EAGER_FOR else RETRY_LATER)
        return True, self._opener.open_all(ends)

    def _weigh(self, seen: Census) -> None:
        with self._portaudio:
            failures = self._opener.weigh(self._on_duty() or [], seen)
        self._tell(failures)

    def _tell(self, failures: Failures) -> None:
        for end, reason in failures:
            end.tell_away(reason)


_shared: Supervisor | None = None
_sharing = threading.Lock()


def shared_supervisor() -> Supervisor:
    """The one of this process, because PortAudio is one for the process."""
    global _shared  # noqa: PLW0603
    with _sharing:
        if _shared is None:
            _shared = Supervisor(PortAudio(), census)
        return _shared
