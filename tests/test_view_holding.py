"""A key that is held, in a pseudo-terminal whose other end is this test: with the Kitty protocol and without."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from meshchat import control
from tests.scripted_daemon import Script, playing
from tests.test_tui_sound import by_key

if sys.platform == "win32":
    pytest.skip("the protocol is spoken to terminals of Linux and macOS", allow_module_level=True)

import fcntl
import termios

from meshchat.view.holding import ASK_FOR_MORE, Flags, Parser, Released

ROOT = Path(__file__).parent.parent
PATIENCE_S = 60.0


@pytest.mark.parametrize(
    ("told", "key", "kind"),
    [
        ("\x1b[32;1:3u", "space", "Released"),
        ("\x1b[32;5:3u", "ctrl+space", "Released"),
        ("\x1b[1;1:3S", "f4", "Released"),
        ("\x1b[32;1:2;32u", "space", "Key"),
        ("\x1b[32;1:1u", "space", "Key"),
        ("\x1b[32u", "space", "Key"),
        ("\x1b[1;1:2A", "up", "Key"),
        ("\x1b[1;5:2A", "ctrl+up", "Key"),
        ("\x1b[97;2:1;65u", "A", "Key"),
        ("\x1b[13;1:2u", "enter", "Key"),
        ("\x1b[?27u", "27", "Flags"),
        ("m", "m", "Key"),
    ],
)
def test_what_a_terminal_says_of_a_key(told: str, key: str, kind: str) -> None:
    heard = list(Parser().feed(told))
    assert [(type(each).__name__, getattr(each, "key", "")) for each in heard] == [(kind, key)]


def test_a_repeated_letter_is_a_letter_and_a_release_none() -> None:
    heard = list(Parser().feed("\x1b[97;;97u\x1b[97;1:2;97u\x1b[97;1:3u"))
    assert [getattr(each, "character", None) for each in heard if not isinstance(each, Released | Flags)] == ["a", "a"]


class Terminal:
    """The other end of the program's terminal."""

    def __init__(self, end: int, daemon: Script) -> None:
        self.daemon = daemon
        self.seen = ""
        self._end = end
        asyncio.get_running_loop().add_reader(end, self._read)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            self.seen += os.read(self._end, 65536).decode(errors="replace")

    def sends(self, told: str) -> None:
        os.write(self._end, told.encode())

    async def until(self, is_so: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < deadline, self.seen[-2000:]
            await asyncio.sleep(0.02)

    async def hears(self, *wanted: bool | None) -> None:
        """The daemon was told that, and nothing else, of the key to talk."""
        await self.until(lambda: len(self.daemon.talked()) >= len(wanted))
        assert self.daemon.talked() == wanted


@asynccontextmanager
async def terminal(profile: Path) -> AsyncIterator[Terminal]:
    async with playing(profile, by_key) as daemon:
        ours, its = os.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        words = ("-m", "meshchat", "--profile", str(profile), "--alias", "ada")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True
        )
        os.close(its)
        try:
            yield Terminal(ours, daemon)
        finally:
            asyncio.get_running_loop().remove_reader(ours)
            process.kill()
            await process.wait()
            os.close(ours)


async def test_a_key_is_held_where_the_terminal_tells_of_its_release(tmp_path: Path) -> None:
    async with terminal(tmp_path) as me:
        await me.until(lambda: ASK_FOR_MORE in me.seen)
        me.sends("\x1b[?27u")
        await me.until(lambda: "hold Space" in me.seen)
        me.sends("\x1b[32;;32u\x1b[32;1:2;32u\x1b[32;1:2;32u")
        await me.hears(True)
        me.sends("\x1b[32;1:3u")
        await me.hears(True, False)
        me.sends("\x1b[1;1:1S")
        await me.hears(True, False, True)
        me.sends("\x1b[O")
        await me.hears(True, False, True, False)
        assert not me.daemon.wishes(control.Mute)


async def test_a_terminal_that_knows_nothing_of_it_has_the_key_pressed_twice(tmp_path: Path) -> None:
    async with terminal(tmp_path) as me:
        await me.until(lambda: "Space talks" in me.seen)
        me.sends(" ")
        await me.hears(None)
        me.sends(" ")
        await me.hears(None, None)
