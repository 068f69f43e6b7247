"""A village with a locked room in it that a passphrase opens, where somebody writes down every word that is said."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from meshchat.locks.bind import NONCE_BYTES, locked_room
from meshchat.locks.invite import Invite
from meshchat.peers import effects as out
from meshchat.peers.door import Door
from meshchat.peers.messages import Message, decode
from meshchat.units import Seconds
from tests.simulation import Village
from tests.villager import Villager

FOUNDER, NONCE = bytes(range(32)), bytes(NONCE_BYTES)
INVITE = Invite(locked_room(FOUNDER, NONCE), "board", b"s" * 16, (), FOUNDER, NONCE)
ROOM = INVITE.room


def key(words: str) -> bytes:
    """A key for these words, sooner than `stretch` makes it."""
    return hashlib.sha256(words.encode()).digest()


RIGHT, WRONG = key("acid yo-yo zoom brisk cedar"), key("one two three four five")


@dataclass
class Said:
    """A message on its way."""

    sender: str
    to: str
    message: Message


class Listening(Village):
    """A village in which somebody writes down every message."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(seed)
        self.said: list[Said] = []

    def _deliver(self, sender: Villager, peer: Villager, body: bytes) -> None:
        self.said.append(Said(sender.name, peer.name, decode(body)))
        super()._deliver(sender, peer, body)

    def ring(self, name: str, words: bytes) -> None:
        """The peer asks to be let in."""
        peer = self.peers[name]
        peer.node.ring(ROOM, words, self.clock(peer))
        self._settle(peer)

    def door(self, name: str) -> Door:
        room = self.peers[name].node.room
        assert room is not None
        return room.door

    def heard_by(self, name: str) -> list[Message]:
        return [each.message for each in self.said if each.to == name]


def village_with_a_room(*members: str, strangers: tuple[str, ...] = ("bob",), seed: int = 1) -> Listening:
    """The members are in the room, the first of them founded it with a passphrase; strangers see that it exists."""
    village = Listening(seed)
    village.rooms["board"] = (ROOM, INVITE.secret)
    for name in (*members, *strangers):
        village.born(name)
    for name in members:
        village.enter([name], "board")
        village.door(name).equip(INVITE, RIGHT if name == members[0] else None)
        village.run(3)
    return village


def answer(village: Village, name: str) -> out.DoorOpened | out.DoorShut | None:
    """What came of the last visit."""
    events = [event for _, event in village.peers[name].events if isinstance(event, out.DoorOpened | out.DoorShut)]
    return events[-1] if events else None


def visit(village: Listening, name: str, words: bytes, seconds: Seconds = 2.0) -> out.DoorOpened | out.DoorShut | None:
    """One visit, from its first ring to whatever is known `seconds` later."""
    village.peers[name].events.clear()
    village.ring(name, words)
    village.run(seconds)
    return answer(village, name)


def run_until(village: Village, true: Callable[[], bool], seconds: Seconds = 30.0) -> None:
    """Lets time pass until something is so."""
    end = village.now + seconds
    while not true():
        assert village.now < end
        village.run(0.01)


def keeper(village: Village) -> str:
    """Who keeps the door."""
    leaders = {peer.coordinator() for peer in village.peers.values() if peer.node.room and peer.alive}
    assert len(leaders) == 1
    return next(peer.name for peer in village.peers.values() if peer.id in leaders)
