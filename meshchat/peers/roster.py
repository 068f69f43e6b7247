"""The coordinator's list of guests: order of admission, unique aliases, where everybody is.

The list orders; it does not admit. Who is in an open room is told by the links themselves, so that two members can
talk before any coordinator has heard of them. Losing the list costs nothing but the order, and the next coordinator
starts from the copy that it has.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshchat.peers.messages import Claim, Entry, Roster
from meshchat.units import NAME_CHARACTERS_MAX, PeerId


def unique(alias: str, taken: Iterable[str]) -> str:
    """`ann`, or `ann 2`, `ann 3`, ... if others have it; cut so that it keeps within the longest name."""
    used = {name.casefold() for name in taken}
    candidate = alias
    number = 1
    while candidate.casefold() in used:
        number += 1
        suffix = f" {number}"
        candidate = alias[: NAME_CHARACTERS_MAX - len(suffix)] + suffix
    return candidate


def is_form_of(listed: str, wanted: str) -> bool:
    """Whether `listed` is what `unique` may have made of `wanted`."""
    stem, _, number = listed.rpartition(" ")
    return listed == wanted or (number.isdecimal() and wanted.startswith(stem) and bool(stem))


class RosterBook:
    """Our copy of the roster; the true one while we coordinate."""

    def __init__(self) -> None:
        self.entries: dict[PeerId, Entry] = {}
        self._claim: Claim | None = None
        self._version = 0

    def order(self, peer: PeerId) -> int:
        """Which number `peer` was admitted as; one past the last if it is not listed."""
        entry = self.entries.get(peer)
        return entry.order if entry else self._last_order() + 1

    def alias(self, peer: PeerId) -> str | None:
        """The alias that the room uses for `peer`, if it is listed."""
        entry = self.entries.get(peer)
        return entry.alias if entry else None

    def admit(self, peer: PeerId, alias: str, addresses: tuple[str, ...]) -> bool:
        """Lists a member or brings its line up to date, as coordinator; returns whether the list changed.

        A member keeps its number for as long as it stays, and its alias until it asks for another.
        """
        old = self.entries.get(peer)
        if old and is_form_of(old.alias, alias):
            name = old.alias
        else:
            name = unique(alias, (entry.alias for entry in self.entries.values() if entry.peer != peer))
        entry = Entry(peer=peer, order=self.order(peer), alias=name, addresses=addresses)
        self.entries[peer] = entry
        return entry != old

    def strike(self, peer: PeerId) -> bool:
        """Takes a member off the list; returns whether it was there."""
        return self.entries.pop(peer, None) is not None

    def publish(self, claim: Claim) -> Roster:
        """The list as a message, a version newer than any before under this claim."""
        self._version = self._version + 1 if claim == self._claim else 1
        self._claim = claim
        return Roster(claim=claim, version=self._version, entries=tuple(self.entries.values()))

    def accept(self, roster: Roster) -> bool:
        """Takes over a coordinator's list unless ours is as new; returns whether it was taken."""
        if roster.claim == self._claim and roster.version <= self._version:
            return False
        self._claim, self._version = roster.claim, roster.version
        self.entries = {PeerId(entry.peer): entry for entry in roster.entries}
        return True

    def _last_order(self) -> int:
        return max((entry.order for entry in self.entries.values()), default=0)
