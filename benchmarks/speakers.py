"""Whoever speaks in the benchmarks: two women and two men of eSpeak NG, or Ann and Bob where that is not installed.

The sentences are the first ones of the Harvard lists (IEEE 1969), which were made to hold every sound of English as
often as speech does. What comes out of a synthesiser is nobody's recording, and PESQ judges it as it judges a person.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.speech import SPEAKERS, clip_path, load_sound
from meshchat.units import SAMPLE_RATE, Samples, Seconds

PEAK = 0.5

SENTENCES = (
    "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. It is easy to tell the "
    "depth of a well. These days a chicken leg is a rare dish. Rice is often served in round bowls. The juice of "
    "lemons makes fine punch. The box was thrown beside the parked truck. The hogs were fed chopped corn and garbage."
)


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice of eSpeak NG."""

    name: str
    voice: str
    pitch: int


CAST = (
    Speaker("Alice", "en-gb+f2", 60),
    Speaker("Carl", "en-us+m3", 45),
    Speaker("Dora", "en-us+f4", 70),
    Speaker("Emil", "en-gb-x-rp+m7", 35),
)


def speeches(count: int, seconds: Seconds) -> dict[str, Samples]:
    """So many speakers, by name, who talk for so long: float32 of shape (n,), 48 kHz, with a peak of `PEAK`."""
    if shutil.which("espeak-ng"):
        spoken = {each.name: _spoken(each) for each in CAST[:count]}
    else:
        spoken = {name: load_sound(clip_path(name)) for name in SPEAKERS[:count]}
    return {name: _lasting(sound, seconds) for name, sound in spoken.items()}


def _spoken(speaker: Speaker) -> Samples:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        words = ["-v", speaker.voice, "-p", str(speaker.pitch), "-s", "165", "-w", str(path), SENTENCES]
        subprocess.run(["espeak-ng", *words], check=True, capture_output=True)
        return load_sound(path)


def _lasting(sound: Samples, seconds: Seconds) -> Samples:
    samples = round(seconds * SAMPLE_RATE)
    sound = np.tile(sound, -(-samples // len(sound)))[:samples]
    scaled: Samples = (sound * (PEAK / np.abs(sound).max())).astype(np.float32)
    return scaled
