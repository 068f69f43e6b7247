"""Whether what the microphone hears goes out: always, while somebody speaks, or while a key is held.

By voice it opens once the level has been over the threshold for 25 ms, so that a click of the mouse does not, and
closes 0.4 s after the level was last near it, so that the weak end of a word and the breath between two are heard.
What it is late by is made up for: it tells from where on the sound that it heard before belongs to the word, and
`media.preroll` sends that. A hiss like the "s" of "seven" lies under the threshold for a tenth of a second; it stands
out from the room all the same, so the way back ends where the sound sinks into the room's own noise.

By key it opens at once and takes nothing from before, for that was not meant to be heard; it closes a moment after the
key was let go, which people do while they still speak.

A detector of speech (a model, or libopus' own analysis) was not taken for the threshold: a person can see a level and a
line on a meter and set one by the other, and cannot argue with a model that finds that they do not speak.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from meshchat.units import THRESHOLD_DB, Samples, TransmitMode

PIECE_SAMPLES = 120
"""Levels are taken over pieces of 2.5 ms, which every frame of Opus is a multiple of."""

LEVEL_PIECES = 4
"""The level that counts is of the last 10 ms: a period of the deepest voice, so that it does not flutter."""

OPEN_PIECES = 10
"""How long it must be over the threshold: 25 ms. A click is shorter and a syllable longer."""

HANG_PIECES = 160
"""How long it stays open after the last sound near the threshold: 0.4 s, longer than the gaps inside a sentence."""

TAIL_PIECES = 60
"""How long it stays open after the key was let go: 0.15 s."""

HYSTERESIS_DB = 6.0
"""How far under the threshold sound still keeps it open."""

MEMORY_PIECES = 800
"""The room's own noise is known from the last 2 s."""

NOISE_SHARE = 0.2
"""The level that this share of the last seconds lay under is the room's noise."""

NOISE_DB_MIN = -75.0
"""A room is not believed to be quieter than this: next to digital silence everything would stand out."""

STANDS_OUT_DB = 6.0
"""What is this much louder than the room is part of a word."""

GAP_PIECES = 24
"""The silence in a word before it goes on, as in the "st" of "stop": up to 60 ms."""

LEAD_PIECES = 4
"""What goes along from before the word: 10 ms, in which it fades in."""

BACK_PIECES_MAX = 80
"""How far back the beginning of a word is looked for: 0.2 s, the longest hiss."""

BACK_SAMPLES_MAX = BACK_PIECES_MAX * PIECE_SAMPLES
"""The most that `Gate.hear` tells."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When sound is to go out; replaced as a whole, from any thread."""

    mode: TransmitMode = "continuous"
    threshold_db: float = THRESHOLD_DB
    """In dB relative to overload, -127..0; means something to `voice` only."""
    pressed: bool = False
    """Whether the key is held; means something to `push` only."""


class Gate:
    """One microphone's gate. `hear` is called from one thread."""

    def __init__(self) -> None:
        self.open = False
        self._powers: deque[float] = deque(maxlen=MEMORY_PIECES)
        self._over = 0
        """Pieces in a row over the threshold."""
        self._since = HANG_PIECES
        """Pieces since sound or key last held it open."""

    def hear(self, sound: Samples, rule: Rule) -> int:
        """Takes the next sound, float32 of shape (120 k,), and opens or closes.

        How many samples, besides these, belong to what begins now: 0 unless it opens by voice here.
        """
        pieces = sound.reshape(-1, PIECE_SAMPLES)
        powers = np.einsum("ij,ij->i", pieces, pieces).tolist()
        was_open = self.open
        if rule.mode == "voice":
            self._by_voice(powers, rule.threshold_db)
            return 0 if was_open or not self.open else self._belonging(len(powers))
        self._powers.extend(powers)
        self._since = 0 if rule.pressed or rule.mode == "continuous" else self._since + len(powers)
        self.open = self._since <= TAIL_PIECES and (was_open or self._since == 0)
        return 0

    def noise_power(self) -> float:
        """The room's own noise, as the energy of a piece."""
        if not self._powers:
            return _energy(NOISE_DB_MIN, 1)
        place = int(NOISE_SHARE * len(self._powers))
        return max(float(np.partition(np.array(self._powers), place)[place]), _energy(NOISE_DB_MIN, 1))

    def _by_voice(self, powers: list[float], threshold_db: float) -> None:
        opening = _energy(threshold_db, LEVEL_PIECES)
        holding = _energy(threshold_db - HYSTERESIS_DB, LEVEL_PIECES)
        for power in powers:
            self._powers.append(power)
            level = sum(self._powers[-1 - back] for back in range(min(LEVEL_PIECES, len(self._powers))))
            self._over = self._over + 1 if level >= opening else 0
            self._since = 0 if level >= holding else self._since + 1
            if self._over >= OPEN_PIECES:
                self.open = True
            elif self._since >= HANG_PIECES:
                self.open = False

    def _belonging(self, newest: int) -> int:
        """How far before the newest pieces the word began, in samples."""
        least = 10 ** (STANDS_OUT_DB / 10) * self.noise_power()
        back = OPEN_PIECES
        reach = min(BACK_PIECES_MAX, len(self._powers))
        for place in range(OPEN_PIECES, reach):
            if place - back > GAP_PIECES:
                break
            if self._powers[-1 - place] >= least:
                back = place
        return max(0, min(back + 1 + LEAD_PIECES, reach) - newest) * PIECE_SAMPLES


def _energy(level_db: float, pieces: int) -> float:
    """The sum of the squares of so many pieces at that level."""
    return float(10 ** (level_db / 10)) * pieces * PIECE_SAMPLES
