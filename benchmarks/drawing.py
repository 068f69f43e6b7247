"""Draws on an X11 display what people share: a still page, a page being typed on, scrolling text, a film.

    python -m benchmarks.drawing CONTENT RATE SECONDS LOG          on the display of the variable DISPLAY

Every picture bears its number (`benchmarks.framecode`); the log tells when each was begun to be drawn. Pictures lie in
memory shared with the display, so that a film costs this process nothing, and each is changed while the display heeds
nobody else, so that no half of one is ever seen. It says `drawn` when the first one, which bears 0, stands, begins with
a line on its stdin and ends with another. Scrolling is what a terminal does: it asks the display to copy, and
draws the new rows.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import xcffib
import xcffib.shm
import xcffib.xproto
from PIL import Image, ImageDraw, ImageFont

from benchmarks.framecode import CODE_WIDTH, FIELD_HEIGHT, HEIGHT, TOP, WIDTH, Sightings, drawn
from meshchat.units import Pixels

CONTENTS = ("still", "typing", "scroll", "video")

LINE = 20
"""Height of a line of text; scrolling text moves by one in each picture."""

PAGES = 4
"""Length of the text that scrolls, in screens."""

FILM = 16
"""Different pictures of the film."""

FIRST = 1
"""Number of the first picture; the screen before it bears 0."""

IPC_PRIVATE, IPC_CREAT, IPC_RMID = 0, 0o1000, 0


class Memory:
    """Memory shared with the display, and the pictures in it."""

    def __init__(self, pictures: int) -> None:
        libc: Any = ctypes.CDLL(None, use_errno=True)
        libc.shmat.restype = ctypes.c_void_p
        self.size = WIDTH * HEIGHT * 4
        self.number = libc.shmget(IPC_PRIVATE, ctypes.c_size_t(self.size * pictures), IPC_CREAT | 0o600)
        if self.number < 0:
            raise OSError(ctypes.get_errno(), "no shared memory for the pictures")
        at = libc.shmat(self.number, None, 0)
        block: Any = (ctypes.c_uint8 * (self.size * pictures)).from_address(at)
        self.pictures: list[Pixels] = list(np.frombuffer(block, np.uint32).reshape(pictures, HEIGHT, WIDTH))
        self._libc = libc

    def free(self) -> None:
        """Goes when nobody is attached any more."""
        self._libc.shmctl(self.number, IPC_RMID, None)


class Canvas:
    """A window as large as the display."""

    def __init__(self, memory: Memory) -> None:
        connect: Any = xcffib.connect
        self.display: Any = connect()
        core = self.display.core
        root = self.display.get_setup().roots[0]
        self.depth, self.memory = root.root_depth, memory
        self.window, self.gc, self.segment = (self.display.generate_id() for _ in range(3))
        made = xcffib.xproto.CW.OverrideRedirect
        kind = xcffib.xproto.WindowClass.InputOutput
        core.CreateWindow(self.depth, self.window, root.root, 0, 0, WIDTH, HEIGHT, 0, kind, root.root_visual, made, [1])
        core.CreateGC(self.gc, self.window, xcffib.xproto.GC.GraphicsExposures, [0])
        self.shm: Any = self.display(xcffib.shm.key)
        self.shm.AttachChecked(self.segment, memory.number, False).check()
        memory.free()  # when both have let go of it
        core.MapWindow(self.window)
        self.done()

    def put(self, picture: int, x: int, y: int, width: int, height: int, to_x: int, to_y: int) -> None:
        """Draws a part of a picture."""
        self.shm.PutImage(
            self.window, self.gc, WIDTH, HEIGHT, x, y, width, height, to_x, to_y, self.depth,
            xcffib.xproto.ImageFormat.ZPixmap, 0, self.segment, picture * self.memory.size,
        )  # fmt: skip

    def scroll(self, rows: int) -> None:
        """Moves everything above the code up."""
        self.display.core.CopyArea(self.window, self.window, self.gc, 0, rows, 0, 0, WIDTH, TOP - rows)

    @contextlib.contextmanager
    def at_once(self) -> Any:
        """What is drawn inside is seen by others as one change."""
        self.display.core.GrabServer()
        yield
        self.display.core.UngrabServer()
        self.display.flush()

    def done(self) -> None:
        """Waits until the display has drawn everything."""
        self.display.core.GetInputFocus().reply()


def page(height: int) -> Pixels:
    """Text as in an editor, always the same."""
    rng = np.random.default_rng(7)
    image = Image.new("RGB", (WIDTH, height), (250, 248, 244))
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(15)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz0123456789(){}[]=+-*.,:"))
    for y in range(0, height - LINE, LINE):
        words = ["".join(rng.choice(letters, int(size))) for size in rng.integers(2, 11, int(rng.integers(5, 20)))]
        ink = [(30, 34, 40), (20, 60, 160), (150, 30, 30)][int(rng.integers(3))]
        pen.text((20 + 40 * int(rng.integers(4)), y + 1), " ".join(words), ink, font)
    return _pixels(np.asarray(image))


def film(frame: int) -> Pixels:
    """One picture of a film: colours that flow one way, and grained shapes that move another."""
    x, y = np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32)[:, None]
    turn = np.float32(2 * np.pi * frame / FILM)
    rng = np.random.default_rng(11)
    noise = rng.normal(0, 4, (HEIGHT, WIDTH)).astype(np.float32)
    grain = np.roll(noise, (37 * frame, 53 * frame), (0, 1))
    grain = (grain + np.roll(grain, 1, 0) + np.roll(grain, 1, 1) + np.roll(grain, (1, 1), (0, 1))) / np.float32(4)
    light = 110 + 50 * np.sin(x / 90 + turn) + 40 * np.cos(y / 70 - turn + x / 200)
    checks = 30 * np.sign(np.sin(x / 31 + 3 * turn) * np.sin(y / 23 + 2 * turn))
    planes = [light + grain + checks * share + shift for share, shift in ((1.0, 0), (0.4, 15), (-0.6, 30))]
    return _pixels(np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8))


def _pixels(rgb: np.ndarray[Any, np.dtype[np.uint8]]) -> Pixels:
    wide = rgb.astype(np.uint32)
    return np.uint32(0xFF00_0000) | wide[:, :, 0] << np.uint32(16) | wide[:, :, 1] << np.uint32(8) | wide[:, :, 2]


class Play:
    """One content, picture by picture."""

    def __init__(self, content: str) -> None:
        self._content = content
        count = {"scroll": PAGES, "video": FILM}.get(content, 2)
        self._memory = Memory(count)
        self._fill(count)
        self._canvas = Canvas(self._memory)
        self._canvas.put(0, 0, 0, WIDTH, HEIGHT, 0, 0)
        self._code(0)
        self._canvas.display.flush()
        self._canvas.done()

    def step(self, number: int) -> None:
        """Draws the picture of that number."""
        canvas = self._canvas
        with canvas.at_once():
            match self._content:
                case "typing":
                    column, line = number % 180, number // 180 % 48
                    canvas.put(1, 10 * column, LINE * line, 10, LINE, 10 * column, LINE * line)
                case "scroll":
                    canvas.scroll(LINE)
                    at = LINE * number % ((PAGES - 1) * HEIGHT // LINE * LINE)
                    picture, row = divmod(at, TOP // LINE * LINE)
                    canvas.put(picture, 0, row, WIDTH, LINE, 0, TOP - LINE)
                case "video":
                    canvas.put(number % FILM, 0, 0, WIDTH, TOP, 0, 0)
            self._code(number)
        canvas.done()

    def _code(self, number: int) -> None:
        self._memory.pictures[0][TOP:, :CODE_WIDTH] = drawn(number)
        self._canvas.put(0, 0, TOP, CODE_WIDTH, FIELD_HEIGHT, 0, TOP)

    def _fill(self, count: int) -> None:
        pictures = self._memory.pictures
        match self._content:
            case "video":
                for frame in range(count):
                    pictures[frame][:] = film(frame)
            case "scroll":
                text = page(count * HEIGHT)
                for place in range(count):
                    pictures[place][:] = text[place * HEIGHT : (place + 1) * HEIGHT]
            case _:
                text = page(2 * HEIGHT)
                pictures[0][:], pictures[1][:] = text[:HEIGHT], text[HEIGHT:]


def main(words: list[str]) -> int:
    """Draws; the exit status."""
    content, rate, seconds, path = words[0], float(words[1]), float(words[2]), Path(words[3])
    with contextlib.suppress(OSError):
        os.nice(-10)  # who draws is not measured, and must not be late because of whom it measures
    play, log = Play(content), Sightings(path)
    print("drawn", flush=True)
    sys.stdin.readline()
    due = time.monotonic()
    for number in range(FIRST, FIRST + int(rate * seconds)):
        time.sleep(max(0.0, due - time.monotonic()))
        log.saw(number, time.monotonic())
        play.step(number)
        due = max(due + 1 / rate, time.monotonic())
    sys.stdin.readline()  # the window lasts until the last pictures have arrived
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
