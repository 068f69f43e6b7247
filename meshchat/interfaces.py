"""Which addresses this machine has, and which of them meshchat uses.

The machine is asked afresh each time, since Wi-Fi, docks and tunnels come and go. Left alone, the choice is every
network that another person could be on: loopback and the private networks of containers and virtual machines are
skipped by name, as KDE Connect does, because announcing them sends others to addresses that lead nowhere; tunnels
stay, because a tunnel may be the only way two people share. A word from the user overrides all of it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ifaddr

from meshchat.errors import NetworkError

PRIVATE_PREFIXES = (
    "awdl", "llw",  # Apple's own peer-to-peer radio: carries nothing of ours
    "docker", "br-", "veth", "podman", "cni", "lxcbr", "lxdbr",  # containers
    "virbr", "vnet", "vmnet", "vboxnet", "vethernet", "virtualbox", "vmware",  # virtual machines
)  # fmt: skip
"""How interfaces are called, in lower case, behind which there is no other person."""

UNFIT_FLAGS = 0x08 | 0x20 | 0x40
"""Linux's marks on an IPv6 address that failed its duplicate check, is deprecated, or is still being checked."""

IF_INET6 = Path("/proc/net/if_inet6")


@dataclass(frozen=True, slots=True, order=True)
class LocalAddress:
    """One address of this machine and the interface that carries it."""

    host: str
    """A literal; link-local IPv6 carries `%scope`: the interface's name on POSIX, its index on Windows."""
    interface: str
    index: int
    """The interface's number in the kernel; 0 when unknown."""

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.host

    @property
    def is_loopback(self) -> bool:
        return ipaddress.ip_address(self.bare).is_loopback

    @property
    def is_link_local(self) -> bool:
        return ipaddress.ip_address(self.bare).is_link_local

    @property
    def bare(self) -> str:
        """The literal without its scope, as DNS and ioctls want it."""
        return self.host.partition("%")[0]


def scoped(host: str, index: int) -> str:
    """A link-local IPv6 literal with its scope as this system writes it.

    Raises OSError when no interface has that index.
    """
    return f"{host}%{index if os.name == 'nt' else socket.if_indextoname(index)}"


def present() -> tuple[LocalAddress, ...]:
    """Every address of this machine now, sorted; blocks for about a millisecond.

    Addresses that cannot be bound or that the system is phasing out are left out where it says so (Linux). Raises
    NetworkError when the system will not list them.
    """
    try:
        adapters = list(ifaddr.get_adapters())
    except OSError as error:
        raise NetworkError(f"cannot list the network interfaces: {error.strerror}; name an address instead") from error
    unfit = _unfit()
    found: set[LocalAddress] = set()
    for adapter in adapters:
        for ip in adapter.ips:
            name = ip.nice_name if os.name == "nt" else adapter.name
            host = ip.ip if isinstance(ip.ip, str) else ip.ip[0].partition("%")[0]
            if (host, name) not in unfit:
                found.add(_local(host, name, adapter.index or 0))
    return tuple(sorted(found))


def _local(host: str, name: str, index: int) -> LocalAddress:
    address = ipaddress.ip_address(host)
    if address.version == 6 and address.is_link_local:
        return LocalAddress(f"{address}%{index if os.name == 'nt' else name}", name, index)
    return LocalAddress(str(address), name, index)


def _unfit() -> set[tuple[str, str]]:
    """The (address, interface) pairs that Linux would not let us use or soon takes away; empty elsewhere."""
    try:
        lines = IF_INET6.read_text().splitlines()
    except OSError:
        return set()
    rows = [line.split() for line in lines]
    return {
        (str(ipaddress.IPv6Address(bytes.fromhex(digits))), name)
        for digits, _, _, _, flags, name in rows
        if int(flags, 16) & UNFIT_FLAGS
    }


def chosen(wanted: Sequence[str], present: Iterable[LocalAddress]) -> tuple[LocalAddress, ...]:
    """The addresses to use out of those present, sorted.

    `wanted` holds addresses or interface names: exactly what they match, bridges and loopback included. When it is
    empty, every network that may hold another person; when there is none, loopback, so that peers of one machine
    still meet.
    """
    addresses = sorted(set(present))
    if wanted:
        return tuple(address for address in addresses if any(_matches(item, address) for item in wanted))
    outward = [address for address in addresses if not address.is_loopback and not _is_private(address.interface)]
    return tuple(outward or (address for address in addresses if address.is_loopback))


def check(wanted: Sequence[str], present: Iterable[LocalAddress]) -> None:
    """Raises NetworkError when something wanted matches nothing present, and says what there is instead."""
    addresses = sorted(set(present), key=lambda address: (address.interface, address.host))
    missing = [item for item in wanted if not any(_matches(item, address) for address in addresses)]
    if not missing:
        return
    there = "; ".join(f"{address.interface} {address.host}" for address in addresses) or "nothing at all"
    raise NetworkError(
        f"this machine has no interface or address {', '.join(missing)}. Choose among what it has: {there}"
    )


def _is_private(interface: str) -> bool:
    return interface.casefold().startswith(PRIVATE_PREFIXES)


def _matches(item: str, address: LocalAddress) -> bool:
    """Whether `item` is the address's interface, or the address itself in any spelling, with or without its scope."""
    if item.casefold() == address.interface.casefold():
        return True
    bare, _, scope = item.partition("%")
    try:
        same = ipaddress.ip_address(bare) == ipaddress.ip_address(address.bare)
    except ValueError:
        return False
    return same and scope in ("", address.interface, str(address.index))
