"""One QUIC connection: who is at the other end, and control messages to and fro.

Each side opens one unidirectional stream and writes its messages there; small reports that may get lost go as QUIC
datagrams (RFC 9221). Nothing here reads a clock: time comes with each call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from aioquic.quic import events as quic
from aioquic.quic.packet import QuicErrorCode
from cryptography import x509

from meshchat.errors import WireError
from meshchat.identity import peer_id_of
from meshchat.peers.messages import Message, Reader, encode
from meshchat.transport.mutual import MutualConnection
from meshchat.transport.port import Route
from meshchat.units import Address, PeerId, Seconds, safe_text

UNSENT_BYTES_MAX = 1 << 20
"""Messages that a peer does not take in; beyond this it is cut off, for they only grow older."""

UNSENT_DATAGRAMS_MAX = 16
"""Reports that wait for a peer which acknowledges nothing; more are left out, since a newer one says the same."""

ONE_STREAM = "one control stream each way, and it stays open"


class Listener(Protocol):
    """Who is told about a connection."""

    def connection_up(self, connection: Connection, now: Seconds) -> None:
        """The other side has proved its key."""

    def connection_down(self, connection: Connection, reason: str, now: Seconds) -> None:
        """It is over, or never came to be."""

    def message_came(self, connection: Connection, message: Message, now: Seconds) -> None:
        """The next control message. May raise `WireError`, which ends the connection."""

    def datagram_came(self, connection: Connection, data: bytes, now: Seconds) -> None:
        """A QUIC datagram. May raise `WireError`, which drops it."""


class Connection:
    """A QUIC connection with its timer and its two streams."""

    def __init__(
        self,
        core: MutualConnection,
        listener: Listener,
        transmit: Callable[[bytes, Route], None],
        table: dict[bytes, Connection],
        written: set[Connection],
        *,
        expected: PeerId | None = None,
        seed: Address | None = None,
        outgoing: bool = False,
    ) -> None:
        """A connection in the making.

        `table` is where the port looks connections up by the ids that they answer to; `written` is where a connection
        notes that something waits for its next `flush`; `expected` is whose key must be shown, where known; `seed` is
        the user's address that this call answers.
        """
        self.core = core
        self.outgoing = outgoing
        self.expected = expected
        self.seed = seed
        self.peer: PeerId | None = None
        self.incarnation = 0
        """The serial number of the peer's certificate, which is made anew at each start of its program."""
        self.answered = False
        """Whether the other side has answered the last `probe`."""
        self.malformed = 0
        """Datagrams in it that made no sense."""
        self._listener = listener
        self._transmit = transmit
        self._table = table
        self._written = written
        self._ids: set[bytes] = set()
        self._reader = Reader()
        self._their_stream: int | None = None
        self._our_stream: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: Seconds | None = None
        self._over = False
        self._ending = False  # nothing more may be written: the peer may have shut our stream already

    @property
    def route(self) -> Route | None:
        """The way that its packets go now; QUIC follows a peer that moves."""
        route = self.core.get_peer_address()
        return route if isinstance(route, Route) else None

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._over

    def receive(self, data: bytes, route: Route, now: Seconds) -> None:
        """Takes in one datagram."""
        self.core.receive_datagram(data, route, now)
        self._take_events(now)

    def send(self, message: Message) -> None:
        """Writes a message; it leaves with the next `flush`. On a connection that is ending it is lost."""
        if self._ending:
            return
        if self._our_stream is None:
            self._our_stream = self.core.get_next_available_stream_id(is_unidirectional=True)
        self.core.send_stream_data(self._our_stream, encode(message))
        self._written.add(self)

    def send_datagram(self, data: bytes) -> None:
        """Writes a QUIC datagram; it leaves with the next `flush`, or is lost if too many wait already."""
        if self._ending or self.core.unsent_datagrams >= UNSENT_DATAGRAMS_MAX:
            return
        self.core.send_datagram_frame(data)
        self._written.add(self)

    def probe(self, now: Seconds) -> None:
        """Asks whether the other side is there; `answered` tells, some time later (RFC 9000 section 19.2)."""
        self.answered = False
        self.core.send_ping(0)
        self.flush(now)

    def close(self, reason: str, now: Seconds) -> None:
        """Says goodbye with a reason in words and ends it; the listener hears of it in `flush`."""
        self._ending = True
        self.core.close(error_code=QuicErrorCode.NO_ERROR, reason_phrase=reason)
        self.flush(now)

    def flush(self, now: Seconds) -> None:
        """Sends what is waiting and sets the timer anew."""
        if self._our_stream is not None and self.core.unsent_bytes(self._our_stream) > UNSENT_BYTES_MAX:
            self._refuse("does not take in what it is sent")
        for data, route in self.core.datagrams_to_send(now):
            assert isinstance(route, Route)
            self._transmit(data, route)
        self._take_events(now)
        self._set_timer()

    def answer_to(self, connection_id: bytes) -> None:
        """Makes the port look up this connection under that id (RFC 9000 section 5.1)."""
        self._ids.add(connection_id)
        self._table[connection_id] = self

    def drop(self) -> None:
        """Forgets it without a word."""
        self._over = True
        self._written.discard(self)
        if self._timer:
            self._timer.cancel()
        for each in self._ids:
            self._table.pop(each, None)
        self._ids.clear()

    def _set_timer(self) -> None:
        wanted = None if self._over else self.core.get_timer()
        if wanted == self._timer_at:
            return
        if self._timer:
            self._timer.cancel()
        self._timer_at = wanted
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(wanted, self._timer_fired) if wanted is not None else None

    def _timer_fired(self) -> None:
        # The loop may call a hair early; the core must not see a time before the one it asked for, or it asks again.
        now = max(self._timer_at or 0.0, asyncio.get_running_loop().time())
        self._timer = self._timer_at = None
        self.core.handle_timer(now)
        self.flush(now)

    def _take_events(self, now: Seconds) -> None:
        while not self._over and (event := self.core.next_event()) is not None:
            match event:
                case quic.HandshakeCompleted():
                    self._handshake_done(now)
                case quic.StreamDataReceived():
                    self._stream_came(event, now)
                case quic.StopSendingReceived() | quic.StreamReset():
                    self._refuse(ONE_STREAM)
                case quic.DatagramFrameReceived() if self.peer:
                    self._datagram_came(event.data, now)
                case quic.PingAcknowledged():
                    self.answered = True
                case quic.ConnectionIdIssued():
                    self.answer_to(event.connection_id)
                case quic.ConnectionIdRetired():
                    self._ids.discard(event.connection_id)
                    self._table.pop(event.connection_id, None)
                case quic.ConnectionTerminated():
                    self.drop()
                    self._listener.connection_down(self, safe_text(event.reason_phrase, 80, 240) or "closed", now)

    def _handshake_done(self, now: Seconds) -> None:
        certificate = self.core.peer_certificate
        peer = _identified(certificate)
        if certificate is None or peer is None:
            self._refuse("show an Ed25519 certificate")
        elif self.expected is not None and peer != self.expected:
            self._refuse("another key than the id that was called")
        else:
            self.peer, self.incarnation = peer, certificate.serial_number
            self._listener.connection_up(self, now)

    def _stream_came(self, event: quic.StreamDataReceived, now: Seconds) -> None:
        if self._their_stream is None:
            self._their_stream = event.stream_id
        if self.peer is None or event.stream_id != self._their_stream or event.end_stream:
            self._refuse(ONE_STREAM)
            return
        try:
            for message in self._reader.feed(event.data):
                self._listener.message_came(self, message, now)
        except WireError as error:
            self._refuse(str(error))

    def _datagram_came(self, data: bytes, now: Seconds) -> None:
        try:
            self._listener.datagram_came(self, data, now)
        except WireError:
            self.malformed += 1

    def _refuse(self, why: str) -> None:
        self._ending = True
        self.core.close(error_code=QuicErrorCode.PROTOCOL_VIOLATION, reason_phrase=why[:200])
        self._written.add(self)


def _identified(certificate: x509.Certificate | None) -> PeerId | None:
    try:
        return peer_id_of(certificate) if certificate else None
    except WireError:
        return None
