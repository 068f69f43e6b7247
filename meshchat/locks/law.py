"""What holds in a room, read off all statements about it: the same for everybody who has the same statements.

The law is a function of a set, so it does not matter in what order the statements came, how often, or over which side
of a split. No clock is asked and no vote is taken.

Intuition: authority comes from the founder alone and goes by seniority. The founder's orders always count, in the order
of the founder's own numbers. Then each appointment is looked at, oldest first:

1. It holds unless the founder has dismissed, kicked or banned the same peer since, or a moderator appointed before has
   kicked or banned that peer and the appointment does not name that kick. A kick has no end: a pardon lets a peer in
   again, but its office is gone until a new appointment.
2. While it holds, the orders given under it count. Once it does not, none of them does, early or late. Whoever removes
   a moderator therefore first signs again what is worth keeping of its orders (`Book.order` does).
3. The founder, the moderators appointed earlier, and oneself cannot be kicked, banned or muted.

So a removal wins over an appointment that did not know of it; a kick on either side of a split holds; and nobody who is
removed can do anything, not even by dating it back. Whoever is kicked stays out until a pardon names that very
kick: one that the pardoner had not seen stays. The founder's are lifted by the founder only. Of orders that replace
each other (lock, settings, secret) the one with the highest number holds, then the more senior author's, then the
one with the higher digest.

Not taken: letting a removed moderator's earlier orders stand. Nobody can tell its earlier orders from those that it
dates back, short of a hash chain for each author and a rule for its forks. The price: what a moderator ordered on one
side of a split falls if the founder removed it on the other meanwhile. Not taken either: moderators who appoint, for
then two can remove each other and no order of reading is right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from meshchat.locks.bind import NONCE_BYTES
from meshchat.locks.statements import REMOVALS, Kind, Statement, digest
from meshchat.units import PeerId, RoomId

_AGAINST_A_PEER: frozenset[Kind] = REMOVALS | {"mute"}
ENDS_AN_OFFICE: frozenset[Kind] = REMOVALS | {"dismiss"}
"""What a moderator is removed by."""

_LIFTS_A_KICK: frozenset[Kind] = frozenset({"pardon", "appoint"})


@dataclass(frozen=True, slots=True)
class Order:
    """A statement that counts."""

    digest: str
    statement: Statement
    rank: int
    """0 for the founder, then 1, 2, ... by seniority of the appointment it was given under."""


@dataclass(frozen=True, slots=True)
class Law:
    """What holds."""

    room: RoomId
    founder: PeerId
    public_name: str
    """What strangers are shown; may be empty."""
    ranks: dict[PeerId, int]
    """The moderators, by seniority: the founder has 0."""
    warrants: dict[PeerId, str]
    """The digest of the appointment that each moderator acts under; the founder needs none."""
    excluded: frozenset[PeerId]
    """Kicked or banned: never linked with, never told a key."""
    banned: frozenset[PeerId]
    """Those of the excluded whom somebody banned."""
    muted: frozenset[PeerId]
    locked: bool
    """Whether newcomers must prove that they were invited. True until somebody unlocks the room."""
    mutes_hold: bool
    """Whether the muted may not unmute themselves, and are not played if they do. False until set."""
    secret: str
    """The commitment of the secret in use; empty while that is the first one, of the first invite."""
    standing: tuple[Order, ...]
    """The orders that all this rests on: unlifted kicks, bans and mutes, and the latest of each of the others."""
    removals: tuple[Order, ...]
    """All kicks and bans that count, the lifted ones too: an appointment must know of them."""
    appointments: tuple[Order, ...]
    """All that the founder made, oldest first, whether they still hold or not."""
    founding: Statement
    """The statement that made the room."""
    number: int
    """The highest number that counts."""

    @property
    def moderators(self) -> frozenset[PeerId]:
        """Who may give orders, the founder among them."""
        return frozenset(self.ranks)


@dataclass(slots=True)
class _Reading:
    """How far the statements have been read."""

    orders: list[Order]
    ranks: dict[PeerId, int]
    warrants: dict[PeerId, str] = field(default_factory=dict)
    removals: dict[str, list[Order]] = field(default_factory=lambda: defaultdict(list))
    """What ends the office of each peer."""
    pardons: set[tuple[str, str]] = field(default_factory=set)
    """The founder's, as pairs of the order that is lifted and the peer it was against."""

    def take(self, order: Order) -> None:
        """Lets an order count."""
        self.orders.append(order)
        if order.statement.kind in ENDS_AN_OFFICE:
            self.removals[order.statement.subject].append(order)


def read_law(found: Statement, statements: Iterable[Statement]) -> Law:
    """The law of the room that `found` made; 5 ms for a full book.

    All statements must be well-formed, verified and of this room; `found` may be among them. Those without effect do no
    harm.
    """
    named = {digest(statement): statement for statement in (found, *statements)}
    ordered = sorted(named.items(), key=lambda item: (item[1].number, item[0]))
    by_warrant: dict[str, list[tuple[str, Statement]]] = defaultdict(list)
    for name, statement in ordered:
        by_warrant[statement.warrant].append((name, statement))
    reading = _read_founder(found, by_warrant[""])
    for appointment in [order for order in reading.orders if order.statement.kind == "appoint"]:
        if _holds(appointment, reading):
            _read_office(appointment, by_warrant[appointment.digest], reading)
    return _summed_up(found, reading)


def _read_founder(found: Statement, without_warrant: list[tuple[str, Statement]]) -> _Reading:
    reading = _Reading([], {found.author: 0})
    for name, statement in without_warrant:
        if statement.author_key == found.author_key and statement.subject != found.author:
            reading.take(Order(name, statement, 0))
            if statement.kind in _LIFTS_A_KICK:
                reading.pardons |= {(over, statement.subject) for over in statement.over}
    return reading


def _holds(appointment: Order, reading: _Reading) -> bool:
    """Whether that peer is a moderator by it, as far as its seniors have a say (rule 1)."""
    statement = appointment.statement
    return not any(
        _ends(removal, appointment, lifted=(removal.digest, statement.subject) in reading.pardons)
        for removal in reading.removals[statement.subject]
    )


def _ends(removal: Order, appointment: Order, lifted: bool) -> bool:
    """A founder's removal ends what came before it, and while it keeps the peer out, what came after it too."""
    if removal.rank == 0:
        keeps_out = removal.statement.kind in REMOVALS and not lifted
        return keeps_out or removal.statement.number >= appointment.statement.number
    return removal.digest not in appointment.statement.over


def _read_office(appointment: Order, given: list[tuple[str, Statement]], reading: _Reading) -> None:
    """Lets the orders count that were given under an appointment that holds (rules 2 and 3)."""
    moderator = PeerId(appointment.statement.subject)
    rank = max(reading.ranks.values()) + 1
    reading.ranks.setdefault(moderator, rank)
    reading.warrants[moderator] = appointment.digest
    for name, statement in given:
        barred = statement.kind in _AGAINST_A_PEER and statement.subject in reading.ranks
        if statement.author == moderator and not barred:
            reading.take(Order(name, statement, rank))


def _summed_up(found: Statement, reading: _Reading) -> Law:
    orders = reading.orders
    kicks = _unlifted(orders, REMOVALS, _LIFTS_A_KICK)
    mutes = _unlifted(orders, frozenset({"mute"}), frozenset({"unmute"}))
    lock, settings, secret = (_latest(orders, kinds) for kinds in (("lock", "unlock"), ("settings",), ("secret",)))
    return Law(
        room=RoomId(found.room),
        founder=found.author,
        public_name=found.value[2 * NONCE_BYTES + 1 :],
        ranks=reading.ranks,
        warrants=reading.warrants,
        excluded=frozenset(PeerId(order.statement.subject) for order in kicks),
        banned=frozenset(PeerId(order.statement.subject) for order in kicks if order.statement.kind == "ban"),
        muted=frozenset(PeerId(order.statement.subject) for order in mutes),
        locked=lock is None or lock.statement.kind == "lock",
        mutes_hold=settings is not None and settings.statement.value == "mutes_hold=yes",
        secret=secret.statement.value if secret else "",
        standing=(*kicks, *mutes, *(order for order in (lock, settings, secret) if order)),
        removals=tuple(order for order in orders if order.statement.kind in REMOVALS),
        appointments=tuple(order for order in orders if order.statement.kind == "appoint"),
        founding=found,
        number=max(order.statement.number for order in orders),
    )


def _unlifted(orders: list[Order], kinds: frozenset[Kind], lifting: frozenset[Kind]) -> list[Order]:
    """The orders against peers that nobody who may has lifted by name: the founder's only the founder lifts."""
    lifted = {
        (name, order.statement.subject, order.rank == 0)
        for order in orders
        if order.statement.kind in lifting
        for name in order.statement.over
    }

    def stands(order: Order) -> bool:
        name, subject = order.digest, order.statement.subject
        return (name, subject, True) not in lifted and (not order.rank or (name, subject, False) not in lifted)

    return [order for order in orders if order.statement.kind in kinds and stands(order)]


def _latest(orders: list[Order], kinds: tuple[Kind, ...]) -> Order | None:
    """Of orders that replace each other, the one that holds."""
    return max(
        (order for order in orders if order.statement.kind in kinds),
        key=lambda order: (order.statement.number, -order.rank, order.digest),
        default=None,
    )
