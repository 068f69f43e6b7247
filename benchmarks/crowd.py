"""A room that fills up with daemons on one machine, two of them talking: what each costs, and what the room survives.

    python -m benchmarks.crowd [--steps 10 20 30 40 50] [--apart 0.3] [--frame-ms 60] [--block-ms 60] [--json FILE]

Every member is a real daemon in a network namespace of its own, started when the one before is ready. At each step
it waits until all know all, and then measures what each takes; at the last also where that goes, and what the death of
the coordinator does. Packets and the speakers' blocks are of 60 ms unless something else is said: fifty daemons on two
cores leave 4 % of a core to each, and the hundred turns a second of a speaker with nobody before it take half of that.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import statistics
import sys
import time

import psutil

from benchmarks import breakdown, lab, report
from benchmarks.company import Room, replaced
from benchmarks.report import Figure, Row
from meshchat.errors import MeshchatError
from meshchat.units import Seconds

TITLE = "A crowd in one room on one machine, two talking"

TALKERS = 2

SETTLE_S: Seconds = 5.0

MEASURED_S: Seconds = 10.0

SPY_S: Seconds = 5.0

REPLACED_S_MAX: Seconds = 10.0


def main() -> int:
    """Measures; the exit status."""
    parser = report.parser(TITLE)
    parser.add_argument(
        "--steps", type=int, nargs="+", default=[10, 20, 30, 40, 50], metavar="N", help="sizes measured"
    )
    parser.add_argument(
        "--apart", type=float, default=0.3, metavar="S", help="from one's being ready to the next start"
    )
    parser.add_argument("--frame-ms", type=float, default=60.0, metavar="MS", help="length of one packet of sound")
    parser.add_argument("--block-ms", type=float, default=60.0, metavar="MS", help="what speakers ask for at once")
    words = parser.parse_args()
    return report.run(words, TITLE, lambda: _measure(words))


async def _measure(words: argparse.Namespace) -> list[Row]:
    rows: list[Row] = []
    steps = sorted(words.steps)
    with lab.network(steps[-1], words.loopback) as places:
        async with lab.stage() as stage:
            room = Room(stage, places)
            try:
                for size in steps:
                    rows.append(await _grow(room, size, words))
                await _tell(room.peers[-1])
                rows.append(await _death(room))
            except MeshchatError as error:  # what came before is worth telling
                print(f"ended with {len(room.peers)} members: {error}\n{await _state(room)}", flush=True)
                rows.append(Row("the last step", (Figure("members that all knew all", math.nan, at_least=steps[-1]),)))
    return rows


async def _state(room: Room) -> str:
    """Who knows how many, where not all know all."""
    lines = []
    for peer in room.peers:
        try:
            status = await asyncio.wait_for(peer.status(), 10)
        except (TimeoutError, MeshchatError, OSError) as error:
            lines.append(f"  {peer.name}: {error!r}")
            continue
        members = status.room.members if status.room else ()
        reachable = sum(each.reachable for each in members)
        leader = status.room.coordinator if status.room else None
        follows = (leader or "nobody")[:8]
        lines.append(
            f"  {peer.name}: {len(members)} members, {reachable} reachable, follows {follows}, {status.counters}"
        )
    return "\n".join(lines)


async def _grow(room: Room, size: int, words: argparse.Namespace) -> Row:
    begun = time.monotonic()
    while len(room.peers) < size:
        talks, place = len(room.peers) < TALKERS, room.places[len(room.peers)]
        peer = await room.enter(place, talks=talks, frame_ms=words.frame_ms, block_ms=words.block_ms)
        await peer.ready()
        await asyncio.sleep(words.apart)
    came_s = time.monotonic() - begun
    met_s = await room.agree()
    await asyncio.sleep(SETTLE_S)
    row = await _cost(room, f"{size} members", came_s, met_s)
    print("; ".join([row.name, *(f"{figure.name} {figure} {figure.unit}" for figure in row.figures)]), flush=True)
    return row


async def _cost(room: Room, name: str, came_s: Seconds, met_s: Seconds) -> Row:
    processes = [psutil.Process(peer.process.pid) for peer in room.peers]
    began, before, idle = time.monotonic(), [breakdown.used_s(each) for each in processes], psutil.cpu_times().idle
    await asyncio.sleep(MEASURED_S)
    passed, idle = time.monotonic() - began, psutil.cpu_times().idle - idle
    shares = [100 * (breakdown.used_s(each) - was) / passed for each, was in zip(processes, before, strict=True)]
    return Row(
        name,
        (
            Figure("ready after the step before", came_s, "s"),
            Figure("all know all then", met_s, "s"),
            Figure("processor each, median", statistics.median(shares), "% of a core"),
            Figure("of a talker", max(shares[:TALKERS]), "% of a core"),
            Figure("all", sum(shares), "% of a core"),
            Figure("left idle", 100 * idle / passed, "% of a core"),
            Figure("memory each", statistics.median(each.memory_info().rss for each in processes) / 1e6, "MB"),
        ),
    )


async def _tell(peer: lab.Peer) -> None:
    """Prints where a listener's time goes."""
    process = psutil.Process(peer.process.pid)
    begun, before = time.monotonic(), breakdown.spent(process)
    await asyncio.sleep(SPY_S)
    _, threads = breakdown.percent(before, breakdown.spent(process), time.monotonic() - begun)
    found = await breakdown.sample(process.pid, SPY_S)
    print(f"\na listener, by thread:\n{breakdown.table(found, threads)}", flush=True)


async def _death(room: Room) -> Row:
    """The coordinator is killed."""
    victim = await room.leader()
    room.peers.remove(victim)
    replaced_s = await replaced(room.peers, (await victim.ready()).who, victim.kill())
    figures = (
        Figure("replaced for all after", replaced_s, "s", at_most=REPLACED_S_MAX),
        Figure("all agree again then", await room.agree(), "s"),
    )
    return Row(f"coordinator of {len(room.peers) + 1} killed", figures)


if __name__ == "__main__":
    sys.exit(main())
