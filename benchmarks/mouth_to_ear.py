"""Mouth to ear: how long after a sound reached one peer's microphone it leaves another peer's loudspeaker.

    python -m benchmarks.mouth_to_ear [--frames 20 10 5 2.5] [--seconds 30] [--loopback] [--json FILE]

Two real peers; one plays chirps from a file into its microphone, the other has a loudspeaker that keeps nothing. Both
write down what passes: each frame with the instant its first sample was captured, each block with the instant it was
asked for. The delay of a chirp is the instant at which its first sample leaves, taking a block to start sounding when
it is asked for, less the instant at which it was captured. So everything of ours is in it (the frame, the encoder's
look-ahead, encryption, network, jitter buffer, decoder, mixer, lateness of threads); the buffers of a sound card,
which come on top on both sides, are not.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import dataclass

import numpy as np
import soundfile

from benchmarks import chirps, lab, report
from benchmarks.notes import Log, Rows, load
from benchmarks.report import Figure, Row
from meshchat.codec import OpusEncoder
from meshchat.units import SAMPLE_RATE, Samples, Seconds

TITLE = "Mouth to ear on a clean network"

GOALS_MS = {20.0: 60.0, 10.0: 35.0, 5.0: 25.0}
"""Median delay, by the length of a frame."""

WARM_UP_S: Seconds = 3.0

LOOP_S = 4
SEED = 20

DELAY_MAX_S: Seconds = 0.45
"""Less than the half second after which the same chirp comes again."""

CHIRPS_MISSING_MAX = 0.05
"""Share of the chirps that may go unfound before the rest counts for nothing."""


def main() -> int:
    """Measures; the exit status."""
    parser = report.parser(TITLE)
    parser.add_argument("--frames", type=float, nargs="+", default=[20, 10, 5, 2.5], metavar="MS", help="frame lengths")
    parser.add_argument("--seconds", type=float, default=30.0, metavar="S", help="how long, after the warm-up")
    words = parser.parse_args()
    return report.run(words, TITLE, lambda: _measure(words))


async def _measure(words: argparse.Namespace) -> list[Row]:
    delays, parts = [], []
    with lab.network(2, words.loopback) as places:
        for frame_ms in words.frames:
            print(f"frames of {frame_ms:g} ms ...", flush=True)
            mouth, ear, since = await _talk(places, frame_ms, words.seconds)
            delays.append(_delays(f"frames of {frame_ms:g} ms", mouth, ear, since, frame_ms))
            parts.append(
                _parts(f"of these, at {frame_ms:g} ms", mouth, ear, since, frame_ms, delays[-1].figures[0].value)
            )
    return delays + parts


async def _talk(places: list[lab.Place], frame_ms: float, seconds: Seconds) -> tuple[Log, Log, Seconds]:
    """Lets one peer chirp to another; what each wrote down, and since when it counts."""
    async with lab.stage() as stage:
        wav = stage.folder / "chirps.wav"
        soundfile.write(wav, chirps.chirps(LOOP_S, SEED), SAMPLE_RATE, subtype="FLOAT")
        logs = [stage.folder / "mouth.npz", stage.folder / "ear.npz"]
        ear = await stage.start("ear", places[1], log=logs[1], frame_ms=frame_ms)
        mouth = await stage.start("mouth", places[0], log=logs[0], frame_ms=frame_ms, mic=f"loop:{wav}")
        await ear.until("it heard the first sound", lambda: ear.find("sound") is not None)
        first = ear.find("sound")
        assert first is not None
        await asyncio.sleep(WARM_UP_S + seconds)
        await stage.end(mouth, ear)
        return load(logs[0]), load(logs[1]), first.at + WARM_UP_S


@dataclass(frozen=True, slots=True)
class Stream:
    """Pieces of sound one after the other, each with its instant."""

    at: Rows
    pieces: Samples
    """float32, shape (pieces, samples)."""

    def since(self, instant: Seconds) -> Stream:
        """The pieces from then on."""
        return Stream(self.at[self.at >= instant], self.pieces[self.at >= instant])

    def chirps(self) -> list[tuple[Seconds, bool]]:
        """When each chirp's first sample passed, and whether it rises."""
        size = self.pieces.shape[1]
        found = chirps.find(self.pieces.reshape(-1))
        return [
            (self.at[int(each.position) // size] + each.position % size / SAMPLE_RATE, each.rising) for each in found
        ]


def pair(captured: list[tuple[Seconds, bool]], played: list[tuple[Seconds, bool]]) -> list[Seconds]:
    """The delay of each chirp that was played: since the latest one of its kind that was captured before."""
    delays = []
    for at, rising in played:
        before = [said for said, said_rising in captured if said_rising == rising and said <= at]
        if before and at - before[-1] < DELAY_MAX_S:
            delays.append(at - before[-1])
    return delays


def _delays(name: str, mouth: Log, ear: Log, since: Seconds, frame_ms: float) -> Row:
    captured = Stream(mouth.captured_at, mouth.captured).chirps()
    played = Stream(ear.played_at, ear.played).since(since)
    delays = 1000 * np.array(pair(captured, played.chirps()))
    span = float(played.at[-1] - played.at[0]) if len(played.at) else 0.0
    expected = span * SAMPLE_RATE / chirps.APART_SAMPLES
    if len(delays) < (1 - CHIRPS_MISSING_MAX) * expected - 2:
        print(f"  only {len(delays)} of about {expected:.0f} chirps were heard")
        delays = np.array([np.nan])
    voice = next(iter(ear.voices.values()))
    concealed = voice.column("concealed_ms")[voice.column("at") >= since]
    return Row(
        name,
        (
            Figure("p50", float(np.percentile(delays, 50)), "ms", at_most=GOALS_MS.get(frame_ms)),
            Figure("p95", float(np.percentile(delays, 95)), "ms"),
            Figure("p99", float(np.percentile(delays, 99)), "ms"),
            Figure("max", float(delays.max()), "ms"),
            Figure("concealed", float(concealed[-1] - concealed[0]), "ms"),
            Figure("chirps", len(delays)),
        ),
    )


def _parts(name: str, mouth: Log, ear: Log, since: Seconds, frame_ms: float, total_ms: float) -> Row:
    """Where the median delay comes from; what is left after the parts that can be seen is the jitter buffer's."""
    look_ahead_ms = 1000 * OpusEncoder(frame_ms=frame_ms).look_ahead_samples / SAMPLE_RATE
    sent_ms = 1000 * float(np.median(_sending(mouth, since)))
    arrived_ms = 1000 * float(np.median(_travelling(mouth, ear, since)))
    voice = next(iter(ear.voices.values()))
    playout = voice.column("playout_delay_ms")[voice.column("at") >= since]
    return Row(
        name,
        (
            Figure("frame", frame_ms, "ms"),
            Figure("look-ahead", look_ahead_ms, "ms"),
            Figure("frame to socket", sent_ms - frame_ms, "ms"),
            Figure("network", arrived_ms, "ms"),
            Figure("jitter buffer", total_ms - look_ahead_ms - sent_ms - arrived_ms, "ms"),
            Figure("its own word", float(np.median(playout)), "ms"),
        ),
    )


def _sending(mouth: Log, since: Seconds) -> Rows:
    """From the first sample of each frame to the packet's being with the sockets, where every frame was sent."""
    sent = mouth.sent[:, 1]
    frames = np.searchsorted(mouth.captured_at, sent) - 1  # the frame captured last before its packet went
    lengths = sent - mouth.captured_at[np.maximum(frames, 0)]
    behind: Rows = lengths[sent >= since]
    # The next frame begins while this one is handed on; what looks shorter than a frame belongs to the one before.
    frame: Seconds = mouth.captured.shape[1] / SAMPLE_RATE
    return np.where(behind < frame, behind + frame, behind)


def _travelling(mouth: Log, ear: Log, since: Seconds) -> Rows:
    """From the sockets of one peer to the port's thread of the other, by RTP timestamp."""
    left = dict(mouth.sent[mouth.sent[:, 1] >= since].tolist())
    arrived = [at - left[stamp] for stamp, at in ear.arrived.tolist() if stamp in left]
    return np.array(arrived or [np.nan])


if __name__ == "__main__":
    sys.exit(main())
