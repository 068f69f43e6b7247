"""A room of peers that trouble befalls: who is in it, whether all agree, what each heard of the others."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import lab
from benchmarks.notes import load
from benchmarks.speech import SPEAKERS, clip_path, concealed_at_once
from meshchat.errors import MeshchatError
from meshchat.units import Seconds

AGREE_S_MAX: Seconds = 60.0

CROWD = 12
"""So many are asked only when all have told of everybody's coming."""

Stretch = tuple[Path, Seconds, Seconds]
"""A peer's notes, and between which instants they count."""


@dataclass
class Room:
    """The peers of a scene, where they live, and what was seen."""

    stage: lab.Stage
    places: list[lab.Place]
    peers: list[lab.Peer] = field(default_factory=list)
    at: dict[str, lab.Place] = field(default_factory=dict)
    """Where each peer lives, by name."""
    count: int = 0
    logs: list[Stretch] = field(default_factory=list)

    async def enter(self, place: lab.Place, *, talks: bool, log: bool = False, **knobs: object) -> lab.Peer:
        """One more peer."""
        self.count += 1
        name = f"p{self.count}"
        clip = clip_path(SPEAKERS[self.count % len(SPEAKERS)])
        sound = {"log": self.stage.folder / f"{name}.npz", "voices_only": True} if log else {}
        peer = await self.stage.start(name, place, mic=f"loop:{clip}" if talks else "silence", **sound, **knobs)
        self.peers.append(peer)
        self.at[name] = place
        return peer

    async def fill(self, number: int, talkers: int, *, log: bool = False, **knobs: object) -> Seconds:
        """So many peers in one room; how long it took from the last one's being ready."""
        for place in self.places[:number]:
            peer = await self.enter(place, talks=len(self.peers) < talkers, log=log, **knobs)
            await peer.ready()
        ready = [(await peer.ready()).at for peer in self.peers]
        await self.agree()
        return time.monotonic() - max(ready)

    async def agree(self, peers: list[lab.Peer] | None = None, limit_s: Seconds = AGREE_S_MAX) -> Seconds:
        """Waits until these (or all) list each other and nobody else and follow one coordinator; how long it took."""
        wanted, begun = peers or self.peers, time.monotonic()
        ids = {(await peer.ready()).who for peer in wanted}

        async def all_agree() -> bool:
            if len(wanted) >= CROWD and not all([_says_so(peer, ids, (await peer.ready()).who) for peer in wanted]):
                return False  # to look at what they told costs nothing; to ask each of them for everybody's state, much
            rooms = [status.room for status in await asyncio.gather(*(peer.status() for peer in wanted))]
            leaders = {room.coordinator if room else None for room in rooms}
            listed = all(room and {each.id for each in room.members if each.reachable} == ids for room in rooms)
            return listed and len(leaders) == 1 and None not in leaders

        await lab.poll("all agree", all_agree, limit_s)
        return time.monotonic() - begun

    async def leader(self) -> lab.Peer:
        """Who coordinates."""
        status = await self.peers[0].status()
        ids = {(await peer.ready()).who: peer for peer in self.peers}
        if status.room is None or status.room.coordinator not in ids:
            raise MeshchatError("the room has no coordinator")
        return ids[status.room.coordinator]

    def heard(self, since: Seconds, until: Seconds, among: list[lab.Peer]) -> None:
        """What was made up of any voice at these between the two instants counts, once they have ended."""
        self.logs += [(self.stage.folder / f"{peer.name}.npz", since, until) for peer in among]


def _says_so(peer: lab.Peer, ids: set[str], who: str) -> bool:
    """Whether that peer has told of everybody's coming, and of nobody's going since."""
    here = {who}
    for note in peer.notes:
        if note.what == "joined":
            here.add(note.who)
        elif note.what == "left":
            here.discard(note.who)
    return here == ids


async def replaced(survivors: list[lab.Peer], dead: str, since: Seconds) -> Seconds:
    """When the last of them followed another."""
    waited = [await peer.after(since, "it followed another", peer.followed_at, dead, AGREE_S_MAX) for peer in survivors]
    return max(waited)


def changes(peer: lab.Peer, since: Seconds) -> int:
    """How often that peer took somebody else for coordinator."""
    followed = [note for note in peer.notes if note.what == "coordinator" and note.who]
    return sum(late.who != early.who for early, late in itertools.pairwise(followed) if late.at > since)


def log_of(room: Room, peer: lab.Peer) -> Path:
    return room.stage.folder / f"{peer.name}.npz"


def made_up(stretches: list[Stretch]) -> float:
    """The longest stretch of any voice that was made up; peers that were killed wrote nothing."""
    return max((longest(path, since, until) for path, since, until in stretches if path.exists()), default=math.nan)


def longest(path: Path, since: Seconds, until: Seconds, of: set[str] | None = None) -> float:
    voices = {who: voice for who, voice in load(path).voices.items() if of is None or who in of}
    return max((concealed_at_once(voice, since, until) for voice in voices.values()), default=0.0)
