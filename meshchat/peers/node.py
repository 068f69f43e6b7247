"""One peer's control plane: its links, the room it is in, and the hearsay that leads to more links.

Everything the node wants done or has to report is collected, and drained by `effects`; nothing happens in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from meshchat.errors import Refused, WireError
from meshchat.locks.statements import Kind, Statement
from meshchat.peers import effects as out
from meshchat.peers.circle import Circle, Doubts, Notary
from meshchat.peers.directory import Chance, Directory, RoomHint
from meshchat.peers.entry import Confirm, Opened, Reply, Ring, Shut
from meshchat.peers.lag import LATE_S, make_up_for
from meshchat.peers.links import Link
from meshchat.peers.members import Member, members
from meshchat.peers.messages import (
    PROTOCOL,
    Beat,
    Claim,
    Hello,
    Knock,
    Message,
    Moved,
    Neighbours,
    Presence,
    Proven,
)
from meshchat.peers.orders import Orders
from meshchat.peers.outreach import Outreach
from meshchat.peers.pulse import Pulse
from meshchat.peers.room import Room
from meshchat.peers.visit import Visits
from meshchat.units import Address, PeerId, RoomId, Seconds

LINKS_MAX = 256
"""Most links at once: a full room and as many strangers again. For a further one the oldest stranger goes."""

LOOK_S: Seconds = 0.5
"""Between two looks at links that may have to be closed."""

GOODBYES = frozenset({"left", "restarted"})
"""Reasons for which a link ends that mean the member is gone, and not only the link."""


class Node:
    """The control plane of one peer."""

    def __init__(
        self, me: PeerId, alias: str, rng: Chance, draw: Callable[[int], bytes], notary: Notary, host: int = 0
    ) -> None:
        """`rng` paces retries; `draw(n)` gives n secret random bytes for media keys; `notary` signs with our key;
        `host` says how good a host our machine is (0..`HOST_BEST`)."""
        self.directory = Directory(me, rng)
        self.room: Room | None = None
        self._circle = Circle(me, alias, self.directory, notary, rng, host=host)
        self._visits = Visits(self._circle, draw)
        self._outreach = Outreach(self._circle)
        self._draw = draw
        self._tick_expected: Seconds | None = None
        self._pulse = Pulse(self._circle)
        self._look_at: Seconds = 0.0

    @property
    def me(self) -> PeerId:
        """Our own id."""
        return self._circle.me

    @property
    def alias(self) -> str:
        """What we want to be called."""
        return self._circle.alias

    @property
    def muted(self) -> bool:
        """Whether we say that we do not speak."""
        return self._circle.muted

    @property
    def deafened(self) -> bool:
        """Whether we say that we do not listen."""
        return self._circle.deafened

    @property
    def links(self) -> dict[PeerId, Link]:
        """Every peer that we are linked with."""
        return self._circle.links

    def effects(self) -> list[out.Effect]:
        """What is to be done and what has happened since the last call, in order."""
        drained, self._circle.wishes = self._circle.wishes, []
        return drained

    @property
    def has_effects(self) -> bool:
        """Whether `effects` would give any."""
        return bool(self._circle.wishes)

    def set_addresses(self, addresses: tuple[str, ...]) -> None:
        """Where we can be reached, as told in greetings from now on."""
        self._circle.addresses = addresses

    def enter(
        self, room: RoomId, name: str, now: Seconds, secret: bytes | None = None, found: Statement | None = None
    ) -> None:
        """Goes into a room, out of the one that we are in; into a locked one with its `secret`, into one of our own
        with the statement that makes it. Raises `Refused` if we are there already."""
        if self.room and self.room.id == room:
            raise Refused(f"room already joined: {name}")
        if self.room:
            self.leave(now)
        self._circle.now = now
        self.directory.changed = True
        self.room = Room(self._circle, room, name, self._draw, now, secret, found)
        self._tell_presence()
        self.room.open(now)

    def ring(self, room: RoomId, key: bytes, now: Seconds) -> None:
        """Asks to be let into a locked room by the key that its passphrase makes; ends in `DoorOpened` or `DoorShut`.
        Raises `Refused` while we ask at another one."""
        self._circle.now = now
        self._visits.begin(room, key)

    def leave(self, now: Seconds, reason: str = "left") -> None:
        """Goes out of the room. Raises `Refused` if we are in none."""
        if self.room is None:
            raise Refused("not in a room")
        self._circle.now = now
        self.room.close(now, reason)
        self.room = None
        self._circle.moderator, self._circle.book = False, ""
        self._tell_presence()

    def order(self, key: Ed25519PrivateKey, kind: Kind, now: Seconds, subject: str = "", value: str = "") -> None:
        """Gives an order in the room that we are in, signed with our own key (`locks/statements.py` lists the kinds).
        Raises `Refused` if we are in none, have no right to it, or it would change nothing."""
        if self.room is None:
            raise Refused("not in a room")
        self._circle.now = now
        self.room.discipline.order(key, kind, subject, value)
        self._follow_law(now)

    def woke(self, now: Seconds) -> None:
        """The machine slept: our links may be dead at the other end, our claim outdated; everybody is called anew."""
        self._circle.now = now
        self._tick_expected = None
        for peer in list(self.links):
            self._drop(peer, "slept")
        if self.room:
            self.room.wake()
        self.directory.hurry(now)

    def rename(self, alias: str) -> None:
        """Takes another alias. Raises `Refused` if a member has it."""
        taken = {member.alias.casefold() for member in self.members() if not member.you}
        if alias.casefold() in taken:
            raise Refused(f"alias already taken: {alias}")
        self._circle.alias = alias
        self._changed_self()

    def set_time_of_day(self, ms: int, now: Seconds) -> None:
        """What the machine's clock shows, in ms since 1970."""
        self._circle.epoch_ms = ms - int(now * 1000)

    def doubt(self, doubts: Doubts) -> None:
        """Asks this from now on whether somebody pretends to be somebody else."""
        self._circle.doubts = doubts

    def set_host(self, host: int) -> None:
        """How good a host our machine is, 0..`HOST_BEST`, as far as is known."""
        if host != self._circle.host:
            self._circle.host = host
            self._changed_self()

    def set_silence(self, muted: bool, deafened: bool) -> None:
        """Tells the room whether we speak and listen. Raises `Refused` if a moderator muted us for good."""
        if not muted and self.room and self.room.discipline.holds_our_mute:
            raise Refused("a moderator muted you, and this room lets only a moderator take that back")
        if (muted, deafened) != (self.muted, self.deafened):
            self._circle.muted, self._circle.deafened = muted, deafened
            self._changed_self()

    def set_sharing(self, sharing: bool) -> None:
        """Tells the room whether we share a screen."""
        self._circle.sharing = sharing
        self._changed_self()

    def tell(self, peer: PeerId, message: Message) -> None:
        """Says to a member what this control plane has no part in."""
        self._circle.send(peer, message)

    def link_up(self, peer: PeerId, address: Address, seed: Address | None, now: Seconds) -> None:
        """A link to a peer that proved its id came up; `seed` is the `--peer` address that it answers."""
        self._circle.now = now
        if len(self.links) >= LINKS_MAX and not self._make_room():
            self._circle.wishes.append(out.Drop(peer, "too many links"))
            return
        keep = seed is not None
        link = self.links[peer] = Link(peer, address, up_at=now, heard_at=now, seed=seed, keep=keep)
        shown, every_ms = self._shown_to(link), int(self._circle.every * 1000)
        self._circle.send(peer, Hello(PROTOCOL, self._circle.addresses, keep, *shown, every_ms))
        self._pulse.start(link)

    def link_down(self, peer: PeerId, reason: str, now: Seconds) -> None:
        """The link to `peer` is gone."""
        self._circle.now = now
        link = self.links.pop(peer, None)
        if link is None:
            return
        if reason in GOODBYES:
            self.directory.parted(peer)
        self.directory.lost(peer, link.seed, now)
        if self.room:
            self.room.unlinked_from(link, reason, goodbye=reason in GOODBYES)

    def received(self, peer: PeerId, message: Message, now: Seconds) -> None:
        """A message came on the link to `peer`. Raises `WireError` if it has no place there."""
        self._circle.now = now
        self._notice_lag(now)
        link = self.links.get(peer)
        if link is None:
            return
        self._heard(link, now)
        self._pulse.hear(message)
        if link.greeted == isinstance(message, Hello):
            raise WireError("a hello is said once, and first")
        match message:
            case Hello():
                self._greeted(link, message, now)
            case Moved():
                self._moved(link, message.presence, message.claim, now)
            case Neighbours():
                self._outreach.learn(message)
            case Beat():
                link.heard_beat(message, now)
            case Knock() | Proven() | Ring() | Confirm() | Reply() | Opened() | Shut():
                self._at_the_door(link, message)
            case Orders() if self.room:
                self.room.discipline.orders_came(link, message)
        if self.room and link.admitted:
            self.room.received(link, message)
        self._follow_law(now)
        self._drop_marked()

    def heard(self, peer: PeerId, at: Seconds, *, aloud: bool = True) -> None:
        """An authenticated packet came from `peer`, `aloud` if it was sound or a breath."""
        link = self.links.get(peer)
        if link and link.heard(at, aloud=aloud):
            self._heard(link, at)

    def timer(self) -> Seconds | None:
        """When `tick` wants to be called next."""
        times = [self._pulse.due, self._look_at] if self.links else []
        times += self._visits.timers + self._outreach.timers + ([self.room.timer] if self.room else [])
        return min(times, default=None)

    def tick(self, now: Seconds) -> Seconds | None:
        """Does what is due; returns when it wants to be called next, as `timer` would."""
        self._circle.now = now
        self._notice_lag(now)
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            self._drop_silent(now)
        self._pulse.breathe([link for link in self._pulse.tick(now) if not self._beat_on(link, now)])
        if self.room and now >= self.room.timer:
            self.room.tick(now)
        self._visits.tick()
        self._drop_marked()
        self._outreach.tick(self.room, self._visits.wanted(), now)
        self._tick_expected = self.timer()
        return self._tick_expected

    def members(self) -> Iterator[Member]:
        """Everybody in the room, ourselves first, then in order of admission."""
        return members(self._circle, self.room) if self.room else iter(())

    def _shown_to(self, link: Link) -> tuple[Presence | None, Claim | None]:
        """Who we are in our room, as far as that peer may know."""
        link.shown = self.room is not None and self.room.gate.trusts(link)
        return (self.room.presence(), self.room.election.followed) if self.room and link.shown else (None, None)

    def _greeted(self, link: Link, hello: Hello, now: Seconds) -> None:
        if hello.protocol != PROTOCOL:
            raise WireError(f"protocol {hello.protocol}")
        link.greeted, link.addresses, link.every = True, hello.addresses, hello.every_ms / 1000
        link.keep = link.keep or hello.keep
        self._moved(link, hello.presence, hello.claim, now)
        if self.room and link.peer in self.room.court.excluded:
            self.room.discipline.turn_away(link)
        elif self.room:
            self.room.gate.greet(link)
            if not link.admitted and self.room.gate.trusts(link):
                self.room.tell_neighbours(link, self.room.linked())

    def _trust(self, link: Link, now: Seconds) -> None:
        """A peer may be a member that might not be before: it hears who we are, and what it said of itself counts."""
        self._show(link)
        self._moved(link, link.presence, link.claim, now)

    def _follow_law(self, now: Seconds) -> None:
        """Does what the room's orders ask of us, beyond what the room does itself."""
        room = self.room
        if room and room.discipline.expelled:
            self.leave(now, room.discipline.expelled)
        elif room and room.gate.opened:
            room.gate.opened = False
            for link in [each for each in self.links.values() if each.greeted and not each.admitted]:
                if room.gate.trusts(link):
                    self._trust(link, now)
        if self.room and self.room.discipline.take_change():
            self._changed_self()

    def _moved(self, link: Link, presence: Presence | None, claim: Claim | None, now: Seconds) -> None:
        room = self.room
        was_here, before = link.admitted, link.presence
        is_here = presence is not None and room is not None and presence.room == room.id and room.gate.trusts(link)
        if room and was_here and not is_here:
            self.directory.parted(link.peer)
            room.depart(link, "left", goodbye=True)
        link.presence, link.claim, link.hears_leader = presence, claim, False
        if room:
            room.said(link)
        if room and is_here and not was_here:
            self.directory.met(link.peer, link.address, RoomHint(room.id, room.name), now)
            if not link.shown:  # we trusted it before its hello came, and after ours went
                self._show(link)
            room.welcome(link)
        elif room and is_here and before != presence:
            room.chair.list(link)
            self._circle.wishes.append(out.MemberChanged(link.peer))

    def _at_the_door(self, link: Link, message: Knock | Proven | Ring | Confirm | Reply | Opened | Shut) -> None:
        match message:
            case Reply() | Opened() | Shut():
                self._visits.heard(link, message)
            case Ring() | Confirm() if self.room:
                self.room.door.heard(link, message)
            case Knock() | Proven():
                link.knock = message if isinstance(message, Knock) else link.knock
                if self.room and self.room.gate.heard(link, message):
                    self._trust(link, self._circle.now)

    def _heard(self, link: Link, at: Seconds) -> None:
        link.heard_at = at
        if self.room and link.admitted:
            self.room.lived(link.peer, self.room.watch.heard(link))

    def _notice_lag(self, now: Seconds) -> None:
        late = now - self._tick_expected if self._tick_expected is not None else 0.0
        if late >= LATE_S:
            self._tick_expected = None
            make_up_for(late, self._circle, self.room)

    def _beat_on(self, link: Link, now: Seconds) -> bool:
        """Gives a sign of life; False where a breath will do."""
        # Also to one that has not told yet where it is: a beat without a claim says that we have no coordinator.
        if self.room and self.room.gate.trusts(link):
            return self.room.pulse(link)
        self._circle.beat(link, link.beat(None, False, None, self._circle.every, now))
        return True

    def _changed_self(self) -> None:
        if self.room:
            self.room.chair.list_self()
            self._tell_presence()
            self._circle.wishes.append(out.MemberChanged(self.me))

    def _tell_presence(self) -> None:
        for link in self.links.values():
            self._show(link)

    def _show(self, link: Link) -> None:
        self._circle.send(link.peer, Moved(*self._shown_to(link)))

    def _drop_silent(self, now: Seconds) -> None:
        for link in list(self.links.values()):
            reason = link.why_close(self._circle.every, now)
            if reason:
                self._drop(link.peer, reason)

    def _drop_marked(self) -> None:
        while self._circle.drops:
            self._drop(*self._circle.drops.pop())

    def _drop(self, peer: PeerId, reason: str) -> None:
        if peer in self.links:
            self._circle.wishes.append(out.Drop(peer, reason))
            self.link_down(peer, reason, self._circle.now)

    def _make_room(self) -> bool:
        """Closes the oldest link that is of no use to us, so that strangers cannot keep members out."""
        strangers = [link for link in self.links.values() if not link.admitted and link.seed is None]
        if strangers:
            self._drop(min(strangers, key=lambda link: link.up_at).peer, "too many links")
        return bool(strangers)
