"""Two people in two real terminals, which tmux holds, on this machine's loopback: from the first key to the last."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PATIENCE_S = 40.0

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux to hold real terminals")


class Terminal:
    """A terminal of 80 columns and 24 lines with meshchat in it."""

    def __init__(self, folder: Path, alias: str) -> None:
        self.profile = folder / alias
        self._alias = alias
        self._tmux = ("tmux", "-S", str(folder / "tmux"))

    def open(self) -> None:
        words = f"--profile {self.profile} --alias {self._alias} --interface 127.0.0.1 --mic tone:440 --speaker null"
        command = f"env PYTHONPATH={ROOT} TERM=xterm-256color {sys.executable} -m meshchat {words}; cat"
        self._run("new", "-d", "-s", self._alias, "-x", "80", "-y", "24", command)

    def press(self, *keys: str) -> None:
        self._run("send-keys", "-t", self._alias, *keys)

    def screen(self) -> str:
        return self._run("capture-pane", "-p", "-t", self._alias)

    def sees(self, text: str) -> None:
        self.until(lambda: text in self.screen(), f"saw {text!r}")

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < deadline, f"{self._alias} never {what}:\n{self.screen()}"
            time.sleep(0.1)

    def opens(self, room: str) -> None:
        """Be in a new room."""
        self._goes("n", "What shall it be called?", room)

    def joins(self, room: str) -> None:
        """By name: the loopback may hold rooms of other programs, into which this test has no business to go."""
        self._goes("j", "Its name, or its invite link", room)

    def _goes(self, key: str, question: str, room: str) -> None:
        self.press(key)
        self.sees(question)
        self.press("-l", room)
        self.press("Enter")
        self.sees(f"{self._alias} (you)")

    @property
    def daemon(self) -> int:
        """The process of the daemon that this terminal started."""
        return int((self.profile / "started").read_text())

    def _run(self, *words: str) -> str:
        environment = {name: value for name, value in os.environ.items() if name != "TMUX"}
        done = subprocess.run([*self._tmux, *words], capture_output=True, text=True, check=True, env=environment)
        return done.stdout


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Terminal, Terminal]]:
    ann, bob = Terminal(tmp_path, "ann"), Terminal(tmp_path, "bob")
    started = []
    try:
        for each in (ann, bob):
            each.open()
            started.append(each)
        for each in started:
            each.sees("n New")
        yield ann, bob
    finally:
        for each in started:
            if (each.profile / "started").exists() and is_running(each.daemon):
                os.kill(each.daemon, signal.SIGKILL)
        subprocess.run(["tmux", "-S", str(tmp_path / "tmux"), "kill-server"], capture_output=True, check=False)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes in /proc")
def test_two_people_meet_talk_write_and_outlive_the_coordinator(two: tuple[Terminal, Terminal]) -> None:
    ann, bob = two
    room = f"den-{os.getpid()}"
    ann.opens(room)

    bob.sees(room)
    bob.joins(room)
    ann.sees("2 members")

    bob.until(lambda: "Join a room" not in bob.screen(), "closed the box")
    bob.press("t")
    bob.sees("esc Back")
    bob.press("-l", "hello @ann, can you hear me?")
    bob.press("Enter")
    ann.sees("bob: hello @ann, can you hear me?")
    bob.press("F2")
    bob.sees("mic muted")
    ann.sees("× bob")

    os.kill(ann.daemon, signal.SIGKILL)
    ann.sees("The daemon ended.")
    bob.sees("ann is gone")
    bob.sees("You coordinate now.")
    ann.press("r")
    ann.sees("ann (you)")
    bob.sees("ann came in.")

    bob.press("Escape")
    bob.sees("l Leave")  # until then an l would make Alt+L of the Escape
    bob.press("l")
    bob.sees("You left")
    ann.sees("bob left.")
    pid = ann.daemon
    for each in two:
        each.press("q")
    ann.until(lambda: not is_running(pid), "ended its daemon")
    bob.until(lambda: not is_running(bob.daemon), "ended its daemon")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes in /proc")
def test_a_screen_is_drawn_on_the_terminal_and_the_call_comes_back_after_it(two: tuple[Terminal, Terminal]) -> None:
    ann, bob = two
    room = f"stage-{os.getpid()}"
    ann.opens(room)
    share = [sys.executable, "-m", "meshchat", "share", "start", "--source", "test-pattern:still"]
    subprocess.run([*share, "--profile", ann.profile], cwd=ROOT, check=True, capture_output=True)
    bob.joins(room)
    bob.sees("\u25a3")
    bob.press("Down", "g")
    bob.sees("q closes")
    bob.sees("\u2580" * 80)
    bob.press("q")
    bob.sees("bob (you)")
    for each in two:
        each.press("q")
        each.until(lambda: not is_running(each.daemon), "ended its daemon")  # noqa: B023
