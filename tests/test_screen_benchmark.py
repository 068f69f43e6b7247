"""The number that a picture bears survives what screens go through, and the goals are judged as they are meant."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.framecode import BITS, CODE_WIDTH, FIELD_HEIGHT, FIELD_WIDTH, Sightings, drawn, load, read
from benchmarks.verdict import Run, told
from meshchat.codec import decode_jpeg, encode_jpeg
from meshchat.units import Pixels


@given(st.integers(0, 2**BITS - 1))
def test_a_number_is_read_as_it_was_drawn(number: int) -> None:
    assert read(drawn(number)[0]) == number


@pytest.mark.parametrize("quality", [30, 77])
def test_a_coarse_jpeg_leaves_it_readable(quality: int) -> None:
    around: Pixels = np.full((64, CODE_WIDTH + 64), 0xFF33_66AA, np.uint32)
    around[:FIELD_HEIGHT, :CODE_WIDTH] = drawn(123_456)
    seen = decode_jpeg(encode_jpeg(around, quality), CODE_WIDTH + 64, 64)
    assert read(seen[FIELD_HEIGHT // 2]) == 123_456


def test_half_of_one_number_and_half_of_another_are_none() -> None:
    one, other = drawn(1000)[0].copy(), drawn(1001)[0]
    one[-2 * FIELD_WIDTH :] = other[-2 * FIELD_WIDTH :]
    assert read(one) is None
    assert read(np.full(CODE_WIDTH, 0xFF80_8080, np.uint32)) is None


def test_a_picture_is_seen_once(tmp_path: Path) -> None:
    seen = Sightings(tmp_path / "seen")
    for number, at in ((7, 1.0), (7, 2.0), (None, 3.0), (8, 4.0)):
        seen.saw(number, at)
    assert load(tmp_path / "seen").tolist() == [(1.0, 7), (4.0, 8)]


def run(peer: str, delay: float, network: str = "clean") -> Run:
    return Run(peer, network, "typing", 10, 80, 80, delay, delay, delay, 10, 0.1, 1, 1, 1)


def test_a_goal_is_a_ratio_to_the_best_of_the_others_in_the_median() -> None:
    runs = [run("x0vncserver", 12), run("Xvnc", 10), *(run("meshchat", each) for each in (4, 40, 4))]
    (verdict,) = [row for row in told(runs) if "/" in row.name and "typing" in row.name and "delay" in row.name]
    (figure,) = verdict.figures
    assert math.isclose(figure.value, 0.4)
    assert not figure.missed
    late = told([*runs, run("meshchat", 50), run("meshchat", 50)])
    assert any(figure.missed for row in late for figure in row.figures)


def test_without_others_nothing_is_judged() -> None:
    assert all("delay /" not in row.name for row in told([run("meshchat", 4), run("Xvnc", 10, "loss5")]))
