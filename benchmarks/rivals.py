"""The programs that show a screen on another machine, and how each is started so that it does its best.

Each shares a display in one namespace and shows it in another, without asking who looks and without sound. VNC viewers
run at quality 5 and compression 2: JPEG of quality 77 and 4:2:2, what meshchat sends of what moves. Settings that look
odd are the ones with which the figures were best: GStreamer's `use-damage=true` costs half its pictures.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.breakdown import used_s
from benchmarks.framecode import HEIGHT, WIDTH
from benchmarks.lab import LEAVE_S_MAX, ROOT, Place
from meshchat.errors import MeshchatError

SIZE = f"{WIDTH}x{HEIGHT}"
PORT = 5950
LOG = "words.log"

FPS = 60
"""What each is told to reach; contents come with 30 or 60."""

VIEWER = (
    "xtigervncviewer", "-FullScreen=1", "-AutoSelect=0", "-PreferredEncoding=Tight", "-QualityLevel=5",
    "-CompressLevel=2", "-FullColor=1", "-SecurityTypes=None", "-RemoteResize=0", "-Shared=1", "-ViewOnly=1",
    f"{{sharer}}::{PORT}",
)  # fmt: skip

GRAB = ("ximagesrc", "use-damage=false", "show-pointer=true", "!", "video/x-raw,framerate={fps}/1", "!", "videoconvert",
        "!", "video/x-raw,format=I420", "!")  # fmt: skip
OUT = ("udpsink", "host={watcher}", f"port={PORT}", "sync=false", "buffer-size=4000000")
IN = ("gst-launch-1.0", "-q", "udpsrc", f"port={PORT}", "buffer-size=4000000")
SHOW = ("!", "videoconvert", "!", "ximagesink", "sync=false")


@dataclass(frozen=True, slots=True)
class Rival:
    """One of them."""

    name: str
    sharer: tuple[str, ...]
    viewer: tuple[str, ...]
    own_display: bool = False
    """Whether it is a display itself, on which programs draw, and cannot share one that is there already."""
    answers: bool = True
    """Whether it listens on TCP, and its viewer has to wait for that."""


RIVALS = (
    Rival(
        "x0vncserver",
        ("X0tigervnc", f"-rfbport={PORT}", "-SecurityTypes=None", "-AlwaysShared", "-PollingCycle=30",
         "-MaxProcessorUsage=100", f"-FrameRate={FPS}"),
        VIEWER,
    ),
    Rival(
        "Xvnc",
        ("Xtigervnc", "-geometry", SIZE, "-depth", "24", "-rfbport", str(PORT), "-SecurityTypes", "None",
         "-AlwaysShared", f"-FrameRate={FPS}", "-ac", "-nolisten", "tcp"),
        VIEWER,
        own_display=True,
    ),
    Rival(
        "x11vnc",
        ("x11vnc", "-rfbport", str(PORT), "-nopw", "-shared", "-forever", "-noxrecord", "-nocursorshape", "-wait", "10",
         "-defer", "10"),
        VIEWER,
    ),
    Rival(
        "gst-jpeg",
        ("gst-launch-1.0", "-q", *GRAB, "jpegenc", "quality=75", "!", "rtpjpegpay", "mtu=1400", "!", *OUT),
        (*IN, "caps=application/x-rtp,media=video,encoding-name=JPEG,payload=26,clock-rate=90000", "!", "rtpjpegdepay",
         "!", "jpegdec", *SHOW),
        answers=False,
    ),
    Rival(
        "gst-h264",
        ("gst-launch-1.0", "-q", *GRAB, "x264enc", "tune=zerolatency", "speed-preset=ultrafast", "bitrate=20000",
         "key-int-max=30", "!", "rtph264pay", "config-interval=1", "mtu=1400", "!", *OUT),
        (*IN, "caps=application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000", "!", "rtph264depay",
         "!", "h264parse", "!", "avdec_h264", "max-threads=1", *SHOW),
        answers=False,
    ),
)  # fmt: skip


@dataclass(slots=True)
class Scene:
    """Where a comparison happens."""

    sharer: Place
    watcher: Place
    folder: Path
    """For files of short life."""


@dataclass(slots=True)
class Running:
    """A screen that is shared and watched."""

    display: str
    """Where contents are to be drawn."""
    seen: Path
    """Where the sightings are written."""
    sharers: list[int] = field(default_factory=list)
    """Process numbers at the sharer's end, children not counted."""
    viewers: list[int] = field(default_factory=list)
    idle: float = 0.0
    """Percent of a core that the sharer takes before it shares; what else it does is no part of the comparison."""
    drawn_on: int = 0
    """The process of the display, 0 if that is the sharer itself."""


def missing(rival: Rival) -> str:
    """The program that it needs and that is not here; empty if all are."""
    return next((words[0] for words in (rival.sharer, rival.viewer) if shutil.which(words[0]) is None), "")


@contextlib.contextmanager
def running(rival: Rival, scene: Scene) -> Iterator[Running]:
    """Shares a new display and shows it on another, both taken down afterwards."""
    names = {"sharer": scene.sharer.host, "watcher": scene.watcher.host, "fps": str(FPS)}
    with contextlib.ExitStack() as stack:
        seen = scene.folder / f"{rival.name}-{os.urandom(4).hex()}.seen"
        seen.touch()
        words = [word.format(**names) for word in rival.sharer]
        if rival.own_display:
            display, drawn_on = f":{_free_display()}", 0
            sharer = stack.enter_context(process([*scene.sharer.enter, words[0], display, *words[1:]], scene, ""))
        else:
            display, drawn_on = stack.enter_context(xvfb(scene))
            sharer = stack.enter_context(process([*scene.sharer.enter, *words], scene, display))
        if rival.answers:
            until_it_listens(scene.sharer)
        glass = stack.enter_context(xvfb(scene))[0]
        words = [word.format(**names) for word in rival.viewer]
        viewer = stack.enter_context(process([*scene.watcher.enter, *words], scene, glass))
        stack.enter_context(process([sys.executable, "-m", "benchmarks.glass", str(seen)], scene, glass))
        yield Running(display, seen, [sharer], [viewer], drawn_on=drawn_on)


@contextlib.contextmanager
def xvfb(scene: Scene) -> Iterator[tuple[str, int]]:
    """A display without a screen, its name and process number."""
    heard, told = os.pipe()
    words = ["Xvfb", "-screen", "0", f"{SIZE}x24", "-ac", "-nolisten", "tcp", "-s", "0", "-displayfd", str(told)]
    with process(words, scene, "", told) as number:
        os.close(told)
        with os.fdopen(heard, "rb") as pipe:
            name = pipe.readline().decode().strip()
        if not name:
            raise MeshchatError(f"Xvfb showed no display: {(scene.folder / LOG).read_text()}")
        yield f":{name}", number


def _free_display() -> int:
    """A display number for a server in a namespace of its own, where it cannot see which are taken elsewhere."""
    taken = {path.name for folder in ("/tmp", "/tmp/.X11-unix") for path in Path(folder).glob("*X*")}
    return next(number for number in range(200, 300) if not taken & {f".X{number}-lock", f"X{number}"})


@contextlib.contextmanager
def process(words: list[str], scene: Scene, display: str, *pipes: int) -> Iterator[int]:
    """Runs a program; its number. It is ended afterwards; what it says goes to a file in the scene's folder."""
    surroundings = {name: text for name, text in os.environ.items() if name != "DISPLAY"}
    surroundings |= {"DISPLAY": display} if display else {}
    with (scene.folder / LOG).open("ab") as log:
        ran = subprocess.Popen(words, env=surroundings, pass_fds=pipes, stdout=log, stderr=log, cwd=ROOT)
    try:
        yield ran.pid
    finally:
        ran.terminate()
        try:
            ran.wait(LEAVE_S_MAX)
        except subprocess.TimeoutExpired:
            ran.kill()
            ran.wait()


def until_it_listens(place: Place) -> None:
    """Waits until somebody in that namespace listens on the port of the rivals."""
    look = f"for i in $(seq 200); do grep -qi ':{PORT:04X} .* 0A ' /proc/net/tcp* && exit; sleep 0.05; done; exit 1"
    if subprocess.run([*place.enter, "sh", "-c", look], check=False, timeout=30).returncode:
        raise MeshchatError(f"nobody listens on port {PORT}: the program did not start")


def busy_s(numbers: list[int]) -> float:
    """Seconds of processor that these processes and their children took so far."""
    total = 0.0
    for number in numbers:
        with contextlib.suppress(psutil.NoSuchProcess):
            top = psutil.Process(number)
            for each in (top, *top.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += used_s(each)
    return total
