"""Turns a host's name into the addresses that can be called."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket

from meshchat.units import Address

log = logging.getLogger(__name__)


async def resolved(address: Address) -> list[Address]:
    """The literals that a host name stands for; a name that cannot be looked up is logged, and tried again later."""
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(address.host)
        return [address]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
    except OSError as error:
        log.warning("cannot look up %s: %s", address.host, error.strerror)
        return []
    return list(dict.fromkeys(Address(str(sockaddr[0]), address.port) for *_, sockaddr in found))
