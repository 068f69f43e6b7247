"""A search for rooms that break: random seeds, random faults, and the promises of `invariants.py` after each storm.

    python -m tests.search --minutes 60     looks for that long, on every processor core
    python -m tests.search --seed 4711      plays one run again, and tells its story

Two kinds of runs take turns. In a storm, faults come one upon the other, and the room must be well 5 s after the last
change. In a trial they come one at a time, and each may change the coordinator once at most.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from meshchat.units import Seconds
from tests.faults import FAULTS, Fault, flap, freeze, here, jump, sleep, write
from tests.invariants import QUIET_S, broken, overheard, overloaded, parts
from tests.law_faults import LAW_FAULTS, LOBBY, renew_link
from tests.law_lab import found_room
from tests.liar import Liar
from tests.simulation import Village

CALM_S: Seconds = 8.0
"""Between two faults of a trial: some more than it takes to settle."""

CLOCKS = 0.15
"""How often somebody's clock is set wrong in a storm, for each fault of another kind."""

ONE_WAY_S: Seconds = 3.0
"""So much longer it may take where packets pass one way only: whoever is heard by nobody still hears somebody."""


@dataclass
class Run:
    """One run and what came of it."""

    seed: int
    story: list[str] = field(default_factory=list)
    faults: int = 0
    hours: float = 0.0
    broken: list[str] = field(default_factory=list)


def play(seed: int) -> Run:
    """One run; what happens in it is told by the seed alone."""
    run = Run(seed)
    rng = random.Random(seed)
    village = Village(seed, latency_s=rng.choice([0.0005, 0.002, 0.02]), loss=rng.choice([0.0, 0.0, 0.02]))
    count = rng.choice([1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 6, 8] + [20] * (seed % 20 == 0) + [100] * (seed % 1000 == 0))
    names = [f"p{number}" for number in range(count)]
    for name in names:
        village.born(name, host=rng.choice([0, 0, 0, 5]))
    moderated = seed % 5 == 3
    if moderated:
        found_room(village, names[0], names[1:], room=LOBBY)
    else:
        village.enter(names)
    run.story.append(f"{count} peers enter{', and p0 moderates' if moderated else ''}")
    village.run(QUIET_S + 1)
    _check(run, village, "at the start")
    village.load.clear()  # the bound is for a room that is there, not for a hundred entering in one instant
    kind = seed % 4
    for _ in range(rng.randint(1, 4)):
        if run.broken:
            break
        if kind == 0:
            _trial(run, village, rng)
        elif kind == 1 and len(here(village)) > 1:
            _lies(run, village, rng)
        else:
            _storm(run, village, rng)
    run.broken += overloaded(village)
    run.hours = (village.now - 100) / 3600
    return run


def _storm(run: Run, village: Village, rng: random.Random) -> None:
    pace = rng.choice([0.2, 1.0, 4.0])
    for _ in range(rng.randint(1, 12)):
        _befall(run, village, _draw(village, rng)(village, rng))
        _jump_clocks(run, village)
        village.run(rng.expovariate(1 / pace))
    _quieten(run, village, rng)
    _check(run, village, "5 s after the last change")


def _jump_clocks(run: Run, village: Village) -> None:
    """Sets a clock wrong at times; by a chance of its own, so that seeds mean what they meant before there was this."""
    chance = random.Random(f"{run.seed} clocks {run.faults}")
    if chance.random() < CLOCKS:
        _befall(run, village, jump(village, chance))


def _quieten(run: Run, village: Village, rng: random.Random) -> None:
    """Lets all that is planned come to its end, and half the time the network heal."""
    village.run(max(0.0, village.busy_until - village.now) + 0.01)
    if rng.random() < 0.7:
        village.heal()
        run.story.append(f"{village.now:8.2f} all packets pass again, and it is quiet")
    village.run(QUIET_S + (ONE_WAY_S if village.cut_one_way else 0))


def _trial(run: Run, village: Village, rng: random.Random) -> None:
    act = _draw(village, rng, but=(freeze, sleep, flap))
    before, told_at = {peer.name: peer.restarted_at for peer in here(village)}, village.now
    parts_before = len(parts(village))
    _befall(run, village, act(village, rng))
    village.run(CALM_S)
    _check(run, village, "after one fault")
    most = 2 if len(parts(village)) > parts_before else 1  # who leaves may be the bridge that others met on
    for peer in here(village):
        changes = peer.leaders_since(told_at)
        if len(changes) > most and before.get(peer.name) == peer.restarted_at:
            run.broken.append(f"7: {peer.name} saw {len(changes)} changes of the coordinator for one fault")


def _lies(run: Run, village: Village, rng: random.Random) -> None:
    """A liar at work; nobody may lose sight of anybody, and all is well when it has gone."""
    village.heal()
    name = rng.choice([peer.name for peer in here(village)])
    _befall(run, village, f"{name} lies")
    village.run(QUIET_S + 1)
    liar = Liar(village, name)
    for _ in range(5):
        _befall(run, village, write(village, rng))
        village.run(rng.uniform(1, 8))
        run.broken += broken(village, liars=True)
    liar.stop()
    run.story.append(f"{village.now:8.2f} {name} is gone")
    village.run(2 * QUIET_S)
    _check(run, village, "after a liar went")


def _draw(village: Village, rng: random.Random, but: tuple[Fault, ...] = ()) -> Fault:
    """A fault that can befall this kind of room."""
    moderated = LOBBY in village.rooms
    if moderated:
        renew_link(village, rng)
    return rng.choice([each for each in (LAW_FAULTS if moderated else FAULTS) if each not in but])


def _befall(run: Run, village: Village, what: str | None) -> None:
    if what:
        run.faults += 1
        run.story.append(f"{village.now:8.2f} {what}")


def _check(run: Run, village: Village, when: str) -> None:
    run.broken += [f"{when}: {each}" for each in broken(village) + overheard(village)]


def search(seeds: Iterator[int], deadline: float) -> tuple[list[Run], list[Run]]:
    """Plays until the deadline; all runs (without their stories), and those that broke a promise."""
    runs: list[Run] = []
    failed: list[Run] = []
    for seed in seeds:
        if time.monotonic() > deadline or len(failed) >= 3:
            break
        run = play(seed)
        if run.broken:
            failed.append(run)
        runs.append(Run(seed, [], run.faults, run.hours))
    return runs, failed


def tell(run: Run) -> str:
    """A failed run in words, with the way to play it again."""
    lines = [f"seed {run.seed}; again: python -m tests.search --seed {run.seed}", *run.story]
    return "\n".join(lines + [f"  BROKEN {each}" for each in run.broken])


def _share(first: int, step: int, deadline: float) -> tuple[list[Run], list[Run]]:
    return search(itertools.count(first, step), deadline)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="look for rooms that break")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, help="play this one only")
    parser.add_argument("--first", type=int, default=1, help="where to begin")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    told = parser.parse_args()
    if told.seed is not None:
        run = play(told.seed)
        print(tell(run))
        return 1 if run.broken else 0
    began = time.monotonic()
    shares = [(told.first + job, told.jobs, began + told.minutes * 60) for job in range(told.jobs)]
    with multiprocessing.Pool(told.jobs) as pool:
        results = pool.starmap(_share, shares)
    runs = [run for ran, _ in results for run in ran]
    failed = [run for _, bad in results for run in bad]
    for run in failed:
        print(tell(run), "\n")
    hours, faults = sum(run.hours for run in runs), sum(run.faults for run in runs)
    took = time.monotonic() - began
    print(f"{len(runs)} seeds from {told.first}, {hours:.1f} simulated hours, {faults} faults in {took:.0f} s")
    print(f"{hours * 3600 / took:.0f} times as fast as real time; {len(failed)} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
