"""A member that lies: it claims everything, forges lists, repeats what others said, hands over what is not its own."""

from __future__ import annotations

import random

from msgspec import structs

from meshchat.locks.law import Law
from meshchat.locks.statements import digest, sign
from meshchat.peers.lines import Lack, Line, Lines, Tally
from meshchat.peers.lines import signed_part as words
from meshchat.peers.messages import (
    BEAT_MS_MAX,
    Beat,
    Claim,
    Entry,
    Handover,
    Heard,
    Mark,
    Message,
    Neighbour,
    Neighbours,
    Roster,
    Sighting,
    Sightings,
    Tell,
    Want,
)
from meshchat.peers.orders import Orders, OrdersWanted, Secret, SecretWanted
from meshchat.peers.room import Room
from meshchat.peers.roomclock import CLOCK_MAX
from meshchat.peers.roster import signed_part
from meshchat.units import PeerId, RoomId, Seconds
from tests.simulation import Village
from tests.villager import SealingWax, Villager

PAUSE_S: Seconds = 0.3
"""Between two lies to one member."""


class Liar:
    """Turns a peer into a liar, from now until `stop`."""

    def __init__(self, village: Village, name: str) -> None:
        self._village = village
        self._peer: Villager = village.peers[name]
        self._peer.honest = False
        self._rng: random.Random = village.rng
        self._heard: list[Message] = []
        self._over = False
        self._next()

    def stop(self) -> None:
        """It goes, and its lies with it."""
        self._over = True
        self._village.crash(self._peer.name)

    def _next(self) -> None:
        if self._over or not self._peer.alive:
            return
        for link in list(self._peer.node.links.values()):
            if link.admitted:
                lie = self._lie(link.peer)
                if isinstance(lie, Lines):
                    self._peer.retold.update(each.text for each in lie.lines if each.author == self._peer.id)
                self._village.inject(self._peer.name, link.peer, lie)
        self._village.after(self._rng.uniform(0.1, 2) * PAUSE_S, self._next)

    def _orders(self, law: Law | None, victim: PeerId) -> list[Message]:
        """Orders of others said again, changed, or made up, and a secret that nobody drew."""
        if law is None or self._peer.id in law.ranks:
            return []
        known = [law.founding, *(each.statement for each in (*law.standing, *law.appointments))]
        true, number = self._rng.choice(known), law.number + self._rng.choice([-1, 1, 1000])
        mine = sign(self._peer.key, law.room, max(1, number), "kick", victim)
        borrowed = sign(self._peer.key, law.room, max(1, number), "ban", victim, "", digest(true))
        changed = structs.replace(true, number=true.number + 1)
        stolen = structs.replace(mine, author_key=law.founding.author_key)
        lies = [Orders((true,)), Orders((true, mine)), Orders((borrowed,)), Orders((changed,)), Orders((stolen,))]
        return [*lies, OrdersWanted(law.room), Secret(law.room, self._rng.randbytes(16)), SecretWanted(law.room)]

    def _lie(self, to: PeerId) -> Message:
        room = self._peer.node.room
        assert room is not None
        others = [peer.id for peer in self._village.peers.values()]
        victim = self._rng.choice(others)
        epoch = self._rng.choice([0, 1, 2, 5, 1000, 1 << 30, (1 << 53) - 1])
        mine, theirs = Claim(epoch, 0, self._peer.id, 0), Claim(epoch, 0, victim, 0)
        entries = tuple(Entry(each, 1, "zed", ()) for each in self._rng.sample(others, min(2, len(others))))
        ghost = Entry(f"{self._rng.randrange(1 << 64):064x}", 3, "ghost", ("10.9.9.9:1",))
        own = Roster(mine, self._rng.randrange(1, 1 << 30), (*entries, ghost))
        signed = Roster(mine, own.version, own.entries, SealingWax(self._peer.id).sign(signed_part(room.id, own)))
        told: list[Message] = [
            Beat(1, 0, 0, mine, True, Mark(1 << 30, "0" * 16), BEAT_MS_MAX),
            Beat(1, 0, 0, theirs, True, Mark(1 << 30, "f" * 16), 1),
            Roster(theirs, 9, entries, b"forged"),
            signed,
            Handover(Claim(epoch, 0, victim)),
            Handover(mine),
            Tell(1 << 50, (Heard(victim, 0), Heard(to, 0))),
            Sightings((Sighting(ghost, 0, 0), Sighting(entries[0], 0, 0))),
            Neighbours((Neighbour(victim, ("10.9.9.9:1",), RoomId(room.id), "lobby"),)),
            Want(theirs),
            *self._chat_lies(room, victim),
        ]
        told += self._orders(room.court.law, victim)
        if room.chair.book.signed:
            self._heard.append(room.chair.book.signed)
        return self._rng.choice(told + self._heard[-20:])

    def _chat_lies(self, room: Room, victim: PeerId) -> list[Message]:
        """Words put into another's mouth, words that nobody asked for, a clock far ahead, questions without end."""
        clock = self._rng.choice([0, 1 << 30, room.chat.clock.read(self._village.clock(self._peer)), (1 << 53) - 1])
        own = Line(self._peer.id, clock, 0, "zed", f"lie {self._rng.random()}")
        signed = structs.replace(own, proof=SealingWax(self._peer.id).sign(words(room.id, own)))
        held = room.chat.history.held(0, CLOCK_MAX)[-5:]
        return [
            Lines((structs.replace(own, author=victim, proof=b"forged"),)),
            Lines((signed,) * 30),
            Lines(tuple(room.chat.history.lines(held))),
            Lack(0, CLOCK_MAX, ()),
            Beat(1, 0, 0, None, False, None, 1, tally=Tally(clock, max(clock, 1 << 52), "f" * 16)),
        ]
