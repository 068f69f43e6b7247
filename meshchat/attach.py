"""A client of the daemon that lasts: it finds the daemon, starts one where none runs, and comes back when it dies.

`Attachment.run` hands everything that happens to one function, as `meshchat.control`'s events and a few of its own.
The daemon that it starts is a process of its own in every respect: it outlives the terminal, hears none of its
signals, and writes what it logs into the profile.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from meshchat import control
from meshchat.errors import MeshchatError, NoDaemon
from meshchat.units import Seconds
from meshchat.view.state import ChatRead, FiguresRead, Happening, Linked, ScreensRead, Told, Unlinked

RETRY_S: Seconds = 0.5
"""Between two looks for a daemon that is not there: it costs one failed connect."""

START_S: Seconds = 20.0
"""How long a daemon may take until it answers: Python and its libraries on a weak machine."""

FIGURES_S: Seconds = 1.0
"""Between two readings of how everything stands: the pace at which receivers report to each other."""

LOG_FILE = "daemon.log"
STARTED_FILE = "started"
"""Holds the process id of the daemon that a terminal started, so that a later terminal knows that it may end it."""

Observer: TypeAlias = Callable[[Happening], None]


class Attachment:
    """One terminal's hold on the daemon of one profile."""

    def __init__(self, profile: Path, words: Sequence[str], observe: Observer) -> None:
        """`words` are the options for a daemon that has to be started; `observe` hears everything that happens."""
        self._profile = profile
        self._words = tuple(words)
        self._observe = observe
        self._wanted = True
        """Whether a daemon is to be started where none is."""
        self._way_back: control.Join | control.Enter | None = None
        self._process: subprocess.Popen[bytes] | None = None

    async def run(self) -> None:
        """Keeps the hold until it is cancelled."""
        while True:
            try:
                await self._hold()
                self._observe(Unlinked("The daemon ended."))
            except NoDaemon:
                pass
            except MeshchatError as error:
                self._observe(Unlinked(str(error)))
            if self._wanted:
                self._wanted = False
                await self._start()
            else:
                await asyncio.sleep(RETRY_S)

    def revive(self) -> None:
        """Start a daemon again, and go back into the room that it was in."""
        self._wanted = True

    async def ask(self, command: control.Command) -> control.Answer:
        """Have `command` done, over a connection of its own, so that a slow answer holds up no other."""
        async with await control.ControlClient.connect(self._profile) as daemon:
            return await daemon.call(command)

    async def _hold(self) -> None:
        """Hears the daemon until it ends. Raises `NoDaemon` where there is none."""
        async with await control.ControlClient.connect(self._profile) as daemon:
            self._observe(Linked(own=_started_by_a_terminal(self._profile, daemon.greeting.pid)))
            if self._words and self._process is None:
                self._observe(Told("info", f"A daemon was running already; {' '.join(self._words)} is not in use."))
            self._wanted = False
            reader = asyncio.create_task(self._read_figures(daemon), name="figures")
            try:
                async with contextlib.aclosing(daemon.events()) as events:
                    async for event in events:
                        self._observe(event)
                        await self._remember(event)
            finally:
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)

    async def _remember(self, event: control.Event) -> None:
        """Keeps in mind how to get back into this room: a locked one by its link, which only its members are told."""
        match event:
            case control.RoomEntered(room):
                await self._remember_room(room.name)
            case control.Snapshot(status) if status.room is not None:
                await self._remember_room(status.room.name)
                await self._read_chat()
            case control.RoomLeft():
                self._way_back = None

    async def _remember_room(self, name: str) -> None:
        try:
            answer = await self.ask(control.Invite())
        except MeshchatError:
            self._way_back = control.Join(name=name)
        else:
            self._way_back = control.Enter(link=answer.link) if isinstance(answer, control.Invited) else None

    async def _read_chat(self) -> None:
        """What was said before this terminal looked, or while it missed something."""
        with contextlib.suppress(MeshchatError):
            answer = await self.ask(control.Chat())
            if isinstance(answer, control.ChatHistory):
                self._observe(ChatRead(answer.lines))

    async def _read_figures(self, daemon: control.ControlClient) -> None:
        """Round trip, loss and what goes on with screens change all the time and are told to those who ask."""
        shared = False
        while True:
            await asyncio.sleep(FIGURES_S)
            with contextlib.suppress(MeshchatError):
                status = await daemon.call(control.GetStatus())
                if not isinstance(status, control.Status):
                    continue
                self._observe(FiguresRead(status))
                was, shared = shared, status.room is not None and any(each.sharing for each in status.room.members)
                if shared or (was and status.room):
                    screens = await daemon.call(control.Screens())
                    if isinstance(screens, control.ScreenList):
                        self._observe(ScreensRead(screens))

    async def _start(self) -> None:
        """Starts a daemon and waits until it answers; says why where it does not."""
        self._observe(Unlinked("Starting the daemon.", starting=True))
        back = self._way_back
        room = ("--room", back.name) if isinstance(back, control.Join) and "--room" not in self._words else ()
        try:
            self._process = await asyncio.to_thread(_launch, self._profile, (*self._words, *room))
            await self._answered(self._process)
            if isinstance(back, control.Enter):
                await self.ask(back)
        except (MeshchatError, OSError) as error:
            self._observe(Unlinked(f"The daemon does not start: {error}"))

    async def _answered(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with contextlib.suppress(NoDaemon):
                async with await control.ControlClient.connect(self._profile):
                    return
            if process.poll() is not None:
                raise MeshchatError(_last_words(self._profile / LOG_FILE))
            await asyncio.sleep(0.05)
        raise MeshchatError(f"it gave no answer for {START_S:g} s; see {self._profile / LOG_FILE}")


def _launch(profile: Path, words: Sequence[str]) -> subprocess.Popen[bytes]:
    """A daemon that no terminal holds. Its log replaces that of the one before, which is kept as `.old`."""
    profile.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = profile / LOG_FILE
    if path.exists():
        path.replace(path.with_suffix(".log.old"))
    command = [sys.executable, "-m", "meshchat", "--headless", "--profile", str(profile), *words]
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS
    with path.open("wb") as log:
        path.chmod(0o600)
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, creationflags=flags
        )
    (profile / STARTED_FILE).write_text(str(process.pid))
    return process


def _started_by_a_terminal(profile: Path, pid: int) -> bool:
    try:
        return (profile / STARTED_FILE).read_text().strip() == str(pid)
    except OSError:
        return False


def _last_words(path: Path) -> str:
    """The last line that the daemon wrote, which says why it ended."""
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return (lines[-1].removeprefix("meshchat: ") if lines else "it said nothing") + f" (see {path})"
