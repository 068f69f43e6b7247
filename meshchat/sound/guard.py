"""What stands between a sound thread and the code it calls: no exception passes, no wrong block, never a gap in time.

A sound thread that dies is a peer that falls silent with everything looking well, and an exception inside a PortAudio
callback ends up in C. So a raising callee is our bug, told once with its traceback, and heard as silence.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from meshchat.channels import silence
from meshchat.units import Samples, Seconds

log = logging.getLogger(__name__)

OnFrame = Callable[[Samples, Seconds], None]
"""Takes one frame of exactly the agreed length and the instant (time.monotonic) at which its first sample was heard."""

Pull = Callable[[int, Seconds], Samples]
"""Gives exactly that many samples, of one channel or two; the instant is when they are asked for."""

Notify = Callable[[str], None]
"""Takes one sentence for a person; called on any of the sound threads."""


class GuardedFrames:
    """An `on_frame` that never raises."""

    def __init__(self, on_frame: OnFrame) -> None:
        self._on_frame = on_frame
        self._told = False

    def __call__(self, frame: Samples, captured: Seconds) -> None:
        try:
            self._on_frame(frame, captured)
        except Exception:
            if not self._told:
                log.exception("taking a microphone frame failed; said once, further failures are silent")
            self._told = True


class GuardedPull:
    """A `pull` that never raises and always gives float32 of the length asked for."""

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._told = False

    def __call__(self, samples: int, asked: Seconds) -> Samples:
        try:
            block = np.asarray(self._pull(samples, asked), dtype=np.float32)
            if block.shape not in ((samples,), (samples, 2)):
                raise ValueError(f"asked for {samples} samples, got an array of shape {block.shape}")
        except Exception:
            if not self._told:
                log.exception("pulling a block for the speaker failed; said once, further failures are silence")
            self._told = True
            return silence(samples)
        return block


def guarded_notify(notify: Notify, text: str) -> None:
    """Say it to a person; a raising `notify` is logged and costs nothing else."""
    try:
        notify(text)
    except Exception:
        log.exception("passing on a notice failed: %s", text)
