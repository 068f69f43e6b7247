"""What happens to a room when its coordinator dies, leaves, freezes, or the network fails: real peers, real sockets.

    python -m benchmarks.trouble [SCENE ...] [--runs 20] [--minutes 10] [--json FILE]

Five peers in namespaces of their own, all of them talking, for most scenes. Times are read from what each peer tells
of its own room (`benchmarks.peer`), sound from what each made up or missed of the others, in one run, beside what it
does while nothing happens. Needs root on Linux, for the network is what is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

from benchmarks import lab, report, weather
from benchmarks.company import Room, Stretch, changes, log_of, longest, made_up, replaced
from benchmarks.report import Figure, Row
from meshchat.control import Status
from meshchat.errors import NetworkError
from meshchat.units import Seconds

TITLE = "A room in trouble"

TALKERS = 5

CALM_S: Seconds = 3.0
"""Before each event, so that nothing of the last one is left."""

WATCH_S: Seconds = 4.0
"""After it, for the sound."""

PAUSES_S = (1.0, 5.0, 60.0)
SPLIT_S: Seconds = 30.0
PAIR_S: Seconds = 15.0
OUTAGE_S: Seconds = 0.7
OUTAGE_EVERY_S: Seconds = 60.0


def main() -> int:
    """Measures; the exit status."""
    parser = report.parser(TITLE)
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="how many coordinators are killed")
    parser.add_argument("--minutes", type=float, default=10.0, metavar="M", help="how long the poor Wi-Fi lasts")
    words = report.with_scenes(parser, SCENES)
    return report.run(words, TITLE, lambda: _measure(words))


async def _measure(words: argparse.Namespace) -> list[Row]:
    if words.loopback or not lab.can_have_namespaces() or shutil.which("nft") is None:
        raise NetworkError("there is no network to break: run it as root on Linux with nftables, without --loopback")
    rows: list[Row] = []
    for name in words.scenes:
        begun = time.monotonic()
        rows += await SCENES[name](words)
        print(f"{name}: {time.monotonic() - begun:.0f} s", flush=True)
    return rows


async def _on_stage(number: int, play: Callable[[Room], Awaitable[list[Row]]]) -> list[Row]:
    with lab.network(number, loopback=False) as places:
        for place in places:
            weather.set_fair(place)
        async with lab.stage() as stage:
            return await play(Room(stage, places))


# The coordinator's death


async def _kill(words: argparse.Namespace) -> list[Row]:
    return await _on_stage(TALKERS, lambda room: _deaths(room, words.runs, f"{words.runs} coordinators killed"))


async def _deaths(room: Room, runs: int, name: str, *, joiner: bool = True) -> list[Row]:
    await room.fill(TALKERS, TALKERS, log=True)
    times: list[Seconds] = []
    entered: list[Seconds] = []
    calm: list[Stretch] = []
    for _ in range(runs):
        await asyncio.sleep(CALM_S + WATCH_S)
        victim = await room.leader()
        room.peers.remove(victim)
        killed_at = victim.kill()
        calm += [(log_of(room, peer), killed_at - WATCH_S, killed_at) for peer in room.peers]
        fresh = await room.enter(room.at[victim.name], talks=True, log=True) if joiner else None
        survivors = [peer for peer in room.peers if peer is not fresh]
        times.append(await replaced(survivors, (await victim.ready()).who, killed_at))
        if fresh:
            ready = await fresh.ready()
            await room.agree()
            entered.append(time.monotonic() - ready.at)
        room.heard(killed_at, killed_at + WATCH_S, survivors)
    await asyncio.sleep(WATCH_S)
    disturbed = room.logs
    await room.stage.end(*room.stage.peers)
    usual, worst = made_up(calm), made_up(disturbed)
    figures = [
        Figure("replaced, median", statistics.median(times), "s", at_most=2.0),
        Figure("worst", max(times), "s", at_most=3.0),
        Figure("sound made up at once, undisturbed", usual, "ms"),
        Figure("after the death", worst, "ms", at_most=max(usual, 20.0)),
    ]
    if entered:
        figures.append(Figure("newcomer meanwhile, ready to in, worst", max(entered), "s", at_most=4.0))
    return [Row(name, tuple(figures))]


async def _leave(_: argparse.Namespace) -> list[Row]:
    async def play(room: Room) -> list[Row]:
        await room.fill(TALKERS, TALKERS)
        without: list[Seconds] = []
        blank = 0
        for _ in range(TALKERS - 2):
            await asyncio.sleep(CALM_S)
            leaver = await room.leader()
            room.peers.remove(leaver)
            who, since = (await leaver.ready()).who, time.monotonic()
            await room.stage.end(leaver)
            await room.agree()
            for peer in room.peers:
                left, then = peer.left_at(who, since) or math.inf, peer.followed_at(who, since) or math.inf
                without.append(max(0.0, then - left))
                blank += sum(note.what == "coordinator" and not note.who and note.at > since for note in peer.notes)
        return [
            Row(
                f"{TALKERS - 2} coordinators leave",
                (
                    Figure("peers that ever had none", blank, at_most=0),
                    Figure("gone before replaced, worst", 1000 * max(without), "ms", at_most=50),
                ),
            )
        ]

    return await _on_stage(TALKERS, play)


async def _freeze(_: argparse.Namespace) -> list[Row]:
    async def play(room: Room) -> list[Row]:
        await room.fill(TALKERS, TALKERS)
        return [await _freeze_once(room, pause_s) for pause_s in PAUSES_S]

    return await _on_stage(TALKERS, play)


async def _freeze_once(room: Room, pause_s: Seconds) -> Row:
    await asyncio.sleep(CALM_S)
    frozen = await room.leader()
    since = time.monotonic()
    frozen.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(pause_s)
    frozen.process.send_signal(signal.SIGCONT)
    back_s = await room.agree()
    await asyncio.sleep(CALM_S)
    others = [peer for peer in room.peers if peer is not frozen]
    return Row(
        f"coordinator frozen for {pause_s:.0f} s",
        (
            Figure("changes of coordinator, worst", max(changes(peer, since) for peer in others), at_most=1),
            Figure("all agree again after", back_s, "s", at_most=2.0),
        ),
    )


# The network's failures


async def _split(_: argparse.Namespace) -> list[Row]:
    return await _on_stage(TALKERS, lambda room: _split_and_heal(room, "split 3|2"))


async def _split_and_heal(room: Room, name: str) -> list[Row]:
    await room.fill(TALKERS, TALKERS, log=True)
    await asyncio.sleep(CALM_S + WATCH_S)
    sides = room.peers[:3], room.peers[3:]
    begun = time.monotonic()
    calm = [(log_of(room, peer), begun - WATCH_S, begun) for peer in room.peers]
    for near, far in (sides, sides[::-1]):
        for peer in near:
            weather.cut(room.at[peer.name], *(room.at[each.name] for each in far))
    apart_s = max([await room.agree(side) for side in sides])
    await asyncio.sleep(max(0.0, begun + SPLIT_S - time.monotonic()))
    healed_at = time.monotonic()
    inside = [(log_of(room, peer), begun, healed_at, await _ids(side)) for side in sides for peer in side]
    for peer in room.peers:
        weather.join(room.at[peer.name])
    one_s = await room.agree()
    await asyncio.sleep(CALM_S)
    changed = max(changes(peer, healed_at) for peer in room.peers)
    await room.stage.end(*room.stage.peers)
    missed = max(longest(path, since, until, of) for path, since, until, of in inside)
    usual = made_up(calm)
    return [
        Row(
            f"{name}, {SPLIT_S:.0f} s",
            (
                Figure("each side agrees after", apart_s, "s"),
                Figure("sound made up at once, before", usual, "ms"),
                Figure("within a side, meanwhile", missed, "ms", at_most=max(usual, 20.0)),
                Figure("one room again after", one_s, "s", at_most=3.0),
                Figure("changes of coordinator then, worst", changed, at_most=1),
            ),
        )
    ]


async def _ids(peers: list[lab.Peer]) -> set[str]:
    return {(await peer.ready()).who for peer in peers}


async def _mdns(words: argparse.Namespace) -> list[Row]:
    """The same again, with mDNS shut off once the room stands."""

    async def without_mdns(room: Room) -> None:
        fill = room.fill

        async def fill_then_shut(*given: int, **knobs: bool) -> Seconds:
            met_s = await fill(*given, **knobs)
            for place in room.places:
                weather.set_fair(place, mdns=False)
            return met_s

        setattr(room, "fill", fill_then_shut)  # noqa: B010

    async def deaths(room: Room) -> list[Row]:
        await without_mdns(room)
        return await _deaths(room, 3, "3 coordinators killed, no mDNS", joiner=False)

    async def split(room: Room) -> list[Row]:
        await without_mdns(room)
        return await _split_and_heal(room, "split 3|2, no mDNS")

    return [*await _on_stage(TALKERS, deaths), *await _on_stage(TALKERS, split)]


async def _pair(_: argparse.Namespace) -> list[Row]:
    async def play(room: Room) -> list[Row]:
        await room.fill(TALKERS, TALKERS)
        leader = await room.leader()
        one, other = [peer for peer in room.peers if peer is not leader][:2]
        since = time.monotonic()
        weather.cut(room.at[one.name], room.at[other.name])
        weather.cut(room.at[other.name], room.at[one.name])
        await asyncio.sleep(PAIR_S)
        statuses = [await peer.status() for peer in room.peers]
        marked = await _marks(one, other) + await _marks(other, one)
        lists = min(len(status.room.members) if status.room else 0 for status in statuses)
        figures = (
            Figure("shortest list of members", lists, at_least=TALKERS),
            Figure("of the two, told that the other is not heard", marked, at_least=2),
            Figure("marks elsewhere", sum(_unreachable(each) for each in statuses) - marked, at_most=0),
            Figure("changes of coordinator", max(changes(peer, since) for peer in room.peers), at_most=0),
        )
        return [Row(f"one pair cut off from each other, {PAIR_S:.0f} s", figures)]

    return await _on_stage(TALKERS, play)


async def _marks(at: lab.Peer, other: lab.Peer) -> int:
    who, room = (await other.ready()).who, (await at.status()).room
    return sum(not each.reachable for each in room.members if each.id == who) if room else 0


def _unreachable(status: Status) -> int:
    return sum(not each.reachable for each in status.room.members) if status.room else 0


async def _wifi(words: argparse.Namespace) -> list[Row]:
    async def play(room: Room) -> list[Row]:
        await room.fill(10, 2)
        await asyncio.sleep(CALM_S)
        since = time.monotonic()
        for place in room.places:
            weather.set_fair(place, loss_percent=2)
        step_s = OUTAGE_EVERY_S / len(room.places)
        while time.monotonic() < since + 60 * words.minutes:
            for place in room.places:
                weather.cut(place, *(each for each in room.places if each is not place))
                await asyncio.sleep(OUTAGE_S)
                weather.join(place)
                await asyncio.sleep(step_s - OUTAGE_S)
        lost = sum(note.what == "left" and note.at > since for peer in room.peers for note in peer.notes)
        figures = (
            Figure("changes of coordinator, worst", max(changes(peer, since) for peer in room.peers), at_most=0),
            Figure("members taken for lost", lost, at_most=0),
        )
        return [Row(f"poor Wi-Fi, 10 members, {words.minutes:g} minutes", figures)]

    return await _on_stage(10, play)


SCENES: dict[str, Callable[[argparse.Namespace], Awaitable[list[Row]]]] = {
    "kill": _kill,
    "leave": _leave,
    "freeze": _freeze,
    "split": _split,
    "mdns": _mdns,
    "pair": _pair,
    "wifi": _wifi,
}

if __name__ == "__main__":
    sys.exit(main())
