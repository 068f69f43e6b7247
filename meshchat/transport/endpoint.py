"""All QUIC connections of one port: which datagram belongs to which, who may open a new one, and at what price.

A stranger costs nothing until it has shown that it receives at the address it sends from: its first packet is answered
with a Retry that is smaller than what came (RFC 9000 section 8.1), and no state is kept. After that it may have a few
handshakes open at once and no more.
"""

from __future__ import annotations

import os
from collections import Counter

from aioquic.buffer import Buffer  # type: ignore[attr-defined]
from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.retry import QuicRetryTokenHandler

from meshchat.identity import Identity
from meshchat.peers.budget import Budget, Rate
from meshchat.transport.connection import Connection, Listener
from meshchat.transport.mutual import MutualConnection, configuration
from meshchat.transport.port import Port, Route
from meshchat.units import Address, PeerId, Seconds

INITIAL_BYTES_MIN = 1200
"""A client's first datagram is at least this long (RFC 9000 section 14.1), so an answer is never the longer one."""

HANDSHAKES_MAX = 64
"""Strangers in a handshake at once; one costs some 4 ms of processor time."""

HANDSHAKES_PER_HOST_MAX = 16
"""The same from one host: several peers on one machine may start together."""

ANSWERS = Rate(burst=200, per_s=200.0)
"""Retries and version negotiations; the rest of a flood stays unanswered."""

CONNECTION_ID_BYTES = 8


class Endpoint:
    """The connections of one port."""

    def __init__(self, identity: Identity, port: Port, listener: Listener) -> None:
        self.refused = 0
        """Datagrams that belonged to no connection and did not open one."""
        self._port = port
        self._listener = listener
        self._server = configuration(identity, is_client=False)
        self._client = configuration(identity, is_client=True)
        self._retry = QuicRetryTokenHandler()
        self._connections: dict[bytes, Connection] = {}
        self._written: set[Connection] = set()
        self._answers = Budget(ANSWERS, 0.0)

    @property
    def connections(self) -> set[Connection]:
        """Every connection that is not over."""
        return set(self._connections.values())

    def call(self, route: Route, expected: PeerId | None, seed: Address | None, now: Seconds) -> Connection:
        """Opens a connection to whoever answers there."""
        core = MutualConnection(configuration=self._client)
        connection = Connection(
            core,
            self._listener,
            self._port.send,
            self._connections,
            self._written,
            expected=expected,
            seed=seed,
            outgoing=True,
        )
        connection.answer_to(core.host_cid)
        core.connect(route, now=now)
        connection.flush(now)
        return connection

    def receive(self, data: bytes, route: Route, now: Seconds) -> None:
        """Takes in one QUIC datagram from anybody; what it calls for leaves with the next `flush`."""
        try:
            header = pull_quic_header(Buffer(data=data), host_cid_length=CONNECTION_ID_BYTES)
        except ValueError:
            self.refused += 1
            return
        connection = self._connections.get(header.destination_cid)
        if connection is None:
            connection = self._admit(data, header, route, now)
        if connection is None:
            self.refused += 1
            return
        connection.receive(data, route, now)
        if connection.peer is None:  # in a handshake, whose next step takes longer than some others' patience
            connection.flush(now)
        elif not connection.over:
            self._written.add(connection)

    def flush(self, now: Seconds) -> None:
        """Sends what was written to any connection since the last time, and acknowledges what came on it.

        Only those are asked: asking each of fifteen connections after every message was the greater part of the event
        loop's work. What came together is acknowledged together, with our answer to it if there is one.
        """
        written = list(self._written)
        self._written.clear()
        for connection in written:
            connection.flush(now)

    def close(self, reason: str, now: Seconds) -> None:
        """Ends every connection with a goodbye."""
        for connection in self.connections:
            connection.close(reason, now)
            connection.drop()

    def _admit(self, data: bytes, header: QuicHeader, route: Route, now: Seconds) -> Connection | None:
        """The connection that a validated first packet opens; anybody else gets a short answer, or none."""
        # A Version Negotiation packet is never answered: two servers would answer each other for ever.
        if header.version is None or header.packet_type == QuicPacketType.VERSION_NEGOTIATION:
            return None
        known_version = header.version in self._server.supported_versions
        if len(data) < INITIAL_BYTES_MIN or (known_version and header.packet_type != QuicPacketType.INITIAL):
            return None
        if known_version and header.token:
            return self._accept(header, route, now)
        if not self._answers.take(now):
            return None
        if known_version:
            self._ask_again(header, route, now)
        else:
            self._negotiate_version(header, route)
        return None

    def _accept(self, header: QuicHeader, route: Route, now: Seconds) -> Connection | None:
        try:
            original = self._retry.validate_token(
                address=route[:2], destination_cid=header.destination_cid, token=header.token, now=now
            )
        except ValueError:
            return None
        waiting = [each for each in self.connections if each.peer is None and not each.outgoing]
        hosts = Counter(each.route.host for each in waiting if each.route)
        if len(waiting) >= HANDSHAKES_MAX or hosts[route.host] >= HANDSHAKES_PER_HOST_MAX:
            return None
        core = MutualConnection(
            configuration=self._server,
            original_destination_connection_id=original,
            retry_source_connection_id=header.destination_cid,
        )
        connection = Connection(core, self._listener, self._port.send, self._connections, self._written)
        connection.answer_to(header.destination_cid)
        connection.answer_to(core.host_cid)
        return connection

    def _ask_again(self, header: QuicHeader, route: Route, now: Seconds) -> None:
        source_cid = os.urandom(CONNECTION_ID_BYTES)
        assert header.version is not None
        token = self._retry.create_token(
            address=route[:2],
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=source_cid,
            now=now,
        )
        answer = encode_quic_retry(
            version=header.version,
            source_cid=source_cid,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )
        self._port.send(answer, route)

    def _negotiate_version(self, header: QuicHeader, route: Route) -> None:
        answer = encode_quic_version_negotiation(
            source_cid=header.destination_cid,
            destination_cid=header.source_cid,
            supported_versions=self._server.supported_versions,
        )
        self._port.send(answer, route)
