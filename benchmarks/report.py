"""How a benchmark tells what it found: the machine, a table with the goal beside each figure, JSON, an exit status."""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import platform
import shlex
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from benchmarks.lab import can_have_namespaces
from meshchat.errors import MeshchatError

MISSED = 1


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with its unit, and what it ought to be, where that is asked."""

    name: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def missed(self) -> bool:
        """Whether it is not what it ought to be; what could not be measured (nan) is not, either."""
        low = self.at_least is not None and not self.value >= self.at_least
        return low or (self.at_most is not None and not self.value <= self.at_most)

    def __str__(self) -> str:
        mark = " MISSED" if self.missed else ""
        goal = f" (<= {self.at_most:g})" if self.at_most is not None else ""
        goal += f" (>= {self.at_least:g})" if self.at_least is not None else ""
        return f"{_number(self.value)}{goal}{mark}"


@dataclass(frozen=True, slots=True)
class Row:
    """What was found in one scenario."""

    name: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Machine:
    """What the figures were measured on."""

    processor: str
    cores: int
    kernel: str
    python: str
    load_before: tuple[float, float, float]
    """Averages over 1, 5 and 15 minutes of how many processes wanted to run, before the benchmark began."""
    network: str


def machine(loopback: bool) -> Machine:
    """This one."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        kernel=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        load_before=os.getloadavg() if hasattr(os, "getloadavg") else (0.0, 0.0, 0.0),
        network="loopback" if loopback or not can_have_namespaces() else "namespaces on a bridge",
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def parser(description: str) -> argparse.ArgumentParser:
    """The options that all benchmarks share."""
    made = argparse.ArgumentParser(description=description, allow_abbrev=False)
    made.add_argument("--loopback", action="store_true", help="stay on 127.0.0.1 even where namespaces are possible")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    return made


def with_scenes(parser: argparse.ArgumentParser, scenes: Iterable[str]) -> argparse.Namespace:
    """The words of the command line, among them some of these scenes by name, or all."""
    known = list(scenes)
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"of {', '.join(known)} (all)")
    words = parser.parse_args()
    unknown = sorted(set(words.scenes) - set(known))
    if unknown:
        parser.error(f"no scene is called {unknown[0]}: there are {', '.join(known)}")
    words.scenes = words.scenes or known
    return words


def run(words: argparse.Namespace, title: str, measure: Callable[[], Coroutine[None, None, list[Row]]]) -> int:
    """Measures, tells, and returns the exit status: 0, or 1 where a goal was missed or nothing could be measured."""
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that namespaces are removed
    here = machine(words.loopback)
    loads = " ".join(f"{load:.2f}" for load in here.load_before)
    print(f"{title}\n{here.cores} x {here.processor}, {here.kernel}, {here.python}, {here.network}, load {loads}\n")
    try:
        rows = asyncio.run(measure())
    except MeshchatError as error:
        print(f"could not be measured: {error}", file=sys.stderr)
        return MISSED
    print("\n" + table(rows))
    missed = [f"{row.name}: {figure.name}" for row in rows for figure in row.figures if figure.missed]
    print("\nGoals missed: " + "; ".join(missed) if missed else "\nEvery goal was met.")
    if words.json:
        _write(words.json, title, here, rows, missed)
    return MISSED if missed else 0


def table(rows: list[Row]) -> str:
    """The rows under each other; rows with the same figures share a heading."""
    lines: list[str] = []
    while rows:
        names = [figure.name for figure in rows[0].figures]
        alike = [row for row in rows if [figure.name for figure in row.figures] == names]
        rows = [row for row in rows if row not in alike]
        heading = ["", *(f"{figure.name}, {figure.unit}".rstrip(", ") for figure in alike[0].figures)]
        lines += [*_aligned([heading, *([row.name, *map(str, row.figures)] for row in alike)]), ""]
    return "\n".join(lines[:-1])


def _aligned(cells: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in cells
    ]


def _number(value: float) -> str:
    whole = not math.isnan(value) and (abs(value) >= 100 or float(value).is_integer())
    return f"{value:.0f}" if whole else f"{value:.2f}"


def _write(path: Path, title: str, here: Machine, rows: list[Row], missed: list[str]) -> None:
    told = {
        "title": title,
        "command": shlex.join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]]),
        "machine": asdict(here),
        "rows": [{"name": row.name, "figures": [asdict(figure) for figure in row.figures]} for row in rows],
        "missed": missed,
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(told)) + b"\n")
