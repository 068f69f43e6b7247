"""Displays for tests: an X server without a screen, what is to be seen on it, and a keyboard for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mss
import numpy as np


@contextmanager
def a_display(folder: Path, width: int, height: int) -> Iterator[str]:
    """A display of its own, whose log is left in `folder`; its name."""
    read, write = os.pipe()
    words = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp", "-noreset"]
    with (folder / "xvfb.log").open("wb") as log:
        process = subprocess.Popen(words, pass_fds=(write,), stdout=log, stderr=log)
    os.close(write)
    with os.fdopen(read) as told:
        number = told.readline().strip()
    assert number, (folder / "xvfb.log").read_text()
    try:
        yield f":{number}"
    finally:
        process.terminate()
        process.wait(10)


def seen_on(display: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The colours of everything on a display, without the pointer: rows, columns, red green blue."""
    with mss.MSS(display=display) as grabber:
        shot = grabber.grab(grabber.monitors[0])
        return np.frombuffer(shot.rgb, np.uint8).reshape(shot.height, shot.width, 3)


class Keyboard:
    """Presses keys of a display; whoever has the pointer over its window hears them where no window manager is."""

    def __init__(self, display: str) -> None:
        import xcffib
        import xcffib.xproto
        import xcffib.xtest

        connect: Any = xcffib.connect
        self._display = connect(display=display)
        self._test: Any = self._display(xcffib.xtest.key)
        setup = self._display.get_setup()
        first, last = setup.min_keycode, setup.max_keycode
        table = self._display.core.GetKeyboardMapping(first, last - first + 1).reply()
        each = table.keysyms_per_keycode
        self._codes = {
            table.keysyms[number * each]: first + number for number in reversed(range(last - first + 1))
        }  # unshifted letters only

    def press(self, letter: str) -> None:
        """One key, down and up."""
        code = self._codes[ord(letter)]
        for kind in (2, 3):  # KeyPress and KeyRelease of the core protocol
            self._test.FakeInput(kind, code, 0, 0, 0, 0, 0)
        self._display.flush()

    def close(self) -> None:
        """Unplugs it."""
        self._display.disconnect()
