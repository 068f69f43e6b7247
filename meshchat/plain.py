"""The terminal UI without a picture: what happens is printed line after line, and what is typed is said or done.

For screen readers, dumb terminals and pipes. A line that begins with `/` is a command, any other is written to the
room.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from meshchat import config, control
from meshchat.attach import Attachment
from meshchat.errors import MeshchatError
from meshchat.locks.invite import LINK_CHARACTERS_MAX
from meshchat.remote.show import answer_text
from meshchat.units import safe_text
from meshchat.view.commands import HELP, wanted
from meshchat.view.reduce import reduce
from meshchat.view.sentences import changes, forward_sentence, member_sentence, room_sentence, worry_sentence
from meshchat.view.state import TICK_S, Happening, State, Ticked
from meshchat.view.worries import worries

Print: TypeAlias = Callable[[str], None]


class Conversation:
    """One person at a linear terminal."""

    def __init__(self, profile: Path, words: Sequence[str], say: Print, *, welcome: bool = False) -> None:
        """`words` are options for a daemon that has to be started; `welcome` asks for a name first."""
        self._profile = profile
        self._asks_name = welcome
        self.state = State(wall_ahead_s=time.time() - time.monotonic())
        self._attachment = Attachment(profile, words, self.observe)
        self._say = say

    def observe(self, event: Happening) -> None:
        """Something happened: print what is new of it."""
        old, self.state = self.state, reduce(self.state, event, time.monotonic())
        for sentence in changes(old, self.state):
            self._say(sentence)
        if self._asks_name and self.state.alias and not old.alias:
            self._say(f"What shall others call you? An empty line keeps {self.state.alias}.")

    async def run(self, lines: asyncio.Queue[str | None]) -> None:
        """Obey lines until one says to end, or there are no more, which leaves the call running."""
        running = [asyncio.create_task(self._attachment.run()), asyncio.create_task(self._tick())]
        self._say("meshchat. /help lists the commands.")
        try:
            while (line := await lines.get()) is not None:
                if not await self._obey(line):
                    break
        finally:
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _tick(self) -> None:
        """Without it nothing would be said of what lasts too long, as of a microphone that hears nothing."""
        while True:
            await asyncio.sleep(TICK_S)
            self.observe(Ticked())

    async def _obey(self, line: str) -> bool:
        """Do what the line says; whether to go on."""
        try:
            if self._asks_name and self.state.alias and not line.startswith("/"):
                await self._be_called(safe_text(line) or self.state.alias)
                return True
            wish = wanted(line)
            if wish is None and self.state.transmit == "push":
                wish = control.Talk()
            if isinstance(wish, str):
                return await self._tell(wish)
            if wish is not None:
                await self._carry_out(wish)
        except MeshchatError as error:
            self._say(f"No: {error}.")
        return True

    async def _tell(self, word: str) -> bool:
        if word == "rooms":
            self._say("\n".join(map(room_sentence, self.state.rooms)) or "No rooms yet. /new NAME opens one.")
        elif word == "who":
            members = self.state.room.members if self.state.room else ()
            self._say("\n".join(map(member_sentence, members)) or "You are in no room.")
        elif word == "trouble":
            self._say("\n".join(map(worry_sentence, worries(self.state))) or "Nothing is wrong.")
        elif word == "help":
            self._say(HELP)
        elif word == "quit" and self.state.own and self.state.link == "live":
            await self._attachment.ask(control.Stop())
        return word not in ("quit", "detach")

    async def _be_called(self, name: str) -> None:
        """The first run is over: keep the name, so that it is asked for once."""
        await self._attachment.ask(control.Alias(name=name))
        self._asks_name = False
        config.remember(self._profile, alias=name)
        self._say(f"You are {name}. /rooms lists the rooms, /join NAME goes into one, /new NAME opens one.")

    async def _carry_out(self, command: control.Command) -> None:
        if isinstance(command, control.Say) and self.state.room is None:
            self._say("You are in no room. /rooms lists them, /join NAME goes into one.")
            return
        answer = await self._attachment.ask(command)
        if isinstance(answer, control.DeviceList):
            self._say(answer_text(answer))
        if isinstance(answer, control.Invited):
            self._say(f"Invite link: {safe_text(answer.link, LINK_CHARACTERS_MAX, LINK_CHARACTERS_MAX)}")
        if isinstance(answer, control.Watching):
            page = safe_text(answer.page, LINK_CHARACTERS_MAX, LINK_CHARACTERS_MAX)
            self._say(f"Open this in a browser on this machine; it opens once: {page}\n{forward_sentence(page)}")


def _read_lines(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[str | None]) -> None:
    """Standard input, on a thread of its own, since reading it waits."""
    for line in sys.stdin:
        loop.call_soon_threadsafe(lines.put_nowait, line.rstrip("\n"))
    loop.call_soon_threadsafe(lines.put_nowait, None)


def run(profile: Path, words: Sequence[str], *, welcome: bool) -> int:
    """Talk until the person ends it; the exit status. `words` are options for a daemon that has to be started.

    `welcome` asks for a name, where a person types.
    """

    async def talk() -> None:
        lines: asyncio.Queue[str | None] = asyncio.Queue()
        reader = threading.Thread(
            target=_read_lines, args=(asyncio.get_running_loop(), lines), name="typed lines", daemon=True
        )
        reader.start()
        asks = welcome and sys.stdin.isatty()
        await Conversation(profile, words, lambda text: print(text, flush=True), welcome=asks).run(lines)

    asyncio.run(talk())
    return 0
