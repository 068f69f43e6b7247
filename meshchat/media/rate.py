"""How fast a watcher's link takes what we send: faster while nothing waits on the way, slower as soon as it does.

Intuition, after SCReAM (RFC 8298) and LEDBAT (RFC 6817): each slice that becomes whole there is reported with the
watcher's clock. The difference to our clock at sending is the delay and an unknown constant; what exceeds the least of
it seen lately is time spent in somebody's queue. While that is short the rate grows by a share, and when it is long the
rate falls to what was really delivered, less a little so that the queue drains. Loss lowers it too, but only steady
loss of many packets: on a radio single losses say nothing about room.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from meshchat.units import Seconds
from meshchat.wire import DATAGRAM_BYTES_MAX

BITS_MIN = 500_000.0
"""Slowest: a still desktop with somebody typing on it."""

GENEROUS = 40e6
"""From this rate on quality is as it was wanted: 30 pictures a second of full motion."""

QUEUE_S: Seconds = 0.04
"""What may wait on the way: more than a busy receiver's own unevenness, less than anybody sees."""

STEP_S: Seconds = 0.1
"""Between two changes of the rate: several round trips on a LAN."""

GROWTH = 1.15
"""By what the rate grows in one step while the link is used and nothing waits."""

DRAIN = 0.85
"""What of the delivered rate is sent while a queue drains."""

FLOOR_S: Seconds = 10.0
"""How long a least delay counts: clocks drift by a millisecond in ten seconds at worst, routes change."""

WINDOW_S: Seconds = 0.12
"""Bytes under way at most, as a time at the present rate."""

WINDOW_BYTES_MIN = 64 * 1024

LOSS_MAX = 0.2
"""A share of datagrams asked for again beyond which the link is taken for full."""

TICKS = 10_000
"""Of the watcher's clock, in a second."""

CLOCK = 1 << 32


@dataclass(slots=True)
class Rate:
    """The rate to one watcher."""

    bits_max: float
    """Bits a second, at most."""
    bits: float = 0.0
    """Bits a second, now."""
    queue: Seconds = 0.0
    """How long what was sent last had to wait on the way."""
    _stepped_at: Seconds = 0.0
    _delivered: int = 0
    _lost: int = 0
    _low: deque[tuple[Seconds, float]] = field(default_factory=deque)
    _queues: list[Seconds] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bits = self.bits or self.bits_max

    @property
    def window(self) -> float:
        """Bytes that may be under way."""
        return max(self.bits * WINDOW_S / 8, WINDOW_BYTES_MIN)

    @property
    def quality(self) -> float:
        """What share of the wanted quality such a link takes well: 0..1."""
        return min(1.0, self.bits / GENEROUS)

    def arrived(self, at_ticks: int, sent_at: Seconds, size: int, now: Seconds) -> None:
        """`size` bytes became whole there at `at_ticks` of its clock; the last of them were sent at `sent_at`."""
        delay = (at_ticks / TICKS - sent_at) % (CLOCK / TICKS)
        # Both clocks are arbitrary; taken around the least delay the difference never jumps where they go round.
        if self._low:
            lowest = self._low[0][1]
            delay = lowest + ((delay - lowest + CLOCK / TICKS / 2) % (CLOCK / TICKS) - CLOCK / TICKS / 2)
        while self._low and self._low[-1][1] >= delay:
            self._low.pop()
        self._low.append((now, delay))
        while now - self._low[0][0] > FLOOR_S:
            self._low.popleft()
        self.queue = delay - self._low[0][1]
        self._queues.append(self.queue)
        self._delivered += size
        self._step(now)

    def lost(self, now: Seconds) -> None:
        """A datagram was asked for again."""
        self._lost += DATAGRAM_BYTES_MAX
        self._step(now)

    def overrun(self) -> None:
        """The watcher gave up: the link takes much less than it is sent."""
        self.bits = max(BITS_MIN, self.bits / 2)

    def _step(self, now: Seconds) -> None:
        passed = now - self._stepped_at
        if passed < STEP_S:
            return
        delivered = self._delivered * 8 / passed
        waits = min(self._queues, default=0.0)  # one slice that came quickly shows that nothing waits all the time
        is_full = waits > QUEUE_S or self._lost > LOSS_MAX * (self._lost + self._delivered)
        if is_full:
            self.bits = max(BITS_MIN, min(self.bits, max(delivered, self.bits / 2)) * DRAIN)
        elif waits < QUEUE_S / 2:
            self.bits = min(self.bits_max, self.bits * GROWTH)
        self._stepped_at, self._delivered, self._lost = now, 0, 0
        self._queues.clear()
