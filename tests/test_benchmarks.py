"""The benchmarks' own instruments measure what they say, and a short run of each works and tells the truth."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr

from benchmarks.chirps import APART_SAMPLES, chirps, find
from benchmarks.holes import longest_hole_ms
from benchmarks.lab import LOOPBACK, network
from benchmarks.mouth_to_ear import DELAY_MAX_S, pair
from benchmarks.relay import Way
from benchmarks.report import Figure, Row, table
from benchmarks.speech import clip_path, load_sound
from meshchat.codec import OpusDecoder, OpusEncoder
from meshchat.units import SAMPLE_RATE, Samples

ROOT = Path(__file__).resolve().parent.parent

SHORT = {
    "mouth_to_ear": ["--frames", "10", "--seconds", "2"],
    "join": ["--times", "1", "--deaths", "1", "--silent", "1", "--after", "2"],
    "loss": ["--only", "both", "--seconds", "4"],
    "sixteen": ["--peers", "3", "--seconds", "3"],
}
"""Of each benchmark, the least that still goes through all of it."""

RUN_S_MAX = 90.0


def coded(sound: Samples) -> Samples:
    """What Opus makes of a sound."""
    encoder, decoder = OpusEncoder(dtx=False), OpusDecoder()
    size = encoder.frame_samples
    packets = [encoder.encode(sound[at : at + size]) for at in range(0, len(sound) - size + 1, size)]
    return np.concatenate([decoder.decode(packet).copy() for packet in packets])


# Chirps


def test_chirps_are_found_where_they_are_even_between_two_samples() -> None:
    sound = chirps(2, seed=1)
    fine = soxr.resample(sound, SAMPLE_RATE, 4 * SAMPLE_RATE)
    moved = soxr.resample(np.concatenate([np.zeros(3, np.float32), fine]), 4 * SAMPLE_RATE, SAMPLE_RATE)
    for shift, found in ((0.0, find(sound)), (0.75, find(moved))):
        assert [each.rising for each in found] == [True, False] * 4
        expected = [APART_SAMPLES * (n + 0.5) + shift for n in range(8)]
        assert np.allclose([each.position for each in found], expected, atol=0.1)


def test_the_codec_delays_chirps_by_its_look_ahead_and_nothing_else() -> None:
    encoder = OpusEncoder()
    sound = chirps(4, seed=2)
    before, after = find(sound), find(coded(sound))
    delays = [late.position - early.position for early, late in zip(before[1:], after[1:], strict=True)]
    assert np.allclose(delays, encoder.look_ahead_samples, atol=0.2 * SAMPLE_RATE / 1000)


def test_a_played_chirp_is_paired_with_the_latest_of_its_kind_captured_before() -> None:
    captured = [(0.0, True), (0.25, False), (0.5, True), (0.75, False)]
    played = [(0.03, True), (0.29, False), (0.26, True), (0.2, False), (0.76 + DELAY_MAX_S, False)]
    assert pair(captured, played) == pytest.approx([0.03, 0.04, 0.26])


# Holes


@pytest.fixture(scope="module")
def speech() -> Samples:
    """Ten seconds of Ann, over and over, from somewhere in the clip."""
    return coded(np.tile(load_sound(clip_path("ann")), 3)[12_345 : 12_345 + 10 * SAMPLE_RATE])


def hole(sound: Samples) -> float:
    clip = load_sound(clip_path("ann"))
    return longest_hole_ms(sound, clip, -12_345 / SAMPLE_RATE)


def test_whole_speech_has_no_hole_even_if_its_delay_wanders(speech: Samples) -> None:
    assert hole(speech) == 0
    cut = np.concatenate([speech[at : at + 14_400 - 384] for at in range(0, len(speech), 14_400)])
    assert hole(cut) <= 24


def test_a_hole_is_read_about_as_long_as_it_is(speech: Samples) -> None:
    loudest = int(np.argmax(np.convolve(speech**2, np.ones(9_600), "valid")))
    for hole_ms in (100, 200):
        torn = speech.copy()
        torn[loudest : loudest + hole_ms * SAMPLE_RATE // 1000] = 0
        assert hole_ms - 40 <= hole(torn) <= hole_ms + 24


# The relay


def test_a_way_loses_and_delays_as_it_was_told_and_the_same_again_from_the_same_seed() -> None:
    def fates(reorder: bool) -> list[float | None]:
        way = Way(loss_percent=5, jitter_ms=20, reorder=reorder, seed="7 there")
        return [way.due(n / 100) for n in range(10_000)]

    kept = [(n / 100, due) for n, due in enumerate(fates(reorder=True)) if due is not None]
    delays = np.array([due - at for at, due in kept])
    assert fates(reorder=True) == fates(reorder=True)
    assert 0.94 < len(kept) / 10_000 < 0.96
    assert delays.min() >= 0
    assert np.sqrt(np.mean(delays**2)) == pytest.approx(0.020, rel=0.05)
    in_order = [due for due in fates(reorder=False) if due is not None]
    assert in_order == sorted(in_order)
    assert [due for _, due in kept] != sorted(due for _, due in kept)


# The report


def test_a_figure_that_is_missed_or_could_not_be_measured_is_marked() -> None:
    assert not Figure("gap", 60, "ms", at_most=60).missed
    assert Figure("gap", 61, "ms", at_most=60).missed
    assert Figure("heard", 0.5, at_least=0.6).missed
    assert Figure("gap", float("nan"), "ms", at_most=60).missed
    shown = table([Row("clean", (Figure("gap", 61, "ms", at_most=60),)), Row("bad", (Figure("gap", 8, "ms"),))])
    assert [line.split() for line in shown.splitlines()] == [
        ["gap,", "ms"], ["clean", "61", "(<=", "60)", "MISSED"], ["bad", "8"],
    ]  # fmt: skip


def test_a_network_without_root_is_loopback() -> None:
    with network(3, loopback=True) as places:
        assert [(place.host, place.enter) for place in places] == [(LOOPBACK, ())] * 3


# Short runs


@dataclass
class Run:
    """One benchmark at work."""

    process: subprocess.Popen[str]
    result: Path

    def finish(self) -> tuple[int, str, dict[str, Any]]:
        """Exit status, what was printed, and the figures by row and name."""
        said = self.process.communicate(timeout=RUN_S_MAX)[0]
        assert self.result.exists(), said
        told = json.loads(self.result.read_text())
        figures = {row["name"]: {each["name"]: each["value"] for each in row["figures"]} for row in told["rows"]}
        assert self.process.returncode == bool(told["missed"]), said
        assert told["machine"]["network"] == "loopback"
        return self.process.returncode, said, figures


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """All of them at once, since each mostly waits."""
    folder = tmp_path_factory.mktemp("benchmarks")
    started = {}
    for name, words in SHORT.items():
        result = folder / f"{name}.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", "--loopback", "--json", str(result), *words]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ)
        )
        started[name] = Run(process, result)
    yield started
    for run in started.values():
        run.process.terminate()
        run.process.communicate()


def test_mouth_to_ear_finds_its_chirps_and_the_parts_add_up(runs: dict[str, Run]) -> None:
    _, said, figures = runs["mouth_to_ear"].finish()
    whole, parts = figures.values()
    assert whole["chirps"] >= 5, said
    assert 16.5 < whole["p50"] < 300, said
    assert parts["jitter buffer"] == pytest.approx(parts["its own word"], abs=10), said


def test_a_newcomer_hears_the_room_and_the_room_survives_its_coordinator(runs: dict[str, Run]) -> None:
    _, said, figures = runs["join"].finish()
    newcomer, death = figures.values()
    assert 0 < newcomer["start to first sound, median"] < 30, said
    assert 0 < death["without one, median"] < 20, said
    assert death["talkers heard"] == 2, said


def test_speech_through_the_relay_is_heard_and_loses_what_the_relay_takes(runs: dict[str, Run]) -> None:
    _, said, figures = runs["loss"].finish()
    (found,) = figures.values()
    assert found["correlation"] > 0.5, said
    assert 1 < found["lost"] < 15, said


def test_everybody_in_a_small_room_hears_both_and_processor_time_is_told(runs: dict[str, Run]) -> None:
    _, said, figures = runs["sixteen"].finish()
    assert {row["heard by"] for name, row in figures.items() if "listeners" in name} == {2}, said
    assert 0.5 < figures["a listener"]["processor, median"] < 100, said
