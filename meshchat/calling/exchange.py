"""A microphone or a speaker in use, which can be exchanged for another while the call goes on.

The intuition: what stands behind (an encoder that numbers packets and nonces, a mix that each pull moves on) must be
called from one thread at a time, and must not be left uncalled while some device takes a second to open or to close.

The rule: the other end is opened and started while the one in use goes on; its turns give and get nothing yet. Once it
works, one assignment under a lock makes its turns count and the old one's not, and only then is the old one stopped.
One that does not come to work in time is stopped again, and nothing has changed. The alternative, to stop the old one
first, leaves a gap as long as a sound system likes, and nothing to go back to. Price: a device that only one stream can
hold cannot be exchanged for itself under another name; that is refused like any device that is busy.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from meshchat.audio import End
from meshchat.errors import AudioError, Refused
from meshchat.sound.driver import SoundDevice
from meshchat.units import Seconds

WORKS_WITHIN_S: Seconds = 3.0
"""How long another device may take to give steady sound: opening takes up to a second, a look at what was just
plugged in another, and settling a tenth."""

LOOK_S: Seconds = 0.02
"""Between two looks at whether it works."""

Given = TypeVar("Given")
Got = TypeVar("Got")


class Exchange(Generic[Given, Got]):
    """The end in use, and the way to another."""

    def __init__(
        self,
        make: Callable[[Callable[[str], None]], End[Given, Got]],
        act: Callable[[Given, Seconds], Got],
        idle: Callable[[Given], Got],
        notify: Callable[[str], None],
    ) -> None:
        """`make` opens the first end and is handed who to tell; `act` is each turn of the end in use, `idle` of others.

        Raises what `make` raises. Neither `act` nor `idle` may come back here.
        """
        self._act = act
        self._idle = idle
        self._notify = notify
        self._life = threading.Lock()
        """Held for as long as an exchange takes; no turn takes it."""
        self._gate = threading.Lock()
        """Held during each turn that counts, and for the instant in which another end is let in."""
        self._let_in: Callable[[Given, Seconds], Got] | None = None
        self._late_before = 0
        self._over = False
        self._end = make(notify)

    @property
    def late_turns(self) -> int:
        """Turns that came late, of all that were ever in use."""
        return self._late_before + self._end.late_turns

    @property
    def device(self) -> SoundDevice | None:
        """The device through which sound goes now; None for what is no device, or not there."""
        return self._end.device

    def describe(self) -> str:
        """What is in use, in a few words."""
        return self._end.describe()

    def start(self) -> None:
        """Begins."""
        turn = self._turns()
        self._let_in = turn
        self._end.start(turn)

    def replace(self, make: Callable[[Callable[[str], None]], End[Given, Got]]) -> None:
        """Has the end that `make` opens take over, and stops the old one: none of its turns runs afterwards.

        Takes up to `WORKS_WITHIN_S` and what stopping takes: not for an event loop, nor for a sound thread. Raises what
        `make` raises, `AudioError` where the end does not come to work, and `Refused` after `stop`; then nothing has
        changed.
        """
        with self._life:
            if self._over:
                raise Refused("the daemon is stopping")
            is_in_use = False

            def notify(text: str) -> None:
                if is_in_use:  # until then its trouble is ours to tell, as a refusal
                    self._notify(text)

            other, turn, old = make(notify), self._turns(), self._end
            other.start(turn)
            trouble = trouble_after(other, WORKS_WITHIN_S)
            if trouble is not None:
                other.stop()
                raise AudioError(f"{trouble}; {self.describe()} stays in use")
            is_in_use = True
            with self._gate:
                self._let_in = turn
            self._end = other
            old.stop()
            self._late_before += old.late_turns

    def stop(self) -> None:
        """Stops for good what is in use."""
        with self._life:
            self._over = True
            self._end.stop()

    def _turns(self) -> Callable[[Given, Seconds], Got]:
        """What an end is to call: `act` while this is let in."""

        def turn(given: Given, at: Seconds) -> Got:
            with self._gate:
                if self._let_in is turn:
                    return self._act(given, at)
            return self._idle(given)

        return turn


def trouble_after(end: End[Any, Any], patience_s: Seconds) -> str | None:
    """Waits until sound goes through `end`: None as soon as it does, else why it still does not after so long."""
    deadline = time.monotonic() + patience_s
    while (trouble := end.trouble) is not None and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    return trouble
