"""A real sound server that dies and comes back: PulseAudio, reached by PortAudio through ALSA, in a place of its own.

The server has one sink that leads nowhere; what is played into it is heard from its monitor. Server and program run
as processes with a home of their own, so that neither a real server nor a real sound card is touched.
"""

from __future__ import annotations

import ctypes.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
PROGRAMS = ("pulseaudio", "pactl")
SINK = ("module-null-sink", "sink_name=room", "rate=48000", "norewinds=1")
"""Without `norewinds` this sink wants two seconds of sound at a time, as no sound card does."""

ALSA_TO_PULSE = "pcm.!default { type pulse }\nctl.!default { type pulse }\n"

PEER = """
import sys, threading
import numpy as np
from meshchat.audio import list_devices, open_microphone, open_speaker

def say(*words):
    print(*words, flush=True)

played = 0
def pull(samples, now):
    global played
    steps = np.arange(played, played + samples)
    played += samples
    return (0.25 * np.sin(2 * np.pi * 1000 * steps / 48000)).astype(np.float32)

heard = []
def on_frame(frame, captured):
    heard.append(frame)
    if len(heard) == 10:
        sound = np.concatenate(heard)
        heard.clear()
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size)))
        say("heard", round(float(np.abs(sound).max()), 2), int(np.argmax(spectrum) * 48000 / sound.size))

say("devices", *[device.name for device in list_devices()])
microphone = open_microphone("default", 480, lambda text: say("notice", text))
speaker = open_speaker("default", 480, lambda text: say("notice", text))
speaker.start(pull)
microphone.start(on_frame)
sys.stdin.readline()
say("is", microphone.describe(), "/", speaker.describe())
microphone.stop()
speaker.stop()
say("left", *[thread.name for thread in threading.enumerate()])
"""


class SoundServer:
    """PulseAudio in its own runtime directory; may be killed and started again at the same address."""

    def __init__(self, home: Path) -> None:
        self._log = home / "log"
        self._socket = home / "native"
        (home / ".asoundrc").write_text(ALSA_TO_PULSE)
        places = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "PULSE_SERVER": f"unix:{self._socket}"}
        self.environment = {"PATH": os.environ["PATH"], **places}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"]
        modules = [f"module-native-protocol-unix auth-anonymous=1 socket={self._socket}", " ".join(SINK)]
        loads = [word for module in modules for word in ("-L", module)]
        command = ["pulseaudio", *options, f"--log-target=file:{self._log}", *loads]
        self._process = subprocess.Popen(command, env=self.environment)
        begun = time.monotonic()
        while not self.command("info"):
            if self._process.poll() is not None or time.monotonic() - begun > 5:
                pytest.skip(f"PulseAudio does not run here: {self._log.read_text()[-300:]}")
            threading.Event().wait(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._socket.unlink(missing_ok=True)

    def stand_still(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def command(self, *words: str) -> bool:
        ran = subprocess.run(["pactl", *words], env=self.environment, capture_output=True, timeout=5, check=False)
        return ran.returncode == 0


class Peer:
    """The program under test; what it says is read line by line."""

    def __init__(self, environment: dict[str, str]) -> None:
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        self.process: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, "-c", PEER],
            text=True,
            cwd=CHECKOUT,
            env=environment,
            bufsize=1,
            stdin=pipe,
            stdout=pipe,
            stderr=null,
        )
        self.notices: list[str] = []

    def line(self) -> list[str]:
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        assert words, "the program has ended"
        if words[0] == "notice":
            self.notices.append(" ".join(words[1:]))
        return words

    def until_heard(self, tone: bool, within: float) -> float:
        """Wait until the microphone hears the tone, or nothing; how long it took."""
        begun = time.monotonic()
        while True:
            kind, *words = self.line()
            took = time.monotonic() - begun
            if kind == "heard" and (
                float(words[0]) > 0.2 and words[1] in ("999", "1000") if tone else words[0] == "0.0"
            ):
                return took
            assert took < within, f"not within {within} s: {kind} {words} {self.notices}"

    def end(self) -> tuple[str, list[str]]:
        assert self.process.stdin is not None
        self.process.stdin.write("enough\n")
        while (words := self.line())[0] != "is":
            pass
        while (last := self.line())[0] != "left":
            pass
        return " ".join(words[1:]), last[1:]


@pytest.fixture
def server() -> Iterator[SoundServer]:
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing or ctypes.util.find_library("portaudio") is None:
        pytest.skip(
            f"{missing or 'PortAudio'} is not installed (apt install pulseaudio libasound2-plugins libportaudio2)"
        )
    with tempfile.TemporaryDirectory(prefix="meshchat-") as home:
        server = SoundServer(Path(home))
        try:
            server.start()
            yield server
        finally:
            server.kill()


@pytest.fixture
def peer(server: SoundServer) -> Iterator[Peer]:
    peer = Peer(server.environment)
    try:
        if "default" not in peer.line():
            pytest.skip("ALSA has no plugin for PulseAudio here (apt install libasound2-plugins)")
        yield peer
    finally:
        peer.process.kill()
        peer.process.communicate()


def test_what_is_played_is_heard_and_nothing_is_left_running(peer: Peer) -> None:
    peer.until_heard(tone=True, within=5)
    description, threads = peer.end()
    assert description == "microphone default (48000 Hz) / speaker default (48000 Hz)"
    assert threads == ["MainThread"]
    assert peer.process.wait(5) == 0
    assert not peer.notices


def test_the_server_is_killed_and_started_again_and_sound_returns(server: SoundServer, peer: Peer) -> None:
    peer.until_heard(tone=True, within=5)
    server.kill()
    for _ in range(15):
        peer.until_heard(tone=False, within=2)
    server.start()
    took = peer.until_heard(tone=True, within=5)
    print(f"the sound was back {took:.2f} s after the server")
    assert took < 2.5
    assert len([notice for notice in peer.notices if "cannot be used" in notice]) == 2
    assert len([notice for notice in peer.notices if notice.endswith("is back.")]) >= 1


def test_the_sink_is_taken_away_and_put_back_and_sound_returns(server: SoundServer, peer: Peer) -> None:
    peer.until_heard(tone=True, within=5)
    assert server.command("unload-module", "module-null-sink")
    peer.until_heard(tone=False, within=2)
    assert server.command("load-module", *SINK)
    took = peer.until_heard(tone=True, within=5)
    print(f"the sound was back {took:.2f} s after the sink")
    assert took < 2.5


def test_a_server_that_hangs_is_stood_in_for_and_keeps_nobody_from_leaving(server: SoundServer, peer: Peer) -> None:
    peer.until_heard(tone=True, within=5)
    server.stand_still()
    peer.until_heard(tone=False, within=2)
    description, _ = peer.end()
    assert description == "microphone default (not there: silence) / speaker default (not there: silence)"
    assert peer.process.wait(10) == 0
