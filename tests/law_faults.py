"""What moderators do in a simulated room, drawn by lot: orders on any side of a split, programs that ignore them."""

from __future__ import annotations

import random

from meshchat.errors import Refused
from meshchat.locks.statements import Kind
from tests.faults import FAULTS, Fault, here
from tests.law_lab import order
from tests.simulation import Village
from tests.villager import Villager, stay_in_spite

LOBBY = "lobby"


def moderators(village: Village) -> list[Villager]:
    """Those present who may give orders, as far as they know."""
    laws = ((peer, peer.law()) for peer in here(village))
    return [peer for peer, law in laws if law and peer.id in law.ranks]


def renew_link(village: Village, rng: random.Random) -> None:
    """Whoever comes from now on has the link of somebody who is there."""
    inside = [peer for peer in here(village) if (law := peer.law()) and law.secret]
    rooms = [peer.node.room for peer in inside if peer.node.room and peer.node.room.discipline.knows_secret]
    if rooms and (secret := rng.choice(rooms).gate.secret):
        village.rooms[LOBBY] = (village.rooms[LOBBY][0], secret)


def _about(kinds: list[Kind], done: str) -> Fault:
    def give(village: Village, rng: random.Random) -> str | None:
        present, kind = moderators(village), rng.choice(kinds)
        if not present:
            return None
        # Who was let in again would be there by right, and is not: its program does as it likes.
        author, subject = rng.choice(present), rng.choice([peer for peer in village.peers.values() if peer.honest])
        try:
            order(village, author.name, kind, subject.name)
        except Refused:
            return None
        return f"{author.name} {done} {subject.name} ({kind})"

    return give


def _of_the_room(village: Village, rng: random.Random) -> str | None:
    present = moderators(village)
    kind: Kind = rng.choice(["lock", "unlock"])
    if not present:
        return None
    author = rng.choice(present)
    try:
        order(village, author.name, kind)
    except Refused:
        return None
    return f"{author.name} gives the order: {kind}"


def _kick_the_stubborn(village: Village, rng: random.Random) -> str | None:
    """Somebody whose program takes no notice is banned; it stays, and goes on trying."""
    present = moderators(village)
    guests = [peer for peer in here(village) if peer not in present]
    if not present or len(guests) < 2:
        return None
    author, bad = rng.choice(present), rng.choice(guests)
    stay_in_spite(bad)
    order(village, author.name, "ban", bad.name)
    return f"{author.name} bans {bad.name}, which stays in spite"


LAW_FAULTS: tuple[Fault, ...] = (
    *FAULTS,
    *[_about(["kick", "ban"], "sends out")] * 3,
    *[_about(["pardon"], "pardons")] * 2,
    *[_about(["appoint", "dismiss"], "decides about")] * 2,
    _about(["mute", "unmute"], "decides about"),
    _of_the_room,
    _of_the_room,
    _kick_the_stubborn,
)
