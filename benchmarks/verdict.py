"""What was measured of shared screens, told in tables, and the goals, each a ratio of figures of one run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from benchmarks.report import Figure, Row


class Run(msgspec.Struct, frozen=True):
    """One program, one content, one network."""

    peer: str
    network: str
    content: str
    rate: float
    """Pictures drawn in a second."""
    drawn: int
    seen: int
    """Pictures of which the number was seen."""
    delay_ms: float | None
    delay_p95_ms: float | None
    delay_max_ms: float | None
    fps: float
    mbit: float
    sharer: float
    """Percent of a core, of the program that shares with all its children."""
    viewer: float
    display: float
    """Percent of a core, of the X server that is shared: drawing and being looked at."""
    idle: float = 0.0
    """Percent of a core that the sharer took before it shared."""

    @property
    def added(self) -> float:
        """Percent of a core that sharing adds."""
        return self.sharer - self.idle


FIGURES = (
    ("delay", "delay_ms", "ms"),
    ("p95", "delay_p95_ms", "ms"),
    ("max", "delay_max_ms", "ms"),
    ("fps", "fps", ""),
    ("Mbit/s", "mbit", ""),
    ("sharer", "sharer", "% cpu"),
    ("added", "added", "% cpu"),
    ("viewer", "viewer", "% cpu"),
    ("display", "display", "% cpu"),
)

OURS = "meshchat"
VNC = ("x0vncserver", "Xvnc", "x11vnc")
SCRAPERS = ("x0vncserver", "x11vnc", "gst-jpeg")
"""Those that share a display which is there already, and send pictures by themselves."""

Medians = dict[tuple[str, str, str], dict[str, float]]


def told(runs: list[Run]) -> list[Row]:
    """The tables: what was measured, network by network and content by content, then the goals."""
    medians = _medians(runs)
    rows = []
    for network, content in dict.fromkeys((each.network, each.content) for each in runs):
        for (peer, *where), figures in medians.items():
            if where == [network, content]:
                shown = tuple(Figure(name, figures[key], unit) for name, key, unit in FIGURES)
                rows.append(Row(f"{network}, {content}: {peer}", shown))
    return [*rows, *(row for goal in GOALS for row in goal.rows(medians))]


def _medians(runs: list[Run]) -> Medians:
    found: Medians = {}
    for key in dict.fromkeys((run.peer, run.network, run.content) for run in runs):
        alike = [run for run in runs if (run.peer, run.network, run.content) == key]
        found[key] = {name: _median(getattr(run, name) for run in alike) for _, name, _ in FIGURES}
    return found


def _median(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else float("nan")


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure of ours, as a share of the least, or the greatest, of others' if there are any."""

    network: str
    content: str
    figure: str
    others: tuple[str, ...] = ()
    choose: Callable[[Iterable[float]], float] = min
    at_most: float | None = None
    at_least: float | None = None

    def rows(self, medians: Medians) -> list[Row]:
        """The verdict; nothing if one of the figures was not measured."""
        ours = medians.get((OURS, self.network, self.content), {}).get(self.figure)
        known = [medians.get((other, self.network, self.content), {}).get(self.figure) for other in self.others]
        theirs = [value for value in known if value is not None and not math.isnan(value)]
        if ours is None or (self.others and not theirs):
            return []
        base = self.choose(theirs) if self.others else 1.0
        found = ours / base if base else float("inf")
        name = next(shown for shown, key, _ in FIGURES if key == self.figure)
        of = f" / {' or '.join(self.others)}" if self.others else ""
        row = f"{self.network}, {self.content}: {name}{of}"
        return [Row(row, (Figure("goal", found, at_most=self.at_most, at_least=self.at_least),))]


ALL = (*VNC, "gst-jpeg", "gst-h264")

GOALS = (
    Goal("clean", "still", "added", at_most=1),
    Goal("clean", "typing", "delay_ms", VNC, at_most=0.5),
    Goal("clean", "scroll", "delay_ms", ("Xvnc",), at_most=0.8),
    Goal("clean", "scroll", "delay_ms", ("x0vncserver",), at_most=0.35),
    Goal("clean", "scroll", "mbit", SCRAPERS, at_most=0.05),
    Goal("clean", "scroll", "sharer", ("x0vncserver",), at_most=0.5),
    Goal("clean", "video", "delay_ms", ALL, at_most=0.7),
    Goal("clean", "video", "fps", at_least=29.5),
    Goal("clean", "video", "sharer", ("x0vncserver",), at_most=1),
    Goal("clean", "video60", "fps", at_least=50),
    Goal("loss1", "scroll", "fps", at_least=0.98 * 30),
    Goal("loss1", "video", "fps", at_least=0.98 * 30),
    Goal("loss5", "scroll", "fps", at_least=0.95 * 30),
    Goal("loss5", "video", "fps", at_least=0.95 * 30),
    Goal("slow", "video", "fps", VNC, max, at_least=5),
    Goal("slow", "video", "delay_ms", at_most=60),
)
