"""Real daemons for tests and benchmarks: each a process with a profile of its own, questioned like any other.

They meet on loopback, or wherever the words before the command put them (a network namespace). What a daemon prints
goes to files beside its profile, so that nothing has to be read for it to go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soundfile
import soxr

from meshchat.control import Answer, Command, ControlClient, GetStatus, MemberStatus, Status
from meshchat.hearing import Heard, heard
from meshchat.units import SAMPLE_RATE, Samples, Seconds

LOOPBACK = ("--interface", "127.0.0.1")

START_S_MAX: Seconds = 30.0
"""How long a daemon may take to say that it is ready; a loaded machine imports slowly."""

END_S_MAX: Seconds = 10.0
"""How long it may take to leave politely before it is killed."""

POLL_S: Seconds = 0.03

HEADER_BYTES = 44
SAMPLE_BYTES = 2

T = TypeVar("T")


def own_name(name: str) -> str:
    """A room's name that nobody else on this machine uses at the same time."""
    return f"{name} {os.getpid()}"


def until(what: str, true: Callable[[], T | None], seconds: Seconds = 10.0) -> T:
    """The first answer of `true` that counts as one; AssertionError when none comes in time."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(POLL_S)
    return found


@dataclass(frozen=True, slots=True)
class Told:
    """What a command of the command line left behind."""

    status: int
    out: str
    err: str


class Daemon:
    """One daemon and everything that it wrote."""

    def __init__(
        self,
        folder: Path,
        name: str,
        *words: str,
        prefix: Sequence[str] = (),
        profile: Path | None = None,
        program: str = "meshchat",
    ) -> None:
        """Starts it; `prefix` are words before the command, such as `ip netns exec somewhere`; `program` is the module
        that runs, where it is a patched one."""
        self.name = name
        self.profile = profile or folder / name
        self.recording = folder / f"{name}.wav"
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        self.started_at = time.monotonic()
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*prefix, *_line(self.profile, "--headless", "--alias", name, *words, program=program)],
                stdout=out,
                stderr=err,
                env=_environment(),
            )

    @property
    def out(self) -> str:
        """Its standard output so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """Its log so far."""
        return self._err.read_text()

    def ready(self) -> dict[str, object]:
        """The line that says that it is ready, once it has."""

        def line() -> str | None:
            first, newline, _ = self.out.partition("\n")
            ended = self.process.poll()
            assert newline or ended is None, f"{self.name} ended with {ended}: {self.err}"
            return first if newline else None

        told = json.loads(until(f"{self.name} is ready", line, START_S_MAX))
        assert isinstance(told, dict)
        return told

    @property
    def peer_id(self) -> str:
        """Who it is."""
        return str(self.ready()["peer_id"])

    def ask(self, command: Command) -> Answer:
        """Has one command done over the control socket."""

        async def talk() -> Answer:
            async with await ControlClient.connect(self.profile) as client:
                return await client.call(command)

        return asyncio.run(talk())

    def status(self) -> Status:
        """How everything stands there."""
        status = self.ask(GetStatus())
        assert isinstance(status, Status)
        return status

    def members(self) -> dict[str, MemberStatus]:
        """Who is in its room, by alias; nobody when it is in none."""
        room = self.status().room
        return {member.alias: member for member in room.members} if room else {}

    def sees(self, *names: str) -> bool:
        """Whether exactly these are in its room."""
        return set(self.members()) == set(names)

    def hears(self, *names: str) -> bool:
        """Whether sound of each of these arrives."""
        members = self.members()
        return all(name in members and members[name].packets_received for name in names)

    def told(self, *words: str) -> Told:
        """What a command of the command line comes to for this profile."""
        return told((self.profile, words))[0]

    def recorded(self, seconds: Seconds) -> Samples:
        """The newest `seconds` of its recording, which may go on; waits until that much is there."""
        wanted = HEADER_BYTES + int(seconds * SAMPLE_RATE) * SAMPLE_BYTES
        until(f"{self.name} has recorded {seconds:g} s", lambda: self.recorded_bytes() >= wanted, seconds + 10)
        data = self.recording.read_bytes()
        return _sound(data[HEADER_BYTES : len(data) // SAMPLE_BYTES * SAMPLE_BYTES])[-int(seconds * SAMPLE_RATE) :]

    def recorded_from_now(self, seconds: Seconds) -> Samples:
        """What it records from now on, for that long."""
        begin = self.recorded_bytes()
        return self.recorded_since(begin, seconds)

    def recorded_since(self, begin: int, seconds: Seconds) -> Samples:
        """What it recorded after its file had `begin` bytes, for that long."""
        size = int(seconds * SAMPLE_RATE) * SAMPLE_BYTES
        until(f"{self.name} records on", lambda: self.recorded_bytes() >= begin + size, seconds + 10)
        return _sound(self.recording.read_bytes()[begin : begin + size])

    def recorded_bytes(self) -> int:
        """How long the file of its recording is."""
        return self.recording.stat().st_size if self.recording.exists() else 0

    def gone(self, seconds: Seconds = END_S_MAX) -> int:
        """Its exit status, once it has ended."""
        return self.process.wait(timeout=seconds)

    def end(self) -> None:
        """Ends it politely, or else for good."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(END_S_MAX)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Events:
    """What `meshchat events --json` prints."""

    def __init__(self, daemon: Daemon, path: Path) -> None:
        self.path = path
        with path.open("wb") as out:
            line = _line(daemon.profile, "events", "--json")
            self.process = subprocess.Popen(line, stdout=out, env=_environment())

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Every event of one kind so far, without the word that says so."""
        complete = self.path.read_text().rpartition("\n")[0]
        events = [json.loads(line) for line in complete.splitlines()]
        return [event for event in events if event.pop("event") == kind]

    def end(self) -> int:
        """Stops listening, as Ctrl+C does; the exit status."""
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Lab:
    """Starts daemons in one folder, and ends all of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: list[Daemon] = []

    def start(self, name: str, *words: str, prefix: Sequence[str] = (), program: str = "meshchat") -> Daemon:
        """A daemon with that alias; it is not ready yet."""
        self.daemons.append(Daemon(self.folder, name, *words, prefix=prefix, program=program))
        return self.daemons[-1]

    def sink(self, name: str) -> tuple[str, str]:
        """The words that let that daemon record what it hears."""
        return ("--speaker", str(self.folder / f"{name}.wav"))

    def end(self) -> None:
        """Ends whatever still runs; all at once, since each says goodbye first."""
        for daemon in self.daemons:
            if daemon.process.poll() is None:
                daemon.process.terminate()
        for daemon in self.daemons:
            daemon.end()


@contextlib.contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    """A lab whose daemons are all ended afterwards."""
    running = Lab(folder)
    try:
        yield running
    finally:
        running.end()


def told(*commands: tuple[Path, Sequence[str]], seconds: Seconds = 30.0) -> list[Told]:
    """What commands of the command line come to, each for a profile; all run at once."""
    pipe = subprocess.PIPE
    with contextlib.ExitStack() as running:
        begun = []
        for profile, words in commands:
            line = _line(profile, *words)
            process = running.enter_context(
                subprocess.Popen(line, stdout=pipe, stderr=pipe, text=True, env=_environment())
            )
            running.callback(process.kill)
            begun.append(process)
        ended = [(process, process.communicate(timeout=seconds)) for process in begun]
        return [Told(process.returncode, out, err) for process, (out, err) in ended]


def clip(name: str) -> Samples:
    """One of the spoken clips that come with the program, at 48 kHz."""
    with (files("meshchat") / "assets" / f"{name}.wav").open("rb") as source:
        sound, rate = soundfile.read(source, dtype="float32", always_2d=True)
    resampled: Samples = soxr.resample(sound.mean(axis=1), rate, SAMPLE_RATE)
    return resampled


def looped(name: str) -> tuple[str, str]:
    """The words that let a daemon say that clip over and over."""
    return ("--mic", f"loop:{files('meshchat') / 'assets' / name}.wav")


def third_voice(folder: Path) -> tuple[Path, Samples]:
    """A clip that is neither of the two: ann's, read by somebody a fourth lower and slower."""
    ann = clip("ann")
    slow: Samples = soxr.resample(ann, 3, 4).astype(np.float32)
    path = folder / "third.wav"
    soundfile.write(path, slow, SAMPLE_RATE)
    return path, slow


def found(recording: Samples, voice: Samples) -> Heard:
    """How well a looped voice is heard in a recording."""
    return heard(recording, voice, SAMPLE_RATE, looped=True)


def is_well_formed(path: Path) -> bool:
    """Whether a WAV file's header names no more than what is there, and all but the last moment of it."""
    sound, rate = soundfile.read(path, dtype="int16")
    there = (path.stat().st_size - HEADER_BYTES) / SAMPLE_BYTES
    return rate == SAMPLE_RATE and sound.ndim == 1 and 0 <= there - len(sound) <= SAMPLE_RATE / 10


def _line(profile: Path, *words: str, program: str = "meshchat") -> list[str]:
    return [sys.executable, "-m", program, *words, "--profile", str(profile)]


def _environment() -> dict[str, str]:
    """Ours, without the settings in it, which are the user's."""
    return {key: value for key, value in os.environ.items() if not key.startswith("MESHCHAT_")}


def _sound(pcm: bytes) -> Samples:
    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)
