"""QUIC with both sides authenticated: what aioquic needs told, in one place.

Each side shows a self-signed certificate and proves its key in the TLS 1.3 handshake (RFC 8446 section 4.4.3); no
authority signs anything, because a peer's id is the hash of its key. aioquic asks a client for its certificate only
through an attribute of its TLS context that it does not document; everything that rests on such insides stands in this
file, and a test fails when a new aioquic changes them.
"""

from __future__ import annotations

import logging
import ssl
from typing import Any

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from cryptography import x509

from meshchat.identity import Identity

ALPN = "meshchat/1"

IDLE_TIMEOUT_S = 15.0
"""After this much silence QUIC forgets a connection by itself; the control plane gives a peer up long before."""

DATAGRAM_FRAME_BYTES_MAX = 65_535
"""Offered for RFC 9221 DATAGRAM frames, as that RFC's section 3 recommends; the packet's size is the true limit."""

STREAM_BYTES_MAX = 512 * 1024
"""Flow control on the one stream in each direction: some full rosters."""

INITIAL_RTT_S = 0.05
"""Guess before the first sample, for one network rather than the Internet: a lost first packet is repeated after
150 ms instead of a second (RFC 9002 section 6.2.2)."""


def _is_worth_telling(record: logging.LogRecord) -> bool:
    """aioquic warns of every mistake a peer makes; a stranger could fill our log with them. All is shown at `-vvv`."""
    return record.levelno >= logging.ERROR or logging.getLogger().isEnabledFor(logging.DEBUG)


logging.getLogger("quic").addFilter(_is_worth_telling)


def configuration(identity: Identity, *, is_client: bool) -> QuicConfiguration:
    """What both ends of every connection agree on."""
    return QuicConfiguration(
        alpn_protocols=[ALPN],
        is_client=is_client,
        idle_timeout=IDLE_TIMEOUT_S,
        max_data=2 * STREAM_BYTES_MAX,
        max_stream_data=STREAM_BYTES_MAX,
        max_datagram_frame_size=DATAGRAM_FRAME_BYTES_MAX,
        initial_rtt=INITIAL_RTT_S,
        certificate=identity.certificate,
        private_key=identity.private_key,
        verify_mode=ssl.CERT_NONE,  # nobody vouches for a certificate; the key in it is the identity
    )


class MutualConnection(QuicConnection):
    """A QUIC connection whose server asks the client for a certificate too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # An acknowledgement goes with whatever is sent next, at once, which is after all that came together was read.
        # aioquic would wait a millisecond with it: a timer, and a second look at the connection, for each packet.
        self._ack_delay = 0.0

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        if not self._is_client:
            self.tls._request_client_certificate = True

    @property
    def peer_certificate(self) -> x509.Certificate | None:
        """The certificate whose key the other side has proved; valid once the handshake is complete."""
        return self.tls._peer_certificate

    def unsent_bytes(self, stream_id: int) -> int:
        """How much of what was written to a stream is not acknowledged yet."""
        stream = self._streams.get(stream_id)
        return len(stream.sender._buffer) if stream else 0

    @property
    def unsent_datagrams(self) -> int:
        """How many QUIC datagrams wait until congestion control lets them go."""
        return len(self._datagrams_pending)
