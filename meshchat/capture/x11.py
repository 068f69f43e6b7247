"""An X11 display that is looked at only where it was drawn on: it tells what changed, and only that is fetched.

The display reports the first drawing after each time we say that we have seen what was there, and then which
rectangles were drawn on (the DAMAGE extension, version 1.1, section 4). Their rows are fetched into memory that we
share with it (MIT-SHM), each to its place in the whole picture, so nothing is copied on the way. What is drawn between
our saying so and our fetching is reported once more: some is fetched twice, and nothing is ever missed.

The pointer is no part of what is drawn. It is asked for in the same breath, and drawn into the picture here; what it
covers is kept aside until the next look.
"""

from __future__ import annotations

import contextlib
import select
from collections.abc import Iterator
from typing import Any

import numpy as np

from meshchat.capture.pointer import Pointer
from meshchat.capture.shared import SharedMemory
from meshchat.media.tiles import Rows
from meshchat.units import Pixels, Seconds

ALL_PLANES = 0xFFFF_FFFF

APART_ROWS = 64
"""Rows fetched although they did not change rather than ask the display once more."""


class Display:
    """One display and a picture of a part of it; `wait` may be called on a thread of its own beside the rest."""

    def __init__(self) -> None:
        """Raises `OSError` where there is no such display, or `ImportError` without the library `xcffib`."""
        import xcffib
        import xcffib.damage
        import xcffib.shm
        import xcffib.xfixes
        import xcffib.xproto

        self._refused = (xcffib.ConnectionException, xcffib.ProtocolException)
        self._format = xcffib.xproto.ImageFormat.ZPixmap
        self._memory: SharedMemory | None = None
        with self._asking("the display reports no drawing"):
            connect: Any = xcffib.connect
            self._display: Any = connect()
            screen = self._display.get_setup().roots[0]
            self._root, depth = screen.root, screen.root_depth
            self._shm: Any = self._display(xcffib.shm.key)
            self._fixes: Any = self._display(xcffib.xfixes.key)
            self._damage: Any = self._display(xcffib.damage.key)
            self._fixes.QueryVersion(5, 0).reply()
            self._damage.QueryVersion(1, 1).reply()
            self._number, self._region = self._display.generate_id(), self._display.generate_id()
            self._fixes.CreateRegionChecked(self._region, 0, []).check()
            self._damage.CreateChecked(self._number, self._root, xcffib.damage.ReportLevel.NonEmpty).check()
        if depth not in (24, 32):
            raise OSError(f"the display has {depth} bits for each pixel")

    def use(self, left: int, top: int, width: int, height: int) -> None:
        """Looks at that part of it from now on. Raises `OSError` where it shares no memory with us."""
        self._forget()
        self._left, self._top = left, top
        memory = SharedMemory(4 * width * height)
        self._segment = self._display.generate_id()
        try:
            with self._asking("the display shares no memory"):
                self._shm.AttachChecked(self._segment, memory.number, False).check()
        except OSError:
            memory.detach()
            raise
        finally:
            memory.leave_to_those_attached()
        self._memory = memory
        self.picture: Pixels = memory.bytes.view(np.uint32).reshape(height, width)
        self._pointer = Pointer()
        self._all_new = True

    def wait(self, seconds: Seconds) -> bool:
        """Waits for so long; whether something was drawn. Raises `OSError` when the display is gone."""
        try:
            if self.drawn():
                return True
            select.select([self._display.get_file_descriptor()], [], [], seconds)
            return self.drawn()
        except ValueError as error:
            raise OSError(f"the display is gone: {type(error).__name__}") from None

    def drawn(self) -> bool:
        """Whether it was told that something was drawn, without waiting. Raises `OSError` when the display is gone."""
        drawn = False
        with self._asking("the display is gone"):
            while self._display.poll_for_event() is not None:
                drawn = True
        return drawn

    def seen(self) -> None:
        """What was drawn so far is known; the next drawing is to be reported."""
        self._damage.Subtract(self._number, 0, 0)
        self._display.flush()

    def look(self) -> Rows:
        """Brings the picture up to date; the rows in which it may have changed. Raises `OSError` when that fails."""
        with self._asking("the display is not shown any more"):
            self._damage.Subtract(self._number, 0, self._region)
            told = self._fixes.FetchRegion(self._region)
            image = self._fixes.GetCursorImage()
            self._display.flush()
            rects = told.reply().rectangles
            cursor = image.reply()
            rows = self._rows([(rect.y, rect.y + rect.height) for rect in rects])
            covered = self._pointer.lift(self.picture)
            self._fetch(rows)
        x, y = cursor.x - cursor.xhot - self._left, cursor.y - cursor.yhot - self._top
        pixels = np.frombuffer(cursor.cursor_image.buf(), np.uint32).reshape(cursor.height, cursor.width)
        moved = self._pointer.put(self.picture, x, y, pixels)
        return joined((*rows, *(covered + self._pointer.rows if moved else ())), 0)

    def size(self) -> tuple[int, int]:
        """Width and height of all monitors together. Raises `OSError` when the display is gone."""
        with self._asking("the display is gone"):
            told = self._display.core.GetGeometry(self._root).reply()
        return told.width, told.height

    @contextlib.contextmanager
    def _asking(self, failed: str) -> Iterator[None]:
        """Around what is asked of the display: raises `OSError`, with what that means, when it refuses or is gone."""
        try:
            yield
        except self._refused as error:
            raise OSError(f"{failed}: {type(error).__name__}") from None

    def _rows(self, drawn: list[tuple[int, int]]) -> Rows:
        height = len(self.picture)
        if self._all_new:
            self._all_new = False
            return ((0, height),)
        inside = ((max(0, first - self._top), min(height, end - self._top)) for first, end in drawn)
        return joined(tuple((first, end) for first, end in inside if first < end), APART_ROWS)

    def _fetch(self, rows: Rows) -> None:
        width = self.picture.shape[1]
        asked = [
            self._shm.GetImage(
                self._root, self._left, self._top + first, width, end - first, ALL_PLANES, self._format,
                self._segment, 4 * width * first,
            )
            for first, end in rows
        ]  # fmt: skip
        for each in asked:
            each.reply()

    def _forget(self) -> None:
        if self._memory:
            self.picture = np.zeros((0, 0), np.uint32)
            self._shm.Detach(self._segment)
            self._memory.detach()
            self._memory = None


def joined(rows: Rows, apart: int) -> Rows:
    """Ranges of rows in order, those put together between which there are at most `apart`."""
    done: list[tuple[int, int]] = []
    for first, end in sorted(rows):
        if done and first - done[-1][1] <= apart:
            done[-1] = (done[-1][0], max(end, done[-1][1]))
        else:
            done.append((first, end))
    return tuple(done)
