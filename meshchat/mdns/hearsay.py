"""What the network has said about peers so far: a table that strangers fill and cannot make grow.

Each packet adds to what was heard of a peer; once its pointer, its record and an address are known, the peer is
told to others. Anybody can invent peers by the thousand, so the table has a limit, and when it is full the peer
heard least recently makes room, but never one that has proved its key (`keep`): inventing names then pushes out other
invented names, and at worst hides newcomers while the flood lasts. A first-come rule was not taken, because a flood
would then lock newcomers out until its records expire.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from meshchat.mdns.notices import PeerNotice, label_of, likeliest, parse_record
from meshchat.units import PeerId

PEERS_MAX = 1024
"""Peers remembered: ten times the largest room foreseen, at most 4 MB. The least recently heard makes room."""


@dataclass(frozen=True, slots=True)
class PeerFound:
    """A peer announced itself for the first time, or anew with other rooms or addresses."""

    notice: PeerNotice


@dataclass(frozen=True, slots=True)
class PeerForgotten:
    """A peer said goodbye, fell silent for too long or was evicted; only a hint, as anyone can forge a goodbye."""

    peer_id: PeerId


@dataclass(slots=True)
class Said:
    """What one packet says of one peer."""

    pointed: bool = False
    """It holds the PTR record that names the instance; only with it can a goodbye be recognised later."""
    text: bytes | None = None
    hosts: list[str] = field(default_factory=list)
    """Literals; link-local IPv6 with its scope where the packet told it."""


@dataclass(frozen=True, slots=True)
class _Entry:
    pointed: bool = False
    text: bytes | None = None
    hosts: tuple[str, ...] = ()


class Hearsay:
    """The table of peers heard, oldest first, and the notices of those that are fully known."""

    def __init__(self, evicted: Callable[[PeerId], None]) -> None:
        """`evicted` is called for each peer that has to make room, whether it had been told or not."""
        self._evicted = evicted
        self._entries: dict[PeerId, _Entry] = {}
        self._notices: dict[PeerId, PeerNotice] = {}
        self._kept: frozenset[PeerId] = frozenset()

    @property
    def notices(self) -> Mapping[PeerId, PeerNotice]:
        """The peers fully known now; a live view."""
        return MappingProxyType(self._notices)

    def __contains__(self, peer_id: object) -> bool:
        return peer_id in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def keep(self, peer_ids: Iterable[PeerId]) -> None:
        """From now on exactly these are never evicted, as long as they are in the table."""
        self._kept = frozenset(peer_ids)

    def hear(self, peer_id: PeerId, said: Said) -> list[PeerFound | PeerForgotten]:
        """Adds what a packet said; returns what changed by it.

        Raises WireError for a malformed record, and then stores nothing.
        """
        known = self._entries.get(peer_id, _Entry())
        entry = _Entry(
            known.pointed or said.pointed,
            known.text if said.text is None else said.text,
            _merged(known.hosts, said.hosts) if said.hosts else known.hosts,
        )
        notice = self._notices.get(peer_id)
        if entry != known and entry.text is not None:
            notice = parse_record(label_of(peer_id), entry.text, entry.hosts)
        changes: list[PeerFound | PeerForgotten] = []
        if self._entries.pop(peer_id, None) is None:
            changes += self._make_room()
        if len(self._entries) >= PEERS_MAX:
            return changes
        self._entries[peer_id] = entry
        if notice is not None and entry.pointed and entry.hosts and self._notices.get(peer_id) != notice:
            self._notices[peer_id] = notice
            changes.append(PeerFound(notice))
        return changes

    def forget(self, peer_id: PeerId) -> list[PeerForgotten]:
        """Drops a peer; returns that it is gone if it had been told."""
        self._entries.pop(peer_id, None)
        return [] if self._notices.pop(peer_id, None) is None else [PeerForgotten(peer_id)]

    def _make_room(self) -> list[PeerForgotten]:
        """Evicts the peer heard least recently that is not kept; none when all are kept."""
        for _ in range(len(self._entries)):
            if len(self._entries) < PEERS_MAX:
                break
            oldest = next(iter(self._entries))
            if oldest not in self._kept:
                self._evicted(oldest)
                return self.forget(oldest)
            self._entries[oldest] = self._entries.pop(oldest)
        return []


def _merged(known: tuple[str, ...], told: list[str]) -> tuple[str, ...]:
    """The addresses told last, replacing the known ones, except that a link-local address keeps its scopes.

    One announcement arrives over IPv4, where it tells no scope, and over IPv6 of each interface, where it does.
    """
    still = {_bare(host) for host in told}
    usable = {host for host in told if "%" in host or ":" not in host or not ipaddress.ip_address(host).is_link_local}
    return tuple(likeliest(usable | {host for host in known if "%" in host and _bare(host) in still}))


def _bare(host: str) -> str:
    return host.partition("%")[0]
