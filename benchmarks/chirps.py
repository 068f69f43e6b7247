"""Short sweeps that can be found in a sound to a few hundredths of a millisecond, and the noise between them.

A sweep of 10 ms from 800 Hz to 5 kHz, or back, every 250 ms: a matched filter squeezes each into a peak as narrow as
its band is wide (0.25 ms), and the codec, whose band it stays in, does not move the peak's centre. Sweeps up and down
take turns, so that a delay is known without doubt up to half a second. The noise, 55 dB under full scale, stands for
a room: with digital silence between the sweeps the encoder would send nothing there, and the jitter buffer would
begin anew with each sweep.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meshchat.units import SAMPLE_RATE, Samples

CHIRP_SAMPLES = SAMPLE_RATE // 100
APART_SAMPLES = SAMPLE_RATE // 4
LOUDNESS = 0.5
NOISE_RMS = 10 ** (-55 / 20)
HZ = (800.0, 5_000.0)

LIKENESS_MIN = 0.6
"""Correlation from which on a peak is a chirp: noise stays under 0.3, a coded chirp is above 0.9."""

Reals = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Found:
    """One chirp in a sound."""

    position: float
    """Its first sample, counted from the beginning of the sound; between two samples where it lies there."""
    rising: bool


def chirp(rising: bool) -> Samples:
    """One sweep with soft ends: float32, shape (480,), peak 0.5."""
    at = np.arange(CHIRP_SAMPLES) / SAMPLE_RATE
    low, high = HZ
    phase = 2 * np.pi * (low * at + (high - low) * at**2 / (2 * CHIRP_SAMPLES / SAMPLE_RATE))
    sweep = LOUDNESS * np.hanning(CHIRP_SAMPLES) ** 0.5 * np.sin(phase)
    return (sweep if rising else sweep[::-1]).astype(np.float32)


def chirps(seconds: int, seed: int) -> Samples:
    """Chirps in noise that may be looped: float32, shape (48000 * seconds,), rising and falling in turn."""
    sound = np.random.default_rng(seed).normal(0.0, NOISE_RMS, seconds * SAMPLE_RATE)
    for number, start in enumerate(range(APART_SAMPLES // 2, len(sound) - CHIRP_SAMPLES, APART_SAMPLES)):
        sound[start : start + CHIRP_SAMPLES] += chirp(rising=number % 2 == 0)
    return sound.astype(np.float32)


def find(sound: Samples) -> list[Found]:
    """Every chirp in a sound, in order."""
    both = {rising: _likeness(sound, chirp(rising)) for rising in (True, False)}
    found = [Found(at, rising) for rising, likeness in both.items() for at in _peaks(likeness)]
    return sorted(found, key=lambda each: each.position)


def _likeness(sound: Samples, pattern: Samples) -> Reals:
    """At each position, how much the sound from there is like the pattern, whatever its gain and phase: 0..1."""
    size = 1 << (len(sound) + len(pattern)).bit_length()
    spectrum = np.fft.fft(pattern, size)
    spectrum[size // 2 :] = 0  # positive frequencies only: the magnitude is then the envelope, without its ripple
    matched = 2 * np.abs(np.fft.ifft(np.fft.fft(sound, size) * np.conj(spectrum)))[: len(sound) - len(pattern) + 1]
    power = np.cumsum(np.concatenate(([0.0], sound.astype(np.float64) ** 2)))
    energy = power[len(pattern) :] - power[: -len(pattern)]
    floor = NOISE_RMS**2 * len(pattern)
    likeness: Reals = matched / np.sqrt(float(np.dot(pattern, pattern)) * np.maximum(energy, floor))
    return likeness


def _peaks(likeness: Reals) -> list[float]:
    """Where the likeness is high and the highest within half the distance of two chirps, between samples."""
    peaks = []
    candidates = np.flatnonzero(likeness > LIKENESS_MIN)
    while len(candidates):
        near = candidates[candidates < candidates[0] + APART_SAMPLES // 2]
        top = int(near[np.argmax(likeness[near])])
        peaks.append(top + _vertex(likeness[max(0, top - 1) : top + 2]))
        candidates = candidates[candidates >= top + APART_SAMPLES // 2]
    return peaks


def _vertex(three: Reals) -> float:
    """Where the parabola through three neighbours has its top, relative to the middle one."""
    if len(three) < 3:
        return 0.0
    left, middle, right = three.tolist()
    bend = left - 2 * middle + right
    return 0.5 * (left - right) / bend if bend < 0 else 0.0
