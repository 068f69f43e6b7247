"""Ten thousand tries at a room's passphrase: how slow the guesser becomes, and what the room hears of it.

    python -m benchmarks.guess [--tries 10000] [--json FILE]

First without a network and in virtual time: one member keeps the door and works out every exchange as it would, and a
guesser with a new key for each try is as quick as it is allowed to be. How many tries it gets in an hour and in a day
is held against what docs/locks.md promises.

Then live, on loopback: ann, who keeps the door, and bob talk in a room that a passphrase opens, while eight guessers
ring as fast as they are answered and take no notice of being told to wait. What counts is the sound of both, and how
many of the tries were tried at all. Meanwhile somebody comes in by the invite link, which is not slowed down.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks import report
from benchmarks.breakdown import used_s
from benchmarks.guessers import Crowd
from benchmarks.holes import longest_hole_ms
from benchmarks.report import Figure, Row
from meshchat.errors import MeshchatError
from meshchat.locks.attempts import Attempts
from meshchat.locks.bind import NONCE_BYTES, locked_room
from meshchat.locks.invite import Invite
from meshchat.locks.pake import ANSWER_AFTER_S, Guest
from meshchat.peers import effects as out
from meshchat.peers.entry import Confirm, Reply, Ring, Shut
from meshchat.peers.messages import PROTOCOL, Hello, Message
from meshchat.peers.node import Node
from meshchat.units import SAMPLE_RATE, Address, PeerId, RoomId, Samples, Seconds
from tests.peers_lab import LOOPBACK, Daemon, Lab, clip, found, lab, looped, until
from tests.villager import SealingWax

TITLE = "Ten thousand tries at a passphrase"

HOUR_S: Seconds = 3600.0

PROMISED_FIRST_HOUR, PROMISED_HOUR, PROMISED_DAY = 64, 60, 1444
"""Tries, as docs/locks.md says."""

BEFORE_S: Seconds = 4.0
"""The sound is looked at for so long before the guessers begin, too."""

INSTANT_S: Seconds = 0.001
"""What is waited beyond what was asked for: waits are told in whole milliseconds."""

SETTLED_S: Seconds = 10.0
"""After so long alone a member coordinates, and has waited as it does when it takes the door over."""

HOLE_MS_MAX = 60.0
CORRELATION_MIN = 0.6
COVERAGE_PERCENT_MIN = 80.0

ENTERED_S_MAX: Seconds = 3.0
"""How long the invite link may take to bring somebody in while guessers are at work; a machine that is busy starts the
command itself slowly."""


def main() -> int:
    """Measures; the exit status."""
    parser = report.parser(TITLE)
    parser.add_argument("--tries", type=int, default=10_000, metavar="N", help="how many")
    parser.set_defaults(loopback=True)
    words = parser.parse_args()
    return report.run(words, TITLE, lambda: asyncio.to_thread(measure, words.tries))


def measure(tries: int) -> list[Row]:
    """Both parts. `MeshchatError` when the room never came to be or did not outlive it."""
    rows = [in_virtual_time(tries)]
    with tempfile.TemporaryDirectory(prefix="meshchat-guess-") as folder, lab(Path(folder)) as peers:
        try:
            return rows + live(peers, tries)
        except (AssertionError, psutil.Error) as fault:
            logs = "\n".join(f"{each.name}: {each.err[-3000:]}" for each in peers.daemons)
            raise MeshchatError(f"the room did not outlive the guessers: {fault!r}\n{logs}") from fault


# In virtual time

KNOCK = Guest(bytes(32), RoomId("0" * 32), PeerId("1" * 64), PeerId("0" * 64), os.urandom).knock
"""A ring as guessers send it; what the door computes is the same for each, so one will do."""


class Doorstep:
    """One member that keeps the door of a room, and whoever comes to it; time passes only as it is told to."""

    def __init__(self) -> None:
        rng, key, nonce = random.Random(1), bytes(range(32)), bytes(NONCE_BYTES)
        self.now: Seconds = 1000.0
        self.computed_s: Seconds = 0.0
        invite = Invite(locked_room(key, nonce), "board", rng.randbytes(16), (), key, nonce)
        me = PeerId("0" * 64)
        self._rng = rng
        self._room = invite.room
        self._node = Node(me, "ann", rng, rng.randbytes, SealingWax(me))
        self._node.enter(invite.room, invite.name, self.now, invite.secret)
        assert self._node.room is not None
        self._node.room.door.equip(invite, rng.randbytes(32))
        self.wait(SETTLED_S)

    def try_one(self) -> Seconds:
        """One try under a new key, at the first moment at which one is allowed; how long the next has to wait."""
        peer = PeerId(self._rng.randbytes(32).hex())
        self._node.link_up(peer, Address("127.0.0.1", 1), None, self.now)
        self._say(peer, Hello(PROTOCOL, ()))
        ring = Ring(self._room, KNOCK)
        while not isinstance(answer := self._say(peer, ring), Reply):
            assert isinstance(answer, Shut)
            self.wait(answer.wait_ms / 1000 + INSTANT_S)
        answer = self._say(peer, Confirm(self._room, os.urandom(32)))
        assert isinstance(answer, Shut)
        self._node.link_down(peer, "left", self.now)
        return answer.wait_ms / 1000

    def wait(self, seconds: Seconds) -> None:
        """Lets time pass."""
        end = self.now + seconds
        while (timer := self._node.timer()) is not None and timer <= end:
            self.now = max(timer, self.now + INSTANT_S)
            self._node.tick(self.now)
            self._node.effects()
        self.now = max(end, self.now)

    def _say(self, peer: PeerId, message: Message) -> Message | None:
        began = time.perf_counter()
        self._node.received(peer, message, self.now)
        self.now += ANSWER_AFTER_S + INSTANT_S
        self._node.tick(self.now)
        self.computed_s += time.perf_counter() - began
        said = [each.message for each in self._node.effects() if isinstance(each, out.Send) and each.peer == peer]
        return next((each for each in said if isinstance(each, Reply | Shut)), None)


def in_virtual_time(tries: int) -> Row:
    """How many tries the quickest guesser gets."""
    door = Doorstep()
    began, at = door.now, list[Seconds]()
    for _ in range(tries):
        at.append(door.now - began)
        door.wait(door.try_one() + INSTANT_S)
    hours = [sum(hour * HOUR_S <= each < (hour + 1) * HOUR_S for each in at) for hour in range(24)]
    return Row(
        "in virtual time",
        (
            Figure("tries", len(at)),
            Figure("first hour", hours[0], at_most=PROMISED_FIRST_HOUR),
            Figure("any further hour, most", max(hours[1:]), at_most=PROMISED_HOUR),
            Figure("first day", sum(hours), at_most=PROMISED_DAY),
            Figure("all of them", at[-1] / HOUR_S, "hours"),
            Figure("computing at the door", 1000 * door.computed_s / len(at), "ms a try"),
        ),
    )


# Live


def live(peers: Lab, tries: int) -> list[Row]:
    """A talk while guessers are at the door."""
    words = peers.folder / "passphrase"
    words.write_text("acid yo-yo zoom brisk cedar\n")
    ann = peers.start("ann", *LOOPBACK, *looped("ann"), *peers.sink("ann"))
    bob = peers.start("bob", *LOOPBACK, *looped("bob"), *peers.sink("bob"))
    cat = peers.start("cat", *LOOPBACK, "--mic", "silence", "--speaker", "null")
    assert all(each.ready() for each in (ann, bob, cat))
    shown = f"gathering {os.getpid()}"
    link = ann.told("create", "board", "--passphrase-file", str(words), "--shown-as", shown).out.strip()
    until("bob sees the room", lambda: shown in bob.told("rooms").out)
    assert bob.told("join", shown, "--passphrase-file", str(words)).status == 0
    until("ann and bob hear each other", lambda: ann.hears("bob") and bob.hears("ann"))
    room = ann.status().room
    assert room is not None
    keeper = ann if room.coordinator == ann.peer_id else bob
    quiet = _sound((ann, bob), {each: each.recorded_bytes() for each in (ann, bob)}, BEFORE_S, "before")
    crowd = Crowd(PeerId(keeper.peer_id), RoomId(room.id), int(str(keeper.ready()["port"])), tries, peers.folder)
    process = psutil.Process(keeper.process.pid)
    began, before = {each: each.recorded_bytes() for each in (ann, bob)}, used_s(process)
    crowd.start()
    entered_s = _come_in(cat, link)
    crowd.join()
    seconds = crowd.seconds
    busy = 100 * (used_s(process) - before) / seconds
    sounds = _sound((ann, bob), began, seconds * 0.95, "meanwhile")
    tried = Figure("tried", crowd.told["wrong"], at_most=promised(seconds), at_least=1)
    answered = Row(
        "guessers",
        (
            Figure("tries answered", crowd.told.total(), at_least=tries),
            Figure("in", seconds, "s"),
            Figure("keys", crowd.keys),
            tried,
            Figure("let in", crowd.told["opened"], at_most=0),
            Figure("processor of the doorkeeper", busy, "% of a core"),
            Figure("raised", sum("Traceback" in each.err for each in (ann, bob)), at_most=0),
            Figure("in by link meanwhile", entered_s, "s", at_most=ENTERED_S_MAX),
        ),
    )
    return [*quiet, *sounds, answered]


def promised(seconds: Seconds) -> int:
    """The most tries that a guesser may have in so long, from a door at which nobody has failed."""
    attempts, now, tries = Attempts(), 0.0, 0
    while now <= seconds:
        attempts.begin(now)
        attempts.fail(now)
        tries += 1
        now += attempts.wait_s(now)
    return tries


def _come_in(cat: Daemon, link: str) -> Seconds:
    began = time.monotonic()
    assert cat.told("join", link).status == 0
    until("cat is in by the link", lambda: cat.sees("ann", "bob", "cat"))
    return time.monotonic() - began


def _sound(pair: tuple[Daemon, Daemon], began: dict[Daemon, int], seconds: Seconds, when: str) -> list[Row]:
    ways = (pair, pair[::-1])
    return [
        _heard(f"{said.name} at {at.name}, {when}", at.recorded_since(began[at], seconds), said) for said, at in ways
    ]


def _heard(name: str, sound: Samples, speaker: Daemon) -> Row:
    voice = clip(speaker.name)
    heard = found(sound, voice)
    return Row(
        name,
        (
            Figure("sound", len(sound) / SAMPLE_RATE, "s"),
            Figure("correlation", heard.correlation, at_least=CORRELATION_MIN),
            Figure("coverage", 100 * heard.coverage, "%", at_least=COVERAGE_PERCENT_MIN),
            Figure(
                "longest hole",
                longest_hole_ms(sound, voice, heard.delay_s - len(voice) / SAMPLE_RATE),
                "ms",
                at_most=HOLE_MS_MAX,
            ),
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
