"""What the DNS records of one packet say about peers.

Each record speaks of one instance, whose name is a peer's id; records of other services and hosts are passed over,
and records under our service whose name is no id are counted as nonsense.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field

from zeroconf import DNSAddress, DNSPointer, DNSRecord, DNSService, DNSText  # type: ignore[attr-defined]  # see discovery

from meshchat.interfaces import scoped
from meshchat.mdns.hearsay import Said
from meshchat.mdns.notices import label_of, peer_of
from meshchat.units import PeerId

SERVICE = "_meshchat._udp.local."

POINTER, INTERNET = 12, 1
"""The PTR type and the IN class (RFC 1035 section 3.2)."""

HOSTS_PER_PACKET_MAX = 64
"""Addresses looked at per peer and packet; honest peers announce 16 at most. Further ones are ignored."""


@dataclass(slots=True)
class Packet:
    """One packet, sorted by peer."""

    said: dict[PeerId, Said] = field(default_factory=dict)
    gone: list[PeerId] = field(default_factory=list)
    """Peers that said goodbye in it, or whose pointer expired."""
    nonsense: int = 0


def read(records: Iterable[DNSRecord], now: float, loopback: bool) -> Packet:
    """Sorts the records that arrived, or expired, at `now` (milliseconds, the library's clock).

    Loopback addresses count only when `loopback` says that we announce some ourselves.
    """
    packet = Packet()
    for record in records:
        label = _label(record)
        peer_id = peer_of(label) if label is not None else None
        if peer_id is not None and not record.is_expired(now):
            _add(packet.said.setdefault(peer_id, Said()), record, loopback)
        elif peer_id is not None and isinstance(record, DNSPointer):
            packet.gone.append(peer_id)
        elif peer_id is None and label is not None:
            packet.nonsense += 1
    return packet


def pointer_to(peer_id: PeerId) -> DNSPointer:
    """The PTR record that names this peer's instance."""
    return DNSPointer(SERVICE, POINTER, INTERNET, 0, f"{label_of(peer_id)}.{SERVICE}")


def pointed_peer(record: DNSRecord) -> PeerId | None:
    """The peer that this record points to, when it is a pointer of our service."""
    label = _label(record) if isinstance(record, DNSPointer) else None
    return None if label is None else peer_of(label)


def _add(said: Said, record: DNSRecord, loopback: bool) -> None:
    if isinstance(record, DNSPointer):
        said.pointed = True
    elif isinstance(record, DNSText):
        said.text = record.text
    elif isinstance(record, DNSAddress) and len(said.hosts) < HOSTS_PER_PACKET_MAX:
        said.hosts.extend(_hosts(record, loopback))


def _hosts(record: DNSAddress, loopback: bool) -> list[str]:
    """The literal in an address record, or nothing when no peer can be there (RFC 1122 section 3.2.1.3)."""
    address = ipaddress.ip_address(record.address)
    if address.is_loopback:
        return [str(address)] if loopback else []
    if address.is_multicast or address.is_unspecified or address.is_reserved:
        return []
    if address.version == 4 or not address.is_link_local or not record.scope_id:
        return [str(address)]
    try:
        return [scoped(str(address), record.scope_id)]
    except OSError:
        return []


def _label(record: DNSRecord) -> str | None:
    """The instance that a record speaks of; None when it is about something else than meshchat."""
    if record.class_ != INTERNET:
        return None
    if isinstance(record, DNSPointer):
        return record.alias.removesuffix(f".{SERVICE}") if record.key == SERVICE else None
    if isinstance(record, (DNSText, DNSService)):
        return record.name.removesuffix(f".{SERVICE}") if record.key.endswith(f".{SERVICE}") else None
    if isinstance(record, DNSAddress) and peer_of(host := record.name.removesuffix(".local.")):
        return host
    return None
