"""A world of sound devices, played by a stand-in for the package sounddevice with PortAudio's own rules.

The rules: what is plugged in is learnt only by `_initialize`, which must never happen while a stream is open; a stream
runs its callback on a thread of its own; pulling a plug ends the stream, or merely stops its callbacks.
"""

from __future__ import annotations

import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from meshchat.audio import list_devices, open_microphone, open_speaker
from meshchat.errors import AudioError
from meshchat.sound import supervisor
from meshchat.sound.driver import Census, Way
from meshchat.units import SAMPLE_RATE, Samples, Seconds

FRAME = 480
PEAK = 0.25


@dataclass(eq=False)
class Card:
    """One sound device of the world; another one of the same name is another one."""

    name: str
    inputs: int = 1
    outputs: int = 0
    rate_hz: int = SAMPLE_RATE
    channels_min: int = 1
    busy: bool = False


@dataclass
class Times:
    """As PortAudio tells them, on a clock that is not ours."""

    inputBufferAdcTime: float  # noqa: N815
    currentTime: float  # noqa: N815


@dataclass
class World:
    """What is plugged in, and what PortAudio knows of it."""

    plugged: list[Card] = field(default_factory=list)
    known: list[Card] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    fresh_looks: int = 0
    rules_broken: list[str] = field(default_factory=list)
    close_takes: threading.Event | None = None

    def initialize(self) -> None:
        self.fresh_looks += 1
        self.known = list(self.plugged)

    def terminate(self) -> None:
        if self.streams:
            self.rules_broken.append("PortAudio was ended under an open stream")

    def open(self, way: Way) -> list[Stream]:
        return [stream for stream in list(self.streams) if stream.way == way and stream.running]

    def pull_out(self, card: Card, silently: bool = False) -> None:
        self.plugged.remove(card)
        for stream in [stream for stream in list(self.streams) if stream.card is card]:
            stream.die(silently)

    def census(self) -> Census:
        inputs: list[tuple[str, Way]] = [(card.name, "input") for card in self.plugged if card.inputs]
        outputs: list[tuple[str, Way]] = [(card.name, "output") for card in self.plugged if card.outputs]
        return frozenset(inputs + outputs)


class Stream:
    """One open stream: a 440 Hz tone to be heard, or a tape of what is played."""

    way: Way
    world: World

    def __init__(
        self,
        samplerate: int,
        blocksize: int,
        device: int,
        channels: int,
        dtype: str,
        latency: str,
        callback: Callable[..., None],
        finished_callback: Callable[[], None],
    ) -> None:
        self.card = self.world.known[device]
        assert (dtype, latency) == ("float32", "low")
        if self.card not in self.world.plugged or self.card.busy:
            raise RuntimeError("Device unavailable [PaErrorCode -9985]")
        if samplerate != self.card.rate_hz or channels < self.card.channels_min:
            raise RuntimeError("Invalid sample rate [PaErrorCode -9997]")
        self.rate_hz, self.block, self.channels = samplerate, blocksize, channels
        self.tape: list[Samples] = []
        self.running = False
        self._callback, self._finished = callback, finished_callback
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="PortAudio", daemon=True)
        self.world.streams.append(self)

    def start(self) -> None:
        self.running = True
        self._thread.start()

    def die(self, silently: bool) -> None:
        self._ended.set()
        self._thread.join()
        if not silently:
            self._finished()

    def abort(self) -> None:
        if self.world.close_takes is not None:
            self.world.close_takes.wait(10)
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def close(self) -> None:
        self.abort()
        if self in self.world.streams:
            self.world.streams.remove(self)
        self._finished()

    def _run(self) -> None:
        begun = time.monotonic()
        turn = 0
        while not self._ended.wait(max(0.0, begun + (turn + 1) * self.block / self.rate_hz - time.monotonic())):
            self._turn(turn)
            turn += 1
        self.running = False

    def _turn(self, turn: int) -> None:
        now = time.monotonic() + 1000
        times = Times(now - self.block / self.rate_hz - 0.004, now)
        if self.way == "input":
            steps = np.arange(turn * self.block, (turn + 1) * self.block)
            tone = (PEAK * np.sin(2 * np.pi * 440 * steps / self.rate_hz)).astype(np.float32)
            self._callback(np.repeat(tone, self.channels).tobytes(), self.block, times, None)
        else:
            data = bytearray(self.block * self.channels * 4)
            self._callback(memoryview(data), self.block, times, None)
            self.tape.append(np.frombuffer(bytes(data), dtype=np.float32).reshape(-1, self.channels)[:, 0])


def fake_sounddevice(world: World) -> types.ModuleType:
    module = types.ModuleType("sounddevice")

    def row(card: Card) -> dict[str, object]:
        channels = {"max_input_channels": card.inputs, "max_output_channels": card.outputs}
        return {"name": card.name, "hostapi": 0, "default_samplerate": float(card.rate_hz), **channels}

    def query_devices() -> list[dict[str, object]]:
        if world.fresh_looks == 0:  # what the import of the real one does
            world.initialize()
        return [row(card) for card in world.known]

    class Default:
        @property
        def device(self) -> tuple[int, int]:
            inputs = [index for index, card in enumerate(world.known) if card.inputs]
            outputs = [index for index, card in enumerate(world.known) if card.outputs]
            return (inputs or [-1])[0], (outputs or [-1])[0]

    parts = {
        "query_devices": query_devices,
        "query_hostapis": lambda: [{"name": "ALSA"}],
        "default": Default(),
        "RawInputStream": type("Input", (Stream,), {"way": "input", "world": world}),
        "RawOutputStream": type("Output", (Stream,), {"way": "output", "world": world}),
        "_initialize": world.initialize,
        "_terminate": world.terminate,
        "_exit_handler": world.terminate,
        "_libname": None,
    }
    vars(module).update(parts)
    return module


def live_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world in place of the real one, whose rules must have been kept and which must be left tidy."""
    world = World()
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice(world))
    monkeypatch.setattr(supervisor, "_shared", None)
    monkeypatch.setattr(supervisor, "census", world.census)
    monkeypatch.setattr(supervisor, "RETRY_EVERY", 0.2)  # the true one is waited for in one test
    yield world
    assert not world.rules_broken
    assert not world.streams
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("meshchat", "PortAudio"))]


def until(condition: Callable[[], object], within: Seconds = 4.0) -> Seconds:
    """Wait for it; how long it took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < within, "it did not come about"
        threading.Event().wait(0.005)
    return time.monotonic() - begun


class Ear:
    """Takes frames and remembers what they were like."""

    def __init__(self) -> None:
        self.frames: list[Samples] = []
        self.came: list[Seconds] = []
        self.captured: list[Seconds] = []

    def __call__(self, frame: Samples, captured: Seconds) -> None:
        self.frames.append(frame)
        self.came.append(time.monotonic())
        self.captured.append(captured)

    def hears_tone(self) -> bool:
        return bool(self.frames) and float(np.abs(self.frames[-1]).max()) > 0.9 * PEAK

    def hears_silence(self) -> bool:
        return bool(self.frames) and not self.frames[-1].any()

    def longest_gap(self) -> Seconds:
        return float(np.diff(self.came).max())


def play_tone(samples: int, _: Seconds) -> Samples:
    return np.full(samples, PEAK, dtype=np.float32)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    yield from live_in(monkeypatch)


def test_without_portaudio_there_is_a_remedy_and_time_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    package = tmp_path_factory.mktemp("without")
    (package / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.delitem(sys.modules, "sounddevice")
    monkeypatch.syspath_prepend(str(package))
    ear = Ear()
    notices: list[str] = []
    microphone = open_microphone("default", FRAME, notices.append)
    microphone.start(ear)
    until(lambda: len(ear.frames) > 20 and notices)
    microphone.stop()
    assert len(notices) == 1
    assert "apt install libportaudio2" in notices[0]
    with pytest.raises(AudioError, match="brew install portaudio"):
        list_devices()


def test_the_list_of_devices_is_fresh_unless_one_is_in_use(world: World) -> None:
    assert list_devices() == ()
    world.plugged.append(Card("Built-in", 2, 0, 44_100))
    (device,) = list_devices()
    assert (device.index, device.name, device.host) == (0, "Built-in", "ALSA")
    assert (device.inputs, device.outputs, device.rate_hz) == (2, 0, 44_100.0)
    assert (device.default_input, device.default_output) == (True, False)
    ear = Ear()
    microphone = open_microphone("default", FRAME, print)
    microphone.start(ear)
    until(lambda: world.open("input"))
    world.plugged.append(Card("Second"))
    assert len(list_devices()) == 1
    microphone.stop()
    assert len(list_devices()) == 2


def test_a_hanging_sound_system_holds_up_neither_time_nor_stop_for_long(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "HUNG_MAX", 0.3)
    card = Card("Built-in")
    world.plugged.append(card)
    ear = Ear()
    microphone = open_microphone("default", FRAME, print)
    microphone.start(ear)
    until(ear.hears_tone)
    world.close_takes = threading.Event()
    world.pull_out(card, silently=True)
    until(ear.hears_silence)
    count = len(ear.frames)
    until(lambda: len(ear.frames) > count + 20)
    begun = time.monotonic()
    microphone.stop()
    assert time.monotonic() - begun < 1
    assert "does not answer" in caplog.text
    count = len(ear.frames)
    world.close_takes.set()
    until(lambda: not world.streams)
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("meshchat")])
    assert len(ear.frames) == count


def test_starts_and_stops_from_many_threads_leave_nothing_behind(world: World) -> None:
    world.plugged.append(Card("Built-in", 1, 1))
    for round_ in range(15):
        microphone, speaker = open_microphone("default", FRAME, print), open_speaker("default", FRAME, print)
        ear = Ear()
        threads = [
            threading.Thread(target=microphone.start, args=(ear,)),
            threading.Thread(target=speaker.start, args=(play_tone,)),
            *[threading.Thread(target=end.stop) for end in (microphone, speaker, microphone, speaker)],
        ]
        for thread in threads[:2] if round_ % 3 else threads:
            thread.start()
        if round_ % 3 == 1:
            until(lambda: world.open("input"))
        for thread in threads[2:] if round_ % 3 else []:
            thread.start()
        for thread in threads:
            thread.join()
        count = len(ear.frames)
        microphone.stop()
        speaker.stop()
        assert len(ear.frames) == count
        assert not world.streams


def test_a_microphone_cannot_stop_itself(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.plugged.append(Card("Built-in"))
    microphone = open_microphone("default", FRAME, print)
    microphone.start(lambda _, __: microphone.stop())
    until(lambda: "cannot stop itself" in caplog.text)
    microphone.stop()
