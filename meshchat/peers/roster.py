"""The coordinator's list of guests: order of admission, unique aliases, where everybody is.

The list orders; it does not admit. Who is in an open room is told by the links themselves, so that two members can
talk before any coordinator has heard of them. Losing the list costs nothing but the order, and the next coordinator
starts from the copy that it has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import msgspec

from meshchat.peers.fields import DIGEST_DIGITS
from meshchat.peers.messages import Claim, Entry, Mark, Roster
from meshchat.units import NAME_CHARACTERS_MAX, PeerId, RoomId

_encoder = msgspec.json.Encoder()


def signed_part(room: RoomId, roster: Roster) -> bytes:
    """What a coordinator signs: the list with its claim and version, for one room."""
    return b"meshchat roster\0" + _encoder.encode((room, roster.claim, roster.version, roster.entries))


def mark_of(room: RoomId, roster: Roster) -> Mark:
    """The version and digest by which members compare what they hold."""
    return Mark(roster.version, hashlib.sha256(signed_part(room, roster)).hexdigest()[:DIGEST_DIGITS])


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

    def __init__(self, room: RoomId) -> None:
        self.entries: dict[PeerId, Entry] = {}
        self.signed: Roster | None = None
        """The newest list as its coordinator signed it."""
        self.mark: Mark | None = None
        """Version and digest of the same."""
        self._room = room
        self._order_next = 1

    def order(self, peer: PeerId) -> int:
        """Which number `peer` was admitted as; the next free one if it is not listed."""
        entry = self.entries.get(peer)
        return entry.order if entry else self._order_next

    def alias(self, peer: PeerId) -> str | None:
        """The alias that the room uses for `peer`, if it is listed."""
        entry = self.entries.get(peer)
        return entry.alias if entry else None

    def admit(self, peer: PeerId, alias: str, addresses: tuple[str, ...], standing: int = 0) -> bool:
        """Lists a member or brings its line up to date, as coordinator; returns whether the list changed.

        A member keeps its number for as long as it stays, and its alias until it asks for another.
        """
        old = self.entries.get(peer)
        if old and is_form_of(old.alias, alias):
            name = old.alias
        else:
            name = unique(alias, (entry.alias for entry in self.entries.values() if entry.peer != peer))
        entry = Entry(peer=peer, order=self.order(peer), alias=name, addresses=addresses, standing=standing)
        self.entries[peer] = entry
        self._order_next = max(self._order_next, entry.order + 1)
        return entry != old

    def strike(self, peer: PeerId) -> bool:
        """Takes a member off the list; returns whether it was there."""
        return self.entries.pop(peer, None) is not None

    def publish(self, claim: Claim, sign: Callable[[bytes], bytes]) -> Roster:
        """The list as a signed message, a version newer than any before under this claim."""
        version = self.signed.version + 1 if self.signed and self.signed.claim == claim else 1
        draft = Roster(claim=claim, version=version, entries=tuple(self.entries.values()))
        self._keep(msgspec.structs.replace(draft, proof=sign(signed_part(self._room, draft))))
        assert self.signed is not None
        return self.signed

    def is_newer(self, roster: Roster) -> bool:
        """Whether that list says more than ours under the same claim; of two equally old ones, one and the same wins
        everywhere, so that a coordinator that tells two tales divides nobody for long."""
        if self.signed is None or self.mark is None or roster.claim != self.signed.claim:
            return True
        return is_ahead(mark_of(self._room, roster), self.mark)

    def accept(self, roster: Roster) -> None:
        """Takes over a coordinator's list."""
        self._keep(roster)
        self.entries = {PeerId(entry.peer): entry for entry in roster.entries}
        self._order_next = max((entry.order + 1 for entry in roster.entries), default=1)

    def _keep(self, roster: Roster) -> None:
        self.signed, self.mark = roster, mark_of(self._room, roster)


def is_ahead(theirs: Mark, ours: Mark | None) -> bool:
    """Whether somebody holds a newer list than we."""
    return ours is None or (theirs.version, theirs.digest) > (ours.version, ours.digest)
