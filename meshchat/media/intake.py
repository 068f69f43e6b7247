"""From arrivals to packets on one endless timeline, with nonsense, copies and strangers' clocks sorted out.

RTP timestamps wrap after a day, start anywhere, and can be forged; sequence numbers wrap every few minutes. Here
timestamps are unwrapped once, and a packet is believed if its transit (arrival minus timestamp) is within a second
of its predecessor's: so a pause of minutes passes, because timestamp and clock moved together. A packet that is
not believed waits for a second one that agrees with it; then the sender has restarted, and a new timeline begins.
This is the probation of RFC 3550 appendix A.1, with time where the appendix has sequence numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from meshchat.errors import WireError
from meshchat.media.arrivals import Arrival
from meshchat.media.copies import Copy
from meshchat.units import SAMPLE_RATE, Seconds, sequence_distance, timestamp_distance

TRANSIT_JUMP_MAX: Seconds = 1.0
"""A transit may change by this at once; later packets would find no room in the buffer anyway."""

AGREEING_STEPS_MAX = 8
"""How far apart in sequence two packets may be that prove a restart: one or two may be lost between them."""

REMEMBERED = 512
"""Sequence numbers remembered to know a copy: some seconds of the shortest frames, the oldest overwritten."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A believed arrival; `timestamp` counts 48 kHz ticks without wrapping."""

    sequence: int
    timestamp: int
    samples: int
    marker: bool
    payload: bytes
    at: Seconds

    @property
    def end(self) -> int:
        """The timestamp just after its sound."""
        return self.timestamp + self.samples


class Intake:
    """Unwraps, refuses and counts. `restarts` grows when a new timeline begins: what waits is of the old one."""

    def __init__(self, packet_samples: Callable[[bytes], int]) -> None:
        self._packet_samples = packet_samples
        self._latest: Packet | None = None
        self._suspect: Packet | None = None
        self._seen = [-1] * REMEMBERED
        self._restored = [-1] * REMEMBERED
        self.restarts = 0
        self.received = 0
        self.duplicated = 0
        self.damaged = 0
        self.strayed = 0

    def accept(self, arrival: Arrival) -> tuple[Packet, ...]:
        """The packets that are to be played thanks to this one: none, itself, or also the one it vouches for."""
        self.received += 1
        try:
            samples = self._packet_samples(arrival.payload)
        except WireError:
            self.damaged += 1
            return ()
        packet = self._unwrapped(arrival, samples)
        if self._latest is None or _agree(packet, self._latest):
            return self._believed(packet)
        return self._doubted(packet)

    def restore(self, arrival: Arrival) -> tuple[Packet, ...]:
        """The frames that had not come until their copies came with this packet, to be asked after `accept`."""
        latest = self._latest
        if not arrival.copies or latest is None or latest.sequence != arrival.sequence or latest.at != arrival.at:
            return ()
        return tuple(packet for copy in arrival.copies if (packet := self._copied(latest, copy)))

    def was_restored(self, sequence: int, timestamp: int) -> bool:
        """Whether a copy of the packet came first."""
        return self._restored[sequence % REMEMBERED] == timestamp

    def _copied(self, carrier: Packet, copy: Copy) -> Packet | None:
        sequence = (carrier.sequence - copy.steps) & 0xFFFF
        timestamp = carrier.timestamp - copy.offset
        if self._seen[sequence % REMEMBERED] == timestamp or self.was_restored(sequence, timestamp):
            return None
        try:
            samples = self._packet_samples(copy.payload)
        except WireError:
            self.damaged += 1
            return None
        self._restored[sequence % REMEMBERED] = timestamp
        return Packet(sequence, timestamp, samples, copy.marker, copy.payload, carrier.at)

    def _unwrapped(self, arrival: Arrival, samples: int) -> Packet:
        timestamp = arrival.timestamp
        if self._latest is not None:
            latest = self._latest.timestamp
            timestamp = latest + timestamp_distance(arrival.timestamp, latest & 0xFFFF_FFFF)
        return Packet(arrival.sequence, timestamp, samples, arrival.marker, arrival.payload, arrival.at)

    def _believed(self, packet: Packet) -> tuple[Packet, ...]:
        slot = packet.sequence % REMEMBERED
        if self._seen[slot] == packet.timestamp:
            self.duplicated += 1
            return ()
        self._seen[slot] = packet.timestamp
        self._suspect = None
        self._latest = packet
        return (packet,)

    def _doubted(self, packet: Packet) -> tuple[Packet, ...]:
        witness, self._suspect = self._suspect, packet
        self.strayed += 1
        if witness is None or not _follows(packet, witness):
            return ()
        self.strayed -= 2
        self.restarts += 1
        return self._believed(witness) + self._believed(packet)


def _transit(packet: Packet) -> Seconds:
    return packet.at - packet.timestamp / SAMPLE_RATE


def _agree(one: Packet, other: Packet) -> bool:
    return abs(_transit(one) - _transit(other)) <= TRANSIT_JUMP_MAX


def _follows(packet: Packet, witness: Packet) -> bool:
    return 1 <= sequence_distance(packet.sequence, witness.sequence) <= AGREEING_STEPS_MAX and _agree(packet, witness)
