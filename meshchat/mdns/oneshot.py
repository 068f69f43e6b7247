"""A multicast question from a port of its own, so that the answers come straight and only to this process.

RFC 6762 section 5.1 and 6.7: who asks from another port than 5353 is answered there by unicast, at once, even when the
same answer was multicast a moment ago. Port 5353 itself is shared by every process of a host that speaks mDNS, and a
unicast answer to it reaches just one of them.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable
from typing import Any

from meshchat.interfaces import LocalAddress
from meshchat.units import Seconds

MDNS_PORT = 5353
MDNS_GROUP = "224.0.0.251"
MDNS_GROUP6 = "ff02::fb"

ASKED_AT_S: tuple[Seconds, ...] = (0.0, 0.25)
"""When the question leaves: at once, and again in case Wi-Fi lost it or an answer."""

LIFE_S: Seconds = 1.5
"""How long the port stays open: even a loaded machine has answered by then; the rest is left to multicast."""


class OneShot(asyncio.DatagramProtocol):
    """Asks twice out of one interface, hands answers on, and closes itself."""

    def __init__(
        self, address: LocalAddress, question: Callable[[int], bytes], answered: Callable[[bytes, int], None]
    ) -> None:
        """`question(id)` writes the packet with that DNS id; `answered(packet, scope)` gets answers that carry it."""
        self.address = address
        self._question = question
        self._answered = answered
        self._id = random.randrange(1, 1 << 16)
        self._transport: asyncio.DatagramTransport | None = None
        self._timers: list[asyncio.TimerHandle] = []

    async def open(self) -> OSError | None:
        """Takes a port; returns why that failed when the address cannot multicast, as when its interface went away."""
        try:
            port = _port(self.address)
        except OSError as error:
            return error
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=port)
        return None

    def ask(self) -> None:
        """Asks now and once more, and closes the port when no answer can be on its way any longer."""
        loop = asyncio.get_running_loop()
        self._timers = [loop.call_later(after_s, self._ask) for after_s in ASKED_AT_S]
        self._timers.append(loop.call_later(LIFE_S, self.close))

    def close(self) -> None:
        for timer in self._timers:
            timer.cancel()
        if self._transport is not None:
            self._transport.close()

    def _ask(self) -> None:
        where = (MDNS_GROUP6, MDNS_PORT, 0, self.address.index) if self.address.is_ipv6 else (MDNS_GROUP, MDNS_PORT)
        if self._transport is not None:
            self._transport.sendto(self._question(self._id), where)

    def datagram_received(self, data: bytes, source: tuple[Any, ...]) -> None:
        """An answer comes from an mDNS port and repeats our id, which nobody off the network can see."""
        if source[1] == MDNS_PORT and data[:2] == self._id.to_bytes(2, "big"):
            self._answered(data, source[3] if len(source) == 4 else 0)


def _port(address: LocalAddress) -> socket.socket:
    """A UDP socket on any port of this address that multicasts out of its interface alone."""
    port = socket.socket(socket.AF_INET6 if address.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        port.setblocking(False)
        if address.is_ipv6:
            port.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, address.index)
            port.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            port.bind((address.bare, 0, 0, address.index if address.is_link_local else 0))
        else:
            port.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address.host))
            port.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
            port.bind((address.host, 0))
    except OSError:
        port.close()
        raise
    return port
