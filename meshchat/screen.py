"""The daemon's end of the screen process: starts it, hears what it tells on a thread of its own, and ends it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable

import msgspec

from meshchat.capture import protocol
from meshchat.capture.protocol import Order, Spec, Told, Trouble
from meshchat.errors import ScreenError
from meshchat.units import Seconds

OPEN_S: Seconds = 15.0
"""How long the first picture may take; a loaded machine imports slowly."""

PIPE_BYTES = 1 << 20
"""Asked of the system for the pipe: a slice then goes through it in one piece, which wakes each side once."""

END_S: Seconds = 2.0
"""How long the process may take to notice that we are gone."""


class ScreenProcess:
    """One source, shared by a child process."""

    def __init__(self, spec: Spec, on_told: Callable[[Told], None], on_end: Callable[[], None]) -> None:
        """`on_told` is called on a thread of its own, `on_end` after the last of it if the process ended by itself."""
        self._on_told = on_told
        self._on_end = on_end
        self._opened = threading.Event()
        self._trouble = ""
        self._ending = False
        words = [sys.executable, "-m", "meshchat.capture", msgspec.json.encode(spec).decode()]
        try:
            self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pipesize=PIPE_BYTES)
        except OSError as error:
            raise ScreenError(f"cannot start the screen process: {error.strerror}") from error
        self._thread = threading.Thread(target=self._listen, name="meshchat-screen-in", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Waits for the first picture; blocks. Raises `ScreenError`, and ends the process, if none comes."""
        opened = self._opened.wait(OPEN_S)
        if self._trouble or not opened or self._process.poll() is not None:
            self.stop()
            raise ScreenError(self._trouble or "the screen process showed nothing; its log may tell why")

    def order(self, order: Order) -> None:
        """Tells the process what is wanted, from one thread at a time; one that is gone is told nothing."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            protocol.write(self._process.stdin, order)

    def stop(self) -> None:
        """Ends the process; blocks for a moment. Harmless when done again."""
        self._ending = True
        with contextlib.suppress(OSError):
            self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError, ValueError):
                assert pipe is not None
                pipe.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            while (told := protocol.read_told(self._process.stdout)) is not None:
                if isinstance(told, Trouble) and told.fatal:
                    self._trouble = told.text
                self._on_told(told)
                self._opened.set()
        self._opened.set()
        if not self._ending:
            self._on_end()
