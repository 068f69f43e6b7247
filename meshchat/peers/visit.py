"""A visit to a locked room whose passphrase somebody has typed: from the first ring until the door opens, or does not.

Ringing tells nobody anything, so members are asked until one is found that keeps the door. But a confirmation lets
whoever gets it test one guess: it is sent once, and after that the visit ends, one way or another. Whether to try
again, perhaps at another member, is for the person to say.
"""

from __future__ import annotations

from enum import Enum, auto

from meshchat.errors import Refused, WireError
from meshchat.locks.bind import Draw
from meshchat.locks.invite import read_card
from meshchat.locks.pake import Guest
from meshchat.peers import effects as out
from meshchat.peers.circle import Circle
from meshchat.peers.directory import RoomHint
from meshchat.peers.entry import Confirm, Opened, Reply, Ring, Shut
from meshchat.peers.links import Link
from meshchat.units import PeerId, RoomId, Seconds, parse_address

VISIT_S: Seconds = 20.0
"""How long a visit lasts at most: ten newcomers who come at once need ten seconds, one for each turn."""

PATIENCE_S: Seconds = 5.0
"""A wait up to this long is sat out; of a longer one the person is told."""

ANSWER_S: Seconds = 3.0
"""A member that has not answered by then is left for another."""

LOOK_S: Seconds = 0.5
"""Between two looks for somebody to ring at."""

SENT_ON_MAX = 5
"""How often a visit is sent to another door before it is taken for nonsense: a coordinator may change meanwhile."""


class _At(Enum):
    STREET = auto()
    """Looking for a member to ring at."""
    DOOR = auto()
    """Rang, and waits for a reply."""
    CONFIRMED = auto()
    """Showed the key, and waits to be let in."""
    OVER = auto()


class Visit:
    """One try, by one passphrase, at one room."""

    def __init__(self, circle: Circle, room: RoomId, key: bytes, draw: Draw, now: Seconds) -> None:
        """`key` is what `locks.passphrase.stretch` made of the words for this room, 32 bytes."""
        self.room = room
        self._circle = circle
        self._key = key
        self._draw = draw
        self._at = _At.STREET
        self._until = now + VISIT_S
        self._next_at = now
        """When to ring, or when to give up waiting for a reply."""
        self._link: Link | None = None
        self._guest: Guest | None = None
        self._keeper: PeerId | None = None
        """Who is said to keep the door."""
        self._silent: set[PeerId] = set()
        """Who did not answer."""
        self._sent_on = 0
        self._wait_ends_at: Seconds | None = None

    @property
    def over(self) -> bool:
        """Whether it has come to its end."""
        return self._at is _At.OVER

    @property
    def timer(self) -> Seconds:
        """When `tick` wants to be called."""
        return min(self._until, max(self._next_at, self._circle.now + LOOK_S))

    def wanted(self) -> list[PeerId]:
        """Whom to be linked with."""
        known = self._circle.directory.in_room(self.room)
        return [peer for peer in known if self._keeper in (None, peer)]

    def tick(self, now: Seconds) -> None:
        """Rings where it can, and gives up what takes too long."""
        if self._link and self._circle.links.get(self._link.peer) is not self._link:
            self._lost()
        if self.over:
            return
        if now >= self._until:
            self._give_up(now)
        elif now >= self._next_at:
            self._leave_a_silent_door(now)
            if self._at is _At.STREET:
                self._ring(now)

    def heard(self, link: Link, message: Reply | Opened | Shut) -> None:
        """An answer came. `WireError` if it is none."""
        if link is not self._link or message.room != self.room or self._guest is None:
            return
        match message:
            case Reply() if self._at is _At.DOOR:
                code = self._guest.confirm(message.point)
                self._at, self._next_at = _At.CONFIRMED, self._until
                self._circle.send(link.peer, Confirm(self.room, code))
            case Opened() if self._at is _At.CONFIRMED:
                self._opened(message)
            case Shut():
                self._shut(message)

    # Inside

    def _leave_a_silent_door(self, now: Seconds) -> None:
        if self._at is _At.DOOR and self._link:
            self._silent.add(self._link.peer)
        elif self._keeper is None or now < self._next_at + ANSWER_S:
            return
        self._keeper = None  # nor could we come to it
        self._back_to_the_street(now)

    def _ring(self, now: Seconds) -> None:
        near = [self._circle.links[peer] for peer in self.wanted() if peer in self._circle.links]
        able = [link for link in near if link.greeted and link.peer not in self._silent]
        if not able:
            return
        link = min(able, key=lambda each: each.peer)
        link.rang_at = now
        self._guest = Guest(self._key, self.room, self._circle.me, link.peer, self._draw)
        self._link, self._at, self._next_at = link, _At.DOOR, now + ANSWER_S
        self._circle.send(link.peer, Ring(self.room, self._guest.knock))

    def _opened(self, message: Opened) -> None:
        assert self._guest is not None
        data = self._guest.enter(message.sealed)
        if data is None:
            self._end("wrong", 0.0)
            return
        invite = read_card(data)
        if invite.room != self.room:
            raise WireError("the card of another room")
        self._at = _At.OVER
        self._circle.wishes.append(out.DoorOpened(invite, self._key))

    def _shut(self, message: Shut) -> None:
        wait_s, now = message.wait_ms / 1000, self._circle.now
        if message.reason == "elsewhere" and self._at is _At.DOOR:
            self._go_on_to(PeerId(message.keeper or self._circle.me), message.addresses)
        elif message.reason == "wait" and self._at is _At.DOOR and wait_s <= PATIENCE_S:
            self._back_to_the_street(now, after=wait_s)
        else:
            self._end("silent" if message.reason == "elsewhere" else message.reason, wait_s)

    def _go_on_to(self, keeper: PeerId, addresses: tuple[str, ...]) -> None:
        now, where = self._circle.now, tuple(map(parse_address, addresses))
        self._sent_on += 1
        if self._sent_on > SENT_ON_MAX or keeper == self._circle.me:
            self._end("silent", 0.0)
            return
        self._keeper = keeper
        self._circle.directory.learn(keeper, where, (RoomHint(self.room, "", locked=True),), now)
        self._back_to_the_street(now)

    def _back_to_the_street(self, now: Seconds, after: Seconds = 0.0) -> None:
        self._at, self._link, self._guest, self._next_at = _At.STREET, None, None, now + after
        self._wait_ends_at = self._next_at if after else None
        self._circle.directory.changed = True

    def _lost(self) -> None:
        """The link broke: harmless before the confirmation; after it nobody knows what became of the try."""
        if self._at is _At.CONFIRMED:
            self._end("silent", 0.0)
        else:
            self._keeper = None
            self._back_to_the_street(self._circle.now)

    def _give_up(self, now: Seconds) -> None:
        if self._wait_ends_at is not None:
            self._end("wait", max(0.0, self._wait_ends_at - now))
        else:
            self._end("silent", 0.0)

    def _end(self, reason: out.ShutReason, wait_s: Seconds) -> None:
        self._at = _At.OVER
        self._circle.wishes.append(out.DoorShut(self.room, reason, wait_s))


class Visits:
    """One peer's visits, of which at most one is under way."""

    def __init__(self, circle: Circle, draw: Draw) -> None:
        self._circle = circle
        self._draw = draw
        self._visit: Visit | None = None

    @property
    def timers(self) -> list[Seconds]:
        """When `tick` wants to be called."""
        return [self._visit.timer] if self._visit else []

    def begin(self, room: RoomId, key: bytes) -> None:
        """Sets out. Raises `Refused` while another visit is under way."""
        if self._visit:
            raise Refused("a passphrase is being tried already; wait for the answer")
        self._visit = Visit(self._circle, room, key, self._draw, self._circle.now)
        self._circle.directory.changed = True

    def wanted(self) -> list[PeerId]:
        """Whom to be linked with."""
        return self._visit.wanted() if self._visit else []

    def heard(self, link: Link, message: Reply | Opened | Shut) -> None:
        """A door answers."""
        if self._visit:
            self._visit.heard(link, message)

    def tick(self) -> None:
        """Does what is due."""
        if self._visit:
            self._visit.tick(self._circle.now)
            self._visit = None if self._visit.over else self._visit
