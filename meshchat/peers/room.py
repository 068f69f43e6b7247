"""The room that we are in: who is a member, who coordinates, which keys go to whom.

Intuition: a member is whoever is linked with us and says that it is in our room; nobody's permission is needed to talk
in an open room. The coordinator only orders what is there: numbers, unique aliases, addresses for newcomers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from meshchat.peers import effects as out
from meshchat.peers.directory import Directory, RoomHint
from meshchat.peers.election import Election
from meshchat.peers.keyring import Keyring
from meshchat.peers.links import Link
from meshchat.peers.messages import (
    ADDRESSES_MAX,
    MEMBERS_MAX,
    Claim,
    Key,
    Message,
    Neighbour,
    Neighbours,
    Presence,
    Roster,
)
from meshchat.peers.roster import RosterBook
from meshchat.units import PeerId, RoomId, Seconds, parse_address, safe_text, short

LEADER_GRACE_S: Seconds = 3.0
"""How long we follow a leader whom neither we nor anybody linked with us hears: it may be a handshake away."""


ROOM_ID_DIGITS = 32


@dataclass(slots=True)
class Circle:
    """What a room shares with the node that is in it."""

    me: PeerId
    alias: str
    directory: Directory
    links: dict[PeerId, Link] = field(default_factory=dict)
    muted: bool = False
    deafened: bool = False
    addresses: tuple[str, ...] = ()
    wishes: list[out.Effect] = field(default_factory=list)
    """Effects collected since they were last drained."""

    def send(self, peer: PeerId, message: Message) -> None:
        """Wishes that a message be sent."""
        self.wishes.append(out.Send(peer, message))


def open_room(name: str) -> RoomId:
    """An open room is its name: whoever says the same name, in whatever case, is in the same room."""
    return RoomId(hashlib.sha256(b"meshchat open room\0" + name.casefold().encode()).hexdigest()[:ROOM_ID_DIGITS])


class Room:
    """One stay in one room."""

    def __init__(self, circle: Circle, room: RoomId, name: str, draw: Callable[[int], bytes], now: Seconds) -> None:
        self.id = room
        self.name = name
        self.election = Election(circle.me)
        self._circle = circle
        self._roster = RosterBook()
        self._keyring = Keyring(draw, now)
        self._followed_at = now
        circle.wishes += [out.RoomEntered(room, name), self._key_in_use()]

    def open(self, now: Seconds) -> None:
        """Meets whoever is here already; they have been told that we came."""
        members = self.members()
        known = set(self._circle.directory.in_room(self.id)) | {link.peer for link in members}
        self.election.enter(now, known=len(known))
        for link in members:
            self.welcome(link, now)

    @property
    def timer(self) -> Seconds | None:
        """When `tick` wants to be called; a lost leader is noticed at the next beat."""
        times = [time for time in (self.election.timer, self._keyring.timer) if time is not None]
        return min(times, default=None)

    def presence(self) -> Presence:
        """What we say of ourselves."""
        circle = self._circle
        return Presence(self.id, self.name, circle.alias, circle.muted, circle.deafened)

    def members(self) -> list[Link]:
        """The links of everybody here but us."""
        return [link for link in self._circle.links.values() if link.in_room(self.id)]

    def ranked(self) -> list[Link]:
        """The same in order of admission."""
        return sorted(self.members(), key=lambda link: self._rank(link.peer))

    def alias_of(self, link: Link) -> str:
        """What the room calls that member: the coordinator's unique form if it is told, else its own word."""
        said = link.presence.alias if link.presence else ""
        listed = self._roster.alias(link.peer)
        return safe_text(listed or said) or short(link.peer)

    @property
    def own_alias(self) -> str:
        """What the room calls us."""
        return self._roster.alias(self._circle.me) or self._circle.alias

    def welcome(self, link: Link, now: Seconds) -> None:
        """A member is here: it gets our media key, a line in the roster, and the way to the coordinator."""
        if len(self.members()) >= MEMBERS_MAX:
            self._circle.wishes.append(out.Drop(link.peer, "room is full"))
            return
        self._circle.wishes.append(out.MemberJoined(link.peer, self.alias_of(link)))
        self._circle.send(link.peer, self._keyring.told(self.id))
        self.list(link)
        claim = self.election.followed
        leader = self._circle.links.get(PeerId(claim.leader)) if claim else None
        if leader and leader is not link:
            self.tell_neighbours(link, [leader])
        self.hear_claim(link, now)

    def depart(self, link: Link, reason: str, now: Seconds) -> None:
        """A member is gone: those who stay get a new key, and the room another coordinator if it was that one."""
        self._circle.wishes.append(out.MemberLeft(link.peer, self.alias_of(link), reason))
        stayed = [other for other in self.members() if other is not link]
        self._rotate_key(stayed, now)
        claim = self.election.followed
        if claim and claim.leader == link.peer:
            self._leader_departed(stayed, reason, now)
        if self._roster.strike(link.peer) and self.election.leading:
            self._publish_roster(stayed)

    def close(self, now: Seconds) -> None:
        """We go."""
        self.election.leave(now)
        self._circle.wishes += [out.MemberLeft(link.peer, self.alias_of(link), "you left") for link in self.members()]
        self._circle.wishes.append(out.RoomLeft(self.id, self.name))

    def list(self, link: Link) -> None:
        """Brings that member's line in the roster up to date, if it is ours to keep."""
        if self.election.leading and self._admit(link):
            self._publish_roster(self.members())

    def list_self(self) -> None:
        """The same for our own line."""
        if self.election.leading and self._roster.admit(self._circle.me, self._circle.alias, self._circle.addresses):
            self._publish_roster(self.members())

    def hear_claim(self, link: Link, now: Seconds) -> None:
        """Weighs the claim that a member follows."""
        if link.claim and self.election.hear(link.claim, link.peer, now):
            self._claim_changed(now)

    def hears_leader(self) -> bool:
        """Whether the coordinator is ourselves or on a live link of ours."""
        claim = self.election.followed
        if claim is None:
            return False
        leader = self._circle.links.get(PeerId(claim.leader))
        return claim.leader == self._circle.me or (leader is not None and leader.in_room(self.id))

    def beat(self, link: Link, now: Seconds) -> None:
        """A sign of life to that peer."""
        self._circle.send(link.peer, link.beat(self.election.followed, self.hears_leader(), now))

    def roster_came(self, link: Link, roster: Roster, now: Seconds) -> None:
        """The coordinator's list: names to show, peers to call."""
        if roster.claim.leader != link.peer:
            return
        link.claim = roster.claim
        self.hear_claim(link, now)
        if roster.claim != self.election.followed or not self._roster.accept(roster):
            return
        for entry in roster.entries:
            peer = PeerId(entry.peer)
            if peer == self._circle.me or peer in self._circle.links:
                self._circle.wishes.append(out.MemberChanged(peer))
            else:
                addresses = tuple(map(parse_address, entry.addresses))
                self._circle.directory.learn(peer, addresses, (RoomHint(self.id, self.name),), now)

    def key_came(self, link: Link, key: Key) -> None:
        """A member told what it seals with."""
        if key.room == self.id:
            self._circle.wishes.append(out.KeyReceived(link.peer, key.ssrc, key.key_id, key.base_key))

    def tell_neighbours(self, link: Link, about: Sequence[Link]) -> None:
        """Tells a peer where some members are."""
        told = tuple(
            Neighbour(other.peer, told_addresses(other), self.id, self.name) for other in about if other is not link
        )
        if told:
            self._circle.send(link.peer, Neighbours(told[:MEMBERS_MAX]))

    def tick(self, now: Seconds) -> None:
        """Does what is due in the room."""
        if self._keyring.tick(now):
            self._circle.wishes.append(self._key_in_use())
        if self._keyring.is_old(now):
            self._rotate_key(self.members(), now)
        self.check_leader(now)
        if self.election.tick(self._roster.order(self._circle.me), now):
            self._claim_changed(now)

    def check_leader(self, now: Seconds) -> None:
        """Gives the coordinator up once neither we nor anybody linked with us hears it."""
        claim = self.election.followed
        if claim and now - self._followed_at > LEADER_GRACE_S and not self._leader_heard(claim):
            self._lose_leader(self.members(), now)

    def _rotate_key(self, members: Sequence[Link], now: Seconds) -> None:
        self._keyring.rotate(now)
        for link in members:
            self._circle.send(link.peer, self._keyring.told(self.id))

    def _rank(self, peer: PeerId) -> tuple[int, PeerId]:
        return (self._roster.order(peer), peer)

    def _leader_heard(self, claim: Claim) -> bool:
        return claim.leader == self._circle.me or any(
            link.peer == claim.leader or (link.claim == claim and link.hears_leader) for link in self.members()
        )

    def _leader_departed(self, stayed: Sequence[Link], reason: str, now: Seconds) -> None:
        """A coordinator that said goodbye is gone. One that fell silent may be silent to us alone: ask around."""
        if reason == "left":
            self._lose_leader(stayed, now)
            return
        self._followed_at = now - 2 * LEADER_GRACE_S
        for link in stayed:
            self.beat(link, now)

    def _lose_leader(self, stayed: Sequence[Link], now: Seconds) -> None:
        mine = self._rank(self._circle.me)
        self.election.lose_leader(sum(self._rank(link.peer) < mine for link in stayed), now)
        self._circle.wishes.append(out.CoordinatorChanged(None))

    def _claim_changed(self, now: Seconds) -> None:
        self._followed_at = now
        self._circle.wishes.append(out.CoordinatorChanged(self.election.followed))
        members = self.ranked()
        if self.election.leading:
            for peer in set(self._roster.entries) - {link.peer for link in members} - {self._circle.me}:
                self._roster.strike(peer)
            self._roster.admit(self._circle.me, self._circle.alias, self._circle.addresses)
            for link in members:
                self._admit(link)
            self._publish_roster(members)
        self._introduce_leader(members)
        for link in members:
            self.beat(link, now)

    def _introduce_leader(self, members: Sequence[Link]) -> None:
        """Tells the others where the new coordinator is, and the coordinator where they are: we may be the only one
        who is linked with both."""
        claim = self.election.followed
        leader = self._circle.links.get(PeerId(claim.leader)) if claim else None
        if leader:
            self.tell_neighbours(leader, members)
            for link in members:
                self.tell_neighbours(link, [leader])

    def _admit(self, link: Link) -> bool:
        alias = safe_text(link.presence.alias if link.presence else "") or short(link.peer)
        return self._roster.admit(link.peer, alias, told_addresses(link))

    def _publish_roster(self, members: Sequence[Link]) -> None:
        assert self.election.claim is not None
        roster = self._roster.publish(self.election.claim)
        for link in members:
            self._circle.send(link.peer, roster)

    def _key_in_use(self) -> out.SendKeyChanged:
        key = self._keyring.told(self.id)
        return out.SendKeyChanged(key.ssrc, key.key_id, key.base_key)


def told_addresses(link: Link) -> tuple[str, ...]:
    """Where others can reach that peer: as we see it, then as it says; no scoped address, which is ours alone."""
    seen = [str(link.address), *link.addresses]
    return tuple(dict.fromkeys(text for text in seen if "%" not in text))[:ADDRESSES_MAX]
