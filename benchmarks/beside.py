"""Voice beside a shared screen: what is made up of it, and how late it is, with and without a film on a slow link.

    python -m benchmarks.beside [--seconds 10] [--mbit 20] [--json FILE]

Two peers talk; then the first shares a display on which a film fills the screen, the other watches, and they talk on.
The link from the one who shares takes 20 Mbit/s, which the film would fill three times over.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import numpy as np

from benchmarks import lab, report
from benchmarks.cable import Cable, Network
from benchmarks.company import Room, log_of
from benchmarks.notes import Voiced, load
from benchmarks.report import Figure, Row
from benchmarks.rivals import Scene, xvfb
from benchmarks.screen import CONTENTS, drawing
from benchmarks.sharing import room_with_display, watched
from meshchat.units import Seconds

TITLE = "Voice beside a shared screen"

LEARN_S: Seconds = 4.0
"""What the jitter buffers may take to learn the link, before each of the two times that are compared."""

MORE_MS_MAX = 10.0
"""How much later sound may be with the film than without."""


def main() -> int:
    """Measures; the exit status."""
    parser = report.parser(TITLE)
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="with, and without the screen (10)")
    parser.add_argument("--mbit", type=float, default=20.0, metavar="M", help="what the link takes (20)")
    words = parser.parse_args()
    return report.run(words, TITLE, lambda: _measure(words))


async def _measure(words: argparse.Namespace) -> list[Row]:
    with lab.network(2, words.loopback) as places:
        cable = Cable(places[0], places[1])
        async with lab.stage() as stage:
            scene = Scene(places[0], places[1], stage.folder)
            with xvfb(scene) as (display, _):
                room = room_with_display(stage, scene, display)
                return await _talk(room, scene, display, cable, words)


async def _talk(room: Room, scene: Scene, display: str, cable: Cable, words: argparse.Namespace) -> list[Row]:
    await room.fill(2, 2, log=True)
    sharer, watcher = room.peers
    cable.become(Network("slow", mbit=words.mbit))
    await asyncio.sleep(LEARN_S)
    alone = time.monotonic()
    await asyncio.sleep(words.seconds)
    content = next(each for each in CONTENTS if each.name == "video")
    async with (
        watched(room, scene, scene.folder / "seen"),
        drawing(display, content, words.seconds + LEARN_S + 1, scene.folder / "drawn") as draw,
    ):
        draw()
        await asyncio.sleep(LEARN_S)
        beside, before = time.monotonic(), cable.bytes()
        await asyncio.sleep(words.seconds)
        mbit = (cable.bytes() - before) * 8 / words.seconds / 1e6
    await room.stage.end(sharer, watcher)
    rows = []
    for speaker, listener in ((sharer, watcher), (watcher, sharer)):
        ids = {peer.name: (await peer.ready()).who for peer in (speaker, listener)}
        voice = load(log_of(room, listener)).voices[ids[speaker.name]]
        rows += _rows(f"{'sharer' if speaker is sharer else 'watcher'} heard", voice, (alone, beside), words.seconds)
    return [*rows, Row("screen meanwhile", (Figure("Mbit/s", mbit),))]


def _rows(name: str, voice: Voiced, begins: tuple[float, float], seconds: float) -> list[Row]:
    found = []
    for begin in begins:
        at = voice.column("at")
        during = (at >= begin) & (at < begin + seconds)
        concealed = voice.column("concealed_ms")[during]
        delay = voice.column("playout_delay_ms")[during]
        lost = voice.column("packets_lost")[during]
        found.append((concealed[-1] - concealed[0], np.median(delay), lost[-1] - lost[0]))
    return [
        Row(
            f"{name}, {'alone' if number == 0 else 'beside the film'}",
            (
                Figure("concealed", float(concealed), "ms"),
                Figure("delay", float(delay), "ms", at_most=float(found[0][1]) + MORE_MS_MAX if number else None),
                Figure("lost", float(lost), at_most=0 if number else None),
            ),
        )
        for number, (concealed, delay, lost) in enumerate(found)
    ]


if __name__ == "__main__":
    sys.exit(main())
