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
from meshchat.peers.caution import Caution
from meshchat.peers.chair import Chair
from meshchat.peers.chat import Chat
from meshchat.peers.circle import Circle, told_addresses
from meshchat.peers.court import Court
from meshchat.peers.directory import RoomHint
from meshchat.peers.discipline import Discipline
from meshchat.peers.door import Door
from meshchat.peers.gate import Gate
from meshchat.peers.grapevine import Grapevine
from meshchat.peers.keyring import Keyring
from meshchat.peers.links import Link
from meshchat.peers.liveness import Action
from meshchat.peers.messages import (
    MEMBERS_MAX,
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

LOOK_S: Seconds = 1.0
"""Between two looks at what lists, laws and secrets say that we may have missed."""

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
        self.grapevine = Grapevine(circle, room, name, self.chair, self.linked, self.lived)
        self.caution = Caution(circle, draw, self._renew_key, self._tell_key)
        self._circle = circle
        self._keyring = Keyring(draw, now)
        self._rotate_at: Seconds | None = None
        self._look_at = now + LOOK_S
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
        times = [self.watch.due, self._look_at]
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

    def hearers(self) -> list[Link]:
        """Those of them to whom we speak."""
        return [link for link in self.linked() if link.peer not in self.caution.withheld]

    def pulse(self, link: Link) -> bool:
        """Gives a sign of life; False where a breath will do. One to whom our key is not told could not open it."""
        if link.peer in self.caution.withheld:
            self.chair.beat(link)
            return True
        return self.chair.pulse(link)

    def silences(self, peer: PeerId) -> bool:
        """Whether that member is not played here: a moderator muted it, or it pretends to be somebody else."""
        return peer in self.caution.withheld or self.discipline.silences(peer)

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
        self.caution.look(link)
        link.admitted = True
        self.gate.remember(link.peer)
        self.lived(link.peer, self.watch.attach(link))
        if self._keyring.is_spent:
            self._rotate_key(self._circle.now)
        if self._keyring.admit():
            self._circle.wishes.append(self._key_in_use())
        self._tell_key(link)
        self.chair.list(link)
        self.door.welcome(link)
        leader = self._circle.links.get(self.election.leader) if self.election.leader else None
        if (
            leader and leader is not link and link.claim is None
        ):  # who has a coordinator gets the list, if ours is better
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

    def unlinked_from(self, link: Link, reason: str, *, goodbye: bool) -> None:
        """The link to a peer is gone, whoever it was."""
        self.gate.forget(link.peer)
        self.door.forget(link.peer)
        self.caution.forget(link.peer)
        if link.admitted:
            self.depart(link, reason, goodbye=goodbye)

    def said(self, link: Link) -> None:
        """A peer told how it is, and what it is called."""
        self.discipline.said(link)
        if link.admitted:
            self.caution.look(link)

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
        self._renew_key()

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
                self.grapevine.heard(link, message)
            case Key() | Watch():
                self.media_came(link, message)
            case OrdersWanted() | SecretWanted() | Secret():
                self.discipline.heard(link, message)
        self.door.overhear(link, message)
        self.caution.overhear(link, message)

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

    def wake(self) -> None:
        """The machine slept: our claim may be outdated, and the room's clock stood still here."""
        self.chair.wake()
        self.chat.wake()

    def tick(self, now: Seconds) -> None:
        """Does what is due in the room."""
        self.door.look()
        leader = self.election.leader
        for peer, action in sorted(self.watch.tick(now), key=lambda change: change[0] == leader):
            self.lived(peer, action)  # the coordinator last: then it is known who is left to follow it
        if self._keyring.tick(now):
            self._circle.wishes.append(self._key_in_use())
        if (self._rotate_at is not None and now >= self._rotate_at) or self._keyring.is_old(now):
            self._rotate_key(now)
        if now >= self._look_at:
            self._look(now)
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
            self.chat.unlinked(peer, goodbye=False)
            self.watch.detach(peer, goodbye=False)
            self._circle.drops.append((peer, reason))
        if self.election.leader == peer:
            self.chair.lose_leader()
        self.chair.strike(peer)
        self.grapevine.forget(peer)

    def _rotate_key(self, now: Seconds) -> None:
        self._rotate_at = None
        self._keyring.rotate(now)
        for link in self.linked():
            self._tell_key(link)

    def _renew_key(self) -> None:
        self._rotate_at = self._circle.now

    def _tell_key(self, link: Link) -> None:
        if link.peer not in self.caution.withheld:
            self._circle.send(link.peer, self._keyring.told(self.id))

    def _look(self, now: Seconds) -> None:
        self._look_at = now + LOOK_S
        self._believe_roster()
        self.chair.check_leader()
        self.discipline.ask_for_secret()
        self.grapevine.tell(now)

    def _believe_roster(self) -> None:
        """Counts in whom a living coordinator lists; one whom we found gone just now has to wait a moment."""
        if not self.election.leading and self.chair.hears_leader():
            for peer in self.chair.book.entries:
                if peer != self._circle.me:
                    self.lived(peer, self.watch.vouch(peer))

    def _place(self, peer: PeerId) -> tuple[int, PeerId]:
        return (self.chair.book.order(peer), peer)

    def _key_in_use(self) -> out.SendKeyChanged:
        key = self._keyring.told(self.id)
        return out.SendKeyChanged(key.ssrc, key.key_id, key.base_key)
