"""Sixteen peers in one room on one machine, two of them speaking: who hears them, and what it costs.

    python -m benchmarks.sixteen [--peers 16] [--seconds 20] [--at-once] [--loopback] [--json FILE]

Every peer is a process that records what it hears. The clips are looked for in each recording, and gaps in each voice
as it went into the mix; processor time, late turns of the sound threads and concealed sound are those of the time in
which all were together.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks import lab, report
from benchmarks.breakdown import used_s
from benchmarks.notes import load
from benchmarks.report import Figure, Row
from benchmarks.speech import CORRELATION_MIN, GAP_MS_MAX, SPEAKERS, Kept, clip_path, examine, judge, load_sound
from meshchat.hearing import Heard
from meshchat.units import SAMPLE_RATE, Seconds

TITLE = "A room full of peers on one machine, two speaking"

WARM_UP_S: Seconds = 3.0

COVERAGE_MIN = 0.85
"""Share of the half-second windows of speech that must be found."""

WAV_HEADER_BYTES = 44
SAMPLE_BYTES = 2


@dataclass
class Cost:
    """What one peer took while all were together."""

    processor_percent: float
    """Of one core."""
    memory_mb: float
    late_turns: int
    turns: float
    """Of microphone and speaker together, in the same time."""


@dataclass
class Findings:
    """What was measured."""

    meet_s: Seconds = 0.0
    """From the last process start until everybody knew everybody."""
    linked_s: Seconds = 0.0
    """From the last daemon's being ready until then."""
    costs: dict[str, Cost] = field(default_factory=dict)
    heard: dict[tuple[str, str], Heard] = field(default_factory=dict)
    """In the mix, by listener and speaker."""
    kept: dict[tuple[str, str], Kept] = field(default_factory=dict)
    """Before the mix, by listener and speaker."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The counters of one peer at one instant."""

    at: Seconds
    processor_s: Seconds
    memory_bytes: int
    late_turns: int
    recorded_s: Seconds
    """How much of what it hears is written."""


def main() -> int:
    """Measures; the exit status."""
    parser = report.parser(TITLE)
    parser.add_argument("--peers", type=int, default=16, metavar="N", help="how many peers, the speakers among them")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="S", help="how long they talk")
    parser.add_argument("--frame-ms", type=float, default=10.0, metavar="MS", help="length of one packet of sound")
    parser.add_argument("--at-once", action="store_true", help="start all of them in one instant")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the recordings there")
    words = parser.parse_args()
    return report.run(words, TITLE, lambda: _measure(words))


async def _measure(words: argparse.Namespace) -> list[Row]:
    findings = Findings()
    with lab.network(words.peers, words.loopback) as places:
        async with lab.stage() as stage:
            folder = words.keep or stage.folder
            folder.mkdir(parents=True, exist_ok=True)
            peers = await _gather(stage, places, folder, words, findings)
            print(
                f"all {words.peers} know each other after {findings.meet_s:.1f} s; they talk for {words.seconds:.0f} s"
            )
            await asyncio.sleep(WARM_UP_S)
            before = {peer.name: await _read(peer, folder) for peer in peers}
            await asyncio.sleep(words.seconds)
            after = {peer.name: await _read(peer, folder) for peer in peers}
            ids = {(await peer.ready()).who: peer.name for peer in peers}
            await stage.end(*peers)
            for name, end in after.items():
                findings.costs[name] = _cost(before[name], end, words.frame_ms)
                _listen(name, folder, before[name], end, ids, findings)
    return _rows(findings)


async def _gather(
    stage: lab.Stage, places: list[lab.Place], folder: Path, words: argparse.Namespace, findings: Findings
) -> list[lab.Peer]:
    """Starts one peer as soon as the last is ready, or all at once, and waits until all know all."""
    peers = []
    for number, place in enumerate(places):
        name = SPEAKERS[number] if number < len(SPEAKERS) else f"peer{number + 1}"
        microphone = f"loop:{clip_path(name)}" if name in SPEAKERS else "silence"
        files = {"speaker": folder / f"{name}.wav", "log": folder / f"{name}.npz", "voices_only": True}
        peers.append(await stage.start(name, place, mic=microphone, frame_ms=words.frame_ms, **files))
        if not words.at_once:
            await peers[-1].ready()

    def complete(peer: lab.Peer) -> bool:
        return len({note.who for note in peer.notes if note.what == "joined"}) >= len(peers) - 1

    for peer in peers:
        await peer.until("it knew everybody", lambda peer=peer: complete(peer))  # type: ignore[misc]
    knew = max(note.at for peer in peers for note in peer.notes if note.what == "joined")
    findings.meet_s = knew - max(peer.started_at for peer in peers)
    findings.linked_s = knew - max([(await peer.ready()).at for peer in peers])
    return peers


async def _read(peer: lab.Peer, folder: Path) -> Reading:
    status = await peer.status()
    process = psutil.Process(peer.process.pid)
    written = (folder / f"{peer.name}.wav").stat().st_size - WAV_HEADER_BYTES
    return Reading(
        at=time.monotonic(),
        processor_s=used_s(process),
        memory_bytes=process.memory_info().rss,
        late_turns=status.counters["late_turns"],
        recorded_s=max(0, written) / SAMPLE_BYTES / SAMPLE_RATE,
    )


def _cost(before: Reading, after: Reading, frame_ms: float) -> Cost:
    passed = after.at - before.at
    return Cost(
        processor_percent=100 * (after.processor_s - before.processor_s) / passed,
        memory_mb=after.memory_bytes / 1e6,
        late_turns=after.late_turns - before.late_turns,
        turns=passed * 1000 * (1 / frame_ms + 1 / min(frame_ms, 10.0)),
    )


def _listen(
    listener: str, folder: Path, before: Reading, after: Reading, ids: dict[str, str], findings: Findings
) -> None:
    """Compares what one peer heard, in the mix and before it, with what was said."""
    cut = slice(int(before.recorded_s * SAMPLE_RATE), int(after.recorded_s * SAMPLE_RATE))
    mix = load_sound(folder / f"{listener}.wav")[cut]
    voices = {ids[peer]: voice for peer, voice in load(folder / f"{listener}.npz").voices.items() if peer in ids}
    for speaker in SPEAKERS:
        if speaker != listener:
            findings.heard[listener, speaker] = judge(mix, speaker)
            if speaker in voices:
                findings.kept[listener, speaker] = examine(voices[speaker], speaker, before.at, after.at)


def _rows(findings: Findings) -> list[Row]:
    rows = [_heard_row(speaker, findings) for speaker in SPEAKERS]
    costs = findings.costs
    listeners = [cost for name, cost in costs.items() if name not in SPEAKERS]
    speakers = [costs[name] for name in SPEAKERS]
    rows += [_cost_row("a listener", listeners), _cost_row("a speaker", speakers)]
    total = sum(cost.processor_percent for cost in costs.values())
    rows.append(
        Row(
            "the room",
            (
                Figure("all know all after start", findings.meet_s, "s"),
                Figure("after the last was ready", findings.linked_s, "s"),
                Figure("processor, all together", total, "% of a core"),
                Figure("all together", sum(cost.memory_mb for cost in costs.values()), "MB"),
            ),
        )
    )
    return rows


def _heard_row(speaker: str, findings: Findings) -> Row:
    found = [heard for (_, said_by), heard in findings.heard.items() if said_by == speaker]
    kept = [kept for (_, said_by), kept in findings.kept.items() if said_by == speaker]
    return Row(
        f"{speaker} at {len(found)} listeners",
        (
            Figure("heard by", len(kept), at_least=len(found)),
            Figure("worst correlation", min(each.correlation for each in found), at_least=CORRELATION_MIN),
            Figure("worst coverage", min(each.heard.coverage for each in kept), at_least=COVERAGE_MIN),
            Figure("longest hole", max(each.hole_ms for each in kept), "ms", at_most=GAP_MS_MAX),
            Figure("concealed at once", max(each.concealed_ms_longest for each in kept), "ms", at_most=GAP_MS_MAX),
            Figure("concealed, median", statistics.median(each.concealed_ms for each in kept), "ms"),
            Figure("worst", max(each.concealed_ms for each in kept), "ms"),
        ),
    )


def _cost_row(name: str, costs: list[Cost]) -> Row:
    return Row(
        name,
        (
            Figure("processor, median", statistics.median(cost.processor_percent for cost in costs), "% of a core"),
            Figure("worst", max(cost.processor_percent for cost in costs), "% of a core"),
            Figure("memory", statistics.median(cost.memory_mb for cost in costs), "MB"),
            Figure("late turns, worst", max(cost.late_turns for cost in costs)),
            Figure("late share, worst", max(100 * cost.late_turns / cost.turns for cost in costs), "%"),
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
