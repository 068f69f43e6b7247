"""Opens multicast DNS on the interfaces chosen, or says why it cannot be and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from zeroconf import Error, IPVersion
from zeroconf.asyncio import AsyncZeroconf

from meshchat.errors import NetworkError
from meshchat.interfaces import LocalAddress


def doors_of(addresses: Iterable[LocalAddress]) -> list[LocalAddress]:
    """One address of each kind per interface, which is all that multicast needs.

    Link-local where there is one: only from such a sender does a receiver learn by which interface it came.
    """
    doors: dict[tuple[str, bool], LocalAddress] = {}
    for address in sorted(addresses, key=lambda address: not (address.is_ipv6 and address.is_link_local)):
        doors.setdefault((address.interface, address.is_ipv6), address)
    return list(doors.values())


def choices(doors: Sequence[LocalAddress]) -> list[str]:
    """The doors as python-zeroconf wants them named."""
    return [door.bare for door in doors]


def ip_version(doors: Sequence[LocalAddress]) -> IPVersion:
    """Which socket families these doors need."""
    if not any(door.is_ipv6 for door in doors):
        return IPVersion.V4Only
    return IPVersion.V6Only if all(door.is_ipv6 for door in doors) else IPVersion.All


async def opened(doors: Sequence[LocalAddress]) -> AsyncZeroconf:
    """python-zeroconf with its sockets open; raises NetworkError when it could open none."""
    if not doors:
        raise cannot_multicast(doors, OSError("there is no address to speak from"))
    try:
        mdns = AsyncZeroconf(choices(doors), ip_version=ip_version(doors))
    except (OSError, RuntimeError) as error:
        raise cannot_multicast(doors, error) from error
    try:
        await mdns.zeroconf.async_wait_for_start()
        if not mdns.zeroconf.engine.senders:
            raise cannot_multicast(doors, OSError("the system refused every interface"))
    except (NetworkError, Error) as error:
        await mdns.async_close()
        raise (error if isinstance(error, NetworkError) else cannot_multicast(doors, error)) from error
    return mdns


def cannot_multicast(doors: Sequence[LocalAddress], error: Exception | None) -> NetworkError:
    """What to tell the person when multicast is refused."""
    where = ", ".join(door.host for door in doors) or "any address"
    return NetworkError(
        f"cannot speak multicast DNS on {where}: {error}. Without it peers do not find each other by themselves: "
        "choose another interface, or free UDP port 5353 (avahi-daemon must not have disallow-other-stacks=yes); an "
        "invite with an address works all the same"
    )
