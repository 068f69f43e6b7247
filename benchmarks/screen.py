"""Shared screens against the programs that share one today: delay, pictures, bytes and processor, in one run.

    python -m benchmarks.screen [--peer NAME...] [--content NAME...] [--network NAME...] [--seconds 8] [--rounds 1]
                                [--keep FILE] [--only-tell] [--json FILE]

Two network namespaces, a display of 1920 by 1080 in one of them, and contents drawn on it whose every picture bears a
number in black and white. One program after the other shares it, and the number is read where the picture is seen: on
the glass of a second display, or in the picture that a program watching through meshchat has decoded. The delay is from
the instant in which a picture begins to be drawn to that in which its number is seen whole.

A whole run is long. `--keep` appends what was measured to a file, and tells of all that is in it, so that a run can be
done in pieces; `--only-tell` measures nothing. Where there are several rounds the medians count.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from benchmarks import lab, report, rivals
from benchmarks.cable import NETWORKS, Cable, Network
from benchmarks.framecode import load
from benchmarks.rivals import RIVALS, Running, Scene
from benchmarks.sharing import MESHCHAT, meshchat
from benchmarks.verdict import Run, told
from meshchat.errors import MeshchatError
from meshchat.units import Seconds

TITLE = "Shared screens compared"

SHOWN_S_MAX: Seconds = 20.0
"""How long the first picture may take to be seen."""

SETTLE_S: Seconds = 1.5
"""From the first whole picture to the next: time to make it sharp, and for a network that became worse."""

TAIL_S: Seconds = 1.0
"""After the last picture: what is on its way may still come."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is drawn, and how often."""

    name: str
    kind: str
    rate: float


CONTENTS = (
    Content("still", "still", 1),
    Content("typing", "typing", 10),
    Content("scroll", "scroll", 30),
    Content("video", "video", 30),
    Content("scroll60", "scroll", 60),
    Content("video60", "video", 60),
)


def main() -> int:
    """Measures; the exit status."""
    parser = report.parser(TITLE)
    peers = [MESHCHAT, *(rival.name for rival in RIVALS)]
    contents = [each.name for each in CONTENTS]
    networks = [each.name for each in NETWORKS]
    parser.add_argument(
        "--peer", nargs="+", choices=peers, default=peers, metavar="NAME", help=f"of {', '.join(peers)}"
    )
    parser.add_argument(
        "--content", nargs="+", choices=contents, default=contents[:4], metavar="NAME", help=f"of {', '.join(contents)}"
    )
    parser.add_argument(
        "--network", nargs="+", choices=networks, default=networks[:1], metavar="NAME", help=f"of {', '.join(networks)}"
    )
    parser.add_argument("--seconds", type=float, default=8.0, metavar="S", help="how long each content is drawn (8)")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="how often everything is measured (1)")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="add what is measured to this file, and tell of all")
    parser.add_argument("--only-tell", action="store_true", help="measure nothing: tell what --keep has")
    words = parser.parse_args()
    return report.run(words, TITLE, lambda: _measure(words))


async def _measure(words: argparse.Namespace) -> list[report.Row]:
    runs = _kept(words.keep)
    if words.only_tell:
        return told(runs)
    with lab.network(2, words.loopback) as places:
        cable = Cable(places[0], places[1])
        for number in range(words.rounds):
            for peer in words.peer if number % 2 == 0 else reversed(words.peer):
                async for run in _runs(peer, words, places, cable):
                    print(run, flush=True)
                    runs.append(run)
                    if words.keep:
                        with words.keep.open("ab") as file:
                            file.write(msgspec.json.encode(run) + b"\n")
    return told(runs)


def _kept(path: Path | None) -> list[Run]:
    if path is None or not path.exists():
        return []
    return [msgspec.json.decode(line, type=Run) for line in path.read_bytes().splitlines()]


async def _runs(peer: str, words: argparse.Namespace, places: list[lab.Place], cable: Cable) -> AsyncIterator[Run]:
    """One program, started once, with every network and every content that was asked for."""
    rival = next((each for each in RIVALS if each.name == peer), None)
    if rival and (tool := rivals.missing(rival)):
        print(f"{peer} is left out: the program {tool} is not installed", flush=True)
        return
    async with lab.stage() as stage:
        scene = Scene(places[0], places[1], stage.folder)
        async with contextlib.AsyncExitStack() as stack:
            if rival:
                shared = stack.enter_context(rivals.running(rival, scene))
            else:
                shared = await stack.enter_async_context(meshchat(stage, scene))
            for network in NETWORKS:
                for content in CONTENTS:
                    if network.name in words.network and content.name in words.content:
                        yield await _run(peer, scene, shared, cable, network, content, words.seconds)


async def _run(
    peer: str, scene: Scene, shared: Running, cable: Cable, network: Network, content: Content, seconds: Seconds
) -> Run:
    """Draws one content and sees what comes of it."""
    log = scene.folder / f"{network.name}-{content.name}.drawn"
    began = time.monotonic()
    async with drawing(shared.display, content, seconds, log) as draw:
        await lab.poll(f"{peer} showed the first picture", lambda: _saw_first(shared.seen, began), SHOWN_S_MAX)
        try:
            cable.become(network)
            await asyncio.sleep(SETTLE_S)
            before = Counts.of(shared, cable)
            draw()
            await asyncio.sleep(seconds)
            after = Counts.of(shared, cable)
            await asyncio.sleep(TAIL_S)
        finally:
            cable.heal()
        return _judge(peer, network, content, Sight(log, shared.seen, shared.idle), before, after)


@contextlib.asynccontextmanager
async def drawing(display: str, content: Content, seconds: Seconds, log: Path) -> AsyncIterator[Callable[[], None]]:
    """Has the first picture drawn; calling what is given begins the rest."""
    words = ["-m", "benchmarks.drawing", content.kind, str(content.rate), str(seconds), str(log)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=lab.ROOT,
        env=os.environ | {"DISPLAY": display},
    )  # fmt: skip
    pipe, words_of = process.stdin, process.stdout
    assert pipe is not None
    assert words_of is not None
    try:
        if await words_of.readline() != b"drawn\n":
            raise MeshchatError("nothing could be drawn; what is wrong stands above")
        yield lambda: pipe.write(b"go\n")
    finally:
        pipe.close()
        await process.wait()


async def _saw_first(seen: Path, since: Seconds) -> bool:
    sightings = load(seen)
    return bool(np.any((sightings["number"] == 0) & (sightings["at"] > since)))


@dataclass(frozen=True, slots=True)
class Counts:
    """What was taken up to an instant."""

    at: Seconds
    sharer: Seconds
    viewer: Seconds
    display: Seconds
    sent: int

    @classmethod
    def of(cls, shared: Running, cable: Cable) -> Counts:
        """Now."""
        drawn_on = [shared.drawn_on] if shared.drawn_on else []
        sharer, viewer, display = (rivals.busy_s(each) for each in (shared.sharers, shared.viewers, drawn_on))
        return cls(time.monotonic(), sharer, viewer, display, cable.bytes())


@dataclass(frozen=True, slots=True)
class Sight:
    """Where the numbers stand of what was drawn, and of what was seen."""

    drawn: Path
    seen: Path
    idle: float


def _judge(peer: str, network: Network, content: Content, sight: Sight, before: Counts, after: Counts) -> Run:
    drawn, seen = load(sight.drawn), load(sight.seen)
    first: dict[int, Seconds] = {}
    for at, number in seen[seen["at"] > before.at].tolist():
        first.setdefault(number, at)
    delays = [first[number] - at for at, number in drawn.tolist() if number in first]
    passed = after.at - before.at
    p50, p95 = np.percentile(delays, (50, 95)) * 1000 if delays else (float("nan"), float("nan"))
    return Run(
        peer=peer,
        network=network.name,
        content=content.name,
        rate=content.rate,
        drawn=len(drawn),
        seen=len(delays),
        delay_ms=float(p50),
        delay_p95_ms=float(p95),
        delay_max_ms=max(delays, default=float("nan")) * 1000,
        fps=len(delays) / len(drawn) * content.rate,
        mbit=(after.sent - before.sent) * 8 / passed / 1e6,
        sharer=100 * (after.sharer - before.sharer) / passed,
        viewer=100 * (after.viewer - before.viewer) / passed,
        display=100 * (after.display - before.display) / passed,
        idle=sight.idle,
    )


if __name__ == "__main__":
    sys.exit(main())
