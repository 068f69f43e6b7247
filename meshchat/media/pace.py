"""Where the playing stands against the arriving: how late the sound is, and how much of that is to spare.

All lengths are in samples. The delay is how long after the luckiest packet would have brought it a sample leaves:
now - base - its timestamp. A device takes blocks, packets bring frames, and a packet is needed at the pull
in whose block its first sample falls: up to a block before that sample sounds. So a packet's slack is the delay
minus its place in the block, and what counts is the smallest slack, that of the packet with the latest place.

With blocks of B and frames of F, places advance in steps of g = gcd(B, F): the latest place is B - g plus the
place modulo g. This is why, with B = F, a cut that moves packets to the start of their block costs no slack, and
one sample more costs a whole block of it. Steering by delay alone would see-saw across that edge.
"""

from __future__ import annotations

from math import ceil, floor, gcd

from meshchat.units import SAMPLE_RATE, Seconds

REMEMBERED_SAMPLES = 12_000
"""The delay is the least of the last one to two stretches this long (250 ms): a late callback is no delay to spare."""


class Pace:
    """Knows the delay of one speaker's sound and what a cut or a repetition would do to the slack."""

    def __init__(self) -> None:
        self._blocks: list[set[int]] = [set(), set()]
        self._grids: dict[int, tuple[int, int]] = {}
        """By length of frame, for as long as the blocks stay the same."""
        self._least = [0.0, 0.0]
        self._passed = 0
        self.delay = 0.0
        """Now, in samples."""

    def start(self, delay: float) -> None:
        """The sound begins, this late."""
        self.delay = delay
        self._least = [delay, delay]

    def observe(self, now: Seconds, base: Seconds, head: int, block: int) -> None:
        """A block of `block` samples is asked for at `now`, and the sample at timestamp `head` goes first."""
        self.delay = (now - base) * SAMPLE_RATE - head
        self._least[0] = min(self._least[0], self.delay)
        self.asked(block)

    def asked(self, block: int) -> None:
        """A block of this length is asked for."""
        self._note(block)
        self._passed += block
        if self._passed >= REMEMBERED_SAMPLES:
            self._least = [self.delay, self._least[0]]
            self._blocks = [{block}, self._blocks[0]]
            self._grids.clear()
            self._passed = 0

    def moved(self, samples: int) -> None:
        """The sound from here on is later (or, if negative, earlier) than it was."""
        self.delay += samples
        self._least = [least + samples for least in self._least]

    def slack(self, frame: int, place: int) -> float:
        """How long before its need the most hurried packet has to come at the latest, if the next has this place."""
        block, step = self._grid(frame)
        return min(self._least) - (block - step) - place % step

    def cut_max(self, frame: int, place: int, slack_min: float) -> int:
        """The most that can be cut now without the slack falling under `slack_min`; 0 or less for nothing."""
        _, step = self._grid(frame)
        spare = self.slack(frame, place) - slack_min
        return place % step + step * floor(spare / step) if spare >= 0 else 0

    def first_place(self, waited: float, block: int, frame: int, place_min: int, slack_min: float) -> int:
        """Where in the present block (or beyond it) sound may begin whose first packet has waited for `waited`."""
        self._note(block)
        block, step = self._grid(frame)
        if waited + place_min - (block - step) - place_min % step >= slack_min:
            return place_min
        return max(place_min, step * ceil((slack_min - waited + block - step) / step))

    def _note(self, block: int) -> None:
        if block not in self._blocks[0]:
            self._blocks[0].add(block)
            self._grids.clear()

    def _grid(self, frame: int) -> tuple[int, int]:
        """The largest block of late and the step of places; a device whose blocks vary has a step of one."""
        known = self._grids.get(frame)
        if known is None:
            blocks = self._blocks[0] | self._blocks[1]
            known = self._grids[frame] = max(blocks), gcd(*blocks, frame) if len(blocks) == 1 else 1
        return known
