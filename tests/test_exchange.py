"""Another microphone and speaker while the call goes on: what is heard and refused, and that nothing is left."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from meshchat import config
from meshchat.audio import End, open_microphone, open_speaker
from meshchat.calling import exchange as exchanges
from meshchat.calling.exchange import Exchange
from meshchat.control import DeviceList, UseMicrophone, UseSpeaker
from meshchat.control import Devices as AskDevices
from meshchat.errors import AudioError, MeshchatError, Refused
from meshchat.units import SAMPLE_RATE, Samples, Seconds
from tests.peers_lab import LOOPBACK, Daemon, Events, Lab, is_well_formed, lab, own_name, until
from tests.test_audio_world import FRAME, Card, World, live_in


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    yield from live_in(monkeypatch)


def opener(spec: str) -> Callable[[Callable[[str], None]], End[Samples, None]]:
    return lambda notify: open_microphone(spec, FRAME, notify)


def hearing(spec: str, hear: Callable[[Samples, Seconds], None], told: list[str]) -> Exchange[Samples, None]:
    return Exchange(opener(spec), hear, lambda _frame: None, told.append)


def hertz(sound: Samples) -> float:
    """What a recording of a tone sounds loudest at."""
    return float(np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)[np.argmax(np.abs(np.fft.rfft(sound)))])


class Hand:
    """An end whose turns are taken by hand."""

    device = trouble = None
    late_turns = 1

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_over = False

    def start(self, turn: Callable[[str, Seconds], str], /) -> None:
        self.turn = turn

    def stop(self) -> None:
        self.is_over = True

    def describe(self) -> str:
        return self.name


@given(st.lists(st.one_of(st.none(), st.integers(0, 9))))
def test_whatever_comes_when_only_the_end_in_use_gets_through(script: list[int | None]) -> None:
    """None exchanges; a number takes a turn of one of all the ends that there ever were."""
    hands = [Hand("first")]
    got: list[str] = []

    def act(given: str, at: Seconds) -> str:
        got.append(given)
        return "sound"

    exchange = Exchange[str, str](lambda _: hands[0], act, lambda _: "nothing", print)
    exchange.start()
    for step in script:
        if step is None:
            hands.append(Hand(f"number {len(hands)}"))
            exchange.replace(lambda _: hands[-1])
            assert [hand.is_over for hand in hands] == [True] * (len(hands) - 1) + [False]
        else:
            hand = hands[step % len(hands)]
            answer = hand.turn(hand.name, 0.0)
            assert answer == ("sound" if hand is hands[-1] else "nothing")
            assert got[-1:] == [hand.name] or hand is not hands[-1]
        assert exchange.describe() == hands[-1].name
        assert exchange.late_turns == len(hands)
    exchange.stop()
    assert all(hand.is_over for hand in hands)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(["tone:440", "tone:1000", "silence"]), min_size=1, max_size=4))
def test_nothing_of_the_old_one_runs_after_it_was_exchanged(specs: list[str]) -> None:
    callers: set[int | None] = set()
    exchange = hearing("tone:300", lambda frame, at: callers.add(threading.get_ident()), [])
    exchange.start()
    for spec in specs:
        exchange.replace(opener(spec))
        alive = [thread.ident for thread in threading.enumerate() if thread.name == "meshchat-microphone"]
        assert len(alive) == (spec != "silence")
        callers.clear()
        if alive:
            deadline = time.monotonic() + 5
            while not callers:
                assert time.monotonic() < deadline
            assert callers <= set(alive)
    exchange.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "meshchat-microphone"]


def test_a_device_that_cannot_be_had_is_refused_in_words_and_the_old_one_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchanges, "WORKS_WITHIN_S", 0.5)
    world.plugged += [Card("Built-in"), Card("Busy", busy=True)]
    frames: list[Samples] = []
    told: list[str] = []
    exchange = hearing("built-in", lambda frame, at: frames.append(frame), told)
    exchange.start()
    until("the device is live", lambda: exchange.device is not None)
    for wrong, why in (
        ("headst", "no microphone is called headst; plugged in: Built-in"),
        ("busy", "cannot be opened"),
    ):
        with pytest.raises(AudioError, match=f"{why}.*; microphone Built-in .* stays in use"):
            exchange.replace(opener(wrong))
    with pytest.raises(AudioError, match="null is a speaker"):
        exchange.replace(opener("null"))
    count = len(frames)
    until("it still hears", lambda: len(frames) > count + 5 and frames[-1].any())
    assert [stream.card.name for stream in world.open("input")] == ["Built-in"]
    exchange.stop()
    with pytest.raises(Refused, match="stopping"):
        exchange.replace(opener("tone:440"))
    assert told == []
    assert not world.streams


def test_a_device_takes_over_when_it_is_live_and_time_goes_on_meanwhile(world: World) -> None:
    world.plugged += [Card("Built-in"), Card("Headset")]
    came: list[Seconds] = []
    exchange = hearing("built-in", lambda frame, at: came.append(time.monotonic()), [])
    exchange.start()
    until("the device is live", lambda: exchange.device is not None)
    count = len(came)
    exchange.replace(opener("headset"))
    assert exchange.describe() == "microphone Headset (48000 Hz)"
    assert [stream.card.name for stream in world.open("input")] == ["Headset"]
    before = len(came)
    until("it goes on", lambda: len(came) > before + 10)
    assert np.diff(came[count:]).max() < 0.2
    exchange.stop()


def test_the_mix_is_pulled_by_one_speaker_at_a_time_without_a_hole(tmp_path: Path) -> None:
    pulls: list[tuple[int, Seconds]] = []

    def pull(samples: int, at: Seconds) -> Samples:
        pulls.append((threading.get_ident(), time.monotonic()))
        return np.full(samples, 0.5, np.float32)

    def silent(samples: int) -> Samples:
        return np.zeros(samples, np.float32)

    files = [tmp_path / f"{number}.wav" for number in range(3)]
    exchange = Exchange[int, Samples](lambda told: open_speaker(str(files[0]), FRAME, told), pull, silent, print)
    exchange.start()
    for path in files[1:]:
        count = len(pulls)
        until("it plays", lambda count=count: len(pulls) > count + 20)  # type: ignore[misc]
        exchange.replace(lambda told, path=path: open_speaker(str(path), FRAME, told))  # type: ignore[misc]
    count = len(pulls)
    until("the last plays", lambda: len(pulls) > count + 20)
    exchange.stop()
    who = [ident for ident, _ in pulls]
    assert sum(one != other for one, other in itertools.pairwise(who)) == 2
    assert np.diff([at for _, at in pulls]).max() < 0.2
    for path in files:
        sound, rate = soundfile.read(path, dtype="float32")
        assert rate == SAMPLE_RATE
        assert np.count_nonzero(np.abs(sound - 0.5) < 0.01) > 20 * FRAME


# A real call


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Daemon, Daemon]]:
    with lab(tmp_path_factory.mktemp("exchange")) as peers:
        room = (*LOOPBACK, "--room", own_name("exchange"))
        ann = peers.start("ann", *room, "--mic", "tone:440", "--speaker", "null")
        bob = peers.start("bob", *room, "--mic", "silence", *peers.sink("bob"))
        until("they hear each other", lambda: ann.ready() and bob.ready() and bob.hears("ann"), 20)
        yield peers, ann, bob


def test_in_a_call_another_tone_is_heard_and_another_file_written(two: tuple[Lab, Daemon, Daemon]) -> None:
    peers, ann, bob = two
    assert abs(hertz(bob.recorded_from_now(0.5)) - 440) < 5
    events = Events(ann, peers.folder / "ann.jsonl")
    try:
        until("the snapshot came", lambda: events.of("snapshot"))
        assert ann.told("mic", "tone:1000").status == 0
        changed = until("the change is told", lambda: events.of("self_changed"))
    finally:
        events.end()
    assert changed[-1]["microphone"] == ann.status().microphone == "tone of 1000 Hz at -20 dBFS"
    until("bob hears the other", lambda: abs(hertz(bob.recorded_from_now(0.3)) - 1000) < 5)
    old, new = bob.recording, peers.folder / "new.wav"
    assert bob.told("speaker", str(new)).status == 0
    assert str(new) in bob.status().speaker
    assert is_well_formed(old)
    size = old.stat().st_size
    bob.recording = new
    try:
        assert abs(hertz(bob.recorded(0.8)[-SAMPLE_RATE // 2 :]) - 1000) < 5
    finally:
        bob.recording = old
    assert old.stat().st_size == size
    assert bob.members()["ann"].packets_lost == 0
    ann.ask(UseMicrophone(source="silence"))
    me = ann.members()["ann"]
    assert (me.speaking, me.level_db) == (False, -127.0)
    ann.ask(UseMicrophone(source="tone:440"))


def test_a_wrong_word_is_refused_and_the_old_one_goes_on(two: tuple[Lab, Daemon, Daemon]) -> None:
    peers, ann, bob = two
    before = ann.status().microphone, bob.status().speaker
    written = str(peers.folder / "twice.wav")
    bob.ask(UseSpeaker(sink=written))
    link = peers.folder / "link.wav"
    link.symlink_to(written)
    wishes: list[tuple[Daemon, UseMicrophone | UseSpeaker, type[MeshchatError], str]] = [
        (ann, UseMicrophone(source="tone:5"), AudioError, "no tone"),
        (ann, UseMicrophone(source="null"), AudioError, "null is a speaker"),
        (ann, UseMicrophone(source=str(peers.folder / "missing.wav")), AudioError, "missing.wav"),
        (bob, UseSpeaker(sink="tone:440"), AudioError, "is a microphone"),
        (bob, UseSpeaker(sink=str(peers.folder / "no" / "x.wav")), AudioError, "cannot be written"),
        (bob, UseSpeaker(sink=written), Refused, "being recorded already"),
        (bob, UseSpeaker(sink=str(link)), Refused, "being recorded already"),
        (ann, UseMicrophone(source="two\nlines"), MeshchatError, "cannot be shown"),
    ]
    for peer, wish, _, words in wishes:
        with pytest.raises(MeshchatError, match=words):
            peer.ask(wish)
    assert ann.status().microphone == before[0]
    assert written in bob.status().speaker
    told = ann.told("mic", "tone:5")
    assert (told.status, told.out) == (1, "")
    assert "no tone" in told.err


def test_what_is_to_be_kept_is_written_down_and_nothing_else(two: tuple[Lab, Daemon, Daemon]) -> None:
    _, ann, _ = two
    path = ann.profile / config.FILE_NAME
    assert not path.exists()
    path.write_text("# mine\nroom = 'kitchen'\nspeaker = 'null'\n")
    assert ann.told("mic", "tone:500", "--keep").status == 0
    assert ann.told("speaker", "null").status == 0
    assert path.read_text() == "microphone = \"tone:500\"\n# mine\nroom = 'kitchen'\nspeaker = 'null'\n"
    assert config.load({"profile": str(ann.profile)}, {}).microphone == "tone:500"


def test_devices_are_listed_by_the_daemon_with_what_is_in_use(two: tuple[Lab, Daemon, Daemon]) -> None:
    _, _, bob = two
    told = bob.told("devices", "--json")
    if told.status:
        assert "PortAudio library is missing" in told.err
        pytest.skip("the PortAudio library is missing")
    listed = json.loads(told.out)
    assert listed["speaker"] == bob.status().speaker
    assert not any(each["used"] for each in listed["microphones"] + listed["speakers"])
    answer = bob.ask(AskDevices())
    assert isinstance(answer, DeviceList)
    assert "in use" in bob.told("devices").out


def test_devices_are_listed_without_a_daemon_too(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from meshchat import cli

    world.plugged += [Card("Built-in", 2, 2), Card("Headset\x1b[2J", 1, 0)]
    assert cli.main(["devices", "--json", "--profile", str(tmp_path)]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in listed["microphones"]] == ["Built-in", "Headset\x1b[2J"]
    assert [(each["name"], each["channels"], each["default"]) for each in listed["speakers"]] == [("Built-in", 2, True)]
    assert listed["microphone"] is listed["speaker"] is None
    assert cli.main(["devices", "--profile", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "default" in shown
    assert "\x1b" not in shown


def test_the_list_marks_the_device_in_use(world: World) -> None:
    from meshchat.call import Call
    from meshchat.config import Config
    from meshchat.devices import listed

    world.plugged += [Card("Built-in", 1, 1), Card("Headset", 1, 1)]
    call = Call(
        Config(microphone="headset", speaker="null"), lambda data: None, lambda part, text: None, lambda *_: None
    )
    call.start()
    until("the headset is live", lambda: call.microphone.device)
    told = asyncio.run(asyncio.to_thread(listed, call))
    assert [(each.name, each.used) for each in told.microphones] == [("Built-in", False), ("Headset", True)]
    assert not any(each.used for each in told.speakers)
    assert told.microphone == "microphone Headset (48000 Hz)"
    call.use_microphone("built-in")
    assert [each.used for each in listed(call).microphones] == [True, False]
    call.stop()
