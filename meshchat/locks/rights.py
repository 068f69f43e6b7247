"""What somebody may order in a room, said in words before it is signed.

The law itself needs no such check: an order without a right to it has no effect on anybody. This is for the person who
gives it.
"""

from __future__ import annotations

from meshchat.locks.law import ENDS_AN_OFFICE, Law, Order
from meshchat.locks.statements import FOUNDERS_ONLY, REMOVALS, Kind
from meshchat.units import PeerId, short

_AGAINST = ENDS_AN_OFFICE | {"mute"}


def objection(law: Law, author: PeerId, kind: Kind, subject: str) -> str:
    """Why `author` may not give that order; empty if it may."""
    if author not in law.ranks:
        return "only a moderator of this room can do that"
    if kind in FOUNDERS_ONLY and author != law.founder:
        return "only the founder of this room can appoint and dismiss moderators"
    if kind in _AGAINST and subject == author:
        return f"you cannot {kind} yourself"
    rank = law.ranks.get(PeerId(subject))
    if kind in _AGAINST and rank is not None and rank < law.ranks[author]:
        return f"{short(subject)} has moderated this room for longer than you; only somebody before it can {kind} it"
    return ""


def needless(law: Law, author: PeerId, kind: Kind, subject: str, value: str) -> str:
    """Why that order would change nothing; empty if it would change something."""
    return _needless_about_a_peer(law, author, kind, PeerId(subject)) if subject else _needless(law, kind, value)


def _needless_about_a_peer(law: Law, author: PeerId, kind: Kind, subject: PeerId) -> str:
    already: dict[Kind, tuple[bool, str]] = {
        "kick": (subject in law.excluded, "has been kicked already"),
        "ban": (subject in law.banned, "has been banned already"),
        "mute": (subject in law.muted, "has been muted already"),
        "appoint": (subject in law.ranks, "is a moderator already"),
        "dismiss": (subject not in law.ranks, "is no moderator"),
        "pardon": (subject not in law.excluded, "is neither kicked nor banned"),
        "unmute": (subject not in law.muted, "is not muted"),
    }
    is_so, words = already[kind]
    if is_so:
        return f"{short(subject)} {words}"
    if kind in ("pardon", "unmute") and not overruled(law, author, kind, subject):
        return f"only the founder can {kind} {short(subject)}, since it was the founder's order"
    return ""


def _needless(law: Law, kind: Kind, value: str) -> str:
    already: dict[Kind, tuple[bool, str]] = {
        "lock": (law.locked, "the room is locked already"),
        "unlock": (not law.locked, "the room is not locked"),
        "settings": (value == f"mutes_hold={'yes' if law.mutes_hold else 'no'}", "the room is set like that already"),
        "secret": (value == law.secret, "the room has that secret already"),
    }
    is_so, words = already[kind]
    return words if is_so else ""


def overruled(law: Law, author: PeerId, kind: Kind, subject: str) -> list[Order]:
    """The orders that this one has to name: those that it lifts or, for an appointment, comes after."""
    about = [order for order in law.standing if order.statement.subject == subject]
    mine = [order for order in about if order.rank or author == law.founder]
    if kind == "pardon":
        return [order for order in mine if order.statement.kind in REMOVALS]
    if kind == "unmute":
        return [order for order in mine if order.statement.kind == "mute"]
    if kind == "appoint":
        kept_out = [order for order in mine if order.statement.kind in REMOVALS and not order.rank]
        return kept_out + [order for order in law.removals if order.rank and order.statement.subject == subject]
    return []
