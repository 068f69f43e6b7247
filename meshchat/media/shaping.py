"""Decides when sound is made shorter or longer, so that delay follows what the network asks without being heard.

Where the sound is quiet anything may be cut or repeated, and as much as is needed: nobody hears how long a pause
was. In speech one pitch period at a time, only where the join is nearly perfect, and on a budget of a tenth of the
time. A drift between the clocks of two sound cards shows up as a delay that wanders, and is dealt with here too: 200
parts in a million are one pitch period a minute.
"""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np

from meshchat.media.pace import Pace
from meshchat.media.stretch import ALIKE_MIN, FADE_SAMPLES, LAG_MAX, LAG_MIN, lengthened, shortened
from meshchat.media.tape import HISTORY_SAMPLES, Tape
from meshchat.units import SAMPLE_RATE, Samples

STRETCH_SHARE = 0.1
"""The part of the time that speech may be shortened or lengthened by."""

BUDGET_MAX = 960.0
"""Unspent budget, in samples: 20 ms, so that a calm minute does not pay for a hurried second."""

SHORTFALL_TOLERATED = 24
"""The slack may be this much under the wish (0.5 ms) before sound is repeated. The shortest cut needs 2.5 ms to spare,
so between the two nothing moves and nothing see-saws."""

URGENT_SAMPLES = 1920
"""From 40 ms off the wish on, a join may be less perfect."""

ALIKE_URGENT = 0.6
"""The correlation that is then enough (NetEq goes down to 0.5)."""

QUIET_RMS = 0.001
"""Sound under this is quiet whatever came before: -60 dB."""

QUIET_SHARE = 0.03
"""So is sound 30 dB under the loudest of the last seconds."""

LOUDEST_HALVES: float = 2.0 * SAMPLE_RATE
"""The loudest is remembered with this half-life, in samples."""

ANYTHING = -1.0
"""The correlation asked of a join in quiet sound."""

CUT_ROOM = LAG_MAX + FADE_SAMPLES
"""Fresh sound in which even the longest period can be cut."""


class Shaper:
    """Shapes the fresh end of a tape to the wished slack."""

    def __init__(self, tape: Tape, pace: Pace) -> None:
        self._tape = tape
        self._pace = pace
        self._budget = BUDGET_MAX
        self._loudest = 0.0
        self.cut = 0
        """Samples taken out so far."""
        self.added = 0
        """Samples repeated so far."""

    def wants_room(self, fresh: int, place: int, frame: int, wish: float) -> bool:
        """Whether a cut is due that would need more fresh sound than these samples."""
        due = self._budget > 0 and fresh < CUT_ROOM
        return due and self._pace.cut_max(frame, place, wish) >= LAG_MIN

    def shape(self, fresh: int, place: int, frame: int, wish: float) -> None:
        """Looks at the last `fresh` samples, whose first has this `place` in the block, and cuts or repeats.

        `wish` is the slack aimed at, in samples; `frame` the length of the sender's frames.
        """
        self._budget = min(BUDGET_MAX, self._budget + STRETCH_SHARE * fresh)
        quiet = self._is_quiet(fresh)
        shortfall = wish - self._pace.slack(frame, place)
        if shortfall > SHORTFALL_TOLERATED:
            self._lengthen(fresh, shortfall, quiet)
        elif shortfall <= 0:
            self._shorten(fresh, self._pace.cut_max(frame, place, wish), -shortfall, quiet)

    def _is_quiet(self, fresh: int) -> bool:
        sound = self._tape.recent(fresh)[HISTORY_SAMPLES:]
        rms = sqrt(float(np.vdot(sound, sound)) / sound.size)
        self._loudest = max(rms, self._loudest * 0.5 ** (fresh / LOUDEST_HALVES))
        return rms < max(QUIET_RMS, QUIET_SHARE * self._loudest)

    def _shorten(self, fresh: int, cut_max: int, excess: float, quiet: bool) -> None:
        if cut_max < LAG_MIN or not (quiet or self._budget > 0):
            return
        cut_max = cut_max if quiet else min(cut_max, LAG_MAX)
        shaped = shortened(self._tape.recent(fresh), HISTORY_SAMPLES, cut_max, _alike_min(excess, quiet))
        if shaped is not None:
            self._replace(fresh, shaped, quiet)

    def _lengthen(self, fresh: int, shortfall: float, quiet: bool) -> None:
        if not (quiet or self._budget > 0) or fresh < FADE_SAMPLES:
            return
        shaped = lengthened(self._tape.recent(fresh), HISTORY_SAMPLES, ceil(shortfall), _alike_min(shortfall, quiet))
        if shaped is not None:
            self._replace(fresh, shaped, quiet)

    def _replace(self, fresh: int, shaped: Samples, quiet: bool) -> None:
        grown = len(shaped) - fresh
        self._tape.replace(fresh, shaped)
        self._pace.moved(grown)
        self.added += max(0, grown)
        self.cut += max(0, -grown)
        self._budget -= 0 if quiet else abs(grown)


def _alike_min(distance: float, quiet: bool) -> float:
    if quiet:
        return ANYTHING
    return ALIKE_URGENT if distance > URGENT_SAMPLES else ALIKE_MIN
