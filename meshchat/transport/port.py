"""One UDP port number on every chosen address of this machine, with one thread that listens to all of them.

A socket is bound to each address rather than one to all: an answer then leaves by the address that was asked, which
a QUIC client insists on (RFC 9000 section 9), and nothing is heard or said on an interface that was not chosen.

Media must not wait for whatever else the event loop is doing, so the listening thread hands a media datagram straight
to its handler. Everything else goes to the loop, in batches, through a queue with a limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from meshchat.config import DEFAULT_PORT
from meshchat.errors import NetworkError
from meshchat.interfaces import LocalAddress
from meshchat.transport.batch import send_batch
from meshchat.units import Address, Seconds
from meshchat.wire import Kind, is_screen, kind

log = logging.getLogger(__name__)

PORTS_TRIED_MAX = 64
"""Several peers on one machine take the following numbers; beyond this many something else is wrong."""

RECEIVE_BUFFER_BYTES = 4 << 20
"""Asked of the kernel for each socket: half a second of a 60 Mbit/s screen, or of everything while a laptop wakes. The
kernel grants what it allows; a smaller buffer only drops sooner."""

SEND_BUFFER_BYTES = 1 << 20

DATAGRAM_BYTES_MAX = 65_536

WAITING_MAX = 1024
"""Datagrams waiting for the event loop; more are dropped, as a full socket buffer would drop them. QUIC repeats."""

BURST_MAX = 32
"""Parts of a screen read from one socket before the others are looked at: a millisecond."""

TURN_MAX = 32
"""Datagrams handled in one turn of the event loop, some 2 ms; during a flood its other work has its turn in between."""

SockAddr = tuple[str, int] | tuple[str, int, int, int]


class Route(NamedTuple):
    """A way to another socket: its host and port, and which of our sockets the packets leave by.

    Opaque to aioquic, which only compares it and packs the first two fields into a retry token.
    """

    host: str
    port: int
    local: str
    """Our own address, which names the socket."""
    sockaddr: SockAddr

    @property
    def address(self) -> Address:
        """The far end."""
        return Address(self.host, self.port)


MediaHandler = Callable[[bytes, Route, Seconds], None]
ControlHandler = Callable[[bytes, Route, Seconds], None]


class Port:
    """The sockets and the thread that listens to them."""

    def __init__(self, on_media: MediaHandler, on_control: ControlHandler, on_pause: Callable[[], None]) -> None:
        """`on_media` is called on the listening thread, `on_control` on the event loop, and `on_pause` there too, once
        the datagrams of a turn have been handed over."""
        self.number = 0
        self.send_errors = 0
        self.received_unknown = 0
        self.waiting_dropped = 0
        self._on_media = on_media
        self._on_control = on_control
        self._on_pause = on_pause
        self._sockets: dict[str, socket.socket] = {}
        self._addresses: dict[str, LocalAddress] = {}
        self._waiting: deque[tuple[bytes, Route, Seconds]] = deque()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._commands: deque[Callable[[], None]] = deque()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False

    def open(self, addresses: Iterable[LocalAddress], number: int | None) -> None:
        """Binds `number` on every address, or the default and then the next numbers until one is free on all.

        Raises `NetworkError` if the number is taken or no address can be used.
        """
        chosen = tuple(addresses)
        candidates = [number] if number else range(DEFAULT_PORT, DEFAULT_PORT + PORTS_TRIED_MAX)
        for candidate in candidates:
            if self._bind_all(chosen, candidate):
                self.number = candidate
                break
        else:
            what = f"UDP port {number} is" if number else f"all UDP ports {candidates[0]}..{candidates[-1]} are"
            raise NetworkError(f"{what} taken by other programs; choose another with --port")
        self._loop = asyncio.get_running_loop()
        self._wake_read.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._listen, name="meshchat-port", daemon=True)
        self._thread.start()

    def set_addresses(self, addresses: Iterable[LocalAddress]) -> None:
        """Follows interfaces that came or went, on the same number."""
        wanted = {address.host: address for address in addresses}
        for host in set(self._sockets) - set(wanted):
            gone = self._sockets.pop(host)
            del self._addresses[host]
            self._on_thread(lambda gone=gone: self._forget(gone))  # type: ignore[misc]
        for host in set(wanted) - set(self._sockets):
            try:
                fresh = _bound(wanted[host], self.number)
            except OSError as error:
                log.warning("cannot use %s port %d: %s", host, self.number, error.strerror)
                continue
            self._sockets[host], self._addresses[host] = fresh, wanted[host]
            self._on_thread(lambda fresh=fresh, host=host: self._watch(fresh, host))  # type: ignore[misc]

    @property
    def hosts(self) -> tuple[str, ...]:
        """Our own addresses in use."""
        return tuple(self._sockets)

    def send(self, data: bytes, route: Route) -> None:
        """Sends one datagram from any thread. What the kernel refuses is lost, as any datagram may be, and counted."""
        sender = self._sockets.get(route.local)
        try:
            if sender is not None:
                sender.sendto(data, route.sockaddr)
        except OSError:
            self.send_errors += 1

    def send_all(self, datagrams: Sequence[bytes], route: Route) -> None:
        """Sends datagrams one after the other, in as few calls of the kernel as it knows."""
        sender = self._sockets.get(route.local)
        try:
            if sender is not None:
                send_batch(sender, datagrams, route.sockaddr)
        except OSError:
            self.send_errors += 1

    def route_to(self, address: Address) -> Route | None:
        """The way to an address: by the socket whose address the kernel would send from; None if there is none."""
        host, _, scope = address.host.partition("%")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        candidates = [local for local in self._addresses.values() if local.is_ipv6 == (family == socket.AF_INET6)]
        if scope:
            candidates = [local for local in candidates if scope in (local.interface, str(local.index))]
            linked = [local for local in candidates if "%" in local.host]
            return self._route(address, linked[0]) if linked else None
        source = _source_address(host, address.port, family)
        exact = [local for local in candidates if local.host == source]
        usable = exact or [local for local in candidates if "%" not in local.host]
        return self._route(address, usable[0]) if usable else None

    def close(self) -> None:
        """Stops listening and frees the port. Harmless when done again."""
        if self._closing:
            return
        self._closing = True
        if self._thread:
            self._wake_write.send(b"x")
            self._thread.join()
        for each in self._sockets.values():
            each.close()
        self._sockets.clear()
        self._wake_read.close()
        self._wake_write.close()
        self._selector.close()

    def _route(self, address: Address, local: LocalAddress) -> Route:
        host = address.host.partition("%")[0]
        scope = local.index if "%" in local.host else 0
        sockaddr: SockAddr = (host, address.port, 0, scope) if ":" in host else (host, address.port)
        return Route(address.host, address.port, local.host, sockaddr)

    def _bind_all(self, addresses: tuple[LocalAddress, ...], number: int) -> bool:
        bound: dict[str, socket.socket] = {}
        trouble: OSError | None = None
        for address in addresses:
            try:
                bound[address.host] = _bound(address, number)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    _close_all(bound.values())
                    return False
                trouble = error
        if not bound:
            why = f": {trouble.strerror}" if trouble else ": this machine has no network address"
            raise NetworkError(f"no address can be used{why}. Check the network, or choose one with --interface")
        self._sockets = bound
        self._addresses = {address.host: address for address in addresses if address.host in bound}
        for host, each in bound.items():
            self._watch(each, host)
        return True

    def _watch(self, fresh: socket.socket, host: str) -> None:
        self._selector.register(fresh, selectors.EVENT_READ, host)

    def _forget(self, gone: socket.socket) -> None:
        self._selector.unregister(gone)
        gone.close()

    def _on_thread(self, command: Callable[[], None]) -> None:
        self._commands.append(command)
        self._wake_write.send(b"x")

    def _listen(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select():
                if key.data is None:
                    self._wake_read.recv(4096)
                    while self._commands:
                        self._commands.popleft()()
                elif isinstance(key.fileobj, socket.socket):
                    self._receive(key.fileobj, key.data)

    def _receive(self, source: socket.socket, local: str) -> None:
        # Sound comes one packet at a time: after it the selector is asked again, since reading on would end with a
        # refusal, which costs as much. Screens come in bursts: after a part of one the next is likely there.
        for _ in range(BURST_MAX):
            try:
                data, sender = source.recvfrom(DATAGRAM_BYTES_MAX)
            except OSError:  # nothing more, an ICMP error about an earlier packet (Windows), or the interface is gone
                return
            self._sort(data, _route_of(sender, local))
            if not is_screen(data):
                return

    def _sort(self, data: bytes, route: Route) -> None:
        now = time.monotonic()
        what = kind(data)
        if what is Kind.MEDIA:
            self._on_media(data, route, now)
        elif what is not Kind.QUIC:
            self.received_unknown += what is Kind.UNKNOWN
        elif len(self._waiting) >= WAITING_MAX:
            self.waiting_dropped += 1
        else:
            self._waiting.append((data, route, now))
            if len(self._waiting) == 1 and self._loop:
                with contextlib.suppress(RuntimeError):  # the loop is closed: we are being torn down
                    self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        try:
            for _ in range(min(len(self._waiting), TURN_MAX)):
                self._on_control(*self._waiting.popleft())
            self._on_pause()
        finally:  # also when one of them met a bug of ours, which the loop reports: the others are not lost with it
            if self._waiting and self._loop:
                self._loop.call_soon(self._deliver)


def _bound(address: LocalAddress, number: int) -> socket.socket:
    family = socket.AF_INET6 if address.is_ipv6 else socket.AF_INET
    fresh = socket.socket(family, socket.SOCK_DGRAM)
    try:
        fresh.setblocking(False)
        if address.is_ipv6:
            fresh.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for option, size in (
            (socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES),
            (getattr(socket, "SO_RCVBUFFORCE", 33), RECEIVE_BUFFER_BYTES),
            (socket.SO_SNDBUF, SEND_BUFFER_BYTES),
        ):
            with contextlib.suppress(OSError):  # the forced size needs privilege and Linux
                fresh.setsockopt(socket.SOL_SOCKET, option, size)
        host = address.host.partition("%")[0]
        scope = address.index if "%" in address.host else 0
        fresh.bind((host, number, 0, scope) if address.is_ipv6 else (host, number))
    except OSError:
        fresh.close()
        raise
    return fresh


def _close_all(sockets: Iterable[socket.socket]) -> None:
    for each in sockets:
        each.close()


def _route_of(sender: SockAddr, local: str) -> Route:
    """The way back to whoever sent a datagram; a link-local sender carries the scope of the socket it came to."""
    host = sender[0].partition("%")[0]
    if host.startswith("fe80:"):
        host = f"{host}%{local.partition('%')[2]}"
    return Route(host, sender[1], local, sender)


def _source_address(host: str, port: int, family: socket.AddressFamily) -> str | None:
    """Which of our addresses the kernel would send from; connecting a UDP socket sends nothing."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, port))
        except OSError:
            return None
        return str(probe.getsockname()[0])
