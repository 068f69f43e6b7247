"""A real screen of a display that is started for it: drawn on by X clients, seen by a watcher."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from meshchat.capture import protocol
from meshchat.capture.protocol import Bring, Brought, Follow, Opened, Slice, Spec, Told, Trouble
from meshchat.codec import decode_exact, decode_jpeg
from meshchat.media.canvas import Canvas
from meshchat.media.operations import Size, parse_operations
from meshchat.media.tiles import Grid
from meshchat.units import Pixels
from tests.display_lab import a_display
from tests.peers_lab import until

pytestmark = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="no Xvfb is installed")

xcffib = pytest.importorskip("xcffib", reason="the extra x11 is not installed")

WIDTH, HEIGHT = 800, 600
COLOURS = np.uint32(0x00FF_FFFF)


class Paper:
    """A window over the whole of a display, to draw on."""

    def __init__(self, display: str) -> None:
        import xcffib.xproto as x

        connect: Any = xcffib.connect
        self._display = connect(display=display)
        screen = self._display.get_setup().roots[0]
        self._window, self._pen = self._display.generate_id(), self._display.generate_id()
        self._display.core.CreateWindowChecked(
            screen.root_depth, self._window, screen.root, 0, 0, WIDTH, HEIGHT, 0, x.WindowClass.InputOutput,
            screen.root_visual, x.CW.BackPixel | x.CW.OverrideRedirect, [0x203040, 1],
        ).check()  # fmt: skip
        self._display.core.CreateGCChecked(self._pen, self._window, x.GC.Foreground, [0]).check()
        self._display.core.MapWindowChecked(self._window).check()
        self._foreground: int = x.GC.Foreground
        self._rectangle: Any = x.RECTANGLE.synthetic

    def fill(self, colour: int, *, left: int, top: int, width: int, height: int) -> None:
        self._display.core.ChangeGC(self._pen, self._foreground, [colour])
        area = self._rectangle(left, top, width, height)
        self._display.core.PolyFillRectangleChecked(self._window, self._pen, 1, [area]).check()

    def close(self) -> None:
        self._display.disconnect()


class Child:
    """The screen process, and a watcher's picture of what it tells."""

    def __init__(self, display: str, spec: Spec) -> None:
        words = [sys.executable, "-m", "meshchat.capture", msgspec.json.encode(spec).decode()]
        environment = {**os.environ, "DISPLAY": display}
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self.canvas = Canvas(decode_jpeg, decode_exact)
        self.size: Size | None = None
        self.troubles: list[str] = []
        self.slices = 0
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def order(self, order: Follow | Bring) -> None:
        assert self.process.stdin
        protocol.write(self.process.stdin, order)

    def shows(self, colour: int, x: int, y: int) -> bool:
        return self.size is not None and int(self.picture[y, x]) == colour

    @property
    def picture(self) -> Pixels:
        return self.canvas.picture & COLOURS

    def _listen(self) -> None:
        assert self.process.stdout
        while (told := protocol.read_told(self.process.stdout)) is not None:
            self._take(told)

    def _take(self, told: Told) -> None:
        match told:
            case Opened(width, height):
                mask = protocol.mask_bytes(Grid(width, height).all)
                self.order(Follow(True, True))
                self.order(Bring(mask, 0, 75))
            case Slice(operations=data) if data and self.size:
                self.slices += 1
                self._draw(data)
            case Brought(slices):
                for data in slices:
                    self._draw(data)
            case Trouble(text):
                self.troubles.append(text)

    def _draw(self, data: bytes) -> None:
        operations, self.size = parse_operations(data, self.size)
        self.canvas.carry_out(operations)

    def end(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(10)
        self._thread.join()
        self.process.stdout.close()


@pytest.fixture
def display(tmp_path: Path) -> Iterator[str]:
    with a_display(tmp_path, WIDTH, HEIGHT) as name:
        yield name


def test_what_is_drawn_on_a_display_is_seen_and_nothing_is_told_of_a_still_one(display: str) -> None:
    paper, child = Paper(display), Child(display, Spec())
    try:
        until("the first picture", lambda: child.shows(0x203040, 10, 10), 15.0)
        for number in range(12):
            colour = 0x102030 * (number + 1) & 0xFFFFFF
            paper.fill(colour, left=40 * number, top=20 * number, width=120, height=90)
            until("it is seen", lambda: child.shows(colour, 40 * number + 60, 20 * number + 40))  # noqa: B023
        until("it is exact", lambda: child.shows(0x203040, WIDTH - 1, 0))
        before = child.slices
        paper.fill(0xFFFFFF, left=700, top=500, width=3, height=3)
        until("a dot is seen", lambda: child.shows(0xFFFFFF, 701, 501))
        assert child.slices <= before + 3
        assert not child.troubles
    finally:
        child.end()
        paper.close()


def test_a_region_is_that_part_and_one_that_lies_outside_is_refused(display: str) -> None:
    paper = Paper(display)
    paper.fill(0xC02010, left=300, top=200, width=50, height=50)
    child = Child(display, Spec(region=(300, 200, 100, 100)))
    try:
        until("it is seen", lambda: child.shows(0xC02010, 0, 0) and child.shows(0x203040, 60, 60), 15.0)
        assert child.picture.shape == (100, 100)
    finally:
        child.end()
        paper.close()
    wrong = Child(display, Spec(region=(750, 0, 100, 100)))
    assert wrong.process.wait(15) == 1
    wrong.end()
    assert "not inside the screen of 800x600" in wrong.troubles[0]


def test_a_black_screen_is_told_with_what_it_may_be(display: str) -> None:
    paper = Paper(display)
    paper.fill(0, left=0, top=0, width=WIDTH, height=HEIGHT)
    child = Child(display, Spec())
    try:
        until("it is told", lambda: child.troubles, 15.0)
        assert "Wayland" in child.troubles[0]
    finally:
        child.end()
        paper.close()


def test_no_display_is_said_so() -> None:
    child = Child(":4711", Spec())
    assert child.process.wait(15) == 1
    child.end()
    assert "cannot look at the screen" in child.troubles[0]
