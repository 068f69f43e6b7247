"""A microphone or a speaker tried out: what is told of one that works, and of one that does not."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from meshchat import cli
from meshchat.errors import AudioError
from meshchat.sound import supervisor
from meshchat.sound.device import DeviceEnd
from meshchat.words import trying
from tests.test_audio_world import Card, World, live_in


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name, seconds in (("STEP_S", 0.1), ("LISTENS_S", 0.3), ("OPENS_WITHIN_S", 1.0)):
        monkeypatch.setattr(trying, name, seconds)
    yield from live_in(monkeypatch)


def test_a_speaker_that_works_plays_a_tone_on_one_side_then_the_other(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.plugged.append(Card("Built-in", 0, 2))
    tapes: list[float] = []
    stop = supervisor.Supervisor.remove

    def remove(self: supervisor.Supervisor, end: DeviceEnd) -> None:
        tapes.extend(float(np.abs(block).max()) for block in world.streams[0].tape)
        stop(self, end)

    monkeypatch.setattr(supervisor.Supervisor, "remove", remove)
    assert cli.main(["devices", "--test", "speaker"]) == 0
    assert "Built-in" in capsys.readouterr().out
    loud = [peak > 0.05 for peak in tapes]
    edges = "".join("x" if now else "." for before, now in zip([False, *loud], loud, strict=False) if now != before)
    assert edges == "x.x.", "on the left, which the tape is of: a tone, a pause, a tone"


def test_a_microphone_that_hears_is_told_with_its_level(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.plugged.append(Card("Headset"))
    assert cli.main(["devices", "--test", "mic", "headset", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "Headset" in told["device"]
    assert told["loudest_db"] == pytest.approx(-15.0, abs=0.5)


def test_what_does_not_work_is_told_with_the_reason(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["devices", "--test", "mic", "nothing"]) == 1
    assert "no microphone is called nothing" in capsys.readouterr().err
    world.plugged.append(Card("Built-in", 1, 2, busy=True))
    assert cli.main(["devices", "--test", "speaker", "built"]) == 1
    assert "another program may be holding it" in capsys.readouterr().err
    assert cli.main(["devices", "built"]) == 2


def test_silence_is_no_sound() -> None:
    with pytest.raises(AudioError, match="nothing but silence"):
        trying.try_microphone("silence")
    with pytest.raises(AudioError, match="needs no test"):
        trying.try_speaker("x.wav")
