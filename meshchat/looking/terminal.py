"""A member's screen in the terminal that the command was typed in: as large as it is, until a key is pressed."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections.abc import Iterator

from meshchat import tongue
from meshchat.errors import MeshchatError, UsageError
from meshchat.looking.drawing import Drawing
from meshchat.looking.follow import Follower
from meshchat.looking.numbers import Numbers
from meshchat.tongue import Area, Speech
from meshchat.units import Seconds, safe_text

ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"
LEAVE = "\x1b[m\x1b[?25h\x1b[?1049l"
"""Another page of the terminal, without a cursor; and back to what was there before."""

LOOK_S: Seconds = 0.5
"""Between two looks at the size of the terminal and at the numbers."""

ESCAPE, CONTROL_C = b"\x1b", b"\x03"

KEYS = "q closes, i shows the figures"


def show(address: str, alias: str, *, is_true: bool) -> None:
    """Draws that feed until the person presses q. Raises `MeshchatError` with why it ended by itself.

    `is_true`: the terminal has all colours, not 256.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("--terminal draws on a terminal, and this is none; --snapshot FILE.png writes a picture")
    with _page(is_true=is_true) as speech:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        follower = Follower(address, lambda: _wake(writing))
        try:
            _Show(safe_text(alias), follower, Drawing(speech)).run(reading)
        finally:
            follower.close()
            os.close(reading)
            os.close(writing)


def _wake(writing: int) -> None:
    with contextlib.suppress(BlockingIOError):  # it is full of reasons to wake up
        os.write(writing, b".")


class _Show:
    def __init__(self, alias: str, follower: Follower, drawing: Drawing) -> None:
        self._alias = alias
        self._follower = follower
        self._drawing = drawing
        self._numbers = Numbers()
        self._counting = False
        self._said = ""
        self._size = os.terminal_size((0, 0))

    def run(self, waking: int) -> None:
        """Until a key, or the end of the feed."""
        try:
            while True:
                self._follow_size()
                if self._press(self._wait(waking)):
                    return
                self._take_all()
                if self._drawing.due(time.monotonic()) == 0.0:
                    self._draw()
                self._say()
                if self._follower.over:
                    raise MeshchatError(f"{self._alias}: {self._follower.over}")
        finally:
            _write(self._drawing.wipe())

    def _wait(self, waking: int) -> bytes:
        """Waits for something to do; the keys that were pressed."""
        due = self._drawing.due(time.monotonic())
        ready, _, _ = select.select([sys.stdin, waking], [], [], LOOK_S if due is None else min(due, LOOK_S))
        if waking in ready:
            os.read(waking, 4096)
        return os.read(sys.stdin.fileno(), 64) if sys.stdin in ready else b""

    def _press(self, keys: bytes) -> bool:
        """Obeys keys; whether it is over."""
        self._counting ^= keys.count(b"i") % 2 == 1
        return b"q" in keys or keys in (ESCAPE, CONTROL_C)

    def _follow_size(self) -> None:
        size = os.get_terminal_size(sys.stdout.fileno())
        if size != self._size:
            self._size, self._said = size, ""
            # The last line is for words, and some terminals move everything up when a picture touches it.
            area = Area(1, 1, size.columns, max(1, size.lines - 1))
            _write(self._drawing.place(area) + "\x1b[m\x1b[2J")

    def _take_all(self) -> None:
        while arrival := self._follower.take():
            self._numbers.came(len(arrival.data), arrival.at)
            self._drawing.take(arrival.data)

    def _draw(self) -> None:
        began = time.monotonic()
        _write(self._drawing.draw())
        ended = time.monotonic()
        self._drawing.took(began, ended)
        self._numbers.shown(began, ended)

    def _say(self) -> None:
        """The line at the bottom."""
        said = f"{self._alias}   {KEYS}"
        view = self._drawing.view
        if self._counting and view.size:
            said = self._numbers.line(f"{view.size.width}x{view.size.height}", view.exact, time.monotonic())
        if said != self._said:
            self._said = said
            _write(f"\x1b[{self._size.lines};1H\x1b[m\x1b[2K{said[: self._size.columns - 1]}")


def _write(text: str) -> None:
    """All of it, however slow the terminal is."""
    data = text.encode()
    while data:
        data = data[os.write(sys.stdout.fileno(), data) :]


@contextlib.contextmanager
def _page(*, is_true: bool) -> Iterator[Speech]:
    """A page of the terminal for us, keys as they are pressed (Ctrl+C too), and how the terminal draws pictures."""
    try:
        import termios
        import tty
    except ImportError:
        raise UsageError("--terminal needs a terminal of the Unix kind; --web shows the screen in a browser") from None
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    tty.setraw(keyboard)
    try:
        speech = tongue.ask(keyboard, sys.stdout.fileno(), is_true=is_true)
        _write(ENTER)
        yield speech
    finally:
        _write(LEAVE)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
