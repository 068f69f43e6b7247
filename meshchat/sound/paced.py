"""Microphones and speakers that are no devices: a source or a sink, turned by a pacer."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import Protocol

from meshchat.sound.guard import GuardedFrames, GuardedPull, OnFrame, Pull
from meshchat.sound.pace import Pacer
from meshchat.units import SAMPLE_RATE, Samples, Seconds


class Source(Protocol):
    """Frames by number."""

    def frame(self, index: int) -> Samples:
        """Frame `index`, asked for in growing order, with gaps where time was skipped."""
        ...

    def describe(self) -> str:
        """What it is, in a few words."""
        ...

    def close(self) -> None:
        """Let go of everything; harmless the second time."""
        ...


class Sink(Protocol):
    """Blocks by number."""

    def write(self, index: int, block: Samples) -> None:
        """Take block `index`, given in growing order, with gaps where time was skipped; must not wait."""
        ...

    def describe(self) -> str:
        """What it is, in a few words."""
        ...

    def close(self) -> None:
        """Finish; harmless the second time."""
        ...


class NullSink:
    """Takes everything and keeps nothing."""

    def write(self, index: int, block: Samples) -> None:
        """Gone."""

    def describe(self) -> str:
        """`null`"""
        return "null (everything is thrown away)"

    def close(self) -> None:
        """Nothing is held."""


class _Paced(ABC):
    """The life that both kinds share: start once, stop for good."""

    def __init__(self, name: str, samples: int, end: Source | Sink) -> None:
        self._samples = samples
        self._end = end
        self._pacer = Pacer(name, samples, self._turn)
        self._life = threading.Lock()
        self._started = False
        self._stopped = False

    @property
    def late_turns(self) -> int:
        """Turns that began after half of their period."""
        return self._pacer.late_turns

    @property
    def device(self) -> None:
        """It is none."""
        return None

    @property
    def trouble(self) -> None:
        """It has none that would last."""
        return None

    def describe(self) -> str:
        """What it is, in a few words."""
        return self._end.describe()

    def stop(self) -> None:
        """Return when no turn runs and none will, and the file is finished. RuntimeError inside a turn."""
        if self._pacer.is_current():
            raise RuntimeError("a sound thread cannot stop itself: stop from another one")
        with self._life:
            self._stopped = True
            self._pacer.stop()
            self._end.close()

    def _start(self) -> None:
        with self._life:
            if self._started:
                raise RuntimeError("started twice: open another one")
            self._started = True
            if not self._stopped:
                self._pacer.start()

    @abstractmethod
    def _turn(self, index: int, due: Seconds) -> None: ...


class PacedMicrophone(_Paced):
    """A source in real time. A frame's capture instant is that of its first sample: one period before it is due."""

    def __init__(self, source: Source, frame_samples: int) -> None:
        super().__init__("meshchat-microphone", frame_samples, source)
        self._source = source
        self._on_frame: OnFrame | None = None

    def start(self, on_frame: OnFrame) -> None:
        """Begin to call `on_frame` on a thread of its own; nothing happens after stop. RuntimeError when repeated."""
        self._on_frame = self._on_frame or GuardedFrames(on_frame)
        self._start()

    def _turn(self, index: int, due: Seconds) -> None:
        frame = self._source.frame(index)
        if self._on_frame is not None:
            self._on_frame(frame, due - self._samples / SAMPLE_RATE)


class PacedSpeaker(_Paced):
    """A sink in real time; it asks for a block when the block is due."""

    def __init__(self, sink: Sink, block_samples: int) -> None:
        super().__init__("meshchat-speaker", block_samples, sink)
        self._sink = sink
        self._pull: Pull | None = None

    def start(self, pull: Pull) -> None:
        """Begin to call `pull` on a thread of its own; nothing happens after stop. RuntimeError when repeated."""
        self._pull = self._pull or GuardedPull(pull)
        self._start()

    def _turn(self, index: int, due: Seconds) -> None:
        if self._pull is not None:
            self._sink.write(index, self._pull(self._samples, time.monotonic()))
