"""What a microphone's sound goes through: echo, noise, loudness, the gate; beside libspeexdsp on the same sound.

    python -m benchmarks.processing [--speakers 4] [--only PART...] [--plot FILE] [--json FILE]

Nothing is played and no clock runs: rooms, noise and voices are computed (`benchmarks.rooms`, `benchmarks.speakers`),
so every figure but those of cost comes out the same again. The echo's loss is told second by second from when the far
end begins to speak. In double talk the near voice begins when 6 s have gone, as loud as the echo; PESQ compares what is
left with that voice alone. A word's beginning is what is louder than 40 dB under its loudest.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from benchmarks import report, rooms, speexdsp
from benchmarks.report import Figure, Row
from benchmarks.scores import WARM_UP_S, score
from benchmarks.speakers import speeches
from meshchat.calling.outgoing import Outgoing
from meshchat.calling.voicefront import VoiceFront
from meshchat.cleaning import Cleaner, Wishes
from meshchat.codec import OpusEncoder
from meshchat.errors import MeshchatError
from meshchat.media.echofinder import FOUND, EchoFinder
from meshchat.media.gate import Gate, Rule
from meshchat.media.preroll import Preroll
from meshchat.units import SAMPLE_RATE, THRESHOLD_DB, Samples, Seconds

TITLE = "What a microphone's sound goes through"

FRAME = 480
NEAR_AFTER_S: Seconds = 6.0
LAST_S: Seconds = 12.0
DELAYS_MS = (20, 60, 150)
ERLE_GOAL_DB = 45.0
VOICE_DB = -26.0
PARTS = ("echo", "finder", "noise", "clean", "gain", "gate", "cost")


class Cleans(Protocol):
    """`Cleaner`, and what it is compared with."""

    def played(self, sound: Samples) -> None:
        """What the speaker plays."""

    def clean(self, frame: Samples) -> Samples:
        """What is left of what the microphone heard."""


@dataclass(frozen=True, slots=True)
class Program:
    """One way to clean sound."""

    name: str
    made: Callable[[Wishes], Cleans]

    def through(self, wishes: Wishes, heard: Samples, played: Samples | None = None) -> Samples:
        """What is left."""
        cleaner, silent = self.made(wishes), np.zeros(FRAME, np.float32)
        out = np.zeros(len(heard), np.float32)
        for at in range(0, len(heard) - FRAME + 1, FRAME):
            cleaner.played(silent if played is None else played[at : at + FRAME])
            out[at : at + FRAME] = cleaner.clean(heard[at : at + FRAME])
        return out


def programs() -> list[Program]:
    """Those that are there."""
    found = [Program("meshchat", lambda wishes: Cleaner(wishes, FRAME))]
    return [*found, Program("speexdsp", speexdsp.Speex)] if speexdsp.library() else found


def main() -> int:
    """The exit status."""
    parser = report.parser((__doc__ or "").partition("\n")[0])
    parser.add_argument("--speakers", type=int, default=4, metavar="N", help="how many voices, at most 4")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts of it")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw one case of echo there")
    words = parser.parse_args()

    async def measure() -> list[Row]:
        return list(_rows(words))

    return report.run(words, TITLE, measure)


def _rows(words: argparse.Namespace) -> Iterator[Row]:
    voices = list(speeches(words.speakers, LAST_S).values())
    if len(voices) < 2:
        raise MeshchatError("one speaks and one is played: it takes two voices; give --speakers 2 or more")
    parts: dict[str, Callable[[list[Samples]], Iterator[Row]]] = {
        "echo": _echo, "finder": _finder, "noise": _noise, "clean": _clean, "gain": _gain, "gate": _gate, "cost": _cost,
    }  # fmt: skip
    for part in words.only:
        for row in parts[part](voices):
            print(f"  {row.name}: " + ", ".join(f"{each.name} {each}" for each in row.figures), flush=True)
            yield row
    if words.plot:
        from benchmarks.spectrogram import draw

        played, heard = _scene(voices, rooms.DESK, 60)
        left = {each.name: each.through(Wishes(echo=True, noise=True), heard, played) for each in programs()}
        draw({"heard by the microphone": heard, **left}, words.plot)


def _scene(voices: list[Samples], room: rooms.Room, delay_ms: float, number: int = 0) -> tuple[Samples, Samples]:
    """What is played for 12 s, and what the microphone hears, which from 6 s on is a near voice as well."""
    played = rooms.scaled(voices[number], -20.0)
    heard = rooms.echo(room, played, delay_ms, seed=number + 1)
    begin = round(NEAR_AFTER_S * SAMPLE_RATE)
    heard[begin:] += _near(voices, number)[begin:]
    return played, heard


def _near(voices: list[Samples], number: int) -> Samples:
    near = rooms.scaled(voices[(number + 1) % len(voices)], VOICE_DB)
    near[: round(NEAR_AFTER_S * SAMPLE_RATE)] = 0.0
    return near


def _echo(voices: list[Samples]) -> Iterator[Row]:
    ways = [("echo, noise", Wishes(echo=True, noise=True)), ("echo alone", Wishes(echo=True))]
    for room, program, (what, wishes) in itertools.product((rooms.DESK, rooms.LIVING, rooms.HALL), programs(), ways):
        if program.name != "meshchat" and what != "echo, noise":
            continue
        goal = ERLE_GOAL_DB if (room, program.name, what) == (rooms.DESK, "meshchat", "echo, noise") else None
        losses, talk = [], []
        for delay_ms, number in itertools.product(DELAYS_MS, range(len(voices))):
            played, heard = _scene(voices, room, delay_ms, number)
            left = program.through(wishes, heard, played)
            losses.append([_loss_db(heard, left, second) for second in range(int(NEAR_AFTER_S))])
            if delay_ms == DELAYS_MS[1]:
                since = round((NEAR_AFTER_S - WARM_UP_S) * SAMPLE_RATE)
                talk.append(score(_near(voices, number)[since:], left[since:]).pesq)
        seconds = np.array(losses)
        name = f"{room.name}, {program.name}" + ("" if program.name == "speexdsp" else f" ({what})")
        yield Row(
            name,
            (
                *(Figure(f"{s + 1}. s", float(np.mean(seconds[:, s])), "dB") for s in range(3)),
                Figure("4. s", float(np.mean(seconds[:, 3])), "dB", at_least=goal),
                Figure("5. and 6. s", float(np.mean(seconds[:, 4:])), "dB"),
                Figure("worst of those", float(np.min(seconds[:, 4:])), "dB"),
                Figure("double talk", statistics.fmean(talk), "PESQ"),
            ),
        )


def _loss_db(heard: Samples, left: Samples, second: int) -> float:
    during = slice(second * SAMPLE_RATE, (second + 1) * SAMPLE_RATE)
    return rooms.level_db(heard[during]) - rooms.level_db(left[during])


def _finder(voices: list[Samples]) -> Iterator[Row]:
    """When an echo is found that is there, and how nearly one that is not."""
    for room, softer_db in itertools.product((rooms.DESK, rooms.HALL), (0.0, 30.0)):
        found = []
        for delay_ms, number in itertools.product((20, 150, 400), range(len(voices))):
            played, heard = _scene(voices, room, delay_ms, number)
            found.append(_found(played, rooms.softer(heard, softer_db))[0])
        figures = (Figure("found after, mean", statistics.fmean(found), "s"), Figure("latest", max(found), "s"))
        yield Row(f"an echo at {rooms.ECHO_DB - softer_db:g} dB, {room.name}", figures)
    nearly = []
    for number, voice in enumerate(voices):
        for turned_s in (1.5, 4.0, 6.5):
            heard = np.roll(voices[(number + 1) % len(voices)], round(turned_s * SAMPLE_RATE))
            nearly.append(_found(voice, heard)[1])
    yield Row("two who talk at once, no echo", (Figure("strength at most", max(nearly), at_most=FOUND),))


def _found(played: Samples, heard: Samples) -> tuple[Seconds, float]:
    """When an echo was found, infinitely late if never, and how much it stood out at most."""
    finder, strongest = EchoFinder(), 0.0
    for at in range(0, len(heard) - FRAME + 1, FRAME):
        finder.play(played[at : at + FRAME])
        finder.hear(heard[at : at + FRAME])
        strongest = max(strongest, finder.strength)
        if finder.found:
            return (at + FRAME) / SAMPLE_RATE, strongest
    return float("inf"), strongest


def _noise(voices: list[Samples]) -> Iterator[Row]:
    samples = len(voices[0])
    noises = {"hiss": rooms.hiss(samples), "fan": rooms.fan(samples), "people": rooms.people(voices, samples)}
    for (kind, noise), snr_db, program in itertools.product(noises.items(), (20, 10, 0), programs()):
        before, after, less = [], [], []
        for voice in voices[:2]:
            said = rooms.scaled(voice, VOICE_DB)
            said[: 2 * SAMPLE_RATE] = 0.0
            heard = said + rooms.scaled(noise, VOICE_DB - snr_db)
            left = program.through(Wishes(noise=True), heard)
            alone = slice(SAMPLE_RATE, 2 * SAMPLE_RATE)
            less.append(rooms.level_db(heard[alone]) - rooms.level_db(left[alone]))
            before.append(score(said, heard).pesq)
            after.append(score(said, left).pesq)
        figures = (
            Figure("noise less by", statistics.fmean(less), "dB"),
            Figure("before", statistics.fmean(before), "PESQ"),
            Figure("after", statistics.fmean(after), "PESQ"),
        )
        yield Row(f"{kind}, {snr_db} dB under the voice, {program.name}", figures)


def _clean(voices: list[Samples]) -> Iterator[Row]:
    ways = {
        "echo": Wishes(echo=True), "noise": Wishes(noise=True), "echo and noise": Wishes(echo=True, noise=True),
        "all": Wishes(True, True, True),
    }  # fmt: skip
    for (what, wishes), program in itertools.product(ways.items(), programs()):
        found = []
        for voice in voices:
            said = rooms.scaled(voice, VOICE_DB)
            heard = said + rooms.scaled(rooms.hiss(len(said)), rooms.FLOOR_DB)
            found.append(score(said, program.through(wishes, heard)))
        figures = (
            Figure("mean", statistics.fmean(each.pesq for each in found), "PESQ"),
            Figure("worst", min(each.pesq for each in found), "PESQ"),
            Figure("later by", statistics.median(each.delay_ms[0] for each in found), "ms"),
        )
        yield Row(f"clean speech, {what}, {program.name}", figures)
    for program in programs():
        judged = []
        for number, voice in enumerate(voices):
            said = rooms.scaled(voice, VOICE_DB)
            heard = said + rooms.scaled(rooms.hiss(len(said)), rooms.FLOOR_DB)
            played = rooms.scaled(voices[(number + 1) % len(voices)], -20.0)
            judged.append(score(said, program.through(Wishes(echo=True), heard, played)).pesq)
        beside = (Figure("mean", statistics.fmean(judged), "PESQ"), Figure("worst", min(judged), "PESQ"))
        yield Row(f"headphones, both talk, echo, {program.name}", beside)


def _gain(voices: list[Samples]) -> Iterator[Row]:
    levels = (-50, -40, -30, -20, -10)
    for program in programs():
        figures = []
        for level in levels:
            out = []
            for voice in voices:
                heard = np.clip(rooms.scaled(voice, level), -1.0, 1.0)
                heard += rooms.scaled(rooms.hiss(len(heard)), -75.0)
                out.append(rooms.level_db(program.through(Wishes(gain=True), heard)[6 * SAMPLE_RATE :]))
            figures.append(Figure(f"{level} dB", statistics.fmean(out), "dB"))
        yield Row(f"voices at these levels come out at, {program.name}", tuple(figures))


def _gate(voices: list[Samples]) -> Iterator[Row]:
    for room_db, level_db in itertools.product((-70.0, -60.0), (-20.0, -26.0, -32.0)):
        cut, plain, early = [], [], []
        for number, voice in enumerate(voices):
            said = rooms.scaled(voice, level_db)
            for word in _words(said):
                sound = rooms.scaled(rooms.hiss(3 * SAMPLE_RATE, number), room_db)
                begin = SAMPLE_RATE + 137 * number
                sound[begin : begin + len(word)] += word
                opened, sent_from = _opened(sound)
                cut.append(max(0, sent_from - begin) / 48)
                early.append(max(0, begin - sent_from) / 48)
                plain.append(max(0, opened - begin) / 48)
        figures = (
            Figure("words", len(cut)),
            Figure("lost, mean", statistics.fmean(cut), "ms"),
            Figure("lost, worst", max(cut), "ms"),
            Figure("cut by more than 10 ms", sum(each > 10 for each in cut)),
            Figure("room sent before", statistics.fmean(early), "ms"),
            Figure("lost without the way back", statistics.fmean(plain), "ms"),
        )
        yield Row(f"words at {level_db:g} dB in a room at {room_db:g} dB", figures)
    yield from _late(voices)
    yield from _silence()


def _words(said: Samples) -> Iterator[Samples]:
    """Pieces of 0.8 s that begin where sound begins after a pause."""
    piece = 240
    power = np.square(said[: len(said) // piece * piece]).reshape(-1, piece).mean(axis=1)
    loud = power > power.max() * 10 ** (-40 / 10)
    for place in range(20, len(loud) - 160):
        if loud[place] and loud[place + 1] and not loud[place - 20 : place].any():
            yield said[place * piece : place * piece + round(0.8 * SAMPLE_RATE)].copy()


def _opened(sound: Samples) -> tuple[int, int]:
    """Where the gate opens, and from where on sound is sent."""
    gate, rule = Gate(), Rule("voice", THRESHOLD_DB)
    for at in range(0, len(sound) - FRAME + 1, FRAME):
        back = gate.hear(sound[at : at + FRAME], rule)
        if gate.open:
            return at, at - back
    return len(sound), len(sound)


def _late(voices: list[Samples]) -> Iterator[Row]:
    """How late the sound still is some time after it opened with a hiss."""
    behind: dict[float, list[float]] = {0.0: [], 0.25: [], 0.5: [], 1.0: [], 2.0: []}
    for number, voice in enumerate(voices):
        said = rooms.scaled(voice, VOICE_DB)
        for word in list(_words(said))[:3]:
            sound = rooms.scaled(rooms.hiss(4 * SAMPLE_RATE, number), -75.0)
            sound[SAMPLE_RATE : SAMPLE_RATE + 4800] += rooms.scaled(rooms.hiss(4800, 7), -58.0)
            begin = SAMPLE_RATE + 4800
            sound[begin : begin + 2 * SAMPLE_RATE] += np.resize(word, 2 * SAMPLE_RATE)
            preroll, opened = Preroll(), None
            for at in range(0, len(sound) - FRAME + 1, FRAME):
                out = preroll.hear(sound[at : at + FRAME], Rule("voice", THRESHOLD_DB))
                opened = at if opened is None and out is not None else opened
                for after, found in behind.items():
                    if opened is not None and at == opened + round(after * SAMPLE_RATE):
                        found.append(preroll.late / 48)
    yield Row(
        "a word with 0.1 s of hiss before it: late by",
        tuple(Figure(f"after {after:g} s", statistics.fmean(found), "ms") for after, found in behind.items()),
    )


def _silence() -> Iterator[Row]:
    """What is sent while nobody speaks, headers and seal included, but for IP and UDP."""
    for room_db, mode in itertools.product((-75.0, -60.0, -50.0), ("continuous", "voice")):
        sent: list[bytes] = []
        outgoing = Outgoing(OpusEncoder(), sent.append)
        outgoing.use_key(1, 1, bytes(16))
        front = VoiceFront(outgoing, Rule("voice", THRESHOLD_DB) if mode == "voice" else Rule())
        sound = rooms.scaled(rooms.fan(20 * SAMPLE_RATE), room_db)
        for at in range(0, len(sound), FRAME):
            if at == 5 * SAMPLE_RATE:
                sent.clear()
            front.frame(sound[at : at + FRAME], at / SAMPLE_RATE)
        rate = 8 * sum(map(len, sent)) / 15 / 1000
        goal = 2.0 if mode == "voice" else None
        yield Row(
            f"silence in a room at {room_db:g} dB, transmit {mode}",
            (Figure("sent", rate, "kbit/s", at_most=goal), Figure("packets", len(sent) / 15, "1/s")),
        )


def _cost(voices: list[Samples]) -> Iterator[Row]:
    played, heard = _scene(voices, rooms.DESK, 60)
    unrelated = rooms.hiss(len(heard))
    ways = {"echo and noise": Wishes(True, True), "echo": Wishes(True), "noise": Wishes(noise=True)}
    for (what, wishes), program in itertools.product(ways.items(), programs()):
        cleaner = program.made(wishes)
        yield _timed(f"{what}, {program.name}", (cleaner.played, played), (cleaner.clean, heard))
    finder = EchoFinder()
    yield _timed("looking for an echo", (finder.play, played), (finder.hear, unrelated))
    for mode in ("continuous", "voice"):
        preroll, rule = Preroll(), Rule("voice", THRESHOLD_DB) if mode == "voice" else Rule()
        yield _timed(f"the gate, transmit {mode}", (functools.partial(preroll.hear, rule=rule), heard))


def _timed(name: str, *ways: tuple[Callable[[Samples], object], Samples]) -> Row:
    """What it takes to give each of these functions its sound, 10 ms at a time; the first second does not count."""
    spent = []
    for at in range(0, len(ways[0][1]) - FRAME + 1, FRAME):
        begun = time.perf_counter()
        for take, sound in ways:
            take(sound[at : at + FRAME])
        spent.append(1e6 * (time.perf_counter() - begun))
    p50, p99 = np.percentile(spent[100:], (50, 99))
    figures = (
        Figure("p50", float(p50), "µs"),
        Figure("p99", float(p99), "µs"),
        Figure("most", max(spent[100:]), "µs"),
        Figure("of a core", 100 * statistics.fmean(spent[100:]) / 10_000, "%"),
    )
    return Row(f"10 ms of sound: {name}", figures)


if __name__ == "__main__":
    sys.exit(main())
