"""Where a running peer's processor time goes: by thread as the system counts it, and within a thread as py-spy sees it.

py-spy (of the extra `dev`) reads the stacks of another process from outside, so the peer runs the code that it always
runs. It stops the peer for an instant a sample, which is why figures are taken before it looks. What it finds in a wait
is the kernel's work of putting a thread to sleep and waking it: on a virtual machine the dearest thing of all.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from meshchat.units import Seconds

SAMPLES_PER_S = 500

SHARE_MIN = 0.04
"""What is less than this part of the whole is not told by itself."""

PARTS = (
    ("waiting and waking up", re.compile(r"\((selectors|meshchat/sound/pace)\.py:\d+\)$")),
    ("Opus", re.compile(r"\(meshchat/codec\.py:\d+\)$")),
    ("stretching, guessing, fading", re.compile(r"meshchat/media/(shaping|stretch|decoding|tape)\.py")),
    ("jitter buffer", re.compile(r"meshchat/media/(voice|intake|jitter|arrivals|pace|reception)\.py")),
    ("loudness", re.compile(r"meshchat/media/level\.py")),
    ("mixing", re.compile(r"meshchat/media/(mixer|limiter)\.py")),
    ("sealing and opening", re.compile(r"meshchat/sframe\.py")),
    ("QUIC", re.compile(r"aioquic/|meshchat/transport/(connection|endpoint|mutual)\.py")),
    ("control plane", re.compile(r"meshchat/(peers/|mesh\.py)")),
    ("mDNS", re.compile(r"zeroconf|meshchat/(mdns/|discovery)")),
    ("sockets and sorting", re.compile(r"meshchat/(transport/port|wire|calling/incoming)\.py")),
)
"""What a stack belongs to: the first of these that is found in it, from the innermost frame outwards."""

_THREAD = re.compile(r"thread \((?P<id>\w+)\): ?(?P<name>.*)$")


@dataclass(frozen=True, slots=True)
class Spent:
    """Processor time of one process so far."""

    total: Seconds
    threads: dict[int, Seconds]


@dataclass(frozen=True, slots=True)
class Stack:
    """What a thread was found doing."""

    thread: int
    name: str
    frames: tuple[str, ...]
    """From the outermost in."""
    count: int


def used_s(process: psutil.Process) -> Seconds:
    """Processor time of that process so far, the kernel's work for it included."""
    times = process.cpu_times()
    return float(times.user + times.system)


def spent(process: psutil.Process) -> Spent:
    """What that process has used, and each of its threads."""
    return Spent(used_s(process), {each.id: each.user_time + each.system_time for each in process.threads()})


def percent(before: Spent, after: Spent, passed: Seconds) -> tuple[float, dict[int, float]]:
    """Of one core, between two looks so far apart: the process, and each thread."""
    threads = {each: 100 * (now - before.threads.get(each, 0.0)) / passed for each, now in after.threads.items()}
    return 100 * (after.total - before.total) / passed, threads


async def sample(pid: int, seconds: Seconds) -> list[Stack]:
    """What that process was found doing; nothing where py-spy is missing or may not look."""
    beside = Path(sys.executable).with_name("py-spy")
    program = str(beside) if beside.exists() else shutil.which("py-spy")
    if program is None:
        return []
    with tempfile.TemporaryDirectory(prefix="meshchat-spy-") as folder:
        path = Path(folder) / "stacks"
        words = ("record", "--pid", str(pid), "--duration", str(round(seconds)), "--rate", str(SAMPLES_PER_S))
        ran = await asyncio.create_subprocess_exec(
            program, *words, "--threads", "--format", "raw", "--output", str(path),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await ran.wait()
        return list(stacks(path.read_text().splitlines())) if path.exists() else []


def stacks(lines: Iterable[str]) -> Iterator[Stack]:
    """py-spy's raw format: thread and frames with semicolons between them, then how often."""
    for line in lines:
        text, _, count = line.rpartition(" ")
        thread, *frames = text.split(";")
        found = _THREAD.search(thread)
        if found and frames:
            yield Stack(int(found["id"], 0), found["name"], tuple(frames), int(count))


def table(found: list[Stack], threads: dict[int, float]) -> str:
    """Each thread's percentage of a core, and the parts of it, the greatest first."""
    if not found:
        return "(no py-spy here, or it may not look: install the extra `dev` and run as root to see where it goes)"
    whole = sum(threads.values())
    names = {each.thread: each.name for each in found}
    lines = []
    for thread, share in sorted(threads.items(), key=lambda item: -item[1]):
        if share < SHARE_MIN * whole:
            continue
        lines.append(f"  {share:5.2f} %  {names.get(thread, 'a thread that was never found at work')}")
        parts = _parts(each for each in found if each.thread == thread)
        told = [(part, count) for part, count in parts.most_common() if count >= SHARE_MIN * parts.total()]
        lines += [f"    {share * count / parts.total():5.2f} %  {part}" for part, count in told]
    return "\n".join(lines)


def _parts(found: Iterable[Stack]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for each in found:
        counts[_part_of(each.frames)] += each.count
    return counts


def _part_of(frames: tuple[str, ...]) -> str:
    for frame in reversed(frames):
        for part, pattern in PARTS:
            if pattern.search(frame):
                return part
    return "the rest"
