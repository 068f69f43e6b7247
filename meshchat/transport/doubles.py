"""Two connections that show one key: has the peer restarted, or does it run twice?

A certificate is made anew at each start, so its serial number tells one life of a peer from the next. The older life is
asked whether it is there (a QUIC PING). If it answers, somebody copied a profile, and the newcomer is turned away and
told why; if not, it crashed, and the newcomer takes its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from meshchat.errors import WireError
from meshchat.peers.messages import Message
from meshchat.transport.connection import Connection
from meshchat.units import PeerId, Seconds

KEY_IN_USE = "another running peer shows this key"

PROBE_S: Seconds = 1.0
"""How long the older of two has to answer before it counts as dead: some repetitions."""

HELD_MAX = 64
"""Messages kept of the newer meanwhile; a hello, a key and some beats come in that time. With more, it is closed."""


@dataclass(slots=True)
class Double:
    """Two connections with one key: one linked, one that wants to be."""

    older: Connection
    newer: Connection
    messages: list[Message] = field(default_factory=list)


class Doubles:
    """Those about whom it is not decided yet; one for each peer at most."""

    def __init__(self, replace: Callable[[Connection, list[Message]], None]) -> None:
        """`replace` links the newer connection in the place of the older, and hands on what it said meanwhile."""
        self._replace = replace
        self._waiting: dict[PeerId, Double] = {}

    def examine(self, peer: PeerId, older: Connection, newer: Connection, now: Seconds) -> None:
        """Asks the older one, and decides when it has had its time."""
        if peer in self._waiting:
            newer.close("too many connections", now)
            return
        self._waiting[peer] = Double(older, newer)
        older.probe(now)
        asyncio.get_running_loop().call_later(PROBE_S, self._decide, peer)

    def keep(self, connection: Connection, message: Message) -> bool:
        """Keeps what a newcomer says until it is decided who it is; False for everybody else.

        Raises `WireError` if it says too much.
        """
        double = self._waiting.get(connection.peer) if connection.peer else None
        if double is None or double.newer is not connection:
            return False
        if len(double.messages) >= HELD_MAX:
            raise WireError("too many messages at once")
        double.messages.append(message)
        return True

    def _decide(self, peer: PeerId) -> None:
        double = self._waiting.pop(peer)
        if double.newer.over:
            return
        if double.older.answered and not double.older.over:
            double.newer.close(KEY_IN_USE, asyncio.get_running_loop().time())
        else:
            self._replace(double.newer, double.messages)
