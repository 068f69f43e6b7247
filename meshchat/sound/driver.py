"""PortAudio as this house sees it: which devices there are, a stream each way, and a fresh look at what is plugged in.

Everything of the package `sounddevice` is in this file and imported only when a device is wanted, because the import
itself fails where the PortAudio library is missing. PortAudio learns what is plugged in only when it is initialised,
which is safe only while none of our streams is open; `census` looks without touching it, from a fresh process.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal, Protocol

from meshchat.errors import AudioError
from meshchat.sound.guard import OnFrame, Pull
from meshchat.sound.turns import InputTurns, OutputTurns
from meshchat.units import SAMPLE_RATE, Seconds

Way = Literal["input", "output"]

Census = frozenset[tuple[str, Way]]
"""Devices by name and way, for telling whether something was plugged in or out."""

LIBRARY_MISSING = (
    "the PortAudio library is missing; install it (apt install libportaudio2, dnf install portaudio, brew install "
    "portaudio) and start meshchat again"
)

KERNEL_CARDS = Path("/proc/asound/cards")
"""Where Linux lists its sound cards."""

CENSUS_MAX: Seconds = 3.0
"""How long a fresh process may take to list the devices; it takes about 0.2 s."""

CENSUS_CODE = (
    "from meshchat.urgency import come_last; come_last(); import json, sounddevice as s;"
    "print(json.dumps([[d['name'], d['max_input_channels'], d['max_output_channels']] for d in s.query_devices()]))"
)


@dataclass(frozen=True, slots=True)
class SoundDevice:
    """One device as PortAudio lists it. `index` is good until something is plugged in or out; the name is for keeps."""

    index: int
    name: str
    host: str
    """The system's interface it is reached by: ALSA, Core Audio, Windows WASAPI."""
    inputs: int
    """Channels it can record; 0 is no microphone."""
    outputs: int
    """Channels it can play; 0 is no speaker."""
    rate_hz: float
    """The rate it runs at by itself."""
    default_input: bool
    default_output: bool

    def channels(self, way: Way) -> int:
        """How many channels it has that way."""
        return self.inputs if way == "input" else self.outputs

    def is_default(self, way: Way) -> bool:
        """Whether the system prefers it that way."""
        return self.default_input if way == "input" else self.default_output


class Stream(Protocol):
    """What is used of `sounddevice.RawInputStream` and `RawOutputStream`, which come without types."""

    def start(self) -> None:
        """Let the turns begin."""
        ...

    def abort(self) -> None:
        """End them at once."""
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...


Ended = Callable[[], None]
TurnsAt = Callable[[int, int], InputTurns | OutputTurns]
"""Makes the callback for a rate in hertz and a number of channels."""


class DeviceStream:
    """An open, running stream."""

    def __init__(self, stream: Stream, turns: InputTurns | OutputTurns, device: SoundDevice) -> None:
        self._stream = stream
        self._turns = turns
        self.device = device
        self.rate_hz = turns.rate_hz
        self.closed = False

    @property
    def troubled_turns(self) -> int:
        """Turns in which PortAudio reported an overflow or underflow."""
        return self._turns.troubled

    def is_current(self) -> bool:
        """Whether the caller runs inside one of the stream's turns."""
        return self._turns.is_current()

    def close(self) -> None:
        """End it now, without playing what waits; returns when no turn runs and none will."""
        with contextlib.suppress(Exception):
            self._stream.abort()
        with contextlib.suppress(Exception):
            self._stream.close()
        self.closed = True


class PortAudio:
    """The devices of this machine. Not thread-safe: its owner calls one method at a time."""

    def __init__(self) -> None:
        self._module: ModuleType | None = None
        self._missing: AudioError | None = None
        self._streams: list[DeviceStream] = []

    def devices(self) -> tuple[SoundDevice, ...]:
        """What PortAudio found when it last looked. AudioError when it cannot be asked."""
        return _read_devices(self._load())

    def refresh(self) -> None:
        """Look again at what is plugged in; does nothing while a stream is open. AudioError when it fails."""
        self._streams = [stream for stream in self._streams if not stream.closed]
        if self._module is None or self._streams:
            self._load()
            return
        with contextlib.suppress(Exception):
            self._module._terminate()
        try:
            self._module._initialize()
        except Exception as fault:
            raise AudioError(f"the sound system cannot be asked for its devices ({fault})") from fault

    def open_input(
        self, device: SoundDevice, frame_samples: int, on_frame: OnFrame, ended: Ended, wanted: Literal[1, 2]
    ) -> DeviceStream:
        """Record `wanted` channels; AudioError says why not. `ended` is called when the stream ends, on any thread."""

        def turns(rate_hz: int, channels: int) -> InputTurns:
            return InputTurns(rate_hz, channels, frame_samples, on_frame, wanted)

        return self._open(device, "input", turns, ended, wanted)

    def open_output(self, device: SoundDevice, block_samples: int, pull: Pull, ended: Ended) -> DeviceStream:
        """Play; AudioError says why not. `ended` is called when the stream ends, on any thread."""

        def turns(rate_hz: int, channels: int) -> OutputTurns:
            return OutputTurns(rate_hz, channels, block_samples, pull)

        return self._open(device, "output", turns, ended, 2)

    def abandon(self) -> None:
        """PortAudio hangs: let the process end all the same.

        Its farewell at exit would hang too, and so is called off; and its library must stay in memory while threads
        wait inside it, which an opening by ctypes sees to, because ctypes never closes one.
        """
        if self._module is not None:
            atexit.unregister(self._module._exit_handler)
            ctypes.CDLL(self._module._libname)

    def _open(
        self, device: SoundDevice, way: Way, turns_at: TurnsAt, ended: Ended, wanted: Literal[1, 2]
    ) -> DeviceStream:
        module = self._load()
        kind = module.RawInputStream if way == "input" else module.RawOutputStream
        fault: Exception | None = None
        for rate_hz, channels in _formats(device, way, wanted):
            turns = turns_at(rate_hz, channels)
            try:
                stream = DeviceStream(_run(kind, device, turns, ended), turns, device)
            except Exception as refusal:
                fault = fault or refusal
            else:
                self._streams.append(stream)
                return stream
        raise AudioError(f"{device.name} cannot be opened: {fault}; another program may be holding it") from fault

    def _load(self) -> ModuleType:
        if self._missing is not None:
            raise self._missing
        if self._module is None:
            self._module = self._import()
        return self._module

    def _import(self) -> ModuleType:
        try:
            import sounddevice
        except (OSError, ImportError) as fault:
            self._missing = AudioError(LIBRARY_MISSING)
            raise self._missing from fault
        except Exception as fault:
            raise AudioError(f"the sound system cannot be started: {fault}") from fault
        module: ModuleType = sounddevice
        return module


def plugged_in() -> bytes:
    """What the kernel says of its sound cards, where it says something (Linux): other bytes tell of another plug.

    Takes some 20 us. Devices that only a sound server knows, such as those on Bluetooth, are not in it.
    """
    try:
        return KERNEL_CARDS.read_bytes()
    except OSError:
        return b""


def census() -> Census | None:
    """Which devices, by name and way, a fresh process sees now; None when it cannot tell. Takes about 0.2 s."""
    try:
        ran = subprocess.run([sys.executable, "-c", CENSUS_CODE], capture_output=True, timeout=CENSUS_MAX, check=True)
        rows: list[tuple[str, int, int]] = json.loads(ran.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    inputs: list[tuple[str, Way]] = [(name, "input") for name, channels, _ in rows if channels]
    outputs: list[tuple[str, Way]] = [(name, "output") for name, _, channels in rows if channels]
    return frozenset(inputs + outputs)


def _run(kind: Callable[..., Stream], device: SoundDevice, turns: InputTurns | OutputTurns, ended: Ended) -> Stream:
    stream = kind(
        samplerate=turns.rate_hz,
        blocksize=turns.block,
        device=device.index,
        channels=turns.channels,
        dtype="float32",
        latency="low",
        callback=turns,
        finished_callback=ended,
    )
    try:
        stream.start()
    except BaseException:
        stream.close()
        raise
    return stream


def _formats(device: SoundDevice, way: Way, wanted: Literal[1, 2]) -> list[tuple[int, int]]:
    """Rates and channel counts to try, the best first: our rate, then the device's own; as many as are wanted."""
    channels = [wanted, 3 - wanted] if device.channels(way) > 1 else [1]
    rates = dict.fromkeys([SAMPLE_RATE, int(device.rate_hz) or SAMPLE_RATE])
    return [(rate, count) for rate in rates for count in channels]


def _read_devices(module: ModuleType) -> tuple[SoundDevice, ...]:
    try:
        rows = list(module.query_devices())
        hosts = list(module.query_hostapis())
        default_input, default_output = module.default.device
    except Exception as fault:
        raise AudioError(f"the sound system cannot be asked for its devices: {fault}") from fault
    return tuple(
        SoundDevice(
            index=index,
            name=str(row["name"]),
            host=str(hosts[row["hostapi"]]["name"]),
            inputs=int(row["max_input_channels"]),
            outputs=int(row["max_output_channels"]),
            rate_hz=float(row["default_samplerate"]),
            default_input=index == default_input,
            default_output=index == default_output,
        )
        for index, row in enumerate(rows)
    )
