"""Bad networks that can be repeated: what becomes of each packet of sound, decided before anybody sends it.

Every program that is compared gets the same fate for the packet of the same number. Datagrams that only some of them
send (packets asked for again, what goes back) draw from chances of their own, in the state that the network is in then.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass

from meshchat.units import Seconds

WAY: Seconds = 0.000_15
"""One way on a still network: a round trip of 0.3 ms."""

OVERTAKEN_S: Seconds = 0.025
"""How much later a packet comes that two others overtake."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of bad network, and what is asked of sound that passes it."""

    name: str
    loss: float = 0.0
    """Share of the packets lost."""
    burst: float = 1.0
    """How many are lost in a row, on average (Gilbert's model); 1 for at random."""
    jitter_ms: float = 0.0
    exponential: bool = False
    """Whether jitter is spread so, with that mean; else evenly from 0 to it. Order is kept, as queues do."""
    reorder: float = 0.0
    """Share of the packets that two others overtake."""
    duplicate: float = 0.0
    outage: tuple[Seconds, Seconds] | None = None
    """From when and how long nothing passes."""
    drift_ppm: float = 0.0
    """How much faster the listener's clock runs."""
    delay_goal_ms: float | None = None
    pesq_goal: float | None = None


SCENARIOS = (
    Scenario("clean", delay_goal_ms=18, pesq_goal=4.2),
    Scenario("jitter 5 ms", jitter_ms=5),
    Scenario("jitter 20 ms", jitter_ms=20),
    Scenario("jitter 60 ms", jitter_ms=60),
    Scenario("1 % lost", loss=0.01),
    Scenario("5 % lost", loss=0.05),
    Scenario("10 % lost", loss=0.10, delay_goal_ms=45, pesq_goal=4.0),
    Scenario("20 % lost", loss=0.20, delay_goal_ms=50, pesq_goal=3.9),
    Scenario("30 % lost", loss=0.30),
    Scenario("10 % in bursts of 3", loss=0.10, burst=3, delay_goal_ms=65, pesq_goal=3.3),
    Scenario("10 % in bursts of 6", loss=0.10, burst=6),
    Scenario("Wi-Fi", loss=0.01, jitter_ms=4, exponential=True, delay_goal_ms=45, pesq_goal=4.2),
    Scenario("300 ms outage", outage=(6.0, 0.3)),
    Scenario("drift +100 ppm", drift_ppm=100),
    Scenario("drift -100 ppm", drift_ppm=-100),
    Scenario("drift +200 ppm", drift_ppm=200),
    Scenario("drift -200 ppm", drift_ppm=-200),
    Scenario("5 % reordered", reorder=0.05),
    Scenario("5 % duplicated", duplicate=0.05),
)


class Trace:
    """The fates of `packets` packets that leave every `frame` seconds, the first one when its frame is complete."""

    def __init__(self, scenario: Scenario, seed: int, packets: int, frame: Seconds) -> None:
        self._scenario = scenario
        self._chance = random.Random(f"{seed} {scenario.name} there")
        self._other_chance = random.Random(f"{seed} {scenario.name} other")
        self._losing = False
        self._sent = [(number + 1) * frame for number in range(packets)]
        self._states: list[bool] = []
        self._last = 0.0
        self.arrivals = [self._fate(at) for at in self._sent]
        """When each packet arrives, by the speaker's clock: never, once or twice."""

    def extra(self, at: Seconds) -> Seconds | None:
        """When another datagram arrives that leaves at this time, in either direction; None for never."""
        before = bisect_right(self._sent, at) - 1
        losing = self._states[before] if before >= 0 else False
        if self._is_out(at) or self._steps(losing, self._other_chance):
            return None
        return at + WAY + self._jitter(self._other_chance)

    def _fate(self, at: Seconds) -> tuple[Seconds, ...]:
        self._losing = self._steps(self._losing, self._chance)
        self._states.append(self._losing)
        delay = WAY + self._jitter(self._chance)
        overtaken = self._chance.random() < self._scenario.reorder
        twice = self._chance.random() < self._scenario.duplicate
        if self._losing or self._is_out(at):
            return ()
        if overtaken:
            return (at + delay + OVERTAKEN_S,)
        self._last = max(self._last, at + delay)
        return (self._last, self._last + WAY) if twice else (self._last,)

    def _steps(self, losing: bool, chance: random.Random) -> bool:
        """Whether the next packet is lost, after one that was or was not (Gilbert 1960)."""
        loss, burst = self._scenario.loss, self._scenario.burst
        if burst <= 1:
            return chance.random() < loss
        return chance.random() < (1 - 1 / burst if losing else loss / (burst * (1 - loss)))

    def _jitter(self, chance: random.Random) -> Seconds:
        mean = self._scenario.jitter_ms / 1000
        return chance.expovariate(1 / mean) if self._scenario.exponential and mean else chance.uniform(0, mean)

    def _is_out(self, at: Seconds) -> bool:
        out = self._scenario.outage
        return out is not None and out[0] <= at < out[0] + out[1]
