"""The orders of the room that we are in: taken in from anybody, passed on to members, asked for where they differ.

Every member keeps the same book (`locks/book.py`) and reads the same law off it. A new order goes to every member that
we are linked with, who does the same: so it arrives wherever packets do. What got lost, in a split above all, the beats
bring to light: each carries a digest of the sender's book, and who reads one that is not its own asks for that book.
An order needs no trust in whoever brings it, for its author signed it; brought again it is known, forged it ends the
link.

A room that is its name, and nobody's, has no founder and so no book: nobody gives orders there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from meshchat.errors import Refused
from meshchat.locks.bind import Draw
from meshchat.locks.book import BATCH, Book
from meshchat.locks.law import Law, Order
from meshchat.locks.statements import REMOVALS, Kind, Statement
from meshchat.peers.circle import Circle
from meshchat.peers.fields import DIGEST_DIGITS
from meshchat.peers.links import Link
from meshchat.peers.orders import Orders, OrdersWanted
from meshchat.units import PeerId, RoomId, Seconds

ASK_PAUSE_S: Seconds = 0.5
"""Before the same book is asked for again, of whomever."""

ASK_PAUSE_S_MAX: Seconds = 30.0
"""The pause doubles up to this while one member's book stays another than ours: a liar tells a new one in each beat."""

TELL_PAUSE_S: Seconds = 0.2
"""Between two books told to one member at its wish: whoever asks without end is not served without end."""

EVIDENCE_MAX = 8
"""Orders against a peer that it is shown when it is sent away."""

NO_FOUNDER = (
    "this room belongs to nobody, so nobody can give orders in it; `meshchat create NAME --locked` makes one that "
    "is yours"
)


class Court:
    """The orders of one room, for one stay in it."""

    def __init__(self, circle: Circle, room: RoomId, draw: Draw, found: Statement | None) -> None:
        """`found` is the statement that makes the room, where we are its founder or have it from before."""
        self._circle = circle
        self._room = room
        self._draw = draw
        self._book = Book(found, draw) if found else None
        self._asked: tuple[str, Seconds] = ("", 0.0)
        """Which book was asked for last, and when."""
        self._note()

    @property
    def law(self) -> Law | None:
        """What holds here; None as long as no order has come, and in a room without a founder."""
        return self._book.law if self._book else None

    @property
    def excluded(self) -> frozenset[PeerId]:
        """Who has been kicked or banned."""
        return self._book.law.excluded if self._book else frozenset()

    def evidence(self, peer: PeerId) -> Orders:
        """What a peer is shown that is sent away: the orders against it, with all that gives them force."""
        assert self._book is not None
        law = self._book.law
        against = [order for order in law.standing if _is_removal(order) and order.statement.subject == peer]
        warrants = {order.statement.warrant for order in against[:EVIDENCE_MAX]}
        shown = [law.founding, *(order.statement for order in law.appointments if order.digest in warrants)]
        return Orders((*shown, *(order.statement for order in against[:EVIDENCE_MAX])))

    def order(self, key: Ed25519PrivateKey, kind: Kind, subject: str, value: str) -> tuple[Statement, ...]:
        """Signs an order; what is to be passed on. Raises `Refused` where we have no right to it or it changes
        nothing."""
        if self._book is None:
            raise Refused(NO_FOUNDER)
        written = self._book.order(key, kind, subject, value)
        self._note()
        return written

    def take(self, link: Link, message: Orders, members: Iterable[Link]) -> None:
        """Takes in what a peer brings and passes on what is new. Raises `WireError` for what is forged."""
        before = frozenset(self._statements)
        try:
            for statement in message.statements:
                if statement.room == self._room:
                    self._add(statement)
        finally:  # what came before a forged one is as good as ever
            self._note()
            fresh = [each for each in self._statements if each not in before]  # what waited for it as well
            self.spread(fresh, (each for each in members if each is not link))

    def spread(self, statements: Iterable[Statement], to: Iterable[Link]) -> None:
        """Passes orders on."""
        batches = [Orders(batch) for batch in _batches(statements)]
        for link, batch in itertools.product(to, batches):
            self._circle.send(link.peer, batch)

    def wanted(self, link: Link) -> None:
        """A member asks for all that we have."""
        if self._book and self._circle.now - link.orders_told_at >= TELL_PAUSE_S:
            link.orders_told_at = self._circle.now
            self.spread(self._book.statements, (link,))

    def hear(self, link: Link) -> None:
        """A member told which book it has: if it is not ours, we ask for it."""
        now = self._circle.now
        if link.book in ("", self._circle.book):
            link.orders_pause = ASK_PAUSE_S
            return
        same_lately = self._asked[0] == link.book and now - self._asked[1] < ASK_PAUSE_S
        if same_lately or now - link.orders_asked_at < link.orders_pause:
            return
        self._asked, link.orders_asked_at = (link.book, now), now
        link.orders_pause = min(2 * link.orders_pause, ASK_PAUSE_S_MAX)
        self._circle.send(link.peer, OrdersWanted(self._room))

    @property
    def _statements(self) -> tuple[Statement, ...]:
        return self._book.statements if self._book else ()

    def _add(self, statement: Statement) -> None:
        if self._book is not None:
            self._book.add(statement)
        elif statement.kind == "found":
            self._book = Book(statement, self._draw)

    def _note(self) -> None:
        self._circle.book = self._book.fingerprint[:DIGEST_DIGITS] if self._book else ""


def _is_removal(order: Order) -> bool:
    return order.statement.kind in REMOVALS


def _batches(statements: Iterable[Statement]) -> Iterable[tuple[Statement, ...]]:
    left = iter(statements)
    while batch := tuple(itertools.islice(left, BATCH)):
        yield batch
