"""Which packets of a stream are missing and worth asking for again, and when.

Intuition: on a local network a question and its answer take a millisecond or two. A packet that follows a gap tells
at once what is missing; what is asked for then comes ten milliseconds after its time, which is sooner than any guess
is heard to be one, and costs bits only where something was lost. If the answer is lost as well, the next packet that
comes is reason to ask again.

Nothing waits for an answer because it was asked for: whether the playing should wait that long is for the arrivals to
decide, by what share of the packets it would save (`media.arrivals`), and so the first answers are what teaches it.
Only where an answer takes longer than sound is worth waiting for, nothing is asked, but for a try now and then.

A packet that was merely overtaken is asked for needlessly. When it comes once more than it was asked for, it is known
not to have been lost.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshchat.units import Seconds, sequence_distance

WORTH: Seconds = 0.045
"""How long after its time a packet is still asked for. Longer repairs more of long bursts, at more delay for all."""

RESPONSE_FIRST: Seconds = 0.005
"""What an answer is believed to take before one has come."""

RESPONSE_MIN: Seconds = 0.000_3
"""What comes sooner after the question was on its way already."""

RESPONSE_WEIGHT = 0.125
"""Share of the newest answer in that belief (as in RFC 9002 section 5.3)."""

PATIENCE = 1.5
"""So many times that is waited for before the packet is asked for again."""

TRIES_MAX = 3
"""How often one packet is asked for."""

TRY_AGAIN: Seconds = 2.0
"""Between two questions where answers take too long: the way may have become shorter."""

LOSS_WEIGHT = 1 / 128
"""Share of the newest packet in the loss by which questions are repeated."""

RESIDUE = 0.001
"""Share of the packets that may be lost with all answers, as far as repeating the question helps."""

TIMES_MAX = 4
"""How often one question is said; at a fifth lost, the answers are then as many as a sender gives."""

LEAP_MAX = 64
"""A longer gap in the numbers is another stream or a long silence of the network: nothing of it is asked for."""

ANSWERED_MAX = 64
"""Packets remembered as having come after they were asked for; the oldest is forgotten."""


@dataclass(slots=True)
class _Missing:
    due: Seconds
    """When it would have come."""
    asked: Seconds
    """When it was asked for last."""
    tries: int
    said: int
    """How many questions that were, with those that were said more than once."""


class Asking:
    """The gaps in one stream. For the thread that takes its packets from the network."""

    def __init__(self) -> None:
        self.needless = 0
        """Packets asked for that had only been overtaken."""
        self._newest: int | None = None
        self._newest_at: Seconds = 0.0
        self._missing: dict[int, _Missing] = {}
        self._answered: dict[int, int] = {}
        """By sequence number, how many more of it may come that were asked for."""
        self._response: Seconds = RESPONSE_FIRST
        self._asked_at: Seconds = -TRY_AGAIN
        self._loss = 0.0

    @property
    def times(self) -> int:
        """How often a question is to be said, since question and answer may be lost like anything else."""
        times, left = 1, self._loss * self._failing
        while left > RESIDUE and times < TIMES_MAX:
            times, left = times + 1, left * self._failing
        return times

    @property
    def _failing(self) -> float:
        return 1 - (1 - self._loss) ** 2

    def came(self, sequence: int, steps: tuple[int, ...], now: Seconds) -> bool:
        """A packet came, with copies of those so many `steps` before it. Whether it had been asked for."""
        for step in steps:
            self._missing.pop((sequence - step) & 0xFFFF, None)
        leap = sequence_distance(sequence, self._newest) if self._newest is not None else LEAP_MAX
        if leap <= 0 and -leap <= LEAP_MAX:
            return self._answer(sequence, now)
        if leap < LEAP_MAX:
            self._note_gap(sequence, leap, steps, now)
        else:
            self._missing.clear()
        self._newest, self._newest_at = sequence, now
        return False

    def came_again(self, sequence: int) -> None:
        """A packet came that had come already."""
        if sequence not in self._answered:
            return
        self._answered[sequence] -= 1
        if self._answered[sequence] < 0:
            del self._answered[sequence]
            self.needless += 1
            self._loss = max(0.0, self._loss - LOSS_WEIGHT)

    def due(self, now: Seconds) -> tuple[int, ...]:
        """The sequence numbers to ask for now, oldest first, none in most cases."""
        if not self._missing:
            return ()
        self._missing = {each: it for each, it in self._missing.items() if now - it.due <= WORTH}
        again = max(PATIENCE * self._response, RESPONSE_FIRST)
        chosen = {
            each: it
            for each, it in self._missing.items()
            if now - it.due + self._response <= WORTH
            and (not it.tries or (it.tries < TRIES_MAX and now - it.asked >= again))
        }
        if not chosen and (not self._missing or now - self._asked_at < TRY_AGAIN):
            return ()
        for it in (chosen or self._missing).values():
            it.asked, it.tries, it.said = now, it.tries + 1, it.said + self.times
        self._asked_at = now
        return tuple(chosen or self._missing)

    def _note_gap(self, sequence: int, leap: int, steps: tuple[int, ...], now: Seconds) -> None:
        self._loss += LOSS_WEIGHT * leap * ((leap - 1) / leap - self._loss)
        for back in range(leap - 1, 0, -1):
            if back not in steps:
                due = now - back * (now - self._newest_at) / leap
                self._missing[(sequence - back) & 0xFFFF] = _Missing(due, now, 0, 0)

    def _answer(self, sequence: int, now: Seconds) -> bool:
        it = self._missing.pop(sequence, None)
        if it is None or not it.tries or now - it.asked < RESPONSE_MIN:
            return False
        if it.tries == 1:  # of several questions nobody knows which was answered (Karn's rule)
            self._response += RESPONSE_WEIGHT * (now - it.asked - self._response)
        self._answered[sequence] = it.said - 1
        while len(self._answered) > ANSWERED_MAX:
            del self._answered[next(iter(self._answered))]
        return True
