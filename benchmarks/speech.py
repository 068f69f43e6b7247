"""The clips that the benchmarks talk with, and what became of them at whoever listened.

Three instruments, because none is enough. The ear (`meshchat.hearing`) tells whether a clip is in a mix at all, but
it reads gaps of up to 200 ms in a mix of two that has none. So holes are looked for in each voice by itself, before
the mix (`benchmarks.holes`). And the jitter buffer's own account says how much of a voice it had to make up, block by
block; a run of such blocks is a gap, though one that was covered.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import soundfile
import soxr

from benchmarks.holes import longest_hole_ms
from benchmarks.notes import Voiced
from meshchat.hearing import Heard, heard
from meshchat.units import SAMPLE_RATE, Samples, Seconds

SPEAKERS = ("ann", "bob")

CORRELATION_MIN = 0.6
"""From here on a voice counts as heard: another one reaches 0.3, two voices in one mix bring it down to 0.87."""

GAP_MS_MAX = 60.0
"""The longest gap in a voice that still counts as whole speech."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of one voice during a stretch of time."""

    heard: Heard
    """By the ear, in the voice alone."""
    hole_ms: float
    """The longest stretch in which the voice is missing, in the voice alone."""
    concealed_ms: float
    """Made up by the jitter buffer, in all."""
    concealed_ms_longest: float
    """The same in one run."""


def clip_path(name: str) -> Path:
    """Where the clip lies."""
    with as_file(files("meshchat") / "assets" / f"{name}.wav") as path:
        return path


def load_sound(path: Path) -> Samples:
    """A sound file as one channel at 48 kHz: float32, shape (n,)."""
    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    resampled: Samples = soxr.resample(sound.mean(axis=1), rate, SAMPLE_RATE)
    return resampled


def judge(sound: Samples, name: str) -> Heard:
    """How well the looped clip of that speaker is heard in a sound."""
    return heard(sound, load_sound(clip_path(name)), SAMPLE_RATE, looped=True)


def examine(voice: Voiced, name: str, since: Seconds, until: Seconds) -> Kept:
    """What became of that speaker's voice between two instants."""
    at = voice.column("at")
    first, last = np.searchsorted(at, [since, until])
    concealed = voice.column("concealed_ms")[first:last]
    block = len(voice.sound) // max(1, len(at))
    sound, clip = voice.sound[first * block : last * block], load_sound(clip_path(name))
    found = heard(sound, clip, SAMPLE_RATE, looped=True)
    return Kept(
        heard=found,
        hole_ms=longest_hole_ms(sound, clip, found.delay_s - len(clip) / SAMPLE_RATE),
        concealed_ms=float(concealed[-1] - concealed[0]) if len(concealed) else 0.0,
        concealed_ms_longest=concealed_at_once(voice, since, until),
    )


def concealed_at_once(voice: Voiced, since: Seconds, until: Seconds) -> float:
    """The longest run, in milliseconds, in which the jitter buffer had to make up all of a voice."""
    first, last = np.searchsorted(voice.column("at"), [since, until])
    return _longest_run(np.diff(voice.column("concealed_ms")[first:last]).tolist())


def _longest_run(steps: list[float]) -> float:
    """The largest sum of neighbours of which none is zero."""
    longest = run = 0.0
    for step in steps:
        run = run + step if step > 0 else 0.0
        longest = max(longest, run)
    return round(longest, 3)  # sums of blocks: 60 ms are not to be 60.0000001
