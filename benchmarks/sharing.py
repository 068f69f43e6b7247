"""Two peers of meshchat, one sharing a display, and a program that watches through the other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from benchmarks import lab
from benchmarks.company import Room
from benchmarks.rivals import FPS, Running, Scene, busy_s, process, xvfb
from meshchat import control
from meshchat.units import Seconds

MESHCHAT = "meshchat"

IDLE_S: Seconds = 4.0

QUALITY = 77
"""What VNC sends at its level 5."""


@contextlib.asynccontextmanager
async def meshchat(stage: lab.Stage, scene: Scene) -> AsyncIterator[Running]:
    """Shares a new display, and watches it."""
    seen = scene.folder / f"meshchat-{os.urandom(4).hex()}.seen"
    seen.touch()
    with contextlib.ExitStack() as stack:
        display, drawn_on = stack.enter_context(xvfb(scene))
        room = room_with_display(stage, scene, display)
        await room.fill(2, 0)
        sharer, watcher = room.peers
        idle = await _idle(sharer.process.pid)
        async with watched(room, scene, seen) as viewer:
            try:
                yield Running(display, seen, [sharer.process.pid], [watcher.process.pid, viewer], idle, drawn_on)
            finally:
                await stage.end(*room.peers)  # before their display


async def _idle(number: int) -> float:
    """Percent of a core that a daemon in a call takes when it shares nothing."""
    await asyncio.sleep(1.0)
    before, began = busy_s([number]), time.monotonic()
    await asyncio.sleep(IDLE_S)
    return 100 * (busy_s([number]) - before) / (time.monotonic() - began)


def room_with_display(stage: lab.Stage, scene: Scene, display: str) -> Room:
    """Nobody is in it yet; the first of the two places has that display."""
    sharer = replace(scene.sharer, enter=(*scene.sharer.enter, "env", f"DISPLAY={display}"))
    return Room(stage, [sharer, scene.watcher])


@contextlib.asynccontextmanager
async def watched(room: Room, scene: Scene, seen: Path) -> AsyncIterator[int]:
    """The first in the room shares its display, and a program watches through the second: the program's number."""
    sharer, watcher = room.peers
    async with await control.ControlClient.connect(sharer.profile) as daemon:
        await daemon.call(control.ShareStart(fps=FPS, quality=QUALITY))
    await lab.poll("the watcher knew of the share", lambda: _knows(watcher.profile, sharer.name))
    words = [sys.executable, "-m", "benchmarks.watching", str(watcher.profile), sharer.name, str(seen)]
    with process([*scene.watcher.enter, *words], scene, "") as viewer:
        yield viewer


async def _knows(profile: Path, alias: str) -> bool:
    """Whether the daemon can watch that member's screen."""
    async with await control.ControlClient.connect(profile) as daemon:
        answer = await daemon.call(control.Screens())
    assert isinstance(answer, control.ScreenList)
    return any(each.alias == alias for each in answer.screens)
