"""Speech over a bad network: what is left of it, how much has to be made up, and whether the delay stays where it is.

    python -m benchmarks.loss [--seconds 60] [--only NAME...] [--seed 1] [--loopback] [--json FILE]

Two peers speak to each other and reach each other only through a relay that loses and delays datagrams, control and
sound alike, in both directions. Each writes down what its jitter buffer gave: gaps are looked for in that sound by ear,
and in the buffer's own account; the delay is compared between the time around 10 s and the end. Of the two directions
the worse one is told.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np

from benchmarks import lab, report
from benchmarks.notes import Voiced, load
from benchmarks.report import Figure, Row
from benchmarks.speech import CORRELATION_MIN, GAP_MS_MAX, SPEAKERS, Kept, clip_path, examine
from meshchat.errors import MeshchatError
from meshchat.units import Address, Seconds

TITLE = "Speech under loss and jitter"

DRIFT_MS_MAX = 20.0
"""How much the playout delay may have changed between the time around 10 s and the end."""

WARM_UP_S: Seconds = 5.0
"""What the jitter buffer may take to learn the network, from the first sound on; it is not judged."""

EARLY_S: Seconds = 10.0
AROUND_S: Seconds = 2.5
"""The delay at an instant is the median over this much before and after it."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of bad network."""

    name: str
    loss_percent: float = 0.0
    jitter_ms: float = 0.0
    reorder: bool = False
    judged: bool = True
    """Whether the goals hold for it; else it is for information."""


SCENARIOS = (
    Scenario("clean"),
    Scenario("loss", loss_percent=5),
    Scenario("jitter", jitter_ms=20),
    Scenario("both", loss_percent=5, jitter_ms=20),
    Scenario("reordered", loss_percent=5, jitter_ms=20, reorder=True),
    Scenario("heavy", loss_percent=20, judged=False),
)


@dataclass(frozen=True, slots=True)
class Heard:
    """One direction."""

    kept: Kept
    delays_ms: tuple[float, ...]
    """Of playout: around 10 s, around 30 s (or the middle), at the end."""
    lost_percent: float

    @property
    def drift_ms(self) -> float:
        """How far the delay moved, either way."""
        return abs(self.delays_ms[-1] - self.delays_ms[0])


def main() -> int:
    """Measures; the exit status."""
    parser = report.parser(TITLE)
    parser.add_argument(
        "--seconds", type=float, default=60.0, metavar="S", help="how long they speak, in each scenario"
    )
    names = [each.name for each in SCENARIOS]
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="NAME", help=f"of {', '.join(names)}"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the losses and delays")
    words = parser.parse_args()
    return report.run(words, TITLE, lambda: _measure(words))


async def _measure(words: argparse.Namespace) -> list[Row]:
    rows = []
    with lab.network(3, words.loopback) as places:
        for scenario in SCENARIOS:
            if scenario.name in words.only:
                print(f"{_describe(scenario)} ...", flush=True)
                rows.append(_row(scenario, await _speak(places, scenario, words)))
    return rows


async def _speak(places: list[lab.Place], scenario: Scenario, words: argparse.Namespace) -> list[Heard]:
    """Lets the two speak through the relay; what each of them heard of the other."""
    caller_place, relay_place, called_place = places
    async with lab.stage() as stage, contextlib.AsyncExitStack() as closing:
        logs = {name: stage.folder / f"{name}.npz" for name in SPEAKERS}
        knobs = [{"mic": f"loop:{clip_path(name)}", "log": logs[name], "no_mdns": True} for name in SPEAKERS]
        called = await stage.start(SPEAKERS[1], called_place, **knobs[1])
        await called.ready()
        target = Address(called_place.host, (await called.status()).port)
        gate = Address(relay_place.host, _free_port(relay_place))
        await closing.enter_async_context(_relay(relay_place, gate, target, scenario, words.seed))
        caller = await stage.start(SPEAKERS[0], caller_place, peer=gate, **knobs[0])
        for peer in (caller, called):
            await peer.until("it heard the other", lambda peer=peer: peer.find("sound") is not None)  # type: ignore[misc]
        began = max(note.at for peer in (caller, called) if (note := peer.find("sound")))
        await asyncio.sleep(words.seconds)
        ids = {name: (await peer.ready()).who for name, peer in zip(SPEAKERS, (caller, called), strict=True)}
        await stage.end(caller, called)
        directions = ((SPEAKERS[0], SPEAKERS[1]), (SPEAKERS[1], SPEAKERS[0]))
        return [
            _hear(load(logs[listener]).voices[ids[speaker]], speaker, began, words.seconds)
            for listener, speaker in directions
        ]


@contextlib.asynccontextmanager
async def _relay(
    place: lab.Place, gate: Address, target: Address, scenario: Scenario, seed: int
) -> AsyncIterator[None]:
    words = [sys.executable, "-m", "benchmarks.relay", str(gate), str(target), "--seed", str(seed)]
    words += ["--loss", str(scenario.loss_percent), "--jitter", str(scenario.jitter_ms)]
    words += ["--reorder"] if scenario.reorder else []
    process = await asyncio.create_subprocess_exec(*place.enter, *words, cwd=lab.ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        if await process.stdout.readline() != b"ready\n":
            raise MeshchatError("the relay did not start; its words are above")
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _free_port(place: lab.Place) -> int:
    """A port that nobody has; in a namespace of its own any will do."""
    if place.enter:
        return 47_000
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((place.host, 0))
        return int(probe.getsockname()[1])


def _hear(voice: Voiced, speaker: str, began: Seconds, seconds: Seconds) -> Heard:
    until = began + seconds
    since = began + min(WARM_UP_S, seconds / 3)
    middle = min(30.0, seconds / 2)
    instants = (min(EARLY_S, seconds / 3), middle, seconds - AROUND_S)
    at = voice.column("at")
    lost = voice.column("packets_lost")[(at >= since) & (at <= until)]
    packets = max(1.0, 100 * (until - since))
    return Heard(
        kept=examine(voice, speaker, since, until),
        delays_ms=tuple(_delay_ms(voice, began + each) for each in instants),
        lost_percent=100 * float(lost[-1] - lost[0]) / packets if len(lost) else float("nan"),
    )


def _delay_ms(voice: Voiced, instant: Seconds) -> float:
    at = voice.column("at")
    near = voice.column("playout_delay_ms")[np.abs(at - instant) <= AROUND_S]
    return float(np.median(near)) if len(near) else float("nan")


def _describe(scenario: Scenario) -> str:
    order = ", reordered" if scenario.reorder else ""
    return f"{scenario.name}: {scenario.loss_percent:g} % lost, {scenario.jitter_ms:g} ms of jitter{order}"


def _row(scenario: Scenario, found: list[Heard]) -> Row:
    judged = scenario.judged
    early, middle, late = (max(each.delays_ms[index] for each in found) for index in range(3))
    return Row(
        _describe(scenario),
        (
            Figure("correlation", min(each.kept.heard.correlation for each in found), "",
                   at_least=CORRELATION_MIN if judged else None),
            Figure("coverage", min(each.kept.heard.coverage for each in found)),
            Figure("longest hole", max(each.kept.hole_ms for each in found), "ms",
                   at_most=GAP_MS_MAX if judged else None),
            Figure("concealed at once", max(each.kept.concealed_ms_longest for each in found), "ms",
                   at_most=GAP_MS_MAX if judged else None),
            Figure("concealed in all", max(each.kept.concealed_ms for each in found), "ms"),
            Figure("lost", max(each.lost_percent for each in found), "%"),
            Figure("delay at 10 s", early, "ms"),
            Figure("at 30 s", middle, "ms"),
            Figure("at the end", late, "ms"),
            Figure("drift", max(each.drift_ms for each in found), "ms", at_most=DRIFT_MS_MAX if judged else None),
        ),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
