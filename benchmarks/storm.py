"""Hostile datagrams: noise, genuine ones garbled, unknown clients; and a relay that sees the genuine ones pass.

The relay stands between two peers as a hostile switch could: it passes everything on unchanged, remembers what passed,
and can send to either peer in the other's name. What the storm throws comes from there and from sockets of strangers.
Loopback only, at a rate that is asked for, from a seed that repeats the choices.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.clients import udp_socket
from benchmarks.lab import LOOPBACK
from benchmarks.strangers import Stranger
from meshchat.identity import Identity
from meshchat.units import Seconds
from meshchat.wire import Kind, binding_indication, kind

REMEMBERED = 512
"""Genuine datagrams kept in each direction, of each kind: the newest, and with them what replays are made of."""

STRAY_SOCKETS = 16
"""Addresses that strangers send from."""

STRANGERS_MAX = 6
"""Unknown clients at work at once."""

BREATH_S: Seconds = 0.002
"""Pause between two volleys, so that a volley is a few datagrams and the relay is never late."""

DATAGRAM_BYTES_MAX = 1500

Garble = Callable[[random.Random, bytes], bytes]


def flip_bits(rng: random.Random, data: bytes) -> bytes:
    """A few bits are not what they were."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flip_early_bits(rng: random.Random, data: bytes) -> bytes:
    """The same among the first bytes, where headers are."""
    return flip_bits(rng, data[:24]) + data[24:]


def truncate(rng: random.Random, data: bytes) -> bytes:
    """The end is missing."""
    return data[: rng.randrange(len(data))]


def extend(rng: random.Random, data: bytes) -> bytes:
    """There is more than there was."""
    return data + rng.randbytes(rng.randint(1, 200))


def replay(_rng: random.Random, data: bytes) -> bytes:
    """It came before."""
    return data


def overwrite(rng: random.Random, data: bytes) -> bytes:
    """A stretch in the middle is something else."""
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.randint(1, 32)) + data[at + 16 :]


def other_stream(rng: random.Random, data: bytes) -> bytes:
    """Another synchronisation source (RFC 3550 section 5.1, bytes 8 to 11)."""
    return data[:8] + rng.randbytes(4) + data[12:]


def other_place(rng: random.Random, data: bytes) -> bytes:
    """Another sequence number and timestamp (bytes 2 to 7)."""
    return data[:2] + rng.randbytes(6) + data[8:]


QUIC_GARBLES: tuple[Garble, ...] = (flip_bits, flip_early_bits, truncate, extend, replay, overwrite)
MEDIA_GARBLES: tuple[Garble, ...] = (*QUIC_GARBLES, other_stream, other_place)


@dataclass
class Victim:
    """A peer under fire."""

    port: int
    in_the_peers_name: socket.socket
    """Sends to it from the address that it knows the other peer by."""
    seen: dict[Kind, deque[bytes]] = field(
        default_factory=lambda: {each: deque(maxlen=REMEMBERED) for each in (Kind.MEDIA, Kind.QUIC)}
    )
    """Genuine datagrams that the other peer sent to it."""

    @property
    def address(self) -> tuple[str, int]:
        return LOOPBACK, self.port


class Relay:
    """Stands between a host and a guest that calls `port`; both know each other by the relay's addresses."""

    def __init__(self, host_port: int) -> None:
        self._front, self._back = udp_socket(), udp_socket()
        self.host = Victim(host_port, self._back)
        self.guest = Victim(0, self._front)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """What the guest calls."""
        return int(self._front.getsockname()[1])

    def close(self) -> None:
        """Ends it; the two lose each other."""
        self._closing = True
        self._thread.join()
        self._front.close()
        self._back.close()

    def _run(self) -> None:
        while not self._closing:
            ready, _, _ = select.select([self._front, self._back], [], [], 0.1)
            for source in ready:
                self._pass_on(source)

    def _pass_on(self, source: socket.socket) -> None:
        victim = self.host if source is self._front else self.guest
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while True:
                data, sender = source.recvfrom(65_536)
                if source is self._front:
                    self.guest.port = sender[1]
                elif sender[1] != self.host.port:
                    continue
                victim.in_the_peers_name.sendto(data, victim.address)
                if kind(data) in victim.seen:
                    victim.seen[kind(data)].append(data)


class Storm:
    """Throws datagrams of every kind at its victims."""

    def __init__(self, victims: Sequence[Victim], identity: Identity, seed: int) -> None:
        """`identity` is a stranger's: anybody can make a key."""
        self.thrown: Counter[str] = Counter()
        """Datagrams by kind; strangers by what became of them."""
        self._victims = tuple(victims)
        self._identity = identity
        self._rng = random.Random(seed)
        self._strays = [udp_socket() for _ in range(STRAY_SOCKETS)]
        self._strangers: list[Stranger] = []
        self._kinds: tuple[tuple[str, float, Callable[[Victim], bytes]], ...] = (
            ("noise", 3, self._noise),
            ("STUN", 1, self._stun),
            ("RTP garbled", 4, lambda victim: self._garbled(victim, Kind.MEDIA, MEDIA_GARBLES)),
            ("QUIC garbled", 3, lambda victim: self._garbled(victim, Kind.QUIC, QUIC_GARBLES)),
            ("QUIC first packets", 1, self._first_packet),
        )
        self._first_packets = [Stranger.first_packet(identity) for _ in range(32)]

    def rage(self, seconds: Seconds, per_second: float) -> None:
        """Goes on for that long at that rate."""
        began = time.monotonic()
        thrown = 0
        while (passed := time.monotonic() - began) < seconds:
            due = int(passed * per_second) - thrown
            for _ in range(due):
                self._throw()
            thrown += due
            self._send_strangers()
            self._drain()
            time.sleep(BREATH_S)

    def close(self) -> None:
        """Lets go of every socket."""
        for stray in self._strays:
            stray.close()
        for stranger in self._strangers:
            stranger.close()

    def _throw(self) -> None:
        victim = self._rng.choice(self._victims)
        name, _, make = self._rng.choices(self._kinds, [weight for _, weight, _ in self._kinds])[0]
        source = victim.in_the_peers_name if self._rng.random() < 0.5 else self._rng.choice(self._strays)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            source.sendto(make(victim), victim.address)
            self.thrown[name] += 1

    def _noise(self, _victim: Victim) -> bytes:
        return self._rng.randbytes(self._rng.choice((0, 1, 2, 20, 36, 37, 60, 200, 1199, 1200, DATAGRAM_BYTES_MAX)))

    def _stun(self, _victim: Victim) -> bytes:
        genuine = binding_indication(self._rng.randbytes(12))
        return self._rng.choice((replay, flip_bits, truncate, extend))(self._rng, genuine)

    def _garbled(self, victim: Victim, which: Kind, garbles: Sequence[Garble]) -> bytes:
        seen = victim.seen[which]
        if not seen:
            return self._noise(victim)
        genuine = seen[self._rng.randrange(len(seen))]
        return self._rng.choice(garbles)(self._rng, genuine)

    def _first_packet(self, _victim: Victim) -> bytes:
        genuine = self._rng.choice(self._first_packets)
        return self._rng.choice((replay, flip_bits, flip_early_bits, truncate))(self._rng, genuine)

    def _send_strangers(self) -> None:
        now = time.monotonic()
        for stranger in list(self._strangers):
            if stranger.step(now):
                continue
            self._strangers.remove(stranger)
            self.thrown[f"strangers {stranger.outcome}"] += 1
            stranger.close()
        if len(self._strangers) < STRANGERS_MAX:
            victim = self._rng.choice(self._victims)
            self._strangers.append(Stranger(self._identity, victim.address, self._rng, now))

    def _drain(self) -> None:
        """Throws away what comes back, counted: it must be less than what was sent."""
        for stray in self._strays:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                while stray.recv(65_536):
                    self.thrown["answers"] += 1


@contextlib.contextmanager
def relay(host_port: int) -> Iterator[Relay]:
    """A relay that ends."""
    made = Relay(host_port)
    try:
        yield made
    finally:
        made.close()
