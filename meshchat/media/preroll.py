"""The beginning of a word, heard before the gate opened, goes out with the rest of it and nobody waits for it for long.

What is sent runs late by what was put in front, at most 0.2 s; then it is made shorter, a pitch period here and there,
and as much as there is in a pause, until it runs on time again. Frames leave as regularly as ever, so the network and
the listeners' jitter buffers see nothing of it.

Two ways were not taken: to hold all sound back by a fixed time, which every word would pay for; and to send what was
kept in one burst, whose packets every listener would take for a network that had just become worse, and add delay.
"""

from __future__ import annotations

import numpy as np

from meshchat.media.gate import BACK_SAMPLES_MAX, PIECE_SAMPLES, STANDS_OUT_DB, Gate, Rule
from meshchat.media.stretch import ALIKE_MIN, FADE_SAMPLES, LAG_MAX, LAG_MIN, shortened
from meshchat.media.tape import HISTORY_SAMPLES, Tape
from meshchat.units import Samples

SHORTENED_SHARE = 0.15
"""The part of the time that speech may be shortened by: 0.1 s is caught up with in less than 0.7 s of talk."""

BUDGET_MAX = 960.0
"""Unspent, in samples: 20 ms."""

FADE_OUT_SAMPLES = 480
"""The last 10 ms before it closes fade; those who listen would else go on guessing from what they heard last."""

_ROOM = LAG_MAX + FADE_SAMPLES
"""Sound in which even the longest period can be cut."""


class Preroll:
    """Sound in, one frame at a time; out comes as much, or nothing while the gate is closed."""

    def __init__(self) -> None:
        self._gate = Gate()
        self._tape = Tape()
        self._budget = 0.0
        self._least = 0.0
        """The power under which sound is the room's noise and may be cut anywhere."""

    @property
    def open(self) -> bool:
        """Whether sound goes out."""
        return self._gate.open

    @property
    def late(self) -> int:
        """By how many samples what goes out is late."""
        return self._tape.pending if self._gate.open else 0

    def hear(self, frame: Samples, rule: Rule) -> Samples | None:
        """What is to go out now, if anything: as long as `frame` (shape (120 k,)), and valid until the next call."""
        was_open = self._gate.open
        before = self._gate.hear(frame, rule)
        if rule.mode == "continuous" and not self._tape.pending:
            return frame
        kept = self._tape.pending
        self._tape.append(frame)
        if not (was_open or self._gate.open):
            self._keep(rule)
            return None
        if not self._gate.open:
            return self._closing(len(frame))
        if not was_open:
            self._begin(min(before, kept), len(frame))
        self._catch_up(len(frame))
        sound = self._tape.take(len(frame))
        if not was_open:
            sound[:FADE_SAMPLES] *= _RISING
        return sound

    def _keep(self, rule: Rule) -> None:
        """Nothing goes out; what was heard last may still."""
        most = BACK_SAMPLES_MAX if rule.mode == "voice" else 0
        self._tape.take(max(0, self._tape.pending - most))

    def _begin(self, before: int, frame: int) -> None:
        self._tape.take(self._tape.pending - frame - before)
        self._budget = BUDGET_MAX
        self._least = 10 ** (STANDS_OUT_DB / 10) * self._gate.noise_power() / PIECE_SAMPLES

    def _closing(self, frame: int) -> Samples:
        """The last frame; what it is late by, which is silence, is not sent any more."""
        sound = self._tape.take(frame)
        length = min(frame, FADE_OUT_SAMPLES)
        sound[frame - length :] *= np.linspace(1.0, 0.0, length, dtype=np.float32)
        return sound

    def _catch_up(self, frame: int) -> None:
        """Leaves out some of what waits to be sent, if that goes unheard."""
        self._budget = min(BUDGET_MAX, self._budget + SHORTENED_SHARE * frame)
        excess = self._tape.pending - frame
        if excess < LAG_MIN:
            return
        fresh = min(self._tape.pending, max(frame, _ROOM))
        sound = self._tape.recent(fresh)
        newest = sound[HISTORY_SAMPLES:]
        is_quiet = float(np.dot(newest, newest)) < self._least * len(newest)
        if not is_quiet and self._budget <= 0:
            return
        cut_max = excess if is_quiet else min(excess, LAG_MAX)
        shaped = shortened(sound, HISTORY_SAMPLES, cut_max, -1.0 if is_quiet else ALIKE_MIN)
        if shaped is not None:
            self._budget -= 0 if is_quiet else fresh - len(shaped)
            self._tape.replace(fresh, shaped)


_RISING = np.linspace(0.0, 1.0, FADE_SAMPLES, dtype=np.float32)
