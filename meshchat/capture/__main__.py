"""The screen process itself: looks, compares, compresses, tells; and ends when the daemon does."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections import deque
from enum import Enum
from typing import BinaryIO

import msgspec
import numpy as np

from meshchat.capture import protocol
from meshchat.capture.protocol import Bring, Brought, Follow, Opened, Order, Spec, Trouble
from meshchat.capture.sources import Screen, Shot, Source, open_source
from meshchat.capture.x11 import Display
from meshchat.codec import encode_exact, encode_jpeg
from meshchat.errors import ScreenError
from meshchat.media.desk import Coder, Desk
from meshchat.media.tiles import Mask
from meshchat.units import Pixels, Seconds
from meshchat.urgency import come_last

IDLE_S: Seconds = 0.5
"""Between two looks at a screen that nobody watches, which only tell its size."""

LAZY_S: Seconds = 1 / 15
"""Between two looks at a screen on which nothing happens."""

LAZY_AFTER_S: Seconds = 1.0

SIZE_S: Seconds = 2.0
"""Between two looks at whether the monitors changed."""

BLACK_S: Seconds = 0.8
"""A screen that is black to the last pixel for so long is not shown by the system, or asleep."""

LIT_MAX = 512
"""Pixels of the rows that are looked at which may be lit on a black screen: those of a large pointer."""

BLACK = (
    "the screen is black. Wayland shows its screen to no program that asks the old way: log in to an X11 desktop, "
    "or share one window's X11 display; a locked or sleeping screen is black too"
)


class Black(Enum):
    """Whether the screen is black, as far as is known."""

    MAYBE = "maybe"
    NO = "no"
    TOLD = "told"


class Watch:
    """One source, looked at until the daemon goes."""

    def __init__(self, source: Source, spec: Spec, out: BinaryIO) -> None:
        self._source = source
        self._spec = spec
        self._out = out
        self._orders: deque[Order] = deque()
        self._woken = threading.Condition()
        self._watched = self._followed = self._over = False
        self._desk: Desk | None = None
        self._changed_at: Seconds = 0.0
        self._sized_at: Seconds = 0.0
        self._black = Black.MAYBE if isinstance(source, Screen) else Black.NO
        self._began_at: Seconds = 0.0
        self._display = source.display if isinstance(source, Screen) else None
        self._drawn = True
        self._overlooked = True
        """Whether something changed that the desk was not shown."""
        self._earliest: Seconds = 0.0
        self._quality = spec.quality

    def take_orders(self, pipe: BinaryIO) -> None:
        """Reads what the daemon wants until it is gone; on a thread of its own."""
        while not self._over:
            order = protocol.read_order(pipe)
            with self._woken:
                if order is None:
                    self._over = True
                else:
                    self._orders.append(order)
                self._woken.notify()

    def begin(self) -> None:
        """Begins to heed the display, if it reports."""
        if self._display:
            threading.Thread(target=self.heed_drawing, args=(self._display,), daemon=True).start()

    def run(self) -> None:
        """Looks again and again. Raises `ScreenError` when the source is gone, `OSError` when the daemon is."""
        due = time.monotonic()
        self._look(due)
        while not self._over:
            with self._woken:
                if not self._orders and not self._over:
                    until = min(due, self._earliest) if self._is_drawn else due
                    self._woken.wait(max(0.0, until - time.monotonic()))
            now = time.monotonic()
            bring = self._obey()
            if bring is not None or now >= due or (self._is_drawn and now >= self._earliest):
                self._look(now)
                # From when it was due: what is drawn as often as we look may come a little early.
                self._earliest = max(self._earliest + 1 / self._spec.fps, now)
                due = max(due + self._period(now), now)
            if bring is not None:
                self._bring(bring)

    def heed_drawing(self, display: Display) -> None:
        """Wakes us when something is drawn; on a thread of its own. A display that tells no more is looked at."""
        try:
            while not self._over:
                drawn = display.wait(IDLE_S)
                with self._woken:
                    self._drawn = self._drawn or drawn
                    self._woken.notify()
        except OSError:
            self._display = None

    @property
    def _is_drawn(self) -> bool:
        """Whether the display told that there is something to look at."""
        return self._display is not None and self._drawn and self._watched

    def _obey(self) -> Bring | None:
        wanted: Bring | None = None
        while self._orders:
            match self._orders.popleft():
                case Follow(watched, followed, quality):
                    self._watched, self._followed = watched, followed
                    self._quality = min(self._spec.quality, quality)
                case Bring() as wanted:
                    self._followed = True
        return wanted

    def _period(self, now: Seconds) -> Seconds:
        if not self._watched:
            return IDLE_S
        if self._display and self._desk and self._desk.is_settled:
            return LAZY_S
        return LAZY_S if now - self._changed_at > LAZY_AFTER_S else 1 / self._spec.fps

    def _look(self, now: Seconds) -> None:
        if now - self._sized_at > SIZE_S and isinstance(self._source, Screen):
            self._sized_at = now
            self._source.follow_size()
        shot = self._shoot(now)
        picture = shot.picture
        if self._desk is None or (self._desk.grid.width, self._desk.grid.height) != picture.shape[::-1]:
            self._open(picture)
        self._mind_black(picture)
        self._tell_black(now)
        desk = self._desk
        assert desk is not None
        if not self._watched:
            self._overlooked = True
            return
        mask = desk.look(picture, now, None if self._overlooked else shot.rows)
        self._overlooked = False
        if mask:
            self._changed_at = now
            self._tell(desk, mask)
        self._sharpen(now)

    def _shoot(self, now: Seconds) -> Shot:
        self._drawn = False
        shot = self._source.grab(now)
        if self._display:
            # What came while we waited for its answer was read with the answer, and the other thread was not woken.
            with contextlib.suppress(OSError):
                self._drawn |= self._display.drawn()
        return shot

    def _sharpen(self, now: Seconds) -> None:
        desk = self._desk
        if desk and self._watched and self._followed and (mask := desk.sharpen(now)):
            self._changed_at = now
            self._tell(desk, mask)

    def _open(self, picture: Pixels) -> None:
        height, width = picture.shape
        self._desk = Desk(width, height, Coder(encode_jpeg, encode_exact))
        self._overlooked = True
        protocol.write(self._out, Opened(width, height, self._source.title))

    def _tell(self, desk: Desk, mask: Mask) -> None:
        cells = protocol.mask_bytes(mask)
        if not self._followed:
            desk.pass_over()
            protocol.write(self._out, protocol.Slice(desk.number, cells, b"", True, True, False, coded=False))
            return
        first = True
        for update in desk.updates(self._quality):
            settled = update.last and desk.is_settled
            protocol.write(
                self._out, protocol.Slice(desk.number, cells, update.operations, first, update.last, settled)
            )
            first = False

    def _bring(self, order: Bring) -> None:
        desk = self._desk
        assert desk is not None
        mask = int.from_bytes(order.mask, "big") | desk.everything_since(order.number)
        slices = tuple(update.operations for update in desk.bring_up(mask & desk.grid.all, order.quality))
        protocol.write(self._out, Brought(slices, desk.is_settled))

    def _mind_black(self, picture: Pixels) -> None:
        """Notes since when the screen is black but for the pointer, which is drawn even then."""
        if self._black is not Black.MAYBE:
            return
        lit = np.count_nonzero(picture[:: max(1, len(picture) // 64)] & np.uint32(0x00FF_FFFF))
        if lit > LIT_MAX:
            self._black = Black.NO

    def _tell_black(self, now: Seconds) -> None:
        self._began_at = self._began_at or now
        if self._black is Black.MAYBE and now - self._began_at > BLACK_S:
            self._black = Black.TOLD
            protocol.write(self._out, Trouble(BLACK, False))


def main(words: list[str]) -> int:
    """`words` is the spec as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C in a terminal reaches us too; the daemon decides
    come_last()
    out = sys.stdout.buffer
    try:
        spec = msgspec.json.decode(words[0], type=Spec)
        source = open_source(spec)
        watch = Watch(source, spec, out)
        threading.Thread(target=watch.take_orders, args=(sys.stdin.buffer,), daemon=True).start()
        watch.begin()
        watch.run()
    except ScreenError as error:
        with contextlib.suppress(OSError):
            protocol.write(out, Trouble(str(error), True))
        return error.exit_status
    except OSError:  # the daemon is gone
        return 0
    return 0


if __name__ == "__main__":
    # The reading thread may sit in a read that nothing ends: what the interpreter would wait for is of no use any more.
    os._exit(main(sys.argv[1:]))
