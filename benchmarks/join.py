"""How soon a newcomer hears a room, and what the room hears when its coordinator is killed.

    python -m benchmarks.join [--times 10] [--deaths 3] [--silent 3] [--after 8] [--loopback] [--json FILE]

A room in which two peers talk and some are silent. Again and again a fresh peer with a fresh key starts, finds the
room by mDNS and leaves when it has heard both talkers. Counted from its `ready` line to the first block of somebody's
sound that its mixer got, which may be before: the daemon is ready when everything of it runs, and it calls the
members sooner.

Then the coordinator, a silent peer, is killed with SIGKILL, several times: how long until every survivor follows
another, until nobody lists the dead one any more, and what is missing of the talkers at a listener meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import statistics
import sys
from dataclasses import dataclass, field

from benchmarks import lab, report
from benchmarks.notes import Voiced, load
from benchmarks.report import Figure, Row
from benchmarks.speech import GAP_MS_MAX, SPEAKERS, Kept, clip_path, examine
from meshchat.errors import MeshchatError
from meshchat.units import Seconds

TITLE = "Joining a running room, and the death of its coordinator"

FIRST_SOUND_S_MAX: Seconds = 1.0
"""From `ready` to the first sound."""

GONE_S_MAX: Seconds = 5.0
"""Until a crashed member is gone from every roster."""

BEFORE_S: Seconds = 2.0
"""Before a death, and `--after` it, gaps are looked for."""

ELECT_S_MAX: Seconds = 20.0


@dataclass(frozen=True, slots=True)
class Joining:
    """One newcomer's first moments, in seconds."""

    start_to_ready: Seconds
    ready_to_sound: Seconds
    ready_to_both: Seconds
    start_to_sound: Seconds


@dataclass(frozen=True, slots=True)
class Death:
    """What one death of a coordinator cost."""

    at: Seconds
    leaderless_s: Seconds
    """Until the last survivor followed another."""
    gone_s: Seconds
    """Until the last survivor had taken the dead one off its list."""


@dataclass
class Findings:
    """What was measured."""

    joinings: list[Joining] = field(default_factory=list)
    deaths: list[Death] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    """Of each talker around each death."""


def main() -> int:
    """Measures; the exit status."""
    parser = report.parser(TITLE)
    parser.add_argument("--times", type=int, default=10, metavar="N", help="how many newcomers, one after the other")
    parser.add_argument("--deaths", type=int, default=3, metavar="N", help="how many coordinators are killed")
    parser.add_argument("--after", type=float, default=8.0, metavar="S", help="how long a death is watched")
    parser.add_argument("--silent", type=int, default=3, metavar="N", help="silent peers besides talkers and listener")
    words = parser.parse_args()
    return report.run(words, TITLE, lambda: _measure(words))


async def _measure(words: argparse.Namespace) -> list[Row]:
    findings = Findings()
    silent = max(words.silent, words.deaths)
    with lab.network(silent + len(SPEAKERS) + 2, words.loopback) as places:
        async with lab.stage() as stage:
            await _fill(stage, places, silent)
            for number in range(words.times):
                findings.joinings.append(await _join(stage, places[-1], number))
            listener = stage.peers[-1]
            for _ in range(words.deaths):
                findings.deaths.append(await _kill_coordinator(stage, words.after))
            ids = {(await peer.ready()).who: peer.name for peer in stage.peers}
            await stage.end(*stage.peers)
            voices = load(stage.folder / "listener.npz").voices if listener.name == "listener" else {}
            for death in findings.deaths:
                findings.kept += _around(
                    death, words.after, {ids[peer]: voice for peer, voice in voices.items() if peer in ids}
                )
    return _rows(findings)


async def _fill(stage: lab.Stage, places: list[lab.Place], silent: int) -> None:
    """Starts the silent ones first, so that they are the ones to coordinate, then the talkers and a listener."""
    names = [f"silent{number + 1}" for number in range(silent)]
    for name, place in zip([*names, *SPEAKERS, "listener"], places, strict=False):
        microphone = f"loop:{clip_path(name)}" if name in SPEAKERS else "silence"
        log = stage.folder / "listener.npz" if name == "listener" else None
        peer = await stage.start(name, place, mic=microphone, log=log, voices_only=log is not None)
        known = len(stage.peers) - 1
        await peer.until("it was in the room", lambda peer=peer, known=known: _is_in(peer, known))  # type: ignore[misc]
    print(f"a room of {len(stage.peers)}, two of them talking", flush=True)


async def _join(stage: lab.Stage, place: lab.Place, number: int) -> Joining:
    joiner = await stage.start(f"joiner{number + 1}", place)
    ready = await joiner.ready()
    await joiner.until("it heard both talkers", lambda: len(_sounds(joiner)) >= len(SPEAKERS))
    sounds = _sounds(joiner)
    await stage.end(joiner)
    found = Joining(
        start_to_ready=ready.at - joiner.started_at,
        ready_to_sound=sounds[0] - ready.at,
        ready_to_both=sounds[-1] - ready.at,
        start_to_sound=sounds[0] - joiner.started_at,
    )
    print(f"  {joiner.name}: ready after {found.start_to_ready:.2f} s, sound {found.ready_to_sound:+.3f} s later")
    return found


def _is_in(peer: lab.Peer, known: int) -> bool:
    """Whether it knows so many others, and whom to follow."""
    others = {note.who for note in peer.notes if note.what == "joined"}
    return len(others) >= known and any(note.what == "coordinator" and note.who for note in peer.notes)


def _sounds(peer: lab.Peer) -> list[Seconds]:
    """When each member was first heard, in order."""
    return sorted(note.at for note in peer.notes if note.what == "sound")


async def _kill_coordinator(stage: lab.Stage, after_s: Seconds) -> Death:
    ids = {(await peer.ready()).who: peer for peer in stage.peers}
    leader = next(note.who for note in reversed(stage.peers[-1].notes) if note.what == "coordinator")
    victim = ids[leader]
    if not victim.name.startswith("silent"):
        raise MeshchatError(f"{victim.name} coordinates the room, and only silent peers are to be killed")
    await asyncio.sleep(BEFORE_S)
    killed_at = victim.kill()
    survivors = [peer for peer in stage.peers if peer is not victim]
    gone, followed = [], []
    for peer in survivors:
        gone.append(await peer.after(killed_at, "the dead was gone", peer.left_at, leader, ELECT_S_MAX))
        followed.append(await peer.after(killed_at, "it followed another", peer.followed_at, leader, ELECT_S_MAX))
    await asyncio.sleep(max(0.0, after_s - max(*gone, *followed)))
    await stage.end(victim)
    print(f"  {victim.name} killed: replaced after {max(followed):.2f} s, off every list after {max(gone):.2f} s")
    return Death(killed_at, max(followed), max(gone))


def _around(death: Death, after_s: Seconds, voices: dict[str, Voiced]) -> list[Kept]:
    since, until = death.at - BEFORE_S, death.at + after_s
    return [examine(voices[name], name, since, until) for name in SPEAKERS if name in voices]


def _rows(findings: Findings) -> list[Row]:
    rows = []
    if findings.joinings:
        rows.append(_joining_row(findings.joinings))
    if findings.deaths:
        rows.append(_death_row(findings))
    return rows


def _joining_row(joinings: list[Joining]) -> Row:
    ready, sound, both, whole = (
        [getattr(each, name) for each in joinings]
        for name in ("start_to_ready", "ready_to_sound", "ready_to_both", "start_to_sound")
    )
    return Row(
        f"{len(joinings)} newcomers",
        (
            Figure("start to ready, median", statistics.median(ready), "s"),
            Figure("ready to first sound, median", statistics.median(sound), "s"),
            Figure("worst", max(sound), "s", at_most=FIRST_SOUND_S_MAX),
            Figure("ready to both, worst", max(both), "s"),
            Figure("start to first sound, median", statistics.median(whole), "s"),
            Figure("worst", max(whole), "s"),
        ),
    )


def _death_row(findings: Findings) -> Row:
    leaderless = [death.leaderless_s for death in findings.deaths]
    holes = [kept.hole_ms for kept in findings.kept]
    concealed = [kept.concealed_ms_longest for kept in findings.kept]
    return Row(
        f"{len(findings.deaths)} coordinators killed",
        (
            Figure("without one, median", statistics.median(leaderless), "s"),
            Figure("worst", max(leaderless), "s"),
            Figure("off every list, worst", max(death.gone_s for death in findings.deaths), "s", at_most=GONE_S_MAX),
            Figure("talkers heard", len(findings.kept), at_least=len(SPEAKERS) * len(findings.deaths)),
            Figure("longest hole", max(holes, default=math.nan), "ms", at_most=GAP_MS_MAX),
            Figure("concealed at once", max(concealed, default=math.nan), "ms", at_most=GAP_MS_MAX),
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
