"""A client of our own making: one connection, one socket on loopback, stepped by whoever holds it."""

from __future__ import annotations

import contextlib
import socket

from benchmarks.lab import LOOPBACK
from meshchat.transport.mutual import MutualConnection
from meshchat.units import Seconds


def udp_socket() -> socket.socket:
    """A socket on loopback that never waits."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((LOOPBACK, 0))
    made.setblocking(False)
    return made


class Client:
    """Calls somebody at once; what it says then is its kind's business."""

    def __init__(self, core: MutualConnection, to: tuple[str, int], now: Seconds) -> None:
        self._core, self._to = core, to
        self._socket = udp_socket()
        core.connect(to, now)
        self._send(now)

    def close(self) -> None:
        """Lets go of the socket."""
        self._socket.close()

    def _receive(self, now: Seconds) -> None:
        """Takes what has come, and notices what is due."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while True:
                self._core.receive_datagram(self._socket.recv(65_536), self._to, now)
        timer = self._core.get_timer()
        if timer is not None and timer <= now:
            self._core.handle_timer(now)

    def _send(self, now: Seconds) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            for data, _ in self._core.datagrams_to_send(now):
                self._socket.sendto(data, self._to)
