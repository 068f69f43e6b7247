"""The room that we are in: who is a member, who coordinates, which keys go to whom.

Intuition: a member is whoever is linked with us and says that it is in our room, and whoever the coordinator lists;
nobody's permission is needed to talk in an open room. The coordinator only orders what is there: numbers, unique
aliases, addresses for newcomers. So it can add somebody to what we see, whom we mark as unreachable from here, but it
cannot take anybody away with whom we are linked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from meshchat.locks.statements import Statement
from meshchat.peers import effects as out
from meshchat.peers.chair import Chair
from meshchat.peers.chat import Chat
from meshchat.peers.circle import Circle, told_addresses
from meshchat.peers.court import Court
from meshchat.peers.directory import RoomHint
from meshchat.peers.discipline import Discipline
from meshchat.peers.door import Door
from meshchat.peers.gate import Gate
from meshchat.peers.keyring import Keyring
from meshchat.peers.links import Link
from meshchat.peers.liveness import Action
from meshchat.peers.messages import (
    HOPS_MAX,
    MEMBERS_MAX,
    SIGHTINGS_MAX,
    Ask,
    Beat,
    Entry,
    Handover,
    Key,
    Message,
    Moved,
    Neighbour,
    Neighbours,
    Presence,
    Roster,
    Sighting,
    Sightings,
    Tell,
    Want,
    Watch,
)
from meshchat.peers.orders import OrdersWanted, Secret, SecretWanted
from meshchat.peers.roster import is_form_of
from meshchat.units import PeerId, RoomId, Seconds, parse_address, safe_text, short

ROTATE_S: Seconds = 0.2
"""Departures within this cost one key: a split of a big room is many of them at once."""

SIGHTING_S: Seconds = 1.0
"""A member that is in no roster for so long is told of to the neighbours: the coordinator may have no link to it."""

SIGHTED_MAX = 32
"""Most members that we list or tell of by hearsay alone; a liar could invent more."""

SIGHTING_AGE_S: Seconds = 4.0
"""Older news of a member is no news."""

ROOM_ID_DIGITS = 32


def open_room(name: str) -> RoomId:
    """An open room is its name: whoever says the same name, in whatever case, is in the same room."""
    return RoomId(hashlib.sha256(b"meshchat open room\0" + name.casefold().encode()).hexdigest()[:ROOM_ID_DIGITS])


class Room:
    """One stay in one room."""

    def __init__(
        self,
        circle: Circle,
        room: RoomId,
        name: str,
        draw: Callable[[int], bytes],
        now: Seconds,
        secret: bytes | None = None,
        found: Statement | None = None,
    ) -> None:
        """`secret` is a locked room's, 16 bytes; None for an open room. `found` is the statement that makes the room,
        where we are its founder."""
        self.id = room
        self.name = name
        self.court = Court(circle, room, draw, found)
        self.chat = Chat(circle, room, self.linked, now)
        self.chair = Chair(circle, room, self.linked, lambda peer: peer in self.court.excluded, self.chat.tally)
        self.election = self.chair.election
        self.watch = self.chair.watch
        self.gate = Gate(circle, room, secret, draw, lambda: self.court.law)
        self.discipline = Discipline(circle, room, self.court, self.gate, draw, self.linked, self.expel, self.alias_of)
        self.door = Door(circle, room, self.election, self.gate, self.linked, draw, self.discipline.fits)
        self._circle = circle
        self._keyring = Keyring(draw, now)
        self._rotate_at: Seconds | None = None
        self._sight_at = now + SIGHTING_S
        self._unlisted: dict[PeerId, Seconds] = {}
        """Members in no roster, and since when."""
        self._sighted: dict[PeerId, Sighting] = {}
        circle.wishes += [out.RoomEntered(room, name), self._key_in_use()]

    def open(self, now: Seconds) -> None:
        """Meets whoever is here already; they have been told that we came, or are asked for the secret first."""
        for link in self._circle.links.values():
            self.gate.greet(link)
        here = [link for link in self._circle.links.values() if link.in_room(self.id) and self.gate.trusts(link)]
        known = set(self._circle.directory.in_room(self.id)) | {link.peer for link in here}
        self.election.enter(now, known=len(known))
        for link in here:
            self.welcome(link)

    @property
    def timer(self) -> Seconds:
        """When `tick` wants to be called."""
        times = [self.watch.due, self._sight_at]
        some = (self.chair.timer, self._keyring.timer, self._rotate_at, self.door.timer)
        times += [time for time in some if time is not None]
        return min(times)

    def presence(self) -> Presence:
        """What we say of ourselves."""
        circle = self._circle
        silence = (circle.muted, circle.deafened)
        return Presence(self.id, self.name, circle.alias, *silence, circle.standing, circle.sharing)

    def linked(self) -> list[Link]:
        """The links of everybody here but us."""
        return [link for link in self._circle.links.values() if link.admitted]

    def unlinked(self) -> list[PeerId]:
        """Members that are here by what others say, and not linked with us."""
        links = self._circle.links
        return [each.peer for each in self.watch.present() if each.peer not in links or not links[each.peer].admitted]

    def members(self) -> list[PeerId]:
        """Everybody here but us, in order of admission: the one place that says who is in."""
        return sorted([link.peer for link in self.linked()] + self.unlinked(), key=self._place)

    def entry(self, peer: PeerId) -> Entry | None:
        """That member's line in the roster."""
        return self.chair.book.entries.get(peer)

    def alias_of(self, peer: PeerId) -> str:
        """What the room calls that member: the coordinator's unique form of what it calls itself.

        A coordinator that lists another name than that is not believed.
        """
        link, record = self._circle.links.get(peer), self.watch.records.get(peer)
        said = safe_text(link.presence.alias if link and link.presence else record.alias if record else "")
        listed = safe_text(self.chair.book.alias(peer) or "")
        return (listed if listed and (not said or is_form_of(listed, said)) else said) or short(peer)

    @property
    def own_alias(self) -> str:
        """What the room calls us."""
        listed = safe_text(self.chair.book.alias(self._circle.me) or "")
        return listed if listed and is_form_of(listed, self._circle.alias) else self._circle.alias

    def welcome(self, link: Link) -> None:
        """A peer in our room is linked with us: it gets our media key, a line in the list, a way to the coordinator."""
        if len(self.linked()) >= MEMBERS_MAX:
            self._circle.drops.append((link.peer, "room is full"))
            return
        link.admitted = True
        self.gate.remember(link.peer)
        self.lived(link.peer, self.watch.attach(link))
        if self._keyring.is_spent:
            self._rotate_key(self._circle.now)
        if self._keyring.admit():
            self._circle.wishes.append(self._key_in_use())
        self._circle.send(link.peer, self._keyring.told(self.id))
        self.chair.list(link)
        self.door.welcome(link)
        claim = self.election.followed
        leader = self._circle.links.get(PeerId(claim.leader)) if claim else None
        if leader and leader is not link:
            self.tell_neighbours(link, [leader])
        self.chair.hear(link)
        if self._circle.book:
            self.chair.beat(link)  # so that it asks for the orders at once

    def depart(self, link: Link, reason: str, *, goodbye: bool) -> None:
        """A member's link is gone, or it went itself: then the room does without it at once."""
        link.admitted = False
        self.chat.unlinked(link.peer, goodbye=goodbye)
        record = self.watch.records.get(link.peer)
        if record and link.presence:
            record.alias = link.presence.alias
        self.lived(link.peer, self.watch.detach(link.peer, goodbye=goodbye), reason)

    def expel(self, peer: PeerId, reason: str) -> None:
        """A member was kicked or banned: it is one no more from this moment, and hears why before its link closes."""
        link = self._circle.links.get(peer)
        if link:
            link.shunned, link.shunned_at = reason, self._circle.now
        if link and link.admitted:
            self.depart(link, reason, goodbye=True)
        else:
            self.lived(peer, self.watch.detach(peer, goodbye=True), reason)
        self.chat.unlinked(peer, goodbye=True)
        self.chair.strike(peer)
        self._circle.directory.parted(peer)
        self._rotate_at = self._circle.now

    def close(self, now: Seconds, reason: str = "left") -> None:
        """We go, and hand over before."""
        self.chair.hand_over()
        gone = [out.MemberLeft(peer, self.alias_of(peer), "you left") for peer in self.members()]
        self.election.leave(now)
        for link in self.linked():
            link.admitted = False
        self._circle.wishes += [*gone, out.RoomLeft(self.id, self.name, reason)]

    def lived(self, peer: PeerId, action: Action, reason: str = "lost") -> None:
        """Does what a change in a member's liveness asks for."""
        if action is Action.ADMIT:
            self.chat.noticed(peer)
            self._circle.wishes.append(out.MemberJoined(peer, self.alias_of(peer)))
        elif action is Action.SHOW:
            self._circle.wishes.append(out.MemberChanged(peer))
        elif action is Action.LOSE:
            self._lost(peer, reason)

    def received(self, link: Link, message: Message) -> None:
        """A member said something that concerns the room."""
        self.chat.received(link, message)
        match message:
            case Beat() | Moved():
                self.chair.hear(link)
                self.court.hear(link)
            case Ask():
                self.watch.answer(link, message)
            case Tell():
                self.tell_came(link, message)
            case Roster():
                self.roster_came(link, message)
            case Want():
                self.chair.want_came(link, message)
            case Handover():
                self.chair.handover_came(link, message)
            case Sightings():
                self.sightings_came(link, message)
            case Key() | Watch():
                self.media_came(link, message)
            case OrdersWanted() | SecretWanted() | Secret():
                self.discipline.heard(link, message)
        self.door.overhear(link, message)

    def roster_came(self, link: Link, roster: Roster) -> None:
        """The coordinator's list: names to show, peers to call, members that we are not linked with."""
        if not self.chair.roster_came(link, roster):
            return
        now, entries, leader = self._circle.now, self.chair.book.entries, PeerId(roster.claim.leader)
        self.lived(leader, self.watch.vouch_for_leader(leader, link.peer))
        for peer in list(self.watch.records):
            if peer not in entries:
                self.lived(peer, self.watch.unlist(peer))
        self._circle.wishes.append(out.MemberChanged(self._circle.me))
        self._believe_roster()
        for entry in roster.entries:
            peer = PeerId(entry.peer)
            if peer != self._circle.me and peer not in self._circle.links:
                addresses = tuple(map(parse_address, entry.addresses))
                self._circle.directory.learn(peer, addresses, (RoomHint(self.id, self.name),), now)
                self._circle.directory.listed(peer, now)

    def tell_came(self, link: Link, tell: Tell) -> None:
        """An answer about members that we did not hear."""
        for peer, action in self.watch.told(link, tell):
            self.lived(peer, action)

    def sightings_came(self, link: Link, message: Sightings) -> None:
        """News of members that are in no roster: listed if that is our duty, handed on if not."""
        for seen in message.seen:
            peer = PeerId(seen.entry.peer)
            known = peer == self._circle.me or peer in self.chair.book.entries
            if known or seen.ago_ms > SIGHTING_AGE_S * 1000 or len(self._sighted) >= SIGHTED_MAX:
                continue
            self._sighted[peer] = seen
            addresses = tuple(map(parse_address, seen.entry.addresses))
            self._circle.directory.learn(peer, addresses, (RoomHint(self.id, self.name),), self._circle.now)
            if self.election.leading:
                self.lived(peer, self.watch.vouch(peer, self._circle.now - seen.ago_ms / 1000, link.peer))
                self.chair.list_unlinked(seen.entry)

    def media_came(self, link: Link, told: Key | Watch) -> None:
        """A member told what it seals with, or whether it watches our screen."""
        if isinstance(told, Watch):
            self._circle.wishes.append(out.WatchAsked(link.peer, told.on))
        elif told.room == self.id:
            self._circle.wishes.append(out.KeyReceived(link.peer, told.ssrc, told.key_id, told.base_key))

    def tell_neighbours(self, link: Link, about: Sequence[Link]) -> None:
        """Tells a peer where some members are."""
        told = tuple(
            Neighbour(other.peer, told_addresses(other), self.id, self.name) for other in about if other is not link
        )
        if told:
            self._circle.send(link.peer, Neighbours(told[:MEMBERS_MAX]))

    def tick(self, now: Seconds) -> None:
        """Does what is due in the room."""
        self.door.look()
        claim = self.election.followed
        leader = claim.leader if claim else None
        for peer, action in sorted(self.watch.tick(now), key=lambda change: change[0] == leader):
            self.lived(peer, action)  # the coordinator last: then it is known who is left to follow it
        if self._keyring.tick(now):
            self._circle.wishes.append(self._key_in_use())
        if (self._rotate_at is not None and now >= self._rotate_at) or self._keyring.is_old(now):
            self._rotate_key(now)
        if now >= self._sight_at:
            self._sight(now)
        self.chair.tick(now)
        self.door.look()
        self.door.tick(now)

    # Inside

    def _lost(self, peer: PeerId, reason: str) -> None:
        """A member is gone: those who stay get a new key, and the room another coordinator if it was that one."""
        self._circle.wishes.append(out.MemberLeft(peer, self.alias_of(peer), reason))
        if self._rotate_at is None:
            self._rotate_at = self._circle.now + ROTATE_S
        link = self._circle.links.get(peer)
        if link and link.admitted:
            link.admitted = False
            self.watch.detach(peer, goodbye=False)
            self._circle.drops.append((peer, reason))
        claim = self.election.followed
        if claim and claim.leader == peer:
            self.chair.lose_leader()
        self.chair.strike(peer)
        self._sighted.pop(peer, None)

    def _rotate_key(self, now: Seconds) -> None:
        self._rotate_at = None
        self._keyring.rotate(now)
        for link in self.linked():
            self._circle.send(link.peer, self._keyring.told(self.id))

    def _sight(self, now: Seconds) -> None:
        """Tells the neighbours of members that no roster lists, those we heard of included, some hops far."""
        self._sight_at = now + SIGHTING_S
        self._believe_roster()
        self.chair.check_leader()
        self.discipline.ask_for_secret()
        listed, followed = self.chair.book.entries, self.election.followed
        strangers = {link.peer: link for link in self.linked() if link.peer not in listed}
        self._unlisted = {peer: self._unlisted.get(peer, now) for peer in strangers}
        own = [
            Sighting(self._entry_of(strangers[peer]), int(max(0.0, now - strangers[peer].heard_at) * 1000), 0)
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

    def _believe_roster(self) -> None:
        """Counts in whom a living coordinator lists; one whom we found gone just now has to wait a moment."""
        if not self.election.leading and self.chair.hears_leader():
            for peer in self.chair.book.entries:
                if peer != self._circle.me:
                    self.lived(peer, self.watch.vouch(peer))

    def _toward(self, leader: PeerId) -> list[Link]:
        """The coordinator itself if we are linked with it, or else everybody whom we hear."""
        link = self._circle.links.get(leader)
        return [link] if link and link.admitted else self.linked()

    def _entry_of(self, link: Link) -> Entry:
        assert link.presence is not None
        alias = safe_text(link.presence.alias) or short(link.peer)
        return Entry(link.peer, 0, alias, told_addresses(link), link.presence.standing)

    def _place(self, peer: PeerId) -> tuple[int, PeerId]:
        return (self.chair.book.order(peer), peer)

    def _key_in_use(self) -> out.SendKeyChanged:
        key = self._keyring.told(self.id)
        return out.SendKeyChanged(key.ssrc, key.key_id, key.base_key)
