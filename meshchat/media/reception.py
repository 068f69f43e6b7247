"""What a receiver reports to a sender about its packets: how many came, how many did not, and how unevenly.

The rules are those of RFC 3550: appendix A.1 (extended sequence numbers), A.3 (loss), A.8 (jitter). Late
packets count as received, and copies do if they are put in, so the cumulative loss may be negative; what was heard is
another matter, see `VoiceStats`.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshchat.units import SAMPLE_RATE, Seconds, sequence_distance, timestamp_distance

DROPOUT_MAX = 3000
"""A sequence number may run ahead by this and still be of the same stream (RFC 3550 appendix A.1)."""

MISORDER_MAX = 100
"""It may lie behind by this (RFC 3550 appendix A.1)."""

CUMULATIVE_LOST_MAX = 0x7F_FFFF
"""The cumulative loss is a signed field of 24 bits (RFC 3550 section 6.4.1)."""

_FRACTION_MAX = 255


@dataclass(frozen=True, slots=True)
class ReceptionReport:
    """The figures of one report block (RFC 3550 section 6.4.1), in its units."""

    fraction_lost: int
    """Since the report before, in 256ths: 0..255."""
    cumulative_lost: int
    """Since the beginning: -2^23..2^23-1."""
    extended_highest_sequence: int
    """Cycles of 65536 and the highest sequence number: 32 bits."""
    jitter: int
    """Mean deviation of the spacing of packets, in ticks of 48 kHz."""
    longest_run: int
    """Most packets missing at once since the report before: 0..`DROPOUT_MAX`. One that is overtaken seems missing."""


class Reception:
    """Counts the packets of one sender."""

    def __init__(self) -> None:
        self.received = 0
        """Packets that came without being asked for."""
        self.overtaken = 0
        """Those asked for that came all the same; they were only late."""
        self._first = 0
        self._highest: int | None = None
        self._astray: int | None = None
        self._jitter = 0.0
        self._previous: tuple[Seconds, int] | None = None
        self._reported = (0, 0)
        self._overtaken_before = 0
        self._longest_run = 0

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter (RFC 3550 section 6.4.1) in milliseconds."""
        return 1000 * self._jitter / SAMPLE_RATE

    @property
    def expected(self) -> int:
        """Packets that were sent, as far as sequence numbers tell."""
        return self._highest - self._first + 1 if self._highest is not None else 0

    @property
    def lost(self) -> int:
        """Expected and not received; negative if copies came."""
        return self.expected - self._there

    @property
    def _there(self) -> int:
        return self.received + self.overtaken - self._overtaken_before

    def put(self, sequence: int, timestamp: int, at: Seconds) -> None:
        """Counts one packet: its 16-bit sequence number, its 32-bit timestamp, and when it arrived."""
        if self._highest is None:
            self._restart(sequence)
        elif not self._follow(self._highest, sequence):
            return
        self.received += 1
        self._spread(timestamp, at)

    def report(self) -> ReceptionReport:
        """The block to send now; the fraction counts from the report before."""
        expected, received = self.expected - self._reported[0], self._there - self._reported[1]
        self._reported = (self.expected, self._there)
        lost = expected - received
        fraction = min(_FRACTION_MAX, (lost << 8) // expected) if expected > 0 and lost > 0 else 0
        longest_run, self._longest_run = self._longest_run, 0
        cumulative = max(-CUMULATIVE_LOST_MAX - 1, min(CUMULATIVE_LOST_MAX, self.lost))
        highest = (self._highest or 0) & 0xFFFF_FFFF
        return ReceptionReport(fraction, cumulative, highest, int(self._jitter), longest_run)

    def _follow(self, highest: int, sequence: int) -> bool:
        """Places the number in the stream; a leap is believed when the next number confirms it (appendix A.1)."""
        step = sequence_distance(sequence, highest & 0xFFFF)
        if -MISORDER_MAX < step < DROPOUT_MAX:
            self._highest = max(highest, highest + step)
            self._longest_run = max(self._longest_run, step - 1)
            self._astray = None
        elif sequence == self._astray:
            self._restart(sequence)
        else:
            self._astray = (sequence + 1) & 0xFFFF
            return False
        return True

    def _restart(self, sequence: int) -> None:
        self._first = self._highest = sequence
        self.received = 0
        self._overtaken_before = self.overtaken
        self._astray = None
        self._previous = None
        self._reported = (0, 0)

    def _spread(self, timestamp: int, at: Seconds) -> None:
        """Moves the jitter a sixteenth towards the latest change of transit (appendix A.8)."""
        if self._previous is not None:
            earlier, before = self._previous
            change = (at - earlier) * SAMPLE_RATE - timestamp_distance(timestamp, before)
            self._jitter += (abs(change) - self._jitter) / 16
        self._previous = (at, timestamp)
