"""How well a known clip is heard in a recording: the ear of the demo, the tests and the benchmarks.

Intuition: play a clip into one machine, record what comes out of another, and ask whether the clip is in the
recording, where, and with what holes. The recording may hold other voices at the same time, went through a
codec, and was stretched here and there by a few milliseconds as a jitter buffer does; none of that is a fault.

The rule: at any instant a voice lives in few frequencies, and seldom in those of the voice beside it. So the
clip and the recording are compared in short spectra, each frequency weighted by how loud the CLIP is there:
what others say falls mostly on weight near zero. Summed over half a second this is a correlation, 1 for the
same sound at any gain, about 0.87 with a second voice equally loud, 0.1 to 0.25 for a clip that is not there.
The same weighted clip, turned back into sound, is the pattern whose cross-correlation finds the delay: first
once for everything, then window by window, outward from the window that fits best, each looking 40 ms around
its neighbour's delay, so that a wandering delay is followed. A window that is not found there looks further,
half a second, because a jitter buffer may start afresh; that find counts only if it is a clear one.

Holes are looked for in 8 ms steps, as places where the clip's own share of the recording (a projection, not the
loudness, which another voice would fill) falls under 0.3 of its usual size. Measured on two voices in one mix: no
hole reads up to 100 ms, a hole of 200 ms reads 140 to 220, one of a second 810 to 1000 (it begins and ends where the
clip has sound). One lost Opus packet of 20 ms reads up to 140, because the decoder takes that long to come back.

Alternatives not taken: plain normalised correlation (0.7 for a clip in a mix of two, which is too near to a
damaged one), and speech quality scores such as PESQ (another library, and deaf to which of two clips it hears).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np
import numpy.typing as npt

from meshchat.units import SAMPLE_RATE, Samples

FOUND = 0.6
"""Correlation above which a window counts as found: far above chance (0.35), under a voice among three."""

_RATE = 16_000  # enough for the band below, and its sample is a small part of that band's shortest period
_BAND_HZ = (150.0, 4_000.0)
_FRAME = 512  # 32 ms: a few pitch periods, so that harmonics of two voices fall apart
_HOP = 128
_BINS = slice(int(_BAND_HZ[0] * _FRAME / _RATE), int(_BAND_HZ[1] * _FRAME / _RATE))
_STEP_FRAMES = 32
_WINDOW = 64 * _HOP  # 0.512 s, half overlapping
_WINDOW_FRAMES = (_WINDOW - _FRAME) // _HOP + 1
_REACH = 40 * _RATE // 1000
_REACH_LOST = _RATE // 2
_TAPER = np.hanning(_FRAME + 1)[:-1].astype(np.float32)

_FOUND_SHARE_MIN = 0.05  # fewer windows found than this is chance: the clip is missing from end to end
_GAIN_MISSING = 0.3  # of the usual gain; another voice makes the projection stray by about as much
_GAIN_FRAMES = 5  # steps averaged for one gain
_LOUD_DB = -25.0  # below the loudest: the clip has sound here
_PRESENT_FRAMES = 7  # a hole ends when the clip is there for 56 ms; shorter islands are another voice's luck

_Spectra = npt.NDArray[np.complexfloating]
_Reals = npt.NDArray[np.floating]
_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a clip in a recording."""

    correlation: float
    """0..1: median over the clip's loud half-second windows. Absent < 0.3, present among two equal voices > 0.7."""
    delay_s: float
    """Recording position of the clip's beginning, median of the windows found; of a looped clip the earliest one."""
    coverage: float
    """0..1: share of the clip's loud windows found. Clip beyond the recording's ends counts as not found."""
    gap_ms_longest: int
    """Longest run in which the clip has sound and the recording lacks it; pauses of the clip do not end a run."""


@dataclass(frozen=True, slots=True)
class _Window:
    """One half second of the reference: where it fits the recording, and how well."""

    lag: int
    """Recording position less reference position, in samples of `_RATE`."""
    correlation: float


def heard(recording: Samples, clip: Samples, rate: int = SAMPLE_RATE, looped: bool = False) -> Heard:
    """Looks for `clip` in `recording`, both at `rate`; `looped`: the clip is played over and over without a seam.

    A looped clip is expected for the whole recording, once through otherwise. `ValueError` if the clip is shorter
    than half a second or silent.
    """
    if len(clip) * _RATE < _WINDOW * rate or not np.any(clip):
        raise ValueError(f"a clip of {len(clip)} samples cannot be looked for: it is silent or under half a second")
    copies = 2 + len(recording) // len(clip) if looped else 1
    search = _Search(_reduced(recording, rate), _reduced(np.tile(clip, copies), rate))
    period = len(clip) * _RATE / rate
    lag = search.coarse_lag(int(period) if looped else None)
    positions = search.positions(lag, whole=not looped)
    windows = search.follow(positions, lag)
    loud = search.loud(positions)
    found = [window.lag for window, counts in zip(windows, loud, strict=True) if counts and window.correlation > FOUND]
    correlations = np.array([window.correlation for window in windows])[loud]
    delay = float(np.median(found)) if found else float(lag)
    return Heard(
        correlation=float(np.clip(np.median(correlations), 0, 1)) if len(correlations) else 0.0,
        delay_s=(delay % period if looped else delay) / _RATE,
        coverage=len(found) / max(len(correlations), 1),
        gap_ms_longest=search.longest_gap(positions, windows) * _HOP * 1000 // _RATE,
    )


def longest_silence_ms(recording: Samples, rate: int, threshold_db: float = -50) -> int:
    """Longest run of 10 ms steps whose power is under `threshold_db` (dBFS, a full square wave being 0), in ms."""
    size = rate // 100
    steps = recording[: len(recording) // size * size].astype(np.float64).reshape(-1, size)
    return 10 * _longest_run(np.mean(steps**2, axis=1) < 10 ** (threshold_db / 10))


def _longest_run(flags: _Flags) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return int(np.max(edges[1::2] - edges[::2], initial=0))


def _reduced(sound: Samples, rate: int) -> Samples:
    """The voice band of a sound at `_RATE`, by cutting its spectrum."""
    # Whole blocks keep the two rates in exact step; the rounding up also parts the end from the beginning.
    block = rate // gcd(rate, _RATE) * 1024
    size = (len(sound) // block + 1) * block
    spectrum = np.fft.rfft(sound, size)
    hertz = np.arange(len(spectrum)) * (rate / size)
    spectrum[(hertz < _BAND_HZ[0]) | (hertz > _BAND_HZ[1])] = 0
    size_out = size // rate * _RATE + size % rate * _RATE // rate
    kept = np.zeros(size_out // 2 + 1, spectrum.dtype)
    kept[: len(spectrum)] = spectrum[: len(kept)]
    result = np.fft.irfft(kept, size_out)[: len(sound) * _RATE // rate] * (size_out / size)
    return result.astype(np.float32)


def _cut(sound: Samples, start: int, size: int) -> Samples:
    """`size` samples from `start`, which may lie outside: zeros there."""
    piece = np.zeros(size, np.float32)
    begin, end = max(start, 0), min(start + size, len(sound))
    if begin < end:
        piece[begin - start : end - start] = sound[begin:end]
    return piece


def _spectra(sound: Samples) -> _Spectra:
    """Short spectra within the band: shape (frames, bins)."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, _FRAME)[::_HOP]
    spectra: _Spectra = np.fft.rfft(frames * _TAPER, axis=1)[:, _BINS]
    return spectra


def _sharpened(spectra: _Spectra, weights: _Reals, size: int) -> Samples:
    """The weighted spectra as sound again (overlap and add): what the recording is searched for."""
    full = np.zeros((len(spectra), _FRAME // 2 + 1), np.complex64)
    full[:, _BINS] = spectra * weights
    frames = np.fft.irfft(full, axis=1) * _TAPER
    parts = _FRAME // _HOP
    laid = np.zeros((len(frames) + parts - 1, _HOP), np.float32)
    for part in range(parts):
        laid[part : part + len(frames)] += frames[:, part * _HOP : (part + 1) * _HOP]
    return _cut(laid.reshape(-1), 0, size)


def _match(sound: Samples, pattern: Samples) -> _Reals:
    """Cross-correlation, circular over a size that holds both: entry k is the pattern laid k samples later."""
    size = 1 << (len(sound) + len(pattern) - 1).bit_length()
    product = np.fft.rfft(sound, size) * np.conj(np.fft.rfft(pattern, size))
    matched: _Reals = np.fft.irfft(product, size)
    return matched


class _Search:
    """A recording and the reference (the clip, or its loop laid end to end), ready to be compared."""

    def __init__(self, recording: Samples, reference: Samples) -> None:
        self._recording = recording
        self._spectra = _spectra(reference)
        magnitude = np.abs(self._spectra)
        self._weights: _Reals = magnitude / (np.max(magnitude, axis=1, keepdims=True) + 1e-12)
        self._own: _Reals = np.sum(self._weights * magnitude**2, axis=1)
        self._power: _Reals = np.sum(magnitude**2, axis=1)
        self._pattern = _sharpened(self._spectra, self._weights, len(reference))

    def coarse_lag(self, period: int | None) -> int:
        """The one lag that fits best overall; with a period, the reference begins within one period before."""
        matched = _match(self._recording, self._pattern)
        if period is not None:
            return int(np.argmax(matched[-period:])) - period
        best = int(np.argmax(matched))
        return best if best < len(self._recording) else best - len(matched)

    def positions(self, lag: int, whole: bool) -> list[int]:
        """First frame of each window: of the whole reference, or of what falls within the recording."""
        starts = range(0, len(self._spectra) - _WINDOW_FRAMES + 1, _STEP_FRAMES)
        last = len(self._recording) - _WINDOW
        return [start for start in starts if whole or 0 <= start * _HOP + lag <= last]

    def loud(self, positions: list[int]) -> _Flags:
        """Which windows have energy: within 20 dB of a loud one."""
        power = np.array([np.sum(self._power[start : start + _WINDOW_FRAMES]) for start in positions])
        return power > 0.01 * np.percentile(power, 90) if len(power) else np.zeros(0, np.bool_)

    def follow(self, positions: list[int], lag: int) -> list[_Window]:
        """Every window's place, followed both ways from the one that fits best at the coarse lag."""
        if not positions:
            return []
        first = [self._near(start, lag, _REACH) for start in positions]
        anchor = max(range(len(first)), key=lambda index: first[index].correlation)
        later = self._followed(positions[anchor:], first[anchor].lag)
        earlier = self._followed(positions[:anchor][::-1], first[anchor].lag)
        return earlier[::-1] + later

    def _followed(self, positions: list[int], lag: int) -> list[_Window]:
        windows: list[_Window] = []
        for start in positions:
            window = self._near(start, lag, _REACH)
            if window.correlation <= FOUND:
                further = self._near(start, lag, _REACH_LOST)
                window = further if further.correlation > FOUND else window
            if window.correlation > FOUND:
                lag = window.lag
            windows.append(window)
        return windows

    def _near(self, start: int, lag: int, reach: int) -> _Window:
        """The best place of one window within `reach` of a lag."""
        at = start * _HOP
        around = _cut(self._recording, at + lag - reach, _WINDOW + 2 * reach)
        best = int(np.argmax(_match(around, self._pattern[at : at + _WINDOW])[: 2 * reach + 1]))
        common, theirs = self._compare(start, _cut(around, best, _WINDOW))
        own = np.sum(self._own[start : start + _WINDOW_FRAMES])
        return _Window(lag + best - reach, float(np.sum(common) / np.sqrt(own * np.sum(theirs) + 1e-20)))

    def _compare(self, start: int, sound: Samples) -> tuple[_Reals, _Reals]:
        """Per frame: what a window and a piece of sound have in common, and the piece's own power, both weighted."""
        rows = slice(start, start + _WINDOW_FRAMES)
        spectra = _spectra(sound)
        common = np.sum(self._weights[rows] * (spectra * np.conj(self._spectra[rows])).real, axis=1)
        return common, np.sum(self._weights[rows] * np.abs(spectra) ** 2, axis=1)

    def longest_gap(self, positions: list[int], windows: list[_Window]) -> int:
        """Longest run of frames where the reference has sound that the recording lacks."""
        gains = self._gains(positions, windows)
        judged = ~np.isnan(gains)
        if not np.any(judged):
            return 0
        loud = judged & (self._power > np.percentile(self._power[judged], 95) * 10 ** (_LOUD_DB / 10))
        heard_at_all = sum(window.correlation > FOUND for window in windows) > _FOUND_SHARE_MIN * len(windows)
        usual = np.median(gains[loud]) if heard_at_all else np.inf
        return _longest_absence(np.flatnonzero(loud), gains[loud] > _GAIN_MISSING * usual)

    def _gains(self, positions: list[int], windows: list[_Window]) -> _Reals:
        """How strongly the recording holds each frame of the reference; NaN where no window looks.

        Tries each lag found nearby and keeps the best, because a delay may change in the middle of a window.
        """
        gains = np.full(len(self._spectra), np.nan)
        kernel = np.ones(_GAIN_FRAMES)
        for index, start in enumerate(positions):
            rows = slice(start, start + _WINDOW_FRAMES)
            own = np.convolve(self._own[rows], kernel, "same") + 1e-12
            for lag in _lags_near(windows, index):
                common, _ = self._compare(start, _cut(self._recording, start * _HOP + lag, _WINDOW))
                gains[rows] = np.fmax(gains[rows], np.convolve(common, kernel, "same") / own)
        return gains


def _lags_near(windows: list[_Window], index: int) -> set[int]:
    """Lags of the windows found up to half a second away, or else of the nearest one found, or the window's own."""
    found = [at for at, window in enumerate(windows) if window.correlation > FOUND]
    if not found:
        return {windows[index].lag}
    nearest = min(found, key=lambda at: abs(at - index))
    return {windows[at].lag for at in found if abs(at - index) <= 2} | {windows[nearest].lag}


def _longest_absence(frames: npt.NDArray[np.intp], present: _Flags) -> int:
    """Longest time from the first to the last frame of an absence, which only a longer presence ends."""
    longest, began, island = 0, -1, 0
    for frame, here in zip(frames.tolist(), present.tolist(), strict=True):
        if here:
            island += 1
            began = -1 if island >= _PRESENT_FRAMES else began
            continue
        island = 0
        began = frame if began < 0 else began
        longest = max(longest, frame - began + 1)
    return longest
