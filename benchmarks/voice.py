"""Speech through bad networks, in virtual time: meshchat beside GStreamer and aiortc, on the same packets.

    python -m benchmarks.voice [--only NAME...] [--speakers 4] [--seeds 1] [--seconds 15] [--frame 10]
                               [--bitrate 48000] [--alone] [--plot FILE] [--json FILE]

Four speakers say some sentences through each of nineteen networks (`benchmarks.traces`). What comes out of each
program's loudspeaker is compared with what went into the microphone: PESQ, delay, holes (`benchmarks.scores`).
Nothing waits for a clock, so it is as exact on a busy machine. meshchat's part is the code that runs in a call
(`benchmarks.line`); what the others are given is told in `benchmarks.listeners`. Those that are not installed are left
out.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import os
import statistics
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import listeners, report
from benchmarks.line import Line, Played
from benchmarks.report import Figure, Row
from benchmarks.scores import Score, score
from benchmarks.speakers import CAST, speeches
from benchmarks.traces import SCENARIOS, Scenario
from meshchat.config import Config
from meshchat.units import SAMPLE_RATE, Samples, Seconds

TITLE = "Speech through bad networks"

OURS = "meshchat"

WORKERS = 2 * (os.cpu_count() or 1)
"""GStreamer's threads are waited for more than they work."""


@dataclass(frozen=True, slots=True)
class Run:
    """One speech through one network."""

    scenario: Scenario
    sound: Samples
    seed: int
    frame_ms: float
    bitrate: int


@dataclass(frozen=True, slots=True)
class Result:
    """What one program made of it."""

    score: Score
    concealed_percent: float
    kbit: float
    sending_percent: float
    receiving_percent: float


def main() -> int:
    """Measures; the exit status."""
    usual = Config()
    parser = report.parser(TITLE)
    names = [each.name for each in SCENARIOS]
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="NAME", help=f"of {', '.join(names)}"
    )
    parser.add_argument("--speakers", type=int, default=len(CAST), help="how many")
    parser.add_argument("--seeds", type=int, default=1, help="how often each speaks through each network")
    parser.add_argument("--seconds", type=float, default=15.0, metavar="S", help="how long, each time")
    parser.add_argument("--frame", type=float, default=usual.frame_ms, metavar="MS", help="meshchat's frames")
    parser.add_argument("--bitrate", type=int, default=usual.bitrate, help="of everybody's sound")
    parser.add_argument("--alone", action="store_true", help="without the others")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw PESQ and delay (.png or .svg)")
    words = parser.parse_args()
    return report.run(words, TITLE, lambda: _measure(words))


async def _measure(words: argparse.Namespace) -> list[Row]:
    programs = _programs(words.alone)
    chosen = [each for each in SCENARIOS if each.name in words.only]
    spoken = speeches(words.speakers, words.seconds)
    print(f"{' and '.join(spoken)} speak through {len(chosen)} networks; heard by {', '.join(programs)}", flush=True)
    loop, results = asyncio.get_running_loop(), []
    with ProcessPoolExecutor(WORKERS) as pool:
        for scenario, program in itertools.product(chosen, programs):
            runs = _runs(scenario, spoken.values(), words)
            waiting = [loop.run_in_executor(pool, _result, programs[program], each) for each in runs]
            results.append((scenario, program, waiting))
        told = [(scenario, program, await asyncio.gather(*waiting)) for scenario, program, waiting in results]
    if words.plot:
        from benchmarks.plots import draw

        draw([(scenario, program, [each.score for each in found]) for scenario, program, found in told], words.plot)
    return [_row(*each) for each in told]


def _programs(alone: bool) -> dict[str, Callable[[Run], Played]]:
    """Who takes part."""
    found: dict[str, Callable[[Run], Played]] = {OURS: _ours}
    if alone:
        return found
    if listeners.has_gstreamer():
        found |= {
            "GStreamer 40 ms": partial(_gstreamer, fec=False),
            "GStreamer 40 ms, FEC": partial(_gstreamer, fec=True),
        }
    else:
        print("GStreamer is left out: apt install python3-gi gir1.2-gstreamer-1.0 gstreamer1.0-plugins-good")
    if listeners.has_aiortc():
        found["aiortc"] = _aiortc
    else:
        print("aiortc is left out: pip install aiortc")
    return found


def _runs(scenario: Scenario, spoken: Iterable[Samples], words: argparse.Namespace) -> list[Run]:
    numbered = enumerate(itertools.product(range(words.seeds), spoken), 1)
    return [Run(scenario, sound, seed, words.frame, words.bitrate) for seed, (_, sound) in numbered]


def _ours(run: Run) -> Played:
    return Line(run.scenario, run.seed, run.sound, run.frame_ms, run.bitrate).run()


def _gstreamer(run: Run, *, fec: bool) -> Played:
    return listeners.gstreamer(_packets(run, fec), len(run.sound), 40, fec)


def _aiortc(run: Run) -> Played:
    return listeners.aiortc(_packets(run, fec=False), len(run.sound))


def _packets(run: Run, fec: bool) -> list[listeners.Packet]:
    return listeners.packets(run.scenario, run.seed, run.sound, run.bitrate, fec)


def _result(program: Callable[[Run], Played], run: Run) -> Result:
    played = program(run)
    seconds: Seconds = len(run.sound) / SAMPLE_RATE
    return Result(
        score(run.sound, played.sound),
        played.concealed_ms / seconds / 10,
        played.kbit,
        played.sending_percent,
        played.receiving_percent,
    )


def _row(scenario: Scenario, program: str, found: list[Result]) -> Row:
    judged = program == OURS
    pesq = [each.score.pesq for each in found]
    delays = [each.score.delay_ms for each in found]
    return Row(
        f"{scenario.name}: {program}",
        (
            Figure("PESQ", statistics.fmean(pesq), at_least=scenario.pesq_goal if judged else None),
            Figure("spread", statistics.pstdev(pesq)),
            Figure("delay p50", _worst_median(delays), "ms", at_most=scenario.delay_goal_ms if judged else None),
            Figure("p99", max(p99 for _, p99 in delays), "ms"),
            Figure("hole", max(each.score.hole_ms for each in found), "ms"),
            Figure("concealed", statistics.fmean(each.concealed_percent for each in found), "%"),
            Figure("sound sent", statistics.fmean(each.kbit for each in found), "kbit/s"),
            Figure("sends", statistics.fmean(each.sending_percent for each in found), "% core"),
            Figure("receives", statistics.fmean(each.receiving_percent for each in found), "% core"),
        ),
    )


def _worst_median(delays: list[tuple[float, float]]) -> float:
    """Of the medians of each speech the median; nan if a speech was not to be found at all."""
    medians = [p50 for p50, _ in delays]
    return statistics.median(medians) if not any(map(math.isnan, medians)) else float("nan")


if __name__ == "__main__":
    sys.exit(main())
