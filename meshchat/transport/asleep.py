"""Notices that the machine slept: one clock counts such time, another does not."""

from __future__ import annotations

import time

from meshchat.units import Seconds

SLEPT_S: Seconds = 2.0
"""A suspension longer than this is told to the control plane; a shorter one looks like a bad network."""


class SleepClock:
    """Compares CLOCK_BOOTTIME with CLOCK_MONOTONIC; where a platform has no such clock, nothing is noticed."""

    def __init__(self) -> None:
        self._total_s = _slept()

    def slept(self) -> Seconds:
        """How long the machine slept since the last call, if that is worth telling; else 0."""
        total_s = _slept()
        since_s, self._total_s = total_s - self._total_s, total_s
        return since_s if since_s > SLEPT_S else 0.0


def _slept() -> Seconds:
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return 0.0 if boottime is None else time.clock_gettime(boottime) - time.monotonic()
