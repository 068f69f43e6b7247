"""The picture of `benchmarks.voice`: for each network how good speech was, and how late, by program."""

from __future__ import annotations

import statistics
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.scores import Score
from benchmarks.traces import Scenario

COLOURS = ("#1f6f54", "#b5651d", "#d9a05b", "#6a5acd")


def draw(found: list[tuple[Scenario, str, list[Score]]], path: Path) -> None:
    """Writes it there, as what its suffix says."""
    scenarios = list(dict.fromkeys(scenario.name for scenario, _, _ in found))
    programs = list(dict.fromkeys(program for _, program, _ in found))
    figure = Figure(figsize=(13, 8), layout="constrained")
    quality, delay = figure.subplots(2, 1, sharex=True)
    width = 0.8 / len(programs)
    for number, program in enumerate(programs):
        scores = [each for _, whose, each in found if whose == program]
        places = [index + (number - (len(programs) - 1) / 2) * width for index in range(len(scenarios))]
        means = [statistics.fmean(each.pesq for each in some) for some in scores]
        spread = [statistics.pstdev(each.pesq for each in some) for some in scores]
        colour = COLOURS[number % len(COLOURS)]
        quality.bar(places, means, width, yerr=spread, label=program, color=colour, error_kw={"lw": 0.8})
        medians = [statistics.median(each.delay_ms[0] for each in some) for some in scores]
        late = [max(each.delay_ms[1] for each in some) for some in scores]
        rest = [max(0.0, p99 - p50) for p50, p99 in zip(medians, late, strict=True)]
        delay.bar(places, medians, width, yerr=[[0.0] * len(rest), rest], color=colour, error_kw={"lw": 0.8})
    for index, name in enumerate(scenarios):
        scenario = next(each for each, _, _ in found if each.name == name)
        for axes, goal in ((quality, scenario.pesq_goal), (delay, scenario.delay_goal_ms)):
            if goal is not None:
                axes.plot([index - 0.45, index + 0.45], [goal, goal], color="black", lw=1.2)
    quality.set(ylabel="PESQ-WB, mean and spread", ylim=(1, 4.65))
    delay.set(ylabel="delay in ms, p50 and p99", yscale="log", ylim=(8, 1500))
    delay.set_xticks(range(len(scenarios)), scenarios, rotation=35, ha="right")
    quality.legend(ncols=len(programs), loc="upper center", bbox_to_anchor=(0.5, 1.12), frameon=False)
    figure.savefig(path, dpi=110)
