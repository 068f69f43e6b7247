"""A sound file that is read a little ahead, on a thread of its own, so that a slow disk is not heard.

Frames wait in a bounded queue; the reader waits when it is full. Whoever takes them never waits: where nothing is
there yet it gets nothing, and goes on when the disk does.
"""

from __future__ import annotations

import queue
import threading

from meshchat.sound.files import FileSource
from meshchat.units import Samples, Seconds
from meshchat.urgency import put_daemon_next

AHEAD_FRAMES = 50
"""Frames that wait, a second of 20 ms ones: longer than a disk thinks that has to spin up its cache, and 400 KB."""

LOOK_S: Seconds = 0.1
"""How often a reader whose queue is full looks whether it is still wanted."""


class ReadAhead:
    """The frames of a file, in order; closed with the file."""

    def __init__(self, source: FileSource) -> None:
        self._source = source
        self._frames: queue.Queue[Samples | None] = queue.Queue(AHEAD_FRAMES)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meshchat-play-read", daemon=True)
        self.is_over = False
        """Whether all frames have been taken."""

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    def take(self) -> Samples | None:
        """The next frame; None where it is not read yet, or there is no further one."""
        try:
            frame = self._frames.get_nowait()
        except queue.Empty:
            return None
        self.is_over = frame is None
        return frame

    def close(self) -> None:
        """Reads no more, and lets go of the file; waits for a read that is under way."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._source.close()

    def _run(self) -> None:
        put_daemon_next()
        index = 0
        while not self._closing.is_set():
            frame = None if self._source.is_over else self._source.frame(index)
            index += 1
            self._put(frame)
            if frame is None:
                return

    def _put(self, frame: Samples | None) -> None:
        while not self._closing.is_set():
            try:
                self._frames.put(frame, timeout=LOOK_S)
            except queue.Full:
                continue
            return
