"""What an open terminal costs the sound: late turns and memory of a daemon alone, watched, and watched by a stopped UI.

    python -m benchmarks.terminal [--seconds 15] [--loopback] [--json FILE]

Four peers talk. The terminal UI is opened on one of them, in a real terminal that tmux holds, with meters and figures
in sight; then it is stopped with SIGSTOP, as Ctrl+Z does, while everything goes on; then it is let go on. Each phase
counts the late turns of that daemon's sound threads.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from benchmarks import lab, report
from benchmarks.breakdown import used_s
from benchmarks.report import Figure, Row
from benchmarks.speech import SPEAKERS, clip_path
from meshchat.errors import MeshchatError
from meshchat.units import Seconds

TITLE = "What an open terminal costs the sound"
PEERS = 4
WATCHED = "watched"
WARM_UP_S: Seconds = 3.0
SIZE = ("-x", "160", "-y", "45")

LATE_SHARE_MAX = 0.2
"""Of a hundred turns, how many more may come late with a UI than without: what the daemon alone varies by."""

MEMORY_MB_MAX = 4.0
"""How much the daemon may grow while nobody reads what it tells: its limits allow less than one."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What was seen of the watched daemon in one phase."""

    name: str
    late_turns: int
    turns: float
    grown_mb: float
    ui_percent: float
    """What the UI's process took of one core."""

    @property
    def late_share(self) -> float:
        """Late turns of a hundred."""
        return 100 * self.late_turns / self.turns


def main() -> int:
    """Measures; the exit status."""
    parser = report.parser(__doc__ or "")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long each phase lasts")
    words = parser.parse_args()
    return report.run(words, TITLE, lambda: _measure(words))


async def _measure(words: argparse.Namespace) -> list[Row]:
    if shutil.which("tmux") is None:
        raise MeshchatError("tmux is missing, which holds the terminal; install it")
    with lab.network(PEERS, words.loopback) as places:
        async with lab.stage() as stage:
            for name, place in zip((WATCHED, *SPEAKERS, "fourth"), places, strict=False):
                mic = f"loop:{clip_path(name)}" if name in SPEAKERS else "tone:440"
                await stage.start(name, place, mic=mic, frame_ms=10)
            watched = stage.peers[0]
            for peer in stage.peers:
                await peer.ready()
            await lab.poll("all were together", lambda: _are_together(watched))
            await asyncio.sleep(WARM_UP_S)
            phases = [await _phase("no terminal", watched, None, words.seconds)]
            with _terminal(stage, watched) as ui:
                await asyncio.sleep(WARM_UP_S)
                phases.append(await _phase("a terminal", watched, ui, words.seconds))
                ui.send_signal(signal.SIGSTOP)
                phases.append(await _phase("a stopped one", watched, ui, words.seconds))
                ui.send_signal(signal.SIGCONT)
                phases.append(await _phase("let go on", watched, ui, words.seconds))
    return _rows(phases)


async def _are_together(peer: lab.Peer) -> bool:
    status = await peer.status()
    return status.room is not None and len(status.room.members) == PEERS


async def _phase(name: str, peer: lab.Peer, ui: psutil.Process | None, seconds: Seconds) -> Phase:
    daemon = psutil.Process(peer.process.pid)
    before, memory, at = await peer.status(), daemon.memory_info().rss, time.monotonic()
    used = used_s(ui) if ui else 0.0
    await asyncio.sleep(seconds)
    after, took = await peer.status(), time.monotonic() - at
    late = after.counters["late_turns"] - before.counters["late_turns"]
    grown = (daemon.memory_info().rss - memory) / 1e6
    ui_s = used_s(ui) - used if ui else 0.0
    return Phase(name, late, 2 * 100 * took, grown, 100 * ui_s / took)


@contextmanager
def _terminal(stage: lab.Stage, peer: lab.Peer) -> Iterator[psutil.Process]:
    """The UI of that peer in a terminal of its own, with the figures in sight; its process."""
    tmux = ("tmux", "-S", str(stage.folder / "tmux"))
    command = (
        f"env PYTHONPATH={lab.ROOT} TERM=xterm-256color {sys.executable} -m meshchat --profile {peer.profile}; true"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TMUX"}

    def told(*words: str) -> str:
        done = subprocess.run([*tmux, *words], check=True, capture_output=True, text=True, env=environment)
        return done.stdout

    told("new", "-d", "-s", "ui", *SIZE, command)
    try:
        _until("the UI asked for a name", lambda: "Welcome" in told("capture-pane", "-p", "-t", "ui"))
        told("send-keys", "-t", "ui", "Enter")
        _until("the UI showed the room", lambda: "4 members" in told("capture-pane", "-p", "-t", "ui"))
        told("send-keys", "-t", "ui", "f")
        shell = psutil.Process(int(told("list-panes", "-t", "ui", "-F", "#{pane_pid}")))
        yield shell.children()[0]  # not the pane's own process, which tmux would let go on at once
    finally:
        subprocess.run([*tmux, "kill-server"], check=False, capture_output=True)


def _until(what: str, is_so: Callable[[], bool], limit_s: Seconds = 30.0) -> None:
    deadline = time.monotonic() + limit_s
    while not is_so():
        if time.monotonic() > deadline:
            raise MeshchatError(f"gave up waiting until {what}, after {limit_s:.0f} s")
        time.sleep(0.1)


def _rows(phases: list[Phase]) -> list[Row]:
    alone = phases[0].late_share
    return [
        Row(
            phase.name,
            (
                Figure("late turns", phase.late_turns),
                Figure("of a hundred", phase.late_share, at_most=alone + LATE_SHARE_MAX),
                Figure("the daemon grew by", phase.grown_mb, "MB", at_most=MEMORY_MB_MAX),
                Figure("the UI took", phase.ui_percent, "% of a core"),
            ),
        )
        for phase in phases
    ]


if __name__ == "__main__":
    sys.exit(main())
