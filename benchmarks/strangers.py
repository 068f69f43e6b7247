"""Clients that nobody knows: they speak QUIC well enough to get in, and talk nonsense as soon as they can.

Some garble the frames inside packets that are sealed as they should be, from the first one on, so that the nonsense
reaches the parsers of frames and of TLS; some finish the handshake with a key of their own, as anybody can, and then
say what no peer would say.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
from aioquic.quic import events as quic
from aioquic.quic.crypto import CryptoPair

from benchmarks.clients import Client
from meshchat.identity import Identity
from meshchat.peers.messages import (
    Beat,
    Claim,
    Entry,
    Hello,
    Key,
    Moved,
    Neighbour,
    Neighbours,
    Presence,
    Roster,
    encode,
)
from meshchat.transport.mutual import MutualConnection, configuration
from meshchat.units import Seconds

LIFE_S: Seconds = 1.0
"""How long one tries."""

GARBLED_SHARE = 0.3
"""Of the packets of one that garbles."""

POLITE_SHARE = 0.7
"""Of strangers say goodbye; the others are left for the peer to forget."""

HEX64, HEX32 = "ab" * 32, "cd" * 16
PRESENCE = Presence(HEX32, "nowhere", "nobody")
CLAIM = Claim(3, 1, HEX64)

GENUINE = (
    Hello(1, ("127.0.0.1:9",), False, PRESENCE, CLAIM),
    Moved(PRESENCE, CLAIM),
    Beat(1, 2, 3, CLAIM, True),
    Roster(CLAIM, 1, (Entry(HEX64, 1, "nobody", ("127.0.0.1:9", "[::1]:9")),)),
    Key(HEX32, 7, 1, bytes(16)),
    Neighbours((Neighbour(HEX64, ("127.0.0.1:9",), HEX32, "nowhere"),)),
)
"""One of each message, as the stuff that nonsense is made of."""


class _Garbling(MutualConnection):
    """A connection whose packets are sealed as they should be, around frames that are not what they should be."""

    rng: random.Random | None = None

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        for pair in (*self._cryptos.values(), *self._cryptos_initial.values()):
            self._garble(pair)

    def _garble(self, pair: CryptoPair) -> None:
        seal = pair.encrypt_packet

        def garbled(plain_header: bytes, plain_payload: bytes, packet_number: int) -> bytes:
            rng = self.rng
            if rng is not None and rng.random() < GARBLED_SHARE:
                changed = bytearray(plain_payload)
                for _ in range(rng.randint(1, 6)):
                    # Most of a first packet is padding: what counts stands at its beginning.
                    changed[min(rng.randrange(len(changed)), rng.randrange(len(changed)))] = rng.randrange(256)
                plain_payload = bytes(changed)
            return seal(plain_header, plain_payload, packet_number)

        pair.encrypt_packet = garbled  # type: ignore[method-assign]


class Stranger(Client):
    """One unknown client."""

    def __init__(self, identity: Identity, to: tuple[str, int], rng: random.Random, now: Seconds) -> None:
        self.outcome = "without an answer"
        self._rng = rng
        self._interrupts = False
        self._until = now + LIFE_S
        core = _Garbling(configuration=configuration(identity, is_client=True))
        core.rng = rng if rng.random() < 0.6 else None
        super().__init__(core, to, now)

    @staticmethod
    def first_packet(identity: Identity) -> bytes:
        """What a call begins with: a well-formed Initial of 1200 bytes."""
        core = MutualConnection(configuration=configuration(identity, is_client=True))
        core.connect(("127.0.0.1", 9), 0.0)
        return core.datagrams_to_send(0.0)[0][0]

    def step(self, now: Seconds) -> bool:
        """Goes on; returns whether it still has something to say."""
        self._receive(now)
        alive = self._take_events(now)
        if now > self._until:
            alive = False
            if self._rng.random() < POLITE_SHARE:
                self._core.close()
        self._send(now)
        return alive

    def _take_events(self, now: Seconds) -> bool:
        while (event := self._core.next_event()) is not None:
            if isinstance(event, quic.HandshakeCompleted):
                self.outcome = "let in"
                self._until = now + LIFE_S / 2
                self._talk()
            elif isinstance(event, quic.StreamDataReceived) and self._interrupts:
                self._interrupts = False
                self._core.stop_stream(event.stream_id, error_code=1)
            elif isinstance(event, quic.ConnectionTerminated):
                self.outcome = "let in, then sent off" if self.outcome == "let in" else "turned away"
                return False
        return True

    def _talk(self) -> None:
        """Says something that no peer would say."""
        ways: tuple[Callable[[], None], ...] = (
            self._mumble,
            self._swear,
            self._shout,
            self._ramble,
            self._flood_streams,
            self._flood_reports,
            self._interrupt,
            self._break_off,
        )
        self._rng.choice(ways)()

    def _write(self, data: bytes) -> None:
        self._core.send_stream_data(2, data)

    def _mumble(self) -> None:
        """Bytes without meaning, in a message of the right length."""
        body = self._rng.randbytes(self._rng.randint(1, 300))
        self._write(len(body).to_bytes(4, "big") + body)

    def _swear(self) -> None:
        """A greeting, then every message with a byte or two wrong."""
        self._write(encode(GENUINE[0]))
        for message in self._rng.sample(GENUINE, len(GENUINE)):
            body = bytearray(msgspec.json.encode(message))
            body[self._rng.randrange(len(body))] = self._rng.randrange(32, 127)
            self._write(len(body).to_bytes(4, "big") + body)

    def _shout(self) -> None:
        """A message too long for anybody."""
        self._write(self._rng.choice((b"\xff\xff\xff\xff", b"\x00\x02\x00\x01")) + bytes(5000))

    def _ramble(self) -> None:
        """Well-formed messages in no order, with claims and addresses out of thin air."""
        for _ in range(20):
            self._write(encode(self._rng.choice(GENUINE)))

    def _flood_streams(self) -> None:
        """Streams that nobody asked for."""
        for number in range(20):
            self._core.send_stream_data(4 * number + self._rng.choice((0, 2)), b"?", end_stream=True)

    def _flood_reports(self) -> None:
        """A greeting, then reports of all sorts in QUIC datagrams."""
        self._write(encode(GENUINE[0]))
        for _ in range(50):
            self._core.send_datagram_frame(self._rng.randbytes(self._rng.choice((0, 1, 8, 32, 200))))

    def _interrupt(self) -> None:
        """A greeting; then, as soon as the other speaks, that it stop (RFC 9000 section 3.5)."""
        self._write(encode(GENUINE[0]))
        self._interrupts = True

    def _break_off(self) -> None:
        """A greeting, and the end of the stream that it came by."""
        self._write(encode(GENUINE[0]))
        self._core.reset_stream(2, error_code=1)
