"""Rooms that are not there: what a microphone hears in them of a loudspeaker, and of their noise.

An echo is the direct way from loudspeaker to microphone, and after it noise that dies away as the room lets it. How
loud the one is beside the other says how far they are apart: a laptop hears itself directly, a hall mostly its walls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meshchat.units import SAMPLE_RATE, Samples, Seconds

ECHO_DB = -6.0
"""The echo beside what was played."""

FLOOR_DB = -80.0
"""The microphone's own noise."""


@dataclass(frozen=True, slots=True)
class Room:
    """Where a loudspeaker and a microphone stand."""

    name: str
    fades_s: Seconds
    """Until an echo is 60 dB softer (RT60)."""
    direct_db: float
    """The direct way beside everything that comes from the walls."""


DESK = Room("laptop on a desk", 0.2, 6.0)
LIVING = Room("living room", 0.35, 0.0)
HALL = Room("hall", 0.6, -6.0)


def echo(room: Room, played: Samples, delay_ms: float, seed: int = 1) -> Samples:
    """What the microphone hears of it, so much later, and its own noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(room.fades_s * SAMPLE_RATE)) / SAMPLE_RATE
    walls = np.convolve(rng.standard_normal(len(t)), [0.25, 0.5, 0.25], "same") * np.exp(-6.9 * t / room.fades_s)
    walls *= np.minimum(1.0, t / 0.003)
    walls /= np.sqrt(np.dot(walls, walls))
    walls[0] += 10 ** (room.direct_db / 20)
    walls *= 10 ** (ECHO_DB / 20) / np.sqrt(np.dot(walls, walls))
    response = np.concatenate([np.zeros(round(delay_ms * SAMPLE_RATE / 1000)), walls])
    size = 1 << (len(played) + len(response)).bit_length()
    heard = np.fft.irfft(np.fft.rfft(played, size) * np.fft.rfft(response, size), size)[: len(played)]
    return (heard + 10 ** (FLOOR_DB / 20) * rng.standard_normal(len(played))).astype(np.float32)


def hiss(samples: int, seed: int = 1) -> Samples:
    """White noise of power 1."""
    return np.random.default_rng(seed).standard_normal(samples).astype(np.float32)


def fan(samples: int, seed: int = 1) -> Samples:
    """Noise that falls by 6 dB an octave above 100 Hz, with the hum of a motor; of power 1."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    spectrum /= np.maximum(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE), 100.0)
    t = np.arange(samples) / SAMPLE_RATE
    noise = np.fft.irfft(spectrum, samples)
    hum = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in (1, 2, 3))
    return scaled((noise / noise.std() + 0.3 * hum).astype(np.float32), 0.0)


def people(voices: list[Samples], samples: int) -> Samples:
    """Many who talk at once, further off; of power 1."""
    mixed = np.zeros(samples, np.float32)
    for number in range(8):
        voice = voices[number % len(voices)]
        mixed += np.resize(np.roll(voice, number * 31_337), samples)
    return scaled(mixed, 0.0)


def scaled(sound: Samples, level_db: float) -> Samples:
    """The same at that level."""
    power = float(np.mean(np.square(sound, dtype=np.float64)))
    return sound * np.float32(10 ** (level_db / 20) / np.sqrt(power))


def softer(sound: Samples, by_db: float) -> Samples:
    """The same, softer, and the microphone's own noise."""
    return sound * np.float32(10 ** (-by_db / 20)) + scaled(hiss(len(sound), 9), FLOOR_DB)


def level_db(sound: Samples) -> float:
    """Its power."""
    return float(10 * np.log10(np.mean(np.square(sound, dtype=np.float64)) + 1e-13))
