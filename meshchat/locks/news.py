"""What is different between two laws of one room, in the order in which people want to hear it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meshchat.locks.law import Law
from meshchat.locks.statements import Kind
from meshchat.units import PeerId


@dataclass(frozen=True, slots=True)
class News:
    """An order has come into force, or out of it."""

    kind: Kind
    author: PeerId | None
    """Whose order it was; None for what lifts another, where it matters little."""
    subject: PeerId | None
    """The peer that it is about, if it is about one."""


def news(before: Law, after: Law) -> Iterator[News]:
    """Everything that became different."""
    sets: list[tuple[Kind, frozenset[PeerId], frozenset[PeerId]]] = [
        ("ban", after.banned, before.banned),
        ("kick", after.excluded - after.banned, before.excluded),
        ("pardon", before.excluded, after.excluded),
        ("mute", after.muted, before.muted),
        ("unmute", before.muted, after.muted),
        ("appoint", after.moderators, before.moderators),
        ("dismiss", before.moderators - after.excluded, after.moderators),
    ]
    for kind, more, less in sets:
        for peer in sorted(more - less):
            yield News(kind, _author(after, kind, peer), peer)
    if after.locked != before.locked:
        lock: Kind = "lock" if after.locked else "unlock"
        yield News(lock, _author(after, lock, None), None)
    if after.mutes_hold != before.mutes_hold:
        yield News("settings", _author(after, "settings", None), None)


def _author(law: Law, kind: Kind, subject: PeerId | None) -> PeerId | None:
    """Who gave the order that stands; what only the founder can do, the founder did."""
    if kind in ("appoint", "dismiss"):
        return law.founder
    standing = (order.statement for order in law.standing if order.statement.kind == kind)
    return next((each.author for each in standing if each.subject == (subject or "")), None)
