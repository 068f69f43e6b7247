"""Sees what an X11 display shows: reads the number of the picture each time something was drawn, and writes it down.

    python -m benchmarks.glass LOG          of the display of the variable DISPLAY

The display itself tells of drawing (the DAMAGE extension), so nothing is missed between two looks, and looking costs
next to nothing: one row of pixels for each drawing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import xcffib
import xcffib.xproto

from benchmarks.framecode import CODE_WIDTH, MIDDLE, Sightings, read
from meshchat.capture.x11 import Display

ALL_PLANES = 0xFFFF_FFFF


def main(words: list[str]) -> int:
    """Looks until SIGTERM; the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(OSError):
        os.nice(-10)
    connect: Any = xcffib.connect
    display: Any = connect()
    root = display.get_setup().roots[0].root
    log, watched = Sightings(Path(words[0])), Display()
    while True:
        if watched.wait(1.0):
            watched.seen()
            image = xcffib.xproto.ImageFormat.ZPixmap
            row = display.core.GetImage(image, root, 0, MIDDLE, CODE_WIDTH, 1, ALL_PLANES).reply()
            log.saw(read(np.frombuffer(bytes(row.data), np.uint32)), time.monotonic())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
