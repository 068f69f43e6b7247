"""Making sound a little shorter or longer so that nobody hears it: one whole pitch period out, or one in again.

Voiced speech repeats itself every 2.5 to 15 ms. If what would be played next resembles what comes one period
later, the period between them can be left out; if it resembles what was played one period ago, that period can be
played twice. Either way the join is a short cross-fade between two pieces that look alike (WSOLA's idea, at a single
join). The join lies at the start of the new sound, with history before it, so no sound has to be held back
for the search. Resampling was not taken: it bends the pitch, costs every block, and cannot drop a silence.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from meshchat.channels import along, folded
from meshchat.units import Samples

Correlations: TypeAlias = npt.NDArray[np.float64]

LAG_MIN = 120
"""The shortest piece cut or repeated: 2.5 ms, the period of 400 Hz."""

LAG_MAX = 720
"""The longest: 15 ms, the period of 67 Hz."""

FADE_SAMPLES = 120
"""The width of the cross-fade, 2.5 ms."""

TEMPLATE_PAST = 240
"""How much of the sound before the join is compared besides the cross-fade itself: 5 ms."""

ALIKE_MIN = 0.85
"""The least normalised correlation at which a join in speech goes unheard (NetEq asks 0.9 of a longer piece)."""

WISH_WEIGHT = 0.1
"""Correlation given up for a length that is 15 ms nearer to the wish: of several periods the fitting number."""

_GRAIN = 4
"""The search runs on means of four samples (12 kHz), enough to find a pitch, and is refined on the samples."""

_RISING: Samples = np.linspace(0.0, 1.0, FADE_SAMPLES + 2, dtype=np.float32)[1:-1]
_FALLING: Samples = 1.0 - _RISING


def shortened(sound: Samples, join: int, cut_max: int, alike_min: float = ALIKE_MIN) -> Samples | None:
    """The samples from `join` on with at most `cut_max` taken out, or None if no cut would go unheard.

    `sound` has at least `TEMPLATE_PAST` samples of history before `join`. Two channels are cut at the same place.
    """
    lag_max = min(cut_max, len(sound) - join - FADE_SAMPLES)
    lag = _alike(sound, join, range(LAG_MIN, lag_max + 1), lag_max, alike_min)
    if lag is None:
        return None
    return np.concatenate((_faded(sound, join, lag), sound[join + lag + FADE_SAMPLES :]))


def lengthened(sound: Samples, join: int, wish: int, alike_min: float = ALIKE_MIN) -> Samples | None:
    """The samples from `join` on with about `wish` of what came before played again, or None as above.

    `sound` has at least `LAG_MAX + TEMPLATE_PAST` samples of history before `join`.
    """
    lag = _alike(sound, join, range(-LAG_MAX, 1 - LAG_MIN), -wish, alike_min)
    if lag is None:
        return None
    again = sound[join + lag : join]
    return np.concatenate((_faded(sound, join, lag), again[FADE_SAMPLES:], sound[join:]))


def _faded(sound: Samples, join: int, lag: int) -> Samples:
    """The cross-fade from the sound at `join` to that `lag` samples later."""
    before, after = sound[join : join + FADE_SAMPLES], sound[join + lag :][:FADE_SAMPLES]
    faded: Samples = before * along(_FALLING, sound) + after * along(_RISING, sound)
    return faded


def _alike(sound: Samples, join: int, lags: range, wish: int, alike_min: float) -> int | None:
    """The lag at which the sound around `join` is most alike itself, near `wish` if it may be; None if not enough."""
    if not lags:
        return None
    sound = folded(sound)
    start, width = join - TEMPLATE_PAST, TEMPLATE_PAST + FADE_SAMPLES
    template, searched = sound[start : start + width], sound[start + lags[0] : start + lags[-1] + width]
    coarse = _likeness(_coarse(template), _coarse(searched))
    distance = np.abs(lags[0] + _GRAIN * np.arange(len(coarse)) - wish)
    near = lags[0] + _GRAIN * int(np.argmax(coarse - WISH_WEIGHT / LAG_MAX * distance))
    first, last = max(lags[0], near - _GRAIN), min(lags[-1], near + _GRAIN)
    fine = _likeness(template, sound[start + first : start + last + width])
    best = int(np.argmax(fine))
    return first + best if fine[best] >= alike_min else None


def _coarse(sound: Samples) -> Samples:
    whole = len(sound) // _GRAIN * _GRAIN
    means: Samples = sound[:whole].reshape(-1, _GRAIN).mean(axis=1)
    return means


def _likeness(template: Samples, sound: Samples) -> Correlations:
    """Normalised correlation, -1..1, of `template` with every piece of `sound` of its length; silences are alike."""
    squares = np.concatenate(([0.0], np.cumsum(np.square(sound, dtype=np.float64))))
    energies = squares[len(template) :] - squares[: -len(template)]
    products = np.correlate(sound, template, "valid")
    scale = np.sqrt(np.maximum(energies * float(np.dot(template, template)), 0.0))
    alike: Correlations = (products + 1e-9) / (scale + 1e-9)
    return alike
