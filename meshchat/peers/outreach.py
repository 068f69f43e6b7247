"""Whom we call: those who are in our room, those at whose door we stand, and the addresses that the user gave."""

from __future__ import annotations

from collections.abc import Iterable

from meshchat.peers.circle import Circle
from meshchat.peers.directory import RoomHint
from meshchat.peers.messages import Neighbours
from meshchat.peers.room import Room
from meshchat.units import PeerId, RoomId, Seconds, parse_address, safe_text


class Outreach:
    """The calls of one peer, which the directory paces."""

    def __init__(self, circle: Circle) -> None:
        self._circle = circle
        self._at: Seconds | None = None

    @property
    def timers(self) -> list[Seconds]:
        """When `tick` wants to be called."""
        if self._circle.directory.changed:
            return [self._circle.now]
        return [] if self._at is None else [self._at]

    def tick(self, room: Room | None, visited: Iterable[PeerId], now: Seconds) -> None:
        """Calls whoever is due, and plans the next look at them; `visited` are those at whose door we stand."""
        directory, links = self._circle.directory, self._circle.links
        if not directory.changed and (self._at is None or now < self._at):
            return
        here = [peer for peer in directory.in_room(room.id) if peer not in room.court.excluded] if room else []
        wanted = [peer for peer in dict.fromkeys([*here, *visited]) if peer not in links]
        answered = [link.seed for link in links.values() if link.seed]
        self._circle.wishes += directory.calls(wanted, answered, now)
        self._at = directory.timer(wanted, answered)
        directory.changed = False

    def learn(self, message: Neighbours) -> None:
        """A peer tells where others are."""
        for neighbour in message.peers:
            addresses = tuple(map(parse_address, neighbour.addresses))
            rooms = (RoomHint(RoomId(neighbour.room), safe_text(neighbour.name)),) if neighbour.room else ()
            if neighbour.peer not in self._circle.links:
                self._circle.directory.learn(PeerId(neighbour.peer), addresses, rooms, self._circle.now)
