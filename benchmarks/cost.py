"""What a call costs: one peer's processor time as it listens, speaks and sits in a full room, and where it goes.

    python -m benchmarks.cost [SCENE ...] [--seconds 20] [--members 32] [--speaking 3] [--frame-ms 10] [--json FILE]

One real peer is measured. The others in its room are real towards it and towards each other, but many to a process and
without an ear (`benchmarks.extras`), so that a room of 32 fits a small machine. In the scene `eight` all are daemons,
and all speak. Percentages are of one core, of the whole process, kernel included.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import psutil

from benchmarks import breakdown, lab, report
from benchmarks.company import Room
from benchmarks.report import Figure, Row
from benchmarks.speech import SPEAKERS, clip_path
from meshchat.units import Seconds

TITLE = "What a call costs"

WARM_UP_S: Seconds = 3.0

SPY_S: Seconds = 10.0

HOSTS = 3
"""Places that the extras share: one host may have so many handshakes open with another, and no more."""

ROOM_PERCENT_MAX, RECEIVE_PERCENT_MAX, SEND_PERCENT_MAX, EIGHT_PERCENT_MAX = 15.0, 4.0, 6.0, 50.0


def main() -> int:
    """Measures; the exit status."""
    parser = report.parser(TITLE)
    parser.add_argument("--seconds", type=float, default=20.0, metavar="S", help="how long each is measured")
    parser.add_argument("--members", type=int, default=32, metavar="N", help="of the full room, the measured one too")
    parser.add_argument("--speaking", type=int, default=3, metavar="N", help="how many of them speak")
    parser.add_argument("--frame-ms", type=float, default=10.0, metavar="MS", help="length of one packet of sound")
    words = report.with_scenes(parser, SCENES)
    return report.run(words, TITLE, lambda: _measure(words))


async def _measure(words: argparse.Namespace) -> list[Row]:
    return [await SCENES[name](words) for name in words.scenes]


async def _room(words: argparse.Namespace) -> Row:
    name = f"listens, {words.members} members, {words.speaking} speaking"
    return await _one(words, name, words.members - 1, words.speaking, "silence", ROOM_PERCENT_MAX)


async def _receive(words: argparse.Namespace) -> Row:
    return await _one(words, "listens to one", 1, 1, "silence", RECEIVE_PERCENT_MAX)


async def _send(words: argparse.Namespace) -> Row:
    return await _one(words, "speaks to one", 1, 0, f"loop:{clip_path(SPEAKERS[0])}", SEND_PERCENT_MAX)


async def _one(words: argparse.Namespace, name: str, others: int, speaking: int, mic: str, at_most: float) -> Row:
    """One peer measured among extras."""
    hosts = min(HOSTS, others)
    with lab.network(1 + hosts, words.loopback) as places:
        async with lab.stage() as stage:
            peer = await stage.start("measured", places[0], mic=mic, frame_ms=words.frame_ms, no_mdns=True)
            async with _extras(stage, peer, places, others, speaking, words.frame_ms):
                await lab.poll(f"{peer.name} had {1 + others} members around it", lambda: _is_full(peer, 1 + others))
                await asyncio.sleep(WARM_UP_S)
                row = await _read(name, [peer], words.seconds, at_most)
                await _tell(name, peer)
    return row


async def _eight(words: argparse.Namespace) -> Row:
    """Eight daemons that all speak and listen."""
    with lab.network(8, words.loopback) as places:
        async with lab.stage() as stage:
            room = Room(stage, places)
            await room.fill(len(places), len(places), frame_ms=words.frame_ms)
            await asyncio.sleep(WARM_UP_S)
            row = await _read("one of eight that all speak", room.peers, words.seconds, EIGHT_PERCENT_MAX)
            await _tell(row.name, room.peers[-1])
    return row


@contextlib.asynccontextmanager
async def _extras(
    stage: lab.Stage, peer: lab.Peer, places: list[lab.Place], number: int, speaking: int, frame_ms: float
) -> AsyncIterator[None]:
    """So many others in the room, spread over all places but the peer's, the first, until the end of the block."""
    home, *hosts = places
    await peer.ready()
    port = (await peer.status()).port
    processes = []
    for index, place in enumerate(hosts):
        count, talkers = ((each - index + len(hosts) - 1) // len(hosts) for each in (number, speaking))
        processes.append(
            await asyncio.create_subprocess_exec(
                *place.enter, sys.executable, "-m", "benchmarks.extras", str(count),
                "--room", stage.room, "--folder", str(stage.folder / f"host{index}"), "--address", place.host,
                "--to", f"{home.host}:{port}", "--speak", str(talkers), "--frame-ms", str(frame_ms),
                cwd=lab.ROOT,
            )
        )  # fmt: skip
    try:
        yield
    finally:
        for each in processes:
            each.terminate()
        for each in processes:
            await each.wait()


async def _is_full(peer: lab.Peer, members: int) -> bool:
    room = (await peer.status()).room
    return room is not None and sum(each.reachable for each in room.members) == members


async def _read(name: str, peers: list[lab.Peer], seconds: Seconds, at_most: float) -> Row:
    processes = [psutil.Process(peer.process.pid) for peer in peers]
    late = [(await peer.status()).counters["late_turns"] for peer in peers]
    begun, before = time.monotonic(), [breakdown.spent(each) for each in processes]
    await asyncio.sleep(seconds)
    passed, after = time.monotonic() - begun, [breakdown.spent(each) for each in processes]
    shares = [breakdown.percent(was, now, passed)[0] for was, now in zip(before, after, strict=True)]
    late_since = [(await peer.status()).counters["late_turns"] - was for peer, was in zip(peers, late, strict=True)]
    figures = (
        Figure("processor, median", statistics.median(shares), "% of a core", at_most=at_most),
        Figure("worst", max(shares), "% of a core"),
        Figure("memory", statistics.median(each.memory_info().rss for each in processes) / 1e6, "MB"),
        Figure("late turns, worst", max(late_since), f"in {passed:.0f} s"),
    )
    return Row(name, figures)


async def _tell(name: str, peer: lab.Peer) -> None:
    """Prints where its time goes."""
    process = psutil.Process(peer.process.pid)
    begun, before = time.monotonic(), breakdown.spent(process)
    found = await breakdown.sample(process.pid, SPY_S)
    _, threads = breakdown.percent(before, breakdown.spent(process), time.monotonic() - begun)
    print(f"\n{name}, by thread (while it is looked at):\n{breakdown.table(found, threads)}", flush=True)


SCENES: dict[str, Callable[[argparse.Namespace], Awaitable[Row]]] = {
    "room": _room,
    "receive": _receive,
    "send": _send,
    "eight": _eight,
}

if __name__ == "__main__":
    sys.exit(main())
