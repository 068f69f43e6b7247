"""The statements of one room that a member keeps, how many there may be, and how a new one is written.

Members that have the same statements have the same law, so all they need is to exchange what the other lacks: each
new one is passed on, and two members whose `fingerprint` differs send each other all they have, `BATCH` at a time. What
was sent twice is known the second time, and what was forged is a `WireError`.

Limits: nothing is kept of anybody whom the founder never appointed, so strangers and plain members take no room. Of the
rest, the statements with the lowest numbers stay, which is the same choice whatever the order they came in. What is
full refuses the new:

    the founder       511   then the founder can give no more orders: found another room
    one appointment   128   then the founder appoints that moderator once more
    all moderators    512   then the founder dismisses somebody, whose orders are dropped at once
    waiting            64   statements whose appointment has not come yet; the oldest make room

Not taken: dropping orders that later ones replace. Whether one replaces another depends on what else is known, so two
members could drop different ones and never agree again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import Enum, auto

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from meshchat.errors import Refused, WireError
from meshchat.locks.bind import Draw, peer_id_of_key
from meshchat.locks.law import ENDS_AN_OFFICE, Law, read_law
from meshchat.locks.rights import needless, objection, overruled
from meshchat.locks.statements import (
    MODERATOR_NUMBER_MAX,
    OVER_MAX,
    SALT_BYTES,
    Kind,
    Statement,
    digest,
    sign,
    verify,
    well_formed,
)
from meshchat.units import PeerId, RoomId, bound, short

FOUNDER_MAX = 511
OFFICE_MAX = 128
OFFICES_MAX = 512
STATEMENTS_MAX = 1 + FOUNDER_MAX + OFFICES_MAX
"""All of a room's statements, the founding one among them: 1024, some 300 kB, 0.13 s to verify."""

WAITING_MAX = 64
"""Those that came before the appointment they need, which travels ahead of them in every batch."""

BATCH = 64
"""Statements in one message: with every field as long as it may be, they stay under 128 KiB."""


class Reception(Enum):
    """What became of a statement."""

    NEW = auto()
    """Kept: pass it on, and look at the law."""
    KNOWN = auto()
    WAITING = auto()
    """Its appointment is not here yet: ask whoever sent it for all it has."""
    DROPPED = auto()
    """Without effect for good: the office has ended, or there is no room for it."""


class Book:
    """One member's copy."""

    def __init__(self, found: Statement, draw: Draw) -> None:
        """`draw` is for the orders that are written here. Raises `WireError` if the statement founds no room."""
        if found.kind != "found" or not verify(found):
            raise WireError("a room that nobody founded")
        self._found = found
        self._draw = draw
        self._name = digest(found)
        self._kept: dict[str, Statement] = {}
        self._waiting: dict[str, Statement] = {}
        self._removed_at: dict[str, int] = {}
        """The number of the founder's latest removal of each peer: an appointment before it is dead."""
        self._law: Law | None = None

    @property
    def room(self) -> RoomId:
        """Which room it is about."""
        return RoomId(self._found.room)

    @property
    def law(self) -> Law:
        """What holds, as far as is known here."""
        if self._law is None:
            self._law = read_law(self._found, self._kept.values())
        return self._law

    @property
    def statements(self) -> tuple[Statement, ...]:
        """All that are kept, the founder's first, so that each appointment comes before what is given under it."""
        order = sorted(self._kept.items(), key=lambda item: (bool(item[1].warrant), item[1].number, item[0]))
        return (self._found, *(statement for _, statement in order))

    @property
    def fingerprint(self) -> str:
        """The same for members that keep the same statements: 64 hex digits."""
        return hashlib.sha256("".join(sorted(self._kept)).encode()).hexdigest()

    def add(self, statement: Statement) -> Reception:
        """Takes in a statement from anybody. Raises `WireError` if it is forged, of another room, or by nobody who
        could ever have a say."""
        if statement.room != self.room or not well_formed(statement):
            raise WireError("a statement that does not belong here")
        name = digest(statement)
        if name in self._kept or name in self._waiting or name == self._name:
            return Reception.KNOWN
        if not verify(statement):
            raise WireError("a statement with a signature that is not its author's")
        return self._place(name, statement)

    def merge(self, statements: Iterable[Statement]) -> tuple[Statement, ...]:
        """Takes in several and gives back those that were new; a forged one ends it with a `WireError`, as `add`."""
        before = set(self._kept)
        for statement in statements:
            self.add(statement)
        return tuple(statement for name, statement in self._kept.items() if name not in before)

    def order(
        self, key: Ed25519PrivateKey, kind: Kind, subject: str = "", value: str = "", undo: bool = False
    ) -> tuple[Statement, ...]:
        """Signs an order, takes it in, and gives back what to send, in this order.

        There are several when it removes a moderator whose own orders are to stay: they are signed again first. With
        `undo` they fall instead. Raises `Refused` where the author has no right to it, or it would change nothing.
        """
        author = peer_id_of_key(key.public_key().public_bytes_raw())
        if reason := objection(self.law, author, kind, subject) or needless(self.law, author, kind, subject, value):
            raise Refused(reason)
        wanted: list[tuple[Kind, str, str]] = []
        if kind in ENDS_AN_OFFICE and subject in self.law.ranks and not undo:
            theirs = [order.statement for order in self.law.standing if order.statement.author == subject]
            wanted = [(statement.kind, statement.subject, statement.value) for statement in theirs]
        return tuple(self._write(key, author, *each) for each in (*wanted, (kind, subject, value)))

    def _write(self, key: Ed25519PrivateKey, author: PeerId, kind: Kind, subject: str, value: str) -> Statement:
        law = self.law
        number = law.number + 1
        over = tuple(order.digest for order in overruled(law, author, kind, subject))
        if author != law.founder and number > MODERATOR_NUMBER_MAX:
            raise Refused("another moderator has used up the numbers of this room; the founder can dismiss it")
        if kind == "appoint" and len(over) > OVER_MAX:
            raise Refused(f"{short(subject)} was kicked too often to be a moderator of this room again")
        warrant, salt = law.warrants.get(author, ""), self._draw(SALT_BYTES)
        statement = sign(key, self.room, number, kind, subject, value, warrant, over[:OVER_MAX], salt)
        if self.add(statement) is not Reception.NEW:
            raise Refused("there are too many orders in this room; the founder has to make room or found another one")
        return statement

    def _place(self, name: str, statement: Statement) -> Reception:
        if statement.author_key == self._found.author_key and not statement.warrant:
            return self._keep(name, statement) if statement.kind != "found" else Reception.DROPPED
        if not statement.warrant:
            raise WireError("an order by somebody who cannot give it")
        appointment = self._kept.get(statement.warrant)
        if appointment is None:
            return self._wait(name, statement)
        if appointment.kind != "appoint" or appointment.subject != statement.author:
            raise WireError("an order under somebody else's appointment")
        if self._dead(appointment):
            return Reception.DROPPED
        return self._keep(name, statement)

    def _wait(self, name: str, statement: Statement) -> Reception:
        self._waiting[name] = statement
        bound(self._waiting, WAITING_MAX)
        return Reception.WAITING

    def _keep(self, name: str, statement: Statement) -> Reception:
        self._kept[name] = statement
        self._law = None
        if not statement.warrant and statement.kind in ENDS_AN_OFFICE:
            self._bury(statement)
        self._trim(statement.warrant)
        if name not in self._kept:
            return Reception.DROPPED
        if statement.kind == "appoint":
            self._wake(name)
        return Reception.NEW

    def _wake(self, warrant: str) -> None:
        """Looks again at what waited for an appointment."""
        for name, statement in list(self._waiting.items()):
            if statement.warrant == warrant:
                del self._waiting[name]
                appointment = self._kept[warrant]
                if appointment.subject == statement.author and not self._dead(appointment):
                    self._keep(name, statement)

    def _bury(self, removal: Statement) -> None:
        """Drops what was ordered under the appointments that the founder has ended."""
        subject = removal.subject
        self._removed_at[subject] = max(removal.number, self._removed_at.get(subject, 0))
        for name, statement in list(self._kept.items()):
            if statement.kind == "appoint" and statement.subject == subject and self._dead(statement):
                self._drop_office(name)

    def _dead(self, appointment: Statement) -> bool:
        return self._removed_at.get(appointment.subject, -1) >= appointment.number

    def _drop_office(self, warrant: str) -> None:
        for name, statement in list(self._kept.items()):
            if statement.warrant == warrant:
                del self._kept[name]

    def _trim(self, warrant: str) -> None:
        """Drops the last of whatever has grown past its limit."""
        if not warrant:
            self._trim_to([name for name, each in self._kept.items() if not each.warrant], FOUNDER_MAX)
            return
        self._trim_to([name for name, each in self._kept.items() if each.warrant == warrant], OFFICE_MAX)
        self._trim_to([name for name, each in self._kept.items() if each.warrant], OFFICES_MAX)

    def _trim_to(self, names: list[str], limit: int) -> None:
        if len(names) > limit:
            last = max(names, key=lambda name: (self._kept[name].number, name))
            if self._kept.pop(last).kind == "appoint":
                self._drop_office(last)
