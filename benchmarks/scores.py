"""How good speech is after a way through a network, and how much later it comes: PESQ, delay, holes.

The delay is looked for in the sound itself, window by window, so that it means the same for every program: from a
sample at the microphone to the same sample at the loudspeaker.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

from benchmarks.holes import longest_hole_ms
from meshchat.units import SAMPLE_RATE, Samples, Seconds

WARM_UP_S: Seconds = 3.0
"""What every program may take to learn the network; it is not judged."""

PIECE_S: Seconds = 6.0
"""PESQ is made for some 8 s; longer speech is judged in pieces of this length or more."""

PESQ_RATE = 16_000
_RATE = 8_000
_WINDOW = _RATE * 400 // 1000
_STEP = _RATE // 10
_REACH = _RATE
_LOUD_DB = -20.0
_LIKE_MIN = 0.6

_Reals = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Score:
    """What became of one speech."""

    pesq: float
    """Wide-band PESQ (ITU-T P.862.2), 1 to 4.64."""
    delay_ms: tuple[float, float]
    """Median and the 99th of a hundred."""
    hole_ms: float
    """The longest stretch in which the voice is missing."""


def score(said: Samples, heard: Samples) -> Score:
    """Compares what was said with what was heard; both begin at the same instant."""
    found = delays(said, heard)
    later = found[found[:, 0] >= WARM_UP_S, 1]
    p50, p99 = np.percentile(later, (50, 99)) if len(later) else (float("nan"), float("nan"))
    begin = round(WARM_UP_S * SAMPLE_RATE)
    delay: Seconds = float(p50) / 1000 if len(later) else 0.0
    hole = longest_hole_ms(heard[begin:], said, delay - WARM_UP_S)
    return Score(_pesq(said, heard[round(delay * SAMPLE_RATE) :]), (float(p50), float(p99)), hole)


def _pesq(said: Samples, heard: Samples) -> float:
    """The mean over pieces; the usual delay was taken off, or the edges of the pieces would count as losses."""
    from pesq import NoUtterancesError, pesq

    reference, degraded = _at(said, PESQ_RATE), _at(heard, PESQ_RATE)
    begin, end = round(WARM_UP_S * PESQ_RATE), min(len(reference), len(degraded))
    pieces = max(1, round((end - begin) / PESQ_RATE / PIECE_S))
    edges = np.linspace(begin, end, pieces + 1).astype(int)
    found = []
    for first, last in itertools.pairwise(edges):
        try:
            found.append(pesq(PESQ_RATE, reference[first:last], degraded[first:last], "wb"))
        except (NoUtterancesError, ValueError):  # nothing is there, or nothing but zeros
            found.append(1.0)
    return float(np.mean(found))


def delays(said: Samples, heard: Samples) -> _Reals:
    """Rows of when a window was said (s) and how much later it was heard (ms), where it was."""
    said, heard = _at(said, _RATE), _at(heard, _RATE)
    power = np.convolve(said.astype(np.float64) ** 2, np.ones(_WINDOW), "valid")[::_STEP]
    loud = power > power.max() * 10 ** (_LOUD_DB / 10)
    rows = []
    for index in np.flatnonzero(loud):
        start = int(index) * _STEP
        around = heard[start : start + _WINDOW + _REACH].astype(np.float64)
        if len(around) < _WINDOW + _STEP:
            break
        lag, like = _best(said[start : start + _WINDOW].astype(np.float64), around)
        if like > _LIKE_MIN:
            rows.append((start / _RATE, 1000 * lag / _RATE))
    return np.array(rows).reshape(-1, 2)


def _best(window: _Reals, around: _Reals) -> tuple[int, float]:
    size = 1 << (len(around) + len(window)).bit_length()
    common = np.fft.irfft(np.fft.rfft(around, size) * np.conj(np.fft.rfft(window, size)), size)
    common = common[: len(around) - len(window) + 1]
    power = np.cumsum(np.concatenate(([0.0], around**2)))
    theirs = power[len(window) :] - power[: -len(window)]
    alike = common / np.sqrt(float(np.dot(window, window)) * np.maximum(theirs, 1e-9))
    best = int(np.argmax(alike))
    return best, float(alike[best])


def _at(sound: Samples, rate: int) -> Samples:
    resampled: Samples = soxr.resample(sound, SAMPLE_RATE, rate)
    return resampled
