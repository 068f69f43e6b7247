"""A clock for sound that has no sound card: one turn per frame, for as long as it runs, without drift.

Turn n is due at `begin + (n + 1) * samples / 48000`, computed afresh from n, so that no error adds up; this is the
instant at which a sound card would hand over frame n. A turn that comes late is made up for at once, as a sound card's
buffer would; after a stall longer than `STALL_MAX` (a stopped process, a sleeping laptop) the turns that nobody
could use any more are skipped, and n skips with them, so that a file goes on where it would be by now.

The alternative, sleeping one period after each turn, loses the turn's own length every time: 1 ms in 20 is a buffer
that runs dry every 20 frames.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from meshchat.units import SAMPLE_RATE, Seconds
from meshchat.urgency import put_sound_first

STALL_MAX: Seconds = 0.2
"""Longest lateness that is made up for by turns in quick succession: about what a listener's jitter buffer holds."""

LATE_SHARE = 0.5
"""A turn counts as late when it begins after this share of its period."""


class Pacer:
    """Calls `turn(index, due)` once per `samples` samples of real time, on a thread of its own.

    `index` counts periods from 0 and jumps over skipped ones; `due` is the turn's deadline (time.monotonic).
    """

    def __init__(self, name: str, samples: int, turn: Callable[[int, Seconds], None]) -> None:
        self.late_turns = 0
        self.skipped_turns = 0
        self._period: Seconds = samples / SAMPLE_RATE
        self._turn = turn
        self._running = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; turn 0 is due one period from now."""
        self._running.acquire()  # held until `stop`: to wait for it is to wait for a turn
        self._thread.start()

    def stop(self) -> None:
        """Return when no turn runs and none will; harmless before start and the second time. RuntimeError in a turn."""
        with contextlib.suppress(RuntimeError):  # not begun, or stopped by somebody else at the same time
            self._running.release()
        if self._thread.ident is not None:
            self._thread.join()

    def is_current(self) -> bool:
        """Whether the caller runs inside a turn."""
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        put_sound_first()
        begin = time.monotonic()
        index = 0
        while True:
            due = begin + (index + 1) * self._period
            if self._running.acquire(timeout=max(0.0, due - time.monotonic())):
                return
            missed = self._turns_missed(time.monotonic() - due)
            index += missed
            self._turn(index, due + missed * self._period)
            index += 1

    def _turns_missed(self, late: Seconds) -> int:
        if late > LATE_SHARE * self._period:
            self.late_turns += 1
        if late <= STALL_MAX:
            return 0
        missed = int(late / self._period)
        self.skipped_turns += missed
        return missed
