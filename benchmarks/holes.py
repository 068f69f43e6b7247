"""How long the longest hole in one voice is, even while its delay is on the move.

The ear in `meshchat.hearing` follows a delay from half second to half second; a jitter buffer that catches up changes
it by some milliseconds several times within one, and the ear then reads holes of 100 ms where every sample is there.
So holes are looked for here piece by piece: the clip is cut into pieces of 32 ms, one every 8 ms, and each loud one
is searched for by itself, up to 16 ms (what one cut moves) to either side of where the windows around it were found.
Further would be wrong: the next period of a vowel would stand in for what is missing. A piece is there if the best
place is like it (correlation above 0.5) and not too faint. A hole is a run of missing pieces.

Measured on coded speech: 0 ms for sound that is whole, 16 for sound out of which 8 ms are cut every 300 ms, 0 with 8 ms
repeated as often; a silence of 30 ms reads up to 8, of 40 up to 48, of 60 up to 56, of 100 about 104, of 200 about 200
(where the clip has sound). One in twenty packets lost and guessed reads up to 40, since a guess is often like what was
lost; six lost in a row up to 120, since the decoder takes a while to come back.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr

from meshchat.units import SAMPLE_RATE, Samples

_RATE = 8_000
_PIECE = 32 * _RATE // 1000
_STEP = 8 * _RATE // 1000
_DOUBT = 4 * _RATE // 1000  # further for each window, four in 200 ms, in which nothing was found
_PIECE_REACH = 16 * _RATE // 1000  # what one cut moves; further away a vowel's next period would stand in for it
_REACH_FIRST = 400 * _RATE // 1000  # nobody knows yet how much the delay wandered on the whole
_WINDOW = 200 * _RATE // 1000  # long enough to be found without doubt, short enough to follow
_WINDOW_STEP = _WINDOW // 4
_FOUND_MIN = 0.7  # a window with a hole in it may be anywhere
_LIKE_MIN = 0.5
_FAINT = 0.25  # of the usual gain
_LOUD_DB = -22.0

_Reals = npt.NDArray[np.float64]


def longest_hole_ms(sound: Samples, clip: Samples, begin_s: float) -> float:
    """The longest hole in a sound at 48 kHz that holds the looped clip, once begun at `begin_s`, and nothing else."""
    heard, reference = _reduced(sound), _reduced(np.tile(clip, 2 + len(sound) // len(clip)))
    starts, likeness, gain = _search(heard, reference, round(begin_s * _RATE))
    loud = _loudness(reference, starts)
    audible = loud > np.percentile(loud, 95) * 10 ** (_LOUD_DB / 10) if len(loud) else np.zeros(0, np.bool_)
    usual = np.median(gain[audible]) if audible.any() else 0.0
    there = (likeness > _LIKE_MIN) & (gain > _FAINT * usual)
    return _longest(starts[audible], there[audible]) * 1000 / _RATE


def _reduced(sound: Samples) -> _Reals:
    reduced: _Reals = soxr.resample(sound.astype(np.float64), SAMPLE_RATE, _RATE)
    return reduced


def _search(heard: _Reals, reference: _Reals, lag: int) -> tuple[npt.NDArray[np.intp], _Reals, _Reals]:
    """Each piece of the reference within the sound: where it starts, its likeness and its gain at the best place."""
    lags = _lags(heard, reference, lag)
    found: list[tuple[int, float, float]] = []
    for start in range(0, len(reference) - _WINDOW, _STEP):
        at = start // _WINDOW_STEP
        near = {lags[each] for each in range(at - 3, at + 3) if each in lags}
        places = [start + each for each in near if _PIECE_REACH <= start + each <= len(heard) - _PIECE - _PIECE_REACH]
        if places and at in lags:
            tried = [_best(heard, reference[start : start + _PIECE], place, _PIECE_REACH) for place in places]
            _, like, gain = max(tried, key=lambda best: best[1])
            found.append((start, like, gain))
    starts = np.array([start for start, _, _ in found], np.intp)
    return starts, np.array([like for _, like, _ in found]), np.array([gain for _, _, gain in found])


def _lags(heard: _Reals, reference: _Reals, lag: int) -> dict[int, int]:
    """Where each window of the reference lies in the sound, by number; one that is not found is where the last was."""
    lags: dict[int, int] = {}
    reach = _REACH_FIRST
    for start in range(0, len(reference) - _WINDOW, _WINDOW_STEP):
        if reach <= start + lag <= len(heard) - _WINDOW - reach:
            best, like, _ = _best(heard, reference[start : start + _WINDOW], start + lag, reach)
            lag, reach = (best - start, _PIECE_REACH) if like > _FOUND_MIN else (lag, min(_REACH_FIRST, reach + _DOUBT))
            lags[start // _WINDOW_STEP] = lag
    return lags


def _best(heard: _Reals, piece: _Reals, near: int, reach: int) -> tuple[int, float, float]:
    """Where around `near` the sound is most like the piece, how much, and at what gain."""
    around = heard[near - reach : near + len(piece) + reach]
    if len(around) < len(piece):
        return near, 0.0, 0.0
    common = np.correlate(around, piece, "valid")
    power = np.cumsum(np.concatenate(([0.0], around**2)))
    theirs = power[len(piece) :] - power[: -len(piece)]
    own = float(np.dot(piece, piece)) + 1e-12
    likeness = common / np.sqrt(own * np.maximum(theirs, 1e-9))
    top = int(np.argmax(likeness))
    return near - reach + top, float(likeness[top]), float(common[top]) / own


def _loudness(reference: _Reals, starts: npt.NDArray[np.intp]) -> _Reals:
    power = np.cumsum(np.concatenate(([0.0], reference**2)))
    loudness: _Reals = power[starts + _PIECE] - power[starts]
    return loudness


def _longest(starts: npt.NDArray[np.intp], there: npt.NDArray[np.bool_]) -> int:
    """From the first to the last missing piece of a run, which a piece that is there ends, in samples."""
    longest, began = 0, -1
    for start, here in zip(starts.tolist(), there.tolist(), strict=True):
        began = -1 if here else (began if began >= 0 else start)
        longest = max(longest, 0 if here else start - began + _STEP)
    return longest
