"""How late packets come, and how long it is worth waiting for them.

A packet's transit is its arrival minus its timestamp; nobody knows it in absolute terms, but its excess over the
smallest transit of the last seconds is how late the packet is compared with the luckiest one. A histogram of
that lateness, in buckets of 1 ms and forgetting with a time constant of a few seconds, answers the question
"if the speaker waited d longer than for the luckiest packet, what share would still come too late?".

The target is the d that minimises d + 12 ms for every percent that comes too late (WebRTC's NetEq has 20 ms for
reordered packets). A cost, and not a quantile, because it knows when to give up: one stray packet is
concealed rather than paid for by everybody's delay, and a network that froze for half a second is not answered by
half a second of delay. NetEq's buckets of 20 ms are what keeps it at 66 ms on a perfect network.

The luckiest transit lives in the clocks of both sides, so a drift between them merely moves it, slowly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meshchat.media.copies import Copy
from meshchat.units import SAMPLE_RATE, Seconds

BUCKET: Seconds = 0.001
"""The grain of lateness and of the target."""

BUCKETS = 300
"""The longest wait ever chosen, in buckets; what comes later still counts as lost, whatever the wait."""

LATE_COST: Seconds = 1.2
"""Delay that is as bad as everything coming too late: 12 ms for each percent."""

MEMORY: Seconds = 3.0
"""Time constant of forgetting. Shorter forgets the last bad moment before the next, and lets one packet move the
target; longer sits in old delay."""

CALM: Seconds = 1.5
"""After so long without a packet as late as half the target the bad moment is over, and is forgotten faster."""

CALM_MEMORY: Seconds = 0.5
"""Time constant of forgetting then."""

WORTHWHILE = 0.25
"""The target begins to sink only where that saves this share of its cost: between two waits that are about as good,
sound would be stretched to and fro for nothing, which is heard sooner than either."""

MARGIN: Seconds = 0.001
"""What the way from the socket to the speaker's thread may take after the arrival was stamped."""

FIRST_GUESS: Seconds = 0.007
"""Lateness assumed before anything is known; it fades as packets come."""

LOOK_S: Seconds = 0.02
"""Between two looks for the cheapest target while nothing comes too late: to look costs more than to count."""

UNIT_MAX = 1e6
"""The weight of the newest packet at which all weights are brought back to a scale on which they add up to one."""

FALL_PER_SECOND = 0.030
"""How fast the target sinks, in seconds per second: what a tenth of stretching can follow with ease."""

SPANS = 6
SPAN: Seconds = 0.5
"""The luckiest transit is that of the last `SPANS` spans of this length (3 s) in which packets came."""

_DELAYS = np.arange(1, BUCKETS + 1) * BUCKET


@dataclass(frozen=True, slots=True)
class Arrival:
    """One packet of a speaker, as it came out of the network."""

    sequence: int
    """RTP sequence number, 0..65535."""
    timestamp: int
    """RTP timestamp, 48 kHz ticks, 0..2^32-1."""
    marker: bool
    """The first packet after silence (RFC 3551 section 4.1)."""
    payload: bytes
    """One Opus packet."""
    at: Seconds
    """When its datagram arrived."""
    copies: tuple[Copy, ...] = ()
    """Earlier frames that came along."""
    asked: bool = False
    """Whether it was lost, as it seems, and sent again."""


class Arrivals:
    """The lateness of one speaker's packets, and the wait that suits it."""

    def __init__(self) -> None:
        self._weights = np.zeros(BUCKETS + 1)
        self._weights[int(FIRST_GUESS / BUCKET)] = self._weights[0] = 0.5
        self._unit = 1.0
        self._share = 1.0
        self._spans: list[tuple[int, Seconds]] = []
        self._base: Seconds | None = None
        self._rise = 0.0
        self._target: Seconds = FIRST_GUESS + BUCKET + MARGIN
        self._target_at: Seconds | None = None
        self._needed_at: Seconds | None = None
        self._sinking = False

    @property
    def base(self) -> Seconds:
        """The luckiest recent transit: an arrival's instant minus its timestamp in seconds."""
        return self._base if self._base is not None else 0.0

    @property
    def target(self) -> Seconds:
        """How long after the luckiest packet would have come a packet should be needed."""
        return self._target

    def add(self, at: Seconds, timestamp: int, samples: int) -> None:
        """Counts a packet of `samples` that carries the (unwrapped) `timestamp` and arrived `at`."""
        transit = at - timestamp / SAMPLE_RATE
        self._settle_base(at, transit)
        self._count(at, transit - self.base, samples)
        self._settle_target(at, transit - self.base)

    def add_repair(self, at: Seconds, timestamp: int, samples: int) -> Seconds:
        """Counts a lost frame whose copy came `at` inside a later packet: in effect it arrived then, this late.

        This is what buys the wait for copies and for in-band FEC, and only while losses are worth it.
        """
        lateness = at - timestamp / SAMPLE_RATE - self.base
        self._count(at, lateness, samples)
        return lateness

    def _settle_base(self, at: Seconds, transit: Seconds) -> None:
        span = int(at / SPAN)
        if self._spans and self._spans[-1][0] == span and transit >= self._spans[-1][1]:
            return
        paused = bool(self._spans) and self._spans[-1][0] <= span - SPANS
        if self._spans and self._spans[-1][0] >= span:
            newest = self._spans.pop()
            self._spans.append((newest[0], min(newest[1], transit)))
        else:
            self._spans.append((span, transit))
        while self._spans[0][0] <= span - SPANS:
            self._spans.pop(0)
        base = min(transit for _, transit in self._spans)
        if self._base is not None and base > self._base and not paused:
            self._forget_rise(base - self._base)
        self._base = base

    def _forget_rise(self, rise: Seconds) -> None:
        """The whole path became slower: what was late by today's base is late no more.

        After a pause, and when the path becomes faster, the shape of the lateness is kept instead: it is the best
        guess for what comes, and a drift of the clocks during silence is no news about the network.
        """
        self._rise += rise
        buckets = min(int(self._rise / BUCKET), BUCKETS)
        if buckets:
            self._rise -= buckets * BUCKET
            self._weights[0] += np.add.reduce(self._weights[1 : buckets + 1])
            self._weights[1:-buckets] = self._weights[buckets + 1 :]
            self._weights[-buckets:] = 0.0

    def _count(self, at: Seconds, lateness: Seconds, samples: int) -> None:
        """Adds one packet; the first ones weigh all alike, later ones push out the old with the time constant.

        Instead of making all old weights smaller, each new one is larger than the one before.
        """
        if self._needed_at is None or lateness >= self._target / 2:
            self._needed_at = at
        self._share = share = max(self._share / (1 + self._share), samples / SAMPLE_RATE / MEMORY)
        if at - self._needed_at >= CALM:
            share = max(share, samples / SAMPLE_RATE / CALM_MEMORY)
        self._unit /= 1 - share
        self._weights[min(max(int(lateness / BUCKET), 0), BUCKETS)] += share * self._unit
        if self._unit > UNIT_MAX:
            self._weights /= self._unit
            self._unit = 1.0

    def _settle_target(self, at: Seconds, lateness: Seconds) -> None:
        passed = at - self._target_at if self._target_at is not None else 0.0
        if self._target_at is not None and abs(passed) < LOOK_S and lateness < self._target:
            return
        later = 1.0 - np.add.accumulate(self._weights[:BUCKETS]) / self._unit
        costs = _DELAYS + LATE_COST * later
        best = int(costs.argmin())
        wish: Seconds = float(_DELAYS[best]) + MARGIN
        here = float(costs[min(round((self._target - MARGIN) / BUCKET), BUCKETS) - 1])
        self._sinking = wish < self._target and (self._sinking or costs[best] < (1 - WORTHWHILE) * here)
        if self._sinking or wish > self._target:
            self._target = max(wish, self._target - FALL_PER_SECOND * max(passed, 0.0))
        self._target_at = max(at, self._target_at) if self._target_at is not None else at
