"""The benchmark of voices does to packets what it says, and reads delays where they are."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest

from benchmarks.line import Line
from benchmarks.scores import delays
from benchmarks.speech import clip_path, load_sound
from benchmarks.traces import SCENARIOS, WAY, Scenario, Trace
from meshchat.units import SAMPLE_RATE

FRAME_S = 0.01
NAMED = {each.name: each for each in SCENARIOS}


def trace(scenario: Scenario, seed: int = 1, packets: int = 20_000) -> Trace:
    return Trace(scenario, seed, packets, FRAME_S)


@pytest.mark.parametrize(
    ("name", "burst"), [("1 % lost", 1), ("30 % lost", 1.43), ("10 % in bursts of 3", 3), ("10 % in bursts of 6", 6)]
)
def test_as_many_packets_are_lost_in_a_row_as_the_name_says(name: str, burst: float) -> None:
    lost = [not arrivals for arrivals in trace(NAMED[name]).arrivals]
    runs = [sum(run) for is_lost, run in groupby(lost) if is_lost]
    assert np.mean(lost) == pytest.approx(NAMED[name].loss, rel=0.2)
    assert np.mean(runs) == pytest.approx(burst, rel=0.1)


def test_a_seed_says_it_all() -> None:
    scenario = NAMED["Wi-Fi"]
    one, same, other = trace(scenario, 1, 500), trace(scenario, 1, 500), trace(scenario, 2, 500)
    assert one.arrivals == same.arrivals
    assert one.arrivals != other.arrivals
    assert [one.extra(at / 10) for at in range(50)] == [same.extra(at / 10) for at in range(50)]


def test_jitter_keeps_the_order_and_reordering_does_not() -> None:
    jittered = [at for arrivals in trace(NAMED["jitter 60 ms"], packets=2000).arrivals for at in arrivals]
    assert jittered == sorted(jittered)
    assert max(at - (n + 1) * FRAME_S for n, at in enumerate(jittered)) > 0.055
    reordered = [at for arrivals in trace(NAMED["5 % reordered"], packets=2000).arrivals for at in arrivals]
    assert reordered != sorted(reordered)


def test_nothing_passes_in_an_outage_and_everything_after_it() -> None:
    scenario = Scenario("out", outage=(1.0, 0.3))
    made = trace(scenario, packets=200)
    assert [n for n, arrivals in enumerate(made.arrivals) if not arrivals] == list(range(99, 129))
    assert made.extra(1.1) is None
    assert made.extra(1.5) == pytest.approx(1.5 + WAY)


def test_the_line_brings_speech_through_whole_and_the_delay_is_found_in_the_sound() -> None:
    sound = load_sound(clip_path("ann"))[: 4 * SAMPLE_RATE]
    played = Line(NAMED["clean"], 1, sound, 10.0, 48_000).run()
    found = delays(sound, played.sound)
    late = found[found[:, 0] > 2.0, 1]
    assert len(late) > 10
    assert late.max() < 25
    shifted = np.concatenate((np.zeros(480, np.float32), played.sound))
    again = delays(sound, shifted)
    assert np.median(again[again[:, 0] > 2.0, 1]) == pytest.approx(np.median(late) + 10, abs=0.3)
