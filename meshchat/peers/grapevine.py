"""News of members that the coordinator does not list, because it has no link to them: handed on towards it.

Nobody stays in a list by a rumour alone: the coordinator counts somebody in when the rumour is fresh, and then asks
those who say that they heard it, as about anybody (`watch.py`).
"""

from __future__ import annotations

from collections.abc import Callable

from meshchat.peers.chair import Chair
from meshchat.peers.circle import Circle, told_addresses
from meshchat.peers.directory import RoomHint
from meshchat.peers.links import Link
from meshchat.peers.liveness import Action
from meshchat.peers.messages import HOPS_MAX, SIGHTINGS_MAX, Entry, Sighting, Sightings
from meshchat.units import PeerId, RoomId, Seconds, parse_address, safe_text, short

SIGHTING_S: Seconds = 1.0
"""A member that is in no roster for so long is told of to the neighbours: the coordinator may have no link to it."""

SIGHTED_MAX = 32
"""Most members that we list or tell of by hearsay alone; a liar could invent more."""

SIGHTING_AGE_S: Seconds = 4.0
"""Older news of a member is no news."""


class Grapevine:
    """What is said of members that are in no list, for one stay in one room."""

    def __init__(
        self,
        circle: Circle,
        room: RoomId,
        name: str,
        chair: Chair,
        members: Callable[[], list[Link]],
        lived: Callable[[PeerId, Action], None],
    ) -> None:
        """`members` are the links of those in the room; `lived` does what a change in a member's liveness asks for."""
        self._circle = circle
        self._hint = RoomHint(room, name)
        self._chair = chair
        self._members = members
        self._lived = lived
        self._unlisted: dict[PeerId, Seconds] = {}
        """Members in no roster, and since when."""
        self._sighted: dict[PeerId, Sighting] = {}

    def heard(self, link: Link, message: Sightings) -> None:
        """News of members that are in no roster: listed if that is our duty, handed on if not."""
        for seen in message.seen:
            peer = PeerId(seen.entry.peer)
            known = peer == self._circle.me or peer in self._chair.book.entries
            if known or seen.ago_ms > SIGHTING_AGE_S * 1000 or len(self._sighted) >= SIGHTED_MAX:
                continue
            self._sighted[peer] = seen
            addresses = tuple(map(parse_address, seen.entry.addresses))
            self._circle.directory.learn(peer, addresses, (self._hint,), self._circle.now)
            if self._chair.election.leading:
                self._lived(peer, self._chair.watch.vouch(peer, self._circle.now - seen.ago_ms / 1000, link.peer))
                self._chair.list_unlinked(seen.entry)

    def tell(self, now: Seconds) -> None:
        """Tells the neighbours of members that no roster lists, those we heard of included, some hops far."""
        listed, followed = self._chair.book.entries, self._chair.election.followed
        strangers = {link.peer: link for link in self._members() if link.peer not in listed}
        self._unlisted = {peer: self._unlisted.get(peer, now) for peer in strangers}
        own = [
            Sighting(_entry_of(strangers[peer]), int(max(0.0, now - strangers[peer].heard_at) * 1000), 0)
            for peer, since in self._unlisted.items()
            if now - since >= SIGHTING_S
        ]
        passed, self._sighted = self._sighted, {}
        own += [
            Sighting(seen.entry, seen.ago_ms + int(SIGHTING_S * 1000), seen.hops + 1)
            for peer, seen in passed.items()
            if peer not in listed and peer not in strangers and seen.hops < HOPS_MAX
        ]
        if own and followed and followed.leader != self._circle.me:
            for link in self._toward(PeerId(followed.leader)):
                self._circle.send(link.peer, Sightings(tuple(own[:SIGHTINGS_MAX])))

    def forget(self, peer: PeerId) -> None:
        """That member is gone."""
        self._sighted.pop(peer, None)

    def _toward(self, leader: PeerId) -> list[Link]:
        """The coordinator itself if we are linked with it, or else everybody whom we hear."""
        link = self._circle.links.get(leader)
        return [link] if link and link.admitted else self._members()


def _entry_of(link: Link) -> Entry:
    assert link.presence is not None
    alias = safe_text(link.presence.alias) or short(link.peer)
    return Entry(link.peer, 0, alias, told_addresses(link), link.presence.standing)
