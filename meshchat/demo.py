"""Proof on one machine: a few peers meet, two talk, one listens, the coordinator is killed, and the talk goes on.

Every peer is a process of its own with a profile of its own, as it would be on a machine of its own; all of them are
bound to 127.0.0.1, so that nothing leaves this machine. What the listener heard is compared with what was said.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import soundfile
import soxr

from meshchat.control import ControlClient, GetStatus, Status, Stop
from meshchat.errors import MeshchatError
from meshchat.hearing import Heard, heard, longest_silence_ms
from meshchat.units import SAMPLE_RATE, Samples, Seconds, short

LOOPBACK = "127.0.0.1"
ROOM = "demo"
SPEAKERS = ("ann", "bob")

SECONDS_MIN: Seconds = 8.0
"""Shortest talk that can be judged: some seconds on either side of the coordinator's death."""

MEET_S_MAX: Seconds = 20.0
"""How long the peers may take to start and to meet; a loaded machine imports slowly."""

ELECT_S_MAX: Seconds = 8.0
"""How long the room may be without a coordinator."""

CORRELATION_MIN = 0.6
COVERAGE_MIN = 0.75
"""From here on a voice counts as heard. One that is not there reaches a correlation of 0.3 and a coverage of 0; coding
and another voice over it cost a tenth and more."""

GAP_MS_MAX = 250
"""Longest stretch of one voice that may seem to be missing: told apart from another voice that speaks over it, a
single lost packet can look like 170 ms."""

SILENCE_MS_MAX = 200
"""Longest silence of all voices together; the clips' own pauses are 130 ms at most."""

WAV_HEADER_BYTES = 44
SAMPLE_BYTES = 2


@dataclass
class Actor:
    """One peer of the demonstration."""

    name: str
    profile: Path
    process: asyncio.subprocess.Process

    async def status(self) -> Status | None:
        """How it stands; None while nobody answers."""
        try:
            async with await ControlClient.connect(self.profile) as daemon:
                answer = await daemon.call(GetStatus())
        except (MeshchatError, OSError):
            return None
        return answer if isinstance(answer, Status) else None


@dataclass
class Findings:
    """What was measured."""

    first_sound_s: Seconds = 0.0
    new_coordinator: str = ""
    election_s: Seconds = 0.0
    killed_at_s: Seconds = 0.0
    """Where in the recording the coordinator died."""
    heard: dict[str, Heard] = field(default_factory=dict)
    concealed_ms: dict[str, float] = field(default_factory=dict)
    """Sound that the listener had to make up, by speaker."""
    silence_ms: int = 0
    faults: list[str] = field(default_factory=list)


def run(seconds: float, keep: Path | None, environment: Mapping[str, str]) -> int:
    """Lets the peers talk for about `seconds`; the recording is kept in `keep`, or in the folder for short-lived files.

    The peers get `environment` without the settings in it, which are the user's and not theirs. Returns 0 if
    everything was heard and the room outlived its coordinator, else 1.
    """
    neutral = {key: value for key, value in environment.items() if not key.startswith("MESHCHAT_")}
    try:
        folder = keep or Path(tempfile.mkdtemp(prefix="meshchat-demo-"))
        folder.mkdir(parents=True, exist_ok=True)
        recording = folder / "heard.wav"
        findings = asyncio.run(_perform(max(SECONDS_MIN, seconds), recording, neutral))
        _judge(findings, recording)
    except OSError as error:
        raise MeshchatError(
            f"the demonstration cannot use {error.filename}: {error.strerror}; try --keep DIR"
        ) from error
    _tell(findings, recording)
    return 1 if findings.faults else 0


async def _perform(seconds: float, recording: Path, environment: Mapping[str, str]) -> Findings:
    findings = Findings()
    with tempfile.TemporaryDirectory(prefix="meshchat-peers-") as profiles:
        async with _cast(Path(profiles), recording, environment) as (host, listener, started_at):
            await _meet(listener, findings, started_at)
            await _say_for(seconds / 2, "everybody talks")
            await _kill(host, listener, recording, findings)
            await _say_for(seconds / 2, "the talk goes on without it")
            await _ask(listener, findings)
    return findings


@contextlib.asynccontextmanager
async def _cast(
    profiles: Path, recording: Path, environment: Mapping[str, str]
) -> AsyncIterator[tuple[Actor, Actor, Seconds]]:
    """Starts everybody; on the way out ends them politely, and those who do not listen for good."""
    actors: list[Actor] = []
    clips = files("meshchat") / "assets"
    try:
        print(f"Starting four peers on {LOOPBACK}: a host, {' and '.join(SPEAKERS)}, who talk, and a listener.")
        host = await _start(profiles, environment, "host", "silence", "null")
        actors.append(host)
        await _until("the host opens the room", MEET_S_MAX, lambda: _leads(host))
        for name in SPEAKERS:
            actors.append(await _start(profiles, environment, name, f"loop:{clips / name}.wav", "null"))
        started_at = time.monotonic()
        listener = await _start(profiles, environment, "listener", "silence", str(recording))
        actors.append(listener)
        yield host, listener, started_at
    finally:
        await asyncio.gather(*(_end(actor) for actor in actors))


async def _start(profiles: Path, environment: Mapping[str, str], name: str, microphone: str, speaker: str) -> Actor:
    profile = profiles / name
    words = ["--headless", "--room", ROOM, "--alias", name, "--profile", str(profile), "--interface", LOOPBACK]
    words += ["--mic", microphone, "--speaker", speaker]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "meshchat", *words, stdout=asyncio.subprocess.DEVNULL, env=environment
    )
    return Actor(name, profile, process)


async def _end(actor: Actor) -> None:
    if actor.process.returncode is None:
        with contextlib.suppress(MeshchatError, OSError):
            async with await ControlClient.connect(actor.profile) as daemon:
                await daemon.call(Stop())
    try:
        await asyncio.wait_for(actor.process.wait(), timeout=5)
    except TimeoutError:
        actor.process.kill()
        await actor.process.wait()


async def _meet(listener: Actor, findings: Findings, started_at: Seconds) -> None:
    async def sounds() -> bool:
        status = await listener.status()
        return status is not None and status.room is not None and any(each.speaking for each in status.room.members)

    async def complete() -> bool:
        status = await listener.status()
        talking = (
            {each.alias for each in status.room.members if each.packets_received} if status and status.room else set()
        )
        return talking >= set(SPEAKERS)

    await _until("the listener hears the first sound", MEET_S_MAX, sounds)
    findings.first_sound_s = time.monotonic() - started_at
    await _until("it hears both speakers", MEET_S_MAX, complete)


async def _kill(host: Actor, listener: Actor, recording: Path, findings: Findings) -> None:
    status = await host.status()
    if status is None or status.room is None or status.room.coordinator != status.peer_id:
        findings.faults.append("the host that was to be killed did not coordinate the room")
        return
    findings.killed_at_s = _recorded_s(recording)
    print(f"Killing the coordinator, {host.name} ({short(status.peer_id)}), with SIGKILL.")
    killed_at = time.monotonic()
    os.kill(host.process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    async def replaced() -> bool:
        now = await listener.status()
        room = now.room if now else None
        if room is None or room.coordinator in (None, status.peer_id):
            return False
        findings.new_coordinator = next((each.alias for each in room.members if each.coordinator), "")
        return bool(findings.new_coordinator)

    await _until("the room has another coordinator", ELECT_S_MAX, replaced)
    findings.election_s = time.monotonic() - killed_at


async def _ask(listener: Actor, findings: Findings) -> None:
    """What the listener itself says of the sound that it got."""
    status = await listener.status()
    members = status.room.members if status and status.room else ()
    findings.concealed_ms = {each.alias: each.concealed_ms or 0.0 for each in members if each.alias in SPEAKERS}


async def _leads(host: Actor) -> bool:
    status = await host.status()
    return status is not None and status.room is not None and status.room.coordinator == status.peer_id


async def _say_for(seconds: float, what: str) -> None:
    print(f"For {seconds:.0f} s {what} ...", flush=True)
    await asyncio.sleep(seconds)


async def _until(what: str, limit_s: Seconds, true: Callable[[], Awaitable[bool]]) -> None:
    started_at = time.monotonic()
    while not await true():
        if time.monotonic() - started_at > limit_s:
            raise MeshchatError(f"gave up waiting until {what}, after {limit_s:.0f} s")
        await asyncio.sleep(0.02)
    print(f"  {what}: after {time.monotonic() - started_at:.2f} s", flush=True)


def _recorded_s(recording: Path) -> Seconds:
    return max(0, recording.stat().st_size - WAV_HEADER_BYTES) / SAMPLE_BYTES / SAMPLE_RATE


def _judge(findings: Findings, recording: Path) -> None:
    """Compares what was heard, from shortly before the coordinator's death to the end, with what was said."""
    sound = _load(recording)
    around_death = sound[int(max(0.0, findings.killed_at_s - 4.0) * SAMPLE_RATE) :]
    findings.silence_ms = longest_silence_ms(around_death, SAMPLE_RATE)
    for name in SPEAKERS:
        with (files("meshchat") / "assets" / f"{name}.wav").open("rb") as clip:
            found = heard(around_death, _load(clip), SAMPLE_RATE, looped=True)
        findings.heard[name] = found
        if found.correlation < CORRELATION_MIN or found.coverage < COVERAGE_MIN:
            findings.faults.append(f"{name} was not heard well")
        if found.gap_ms_longest > GAP_MS_MAX:
            findings.faults.append(f"{found.gap_ms_longest} ms of {name} are missing")
    if findings.silence_ms > SILENCE_MS_MAX:
        findings.faults.append(f"nothing at all was heard for {findings.silence_ms} ms")
    if not findings.new_coordinator:
        findings.faults.append("the room has no new coordinator")


def _load(source: object) -> Samples:
    sound, rate = soundfile.read(source, dtype="float32", always_2d=True)
    resampled: Samples = soxr.resample(sound.mean(axis=1), rate, SAMPLE_RATE)
    return resampled


def _tell(findings: Findings, recording: Path) -> None:
    print("\nMeasured")
    print(f"  from the listener's start to its first sound   {findings.first_sound_s:.2f} s")
    for name, found in findings.heard.items():
        print(
            f"  {name} was heard: correlation {found.correlation:.2f}, {found.coverage:.0%} of the speech, "
            f"longest gap {found.gap_ms_longest} ms, {findings.concealed_ms.get(name, 0.0):.0f} ms made up"
        )
    print(f"  longest silence across the coordinator's death {findings.silence_ms} ms (pauses of speech included)")
    print(
        f"  new coordinator                                {findings.new_coordinator} after {findings.election_s:.2f} s"
    )
    print(f"  recording                                      {recording}")
    for fault in findings.faults:
        print(f"  FAILED: {fault}")
    if not findings.faults:
        print("  Everything was heard, and nobody served it.")
