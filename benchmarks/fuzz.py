"""Two peers in a call under fire: thousands of hostile datagrams a second, and nothing may raise, grow or stop.

    python -m benchmarks.fuzz [--seconds 60] [--rate 3000] [--seed N] [--json FILE]

Ann and bob talk over a relay that sees every datagram between them, garbles copies, and sends them in either's name;
strangers throw noise, first packets and whole conversations besides (see `storm` and `strangers`). Watched are both
processes, what they log, their memory, and the sound. Everything stays on loopback.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks import report
from benchmarks.breakdown import used_s
from benchmarks.report import Figure, Row
from benchmarks.storm import Relay, Storm, relay
from meshchat.errors import MeshchatError
from meshchat.identity import Identity, load_identity
from meshchat.units import Seconds
from tests.peers_lab import LOOPBACK, Daemon, Lab, clip, found, lab, looped, until

TITLE = "Two peers in a call under a storm of hostile datagrams"

SAMPLE_S: Seconds = 0.5
"""Between two looks at the peers."""

WARM_UP_SHARE = 0.3
"""Of the time, in which memory may still grow: tables and pools fill, the allocator takes what it needs."""

GROWTH_MB_MAX = 4.0
"""What memory may grow by after that, from the first third of the rest to its last third."""

ARRIVED_PERCENT_MIN = 98.0
CONCEALED_PERCENT_MAX = 3.0
CORRELATION_MIN = 0.6
COVERAGE_PERCENT_MIN = 80.0
LOG_LINES_MAX = 20
"""What strangers do is counted and not told: a log that they can fill is a disk that they can fill."""

LOG_SHOWN_MAX = 10_000

HOSTILE = (
    "datagrams_unknown", "quic_refused", "media_malformed", "media_without_key", "media_not_opened",
)  # fmt: skip
"""Counters that the storm must move."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One peer at one instant."""

    at: Seconds
    memory_mb: float
    processor_s: Seconds
    sent: int
    received: int
    lost: int
    concealed_ms: float
    links: int
    counters: dict[str, int]
    answered_ms: float
    """How long it took to tell."""


@dataclass
class Watched:
    """One peer and what was seen of it."""

    daemon: Daemon
    other: str
    samples: list[Sample] = field(default_factory=list)

    def look(self) -> None:
        """Takes one sample; AssertionError or MeshchatError when the peer or its talk is gone."""
        began = time.monotonic()
        status = self.daemon.status()
        answered_ms = 1000 * (time.monotonic() - began)
        assert status.room is not None
        member = next(each for each in status.room.members if each.alias == self.other)
        process = psutil.Process(self.daemon.process.pid)
        self.samples.append(
            Sample(
                began, process.memory_info().rss / 1e6, used_s(process), status.counters["packets_sent"],
                member.packets_received or 0, member.packets_lost or 0, member.concealed_ms or 0.0,
                status.counters["links"], status.counters, answered_ms,
            )
        )  # fmt: skip


def main() -> int:
    """Measures; the exit status."""
    parser = report.parser(TITLE)
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="how long the storm lasts")
    parser.add_argument("--rate", type=float, default=3000.0, metavar="N", help="hostile datagrams a second")
    parser.add_argument("--seed", type=int, default=None, metavar="N", help="repeats the choices of an earlier run")
    parser.set_defaults(loopback=True)
    words = parser.parse_args()
    seed = random.randrange(1 << 32) if words.seed is None else words.seed
    print(f"seed {seed}")
    return report.run(words, TITLE, lambda: asyncio.to_thread(measure, words.seconds, words.rate, seed))


def measure(seconds: Seconds, rate: float, seed: int) -> list[Row]:
    """Lets the storm rage and tells what it did. `MeshchatError` when the call never began or did not outlive it."""
    with tempfile.TemporaryDirectory(prefix="meshchat-fuzz-") as folder, lab(Path(folder)) as peers:
        try:
            return _measure(peers, seconds, rate, seed)
        except (AssertionError, MeshchatError, StopIteration, psutil.Error) as fault:
            logs = "\n".join(f"{each.name}: {each.err[-3000:]}" for each in peers.daemons)
            raise MeshchatError(f"the call did not outlive the storm (seed {seed}): {fault!r}\n{logs}") from fault


def _measure(peers: Lab, seconds: Seconds, rate: float, seed: int) -> list[Row]:
    room = (*LOOPBACK, "--no-mdns", "--room", "storm")
    ann = peers.start("ann", *room, *looped("ann"), "--speaker", "null")
    with relay(int(str(ann.ready()["port"]))) as between:
        named = ("--peer", f"127.0.0.1:{between.port}")
        bob = peers.start("bob", *room, *looped("bob"), *peers.sink("bob"), *named)
        bob.ready()
        until("ann and bob hear each other", lambda: ann.hears("bob") and bob.hears("ann"))
        watched = [Watched(ann, "bob"), Watched(bob, "ann")]
        begin = bob.recorded_bytes()
        storm = _rage(watched, between, load_identity(peers.folder / "stranger"), seconds, rate, seed)
        sound = bob.recorded_since(begin, seconds * 0.9)
    for each in (bob, ann):
        each.end()
    rows = [row for each in watched for row in _rows(each)]
    arrived = [_call_row(*watched), _call_row(*reversed(watched))]
    heard = found(sound, clip("ann"))
    speech = Row(
        "ann as bob heard her",
        (
            Figure("correlation", heard.correlation, at_least=CORRELATION_MIN),
            Figure("coverage", 100 * heard.coverage, "%", at_least=COVERAGE_PERCENT_MIN),
            Figure("longest gap", heard.gap_ms_longest, "ms"),
        ),
    )
    thrown = Row("thrown", tuple(Figure(name, count) for name, count in sorted(storm.thrown.items())))
    return [*rows, *arrived, speech, thrown]


def _rows(peer: Watched) -> list[Row]:
    """What became of one peer: its process, and what it counted."""
    samples = peer.samples
    first, last = samples[0], samples[-1]
    processor = 100 * (last.processor_s - first.processor_s) / (last.at - first.at)
    log = peer.daemon.err
    if "Traceback" in log:
        print(f"{peer.daemon.name} logged:\n{log[:LOG_SHOWN_MAX]}", file=sys.stderr)
    process = Row(
        peer.daemon.name,
        (
            Figure("exit status", peer.daemon.gone(), at_most=0, at_least=0),
            Figure("raised", log.count("Traceback"), at_most=0),
            Figure("lines logged", log.count("\n"), at_most=LOG_LINES_MAX),
            Figure("memory", last.memory_mb, "MB"),
            Figure("grown", _growth_mb([each.memory_mb for each in samples]), "MB", at_most=GROWTH_MB_MAX),
            Figure("processor", processor, "% of a core"),
            Figure("links, most", max(each.links for each in samples)),
            Figure("slowest answer", max(each.answered_ms for each in samples), "ms"),
        ),
    )
    counted = tuple(
        Figure(name, last.counters[name] - first.counters[name], at_least=1 if name in HOSTILE else None)
        for name in (*HOSTILE, "datagrams_dropped", "send_errors")
    )
    return [process, Row(f"{peer.daemon.name} counted", counted)]


def _growth_mb(memory_mb: list[float]) -> float:
    """From the first third of what comes after the warm-up to its last third, median to median."""
    settled = memory_mb[int(len(memory_mb) * WARM_UP_SHARE) :]
    third = max(1, len(settled) // 3)
    return statistics.median(settled[-third:]) - statistics.median(settled[:third])


def _call_row(speaker: Watched, listener: Watched) -> Row:
    """What of one peer's sound arrived at the other."""
    said, heard = speaker.samples, listener.samples
    received = [sample.received for sample in heard]
    breaks = sum(later < earlier for earlier, later in itertools.pairwise(received))
    sent = said[-1].sent - said[0].sent
    passed_ms = 1000 * (heard[-1].at - heard[0].at)
    return Row(
        f"{speaker.daemon.name} at {listener.daemon.name}",
        (
            Figure("packets sent", sent, at_least=1),
            Figure("arrived", 100 * (received[-1] - received[0]) / max(1, sent), "%", at_least=ARRIVED_PERCENT_MIN),
            Figure("call broken off", breaks, at_most=0),
            Figure(
                "concealed",
                100 * (heard[-1].concealed_ms - heard[0].concealed_ms) / passed_ms,
                "% of the time",
                at_most=CONCEALED_PERCENT_MAX,
            ),
        ),
    )


def _rage(
    watched: list[Watched], between: Relay, stranger: Identity, seconds: Seconds, rate: float, seed: int
) -> Storm:
    """Lets the storm rage on a thread of its own, and looks at the peers meanwhile."""
    storm = Storm((between.host, between.guest), stranger, seed)
    thread = threading.Thread(target=storm.rage, args=(seconds, rate), name="storm", daemon=True)
    try:
        thread.start()
        while thread.is_alive():
            for each in watched:
                each.look()
            thread.join(SAMPLE_S)
        for each in watched:
            each.look()
    finally:
        thread.join(seconds)
        storm.close()
    return storm


if __name__ == "__main__":
    sys.exit(main())
