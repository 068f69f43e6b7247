"""The test tone: three notes on top of whatever is played, whole, once, and never too loud."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from meshchat.calling.chime import NOTE_S, NOTES_HZ, PEAK, Chime, notes
from meshchat.units import SAMPLE_RATE, Samples
from tests.peers_lab import LOOPBACK, lab, until

BLOCK = 480


def rung(chime: Chime, under: float, shape: tuple[int, ...] = (BLOCK,)) -> Samples:
    blocks = []
    for _ in range(100):
        sound = np.full(shape, under, dtype=np.float32)
        chime.add(sound)
        blocks.append(sound)
    return np.concatenate(blocks)


def test_it_is_silent_until_it_is_rung_and_after_its_end() -> None:
    chime = Chime()
    assert not rung(chime, 0.0).any()
    chime.ring()
    heard = rung(chime, 0.0)
    assert np.array_equal(heard[: len(notes())], notes())
    assert not heard[len(notes()) :].any()


@pytest.mark.parametrize("place", range(3))
def test_each_note_is_the_one_it_is_called(place: int) -> None:
    length = int(NOTE_S * SAMPLE_RATE)
    note = notes()[place * length : (place + 1) * length]
    loudest = np.argmax(np.abs(np.fft.rfft(note))) * SAMPLE_RATE / length
    assert abs(loudest - NOTES_HZ[place]) < 1 / NOTE_S
    assert np.abs(note).max() <= PEAK
    assert abs(note[0]) + abs(note[-1]) < 0.001


def test_it_goes_to_both_ears_and_what_is_loud_already_is_not_wrapped() -> None:
    chime = Chime()
    chime.ring()
    heard = rung(chime, 0.95, (BLOCK, 2))
    assert np.array_equal(heard[:, 0], heard[:, 1])
    assert heard.max() == 1.0


def test_it_is_heard_through_the_speaker_of_a_daemon(tmp_path: Path) -> None:
    recording = tmp_path / "heard.wav"
    with lab(tmp_path) as peers:
        ann = peers.start("ann", *LOOPBACK, "--no-mdns", "--mic", "silence", "--speaker", str(recording))
        assert ann.ready()
        assert ann.told("devices", "--test").status == 0
        until("it was written", lambda: recording.stat().st_size > 2 * SAMPLE_RATE)
        assert ann.told("stop").status == 0
        until("it is whole", lambda: ann.process.poll() is not None)
    samples = np.frombuffer(recording.read_bytes()[44:], dtype=np.int16).astype(np.float64) / 32768
    assert 0.9 * PEAK < np.abs(samples).max() <= PEAK + 0.001
