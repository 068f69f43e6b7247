"""Packets that wait for their moment, in the order of their sound and never too many.

Ordered by timestamp and not by sequence number, because playing is about time; sequence numbers only tell silence
from loss. A list kept sorted is enough: almost every packet goes to its end.
"""

from __future__ import annotations

from bisect import bisect_left

from meshchat.media.intake import Packet
from meshchat.units import SAMPLE_RATE

HELD_PACKETS_MAX = 200
"""Packets held for one speaker: 1 s of 5 ms frames. The oldest makes room."""

HELD_SAMPLES_MAX = SAMPLE_RATE
"""Sound held for one speaker, first to last: 1 s, past which talk is no longer conversation. The oldest makes room."""


class JitterBuffer:
    """Holds packets between arrival and playing."""

    def __init__(self) -> None:
        self._packets: list[Packet] = []
        self._timestamps: list[int] = []
        self.late = 0
        """Packets that came, or had to go, too late to be played."""

    def __len__(self) -> int:
        return len(self._packets)

    def put(self, packet: Packet, played_until: int | None) -> None:
        """Takes a packet in its place, unless its sound, or other sound for the same time, was played already."""
        place = bisect_left(self._timestamps, packet.timestamp)
        taken = place < len(self._timestamps) and self._timestamps[place] == packet.timestamp
        if taken or (played_until is not None and packet.timestamp < played_until):
            self.late += 1
            return
        self._timestamps.insert(place, packet.timestamp)
        self._packets.insert(place, packet)
        while len(self) > HELD_PACKETS_MAX or self._packets[-1].end - self._timestamps[0] > HELD_SAMPLES_MAX:
            self.drop()

    def first(self, ahead: int = 0) -> Packet | None:
        """The packet whose sound comes first, or `ahead` places after it."""
        return self._packets[ahead] if ahead < len(self._packets) else None

    def pop(self) -> Packet:
        """Takes out the first packet."""
        del self._timestamps[0]
        return self._packets.pop(0)

    def drop(self) -> None:
        """Gives up the first packet: its moment has passed."""
        self.pop()
        self.late += 1

    def clear(self) -> None:
        """Forgets everything that waits, without calling it late: its timeline is over."""
        self._packets.clear()
        self._timestamps.clear()
