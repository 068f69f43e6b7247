"""A small network on one machine for the benchmarks: places where peers live, and peers as processes of their own.

With root on Linux each peer has a network namespace, a cable and an address, and a bridge in a namespace of its own
joins them: multicast, routes and sockets are those of a LAN, and nothing reaches the machine's own interfaces. Without
root, or where loopback is asked for, every peer is bound to 127.0.0.1. Namespaces are removed when the benchmark ends,
and those that a killed benchmark left behind when the next one begins.

Every instant is one of time.monotonic, which on one machine is the same clock for all processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from benchmarks.notes import Note
from meshchat.control import ControlClient, GetStatus, Status
from meshchat.errors import MeshchatError, NetworkError
from meshchat.units import Seconds

LOOPBACK = "127.0.0.1"
ROOT = Path(__file__).resolve().parent.parent

NAMESPACE_PREFIX = "meshchat-bench-"
"""Followed by the benchmark's process number, so that what a dead one left behind can be told from another's."""

PLACES_MAX = 200
"""Addresses of one benchmark's network: 10.97.0.1 to 10.97.0.200."""

ACQUAINTED_FROM = 30
"""From so many places on they are told each other's hardware addresses. Linux keeps what it learns by ARP in one table
for all namespaces, with room for 1024: the thirty-third peer would reach few of the others, and nobody say why."""

MEET_S_MAX: Seconds = 60.0
"""How long peers may take to start and to meet; a loaded machine imports slowly."""

LEAVE_S_MAX: Seconds = 20.0
"""How long a peer may take to end and to write down what it noted."""

POLL_S: Seconds = 0.05


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer lives."""

    host: str
    """The address that it is bound to."""
    enter: tuple[str, ...] = ()
    """The words that start a program there."""

    def run(self, *words: str, given: str = "") -> str:
        """Runs a command there; what it says. `NetworkError` if it fails."""
        done = subprocess.run(
            [*self.enter, *words], input=given, check=False, capture_output=True, text=True, timeout=20
        )
        if done.returncode:
            raise NetworkError(f"`{' '.join(words)}` failed: {done.stderr.strip()}")
        return done.stdout


def can_have_namespaces() -> bool:
    """Whether this machine and this user can make network namespaces."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("ip") is not None


@contextlib.contextmanager
def network(count: int, loopback: bool) -> Iterator[list[Place]]:
    """That many places on one network, taken down afterwards. `NetworkError` if the namespaces cannot be made."""
    if not 0 < count <= PLACES_MAX:
        raise ValueError(f"a network of {count} places: 1 to {PLACES_MAX} are possible")
    if loopback or not can_have_namespaces():
        yield [Place(LOOPBACK)] * count
        return
    _remove_leftovers()
    with contextlib.ExitStack() as stack:
        hub = _namespace(stack, "hub")
        _ip("-n", hub, "link", "add", "lan", "type", "bridge")
        _ip("-n", hub, "link", "set", "lan", "up")
        places = [_place(stack, hub, number) for number in range(1, count + 1)]
        if count >= ACQUAINTED_FROM:
            for place in places:
                _acquaint(place, places)
        yield places


def _acquaint(place: Place, others: list[Place]) -> None:
    """Entries that are put in by hand are not counted against the table."""
    lines = [f"neigh replace {each.host} lladdr {_hardware(each.host)} dev lan0" for each in others if each != place]
    _ip("-n", place.enter[-1], "-batch", "-", given="\n".join(lines))


def _hardware(host: str) -> str:
    """The hardware address of the place with that address."""
    return "02:00:" + ":".join(f"{int(part):02x}" for part in host.split("."))


def _place(stack: contextlib.ExitStack, hub: str, number: int) -> Place:
    name, host = _namespace(stack, str(number)), f"10.97.0.{number}"
    _ip("link", "add", "lan0", "netns", name, "type", "veth", "peer", "name", f"port{number}", "netns", hub)
    _ip("-n", name, "link", "set", "lan0", "address", _hardware(host))
    _ip("-n", hub, "link", "set", f"port{number}", "master", "lan", "up")
    _ip("-n", name, "link", "set", "lan0", "addrgenmode", "none")
    _ip("-n", name, "addr", "add", f"{host}/24", "broadcast", "10.97.0.255", "dev", "lan0")
    _ip("-n", name, "link", "set", "lan0", "up")
    _ip("-n", name, "route", "add", "default", "dev", "lan0")
    return Place(host, ("ip", "netns", "exec", name))


def _namespace(stack: contextlib.ExitStack, label: str) -> str:
    name = f"{NAMESPACE_PREFIX}{os.getpid()}-{label}"
    _ip("netns", "add", name)
    stack.callback(_ip, "netns", "del", name)
    _ip("-n", name, "link", "set", "lo", "up")
    return name


def _remove_leftovers() -> None:
    for line in _ip("netns", "list").splitlines():
        name = line.split()[0]
        owner = name.removeprefix(NAMESPACE_PREFIX).partition("-")[0]
        if name.startswith(NAMESPACE_PREFIX) and owner.isdigit() and not Path(f"/proc/{owner}").exists():
            _ip("netns", "del", name)


def _ip(*words: str, given: str = "") -> str:
    try:
        done = subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=20, input=given)
    except subprocess.CalledProcessError as error:
        told = error.stderr.strip()
        raise NetworkError(f"`ip {' '.join(words)}` failed: {told}; run with --loopback instead") from error
    return done.stdout


@dataclass
class Peer:
    """One peer process and what it has told so far."""

    name: str
    profile: Path
    process: asyncio.subprocess.Process
    started_at: Seconds
    notes: list[Note] = field(default_factory=list)
    reader: asyncio.Task[None] | None = None
    said: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def read(self) -> None:
        """Collects what the process tells on its stdout until it ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            with contextlib.suppress(msgspec.DecodeError):  # the daemon's own ready line
                self.notes.append(msgspec.json.decode(line, type=Note))
            async with self.said:
                self.said.notify_all()
        await self.process.wait()
        async with self.said:
            self.said.notify_all()

    def find(self, what: str, who: str = "") -> Note | None:
        """The first note of that kind (about that peer, if given)."""
        return next((note for note in self.notes if note.what == what and who in ("", note.who)), None)

    def left_at(self, who: str, since: Seconds) -> Seconds | None:
        """When it took that peer off its list, after that instant."""
        news = (note for note in self.notes if note.at > since)
        return next((note.at for note in news if note.what == "left" and note.who == who), None)

    def followed_at(self, dead: str, since: Seconds) -> Seconds | None:
        """When it first followed another coordinator than that one, after that instant."""
        news = (note for note in self.notes if note.at > since)
        return next((note.at for note in news if note.what == "coordinator" and note.who not in ("", dead)), None)

    async def until(self, what: str, true: Callable[[], bool], limit_s: Seconds = MEET_S_MAX) -> None:
        """Waits until the notes make `true` true; `MeshchatError` if it takes too long or the process ends."""
        try:
            async with asyncio.timeout(limit_s), self.said:
                while not true():
                    if self.process.returncode is not None:
                        raise MeshchatError(f"{self.name} ended before {what}; its words are above")
                    await self.said.wait()
        except TimeoutError:
            raise MeshchatError(f"gave up waiting after {limit_s:.0f} s until {what}, at {self.name}") from None

    async def after(
        self, since: Seconds, what: str, when: Callable[[str, Seconds], Seconds | None], who: str, limit_s: Seconds
    ) -> Seconds:
        """How long after that instant it happened (`left_at`, `followed_at`); waits for it as `until` does."""
        await self.until(what, lambda: when(who, since) is not None, limit_s)
        return (when(who, since) or since) - since

    async def ready(self) -> Note:
        """When the daemon was ready."""
        await self.until("it was ready", lambda: self.find("ready") is not None)
        note = self.find("ready")
        assert note is not None
        return note

    async def status(self) -> Status:
        """How it stands; `MeshchatError` if it does not answer."""
        async with await ControlClient.connect(self.profile) as daemon:
            answer = await daemon.call(GetStatus())
        assert isinstance(answer, Status)
        return answer

    def kill(self) -> Seconds:
        """Ends it without a word; the instant."""
        now = time.monotonic()
        self.process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        return now

    async def end(self) -> None:
        """Ends it politely, and for good if it does not listen."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), LEAVE_S_MAX)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        if self.reader:
            await self.reader


class Stage:
    """Where peers are started; all of them are ended with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """For files of short life."""
        self.room = f"bench-{os.getpid()}"
        """A room of our own: on loopback others may be measuring too."""
        self.peers: list[Peer] = []

    async def start(self, name: str, place: Place, **knobs: object) -> Peer:
        """Starts a peer; knobs are those of `benchmarks.peer` (`frame_ms=10`, `no_mdns=True`, `log=Path("x.npz")`)."""
        given: dict[str, object] = {
            "room": self.room, "alias": name, "profile": self.folder / name, "interface": place.host,
            "mic": "silence", "speaker": "null", **knobs,
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            *place.enter,
            sys.executable,
            "-m",
            "benchmarks.peer",
            *_flags(given),
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env=_environment(),
        )
        peer = Peer(name, self.folder / name, process, time.monotonic())
        peer.reader = asyncio.create_task(peer.read())
        self.peers.append(peer)
        return peer

    async def end(self, *peers: Peer) -> None:
        """Ends these peers politely."""
        await asyncio.gather(*(peer.end() for peer in peers))
        self.peers = [peer for peer in self.peers if peer not in peers]


def _environment() -> dict[str, str]:
    """Ours, without what would choose settings, or have every child compile its libraries anew."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("MESHCHAT_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept | {"PYTHONPATH": str(ROOT)}


def _flags(given: dict[str, object]) -> Iterator[str]:
    for name, value in given.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            yield flag
        elif value is not False and value is not None:
            yield from (flag, str(value))


@contextlib.asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A stage with a folder for short-lived files; whoever is still on it at the end is ended."""
    with tempfile.TemporaryDirectory(prefix="meshchat-bench-") as folder:
        made = Stage(Path(folder))
        try:
            yield made
        finally:
            await made.end(*made.peers)


async def poll(what: str, true: Callable[[], Awaitable[bool]], limit_s: Seconds = MEET_S_MAX) -> None:
    """Asks until it is so; `MeshchatError` after the limit."""
    deadline = time.monotonic() + limit_s
    while not await true():
        if time.monotonic() > deadline:
            raise MeshchatError(f"gave up waiting until {what}, after {limit_s:.0f} s")
        await asyncio.sleep(POLL_S)
