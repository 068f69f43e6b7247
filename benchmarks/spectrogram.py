"""The picture of `benchmarks.processing`: one scene as waves and as spectrograms, before and after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from meshchat.units import SAMPLE_RATE, Samples


def draw(sounds: dict[str, Samples], path: Path) -> None:
    """Writes it there, as what its suffix says."""
    figure = Figure(figsize=(13, 3.2 * len(sounds)), layout="constrained")
    axes = figure.subplots(2 * len(sounds), 1, sharex=True, height_ratios=[1, 2] * len(sounds))
    for number, (name, sound) in enumerate(sounds.items()):
        wave, spectrum = axes[2 * number], axes[2 * number + 1]
        wave.plot(np.arange(0, len(sound), 16) / SAMPLE_RATE, sound[::16], lw=0.3, color="#1f6f54")
        wave.set(ylim=(-0.5, 0.5), title=name)
        spectrum.specgram(sound + 1e-7, NFFT=1024, Fs=SAMPLE_RATE, noverlap=512, vmin=-140, vmax=-40, cmap="magma")
        spectrum.set(ylim=(0, 8000), ylabel="Hz")
    axes[-1].set(xlabel="s")
    figure.savefig(path, dpi=80)
