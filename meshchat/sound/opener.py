"""Opens and closes devices: what is tried when one is away, and what that costs the one that is not.

PortAudio learns what is plugged in only when it is initialised anew, and that is safe only while no stream is open. So:
when everything is away each try begins with a fresh look; when one device is away and another lives, the try is made
with what is known, and then a fresh process is asked whether the list of devices has changed. Only when it has, and
holds what is missing, the living device is interrupted for the fraction of a second that a fresh look takes, at
growing intervals should that not help. The alternatives, interrupting at every try and never, would be heard every
second, and would leave a headset plugged in later unused.

Not thread-safe: its owner calls one method at a time.
"""

from __future__ import annotations

import time

from meshchat.errors import AudioError
from meshchat.sound.device import DeviceEnd
from meshchat.sound.driver import Census, PortAudio, SoundDevice, Way
from meshchat.units import Seconds

INTERRUPT_PAUSE_MIN: Seconds = 2.0
INTERRUPT_PAUSE_MAX: Seconds = 60.0
"""Between two interruptions of a living device for one that is away: doubled each time it does not help."""

Failures = list[tuple[DeviceEnd, str]]
"""Which could not be opened, and why."""


class Opener:
    """The one that calls PortAudio."""

    def __init__(self, driver: PortAudio) -> None:
        self._driver = driver
        self._changed = False
        self._interrupt_at: Seconds = 0.0
        self._interrupt_pause = INTERRUPT_PAUSE_MIN

    def devices(self) -> tuple[SoundDevice, ...]:
        """What is plugged in: looked at anew unless a stream is open. AudioError when it cannot be told."""
        self._driver.refresh()
        return self._driver.devices()

    def open_all(self, ends: list[DeviceEnd]) -> Failures:
        """Try every one that is away."""
        away = [end for end in ends if end.stream is None]
        try:
            devices = self.devices()
        except AudioError as fault:
            return [(end, str(fault)) for end in away]
        failures: Failures = []
        for end in away:
            try:
                end.attach(self._driver, devices)
            except AudioError as fault:
                failures.append((end, str(fault)))
        return failures

    def weigh(self, ends: list[DeviceEnd], seen: Census) -> Failures:
        """Interrupt the living for a fresh look if the list of devices has changed and holds what is missing."""
        away = [end for end in ends if end.stream is None]
        try:
            self._changed = self._changed or seen != _names(self._driver.devices())
        except AudioError:
            return []
        offered = any(way == end.way and end.could_be(name) for end in away for name, way in seen)
        if not (self._changed and offered and time.monotonic() >= self._interrupt_at):
            return []
        for end in ends:
            end.step_in()
            end.close()
        self._changed = False
        failures = self.open_all(ends)
        self._pause(helped=all(end.stream is not None for end in away))
        return failures

    def _pause(self, helped: bool) -> None:
        self._interrupt_pause = INTERRUPT_PAUSE_MIN if helped else min(2 * self._interrupt_pause, INTERRUPT_PAUSE_MAX)
        self._interrupt_at = time.monotonic() + self._interrupt_pause


def _names(devices: tuple[SoundDevice, ...]) -> Census:
    ways: tuple[Way, Way] = ("input", "output")
    return frozenset((device.name, way) for device in devices for way in ways if device.channels(way))
