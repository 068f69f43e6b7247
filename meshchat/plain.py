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

from meshchat import control
from meshchat.attach import Attachment
from meshchat.errors import MeshchatError, UsageError
from meshchat.locks.invite import LINK_CHARACTERS_MAX, is_link
from meshchat.units import safe_lines, safe_text
from meshchat.view.reduce import reduce
from meshchat.view.sentences import changes, forward_sentence, member_sentence, room_sentence
from meshchat.view.state import Happening, State

Print: TypeAlias = Callable[[str], None]
Wanted: TypeAlias = control.Command | str | None
"""What a line asks for: something of the daemon, or the name of something this program tells by itself."""

HELP = """\
/rooms            the rooms around           /who         who is here, and how well they arrive
/join NAME|LINK   go into a room             /leave       out of it
/new NAME         open a room                /locked NAME open one that needs an invite link
/invite           the link of this room      /name NAME   change your name
/mute /unmute     your microphone            /deafen /undeafen  what you hear
/volume NAME N    1 is as sent, 0 is silent  /kick NAME   send somebody out, as a moderator
/share /unshare   show your screen, or not   /watch NAME  where to look at somebody's; /unwatch NAME
/quit             end the call               /detach      leave the call running
Anything else is written to the room."""

WITHOUT_WORDS: dict[str, Callable[[], control.Command]] = {
    "leave": control.Leave, "mute": control.Mute, "unmute": control.Unmute, "deafen": control.Deafen,
    "undeafen": control.Undeafen, "invite": control.Invite, "share": control.ShareStart,
    "unshare": control.ShareStop,
}  # fmt: skip

OF_A_MEMBER: dict[str, type[control.Kick] | type[control.Watch] | type[control.Unwatch]] = {
    "kick": control.Kick,
    "watch": control.Watch,
    "unwatch": control.Unwatch,
}

TOLD_HERE = ("rooms", "who", "help", "quit", "detach")


def wanted(line: str) -> Wanted:
    """What a typed line asks for; None for an empty one. Raises `UsageError` for a command that there is not."""
    if not line.startswith("/"):
        text = safe_lines(line)
        return control.Say(text=text) if text else None
    word, _, rest = line[1:].strip().partition(" ")
    rest = rest.strip()
    if word in TOLD_HERE:
        return word
    if word in WITHOUT_WORDS:
        return WITHOUT_WORDS[word]()
    if not rest:
        raise UsageError(f"/{safe_text(word)} is no command, or needs a name; /help lists them")
    return _named(word, rest)


def _named(word: str, rest: str) -> control.Command:
    name = safe_text(rest)
    match word:
        case "join" if is_link(rest):
            return control.Enter(link=rest)
        case "join":
            return control.Join(name=name)
        case "new" | "locked":
            return control.Create(name=name, locked=word == "locked")
        case "name":
            return control.Alias(name=name)
        case "volume":
            return _volume(rest)
        case _ if word in OF_A_MEMBER:
            return OF_A_MEMBER[word](member=name)
    raise UsageError(f"/{safe_text(word)} is no command; /help lists them")


def _volume(words: str) -> control.Command:
    member, _, gain = words.rpartition(" ")
    try:
        factor = float(gain)
    except ValueError:
        factor = -1.0
    if not member or not 0.0 <= factor <= control.GAIN_MAX:
        raise UsageError(f"/volume takes a name and a factor from 0 to {control.GAIN_MAX:g}")
    return control.Volume(member=safe_text(member), gain=factor)


class Conversation:
    """One person at a linear terminal."""

    def __init__(self, profile: Path, words: Sequence[str], say: Print) -> None:
        self.state = State(wall_ahead_s=time.time() - time.monotonic())
        self._attachment = Attachment(profile, words, self.observe)
        self._say = say

    def observe(self, event: Happening) -> None:
        """Something happened: print what is new of it."""
        old, self.state = self.state, reduce(self.state, event, time.monotonic())
        for sentence in changes(old, self.state):
            self._say(sentence)

    async def run(self, lines: asyncio.Queue[str | None]) -> None:
        """Obey lines until one says to end, or there are no more, which leaves the call running."""
        holding = asyncio.create_task(self._attachment.run())
        self._say("meshchat. /help lists the commands.")
        try:
            while (line := await lines.get()) is not None:
                if not await self._obey(line):
                    break
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)

    async def _obey(self, line: str) -> bool:
        """Do what the line says; whether to go on."""
        try:
            wish = wanted(line)
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
        elif word == "help":
            self._say(HELP)
        elif word == "quit" and self.state.own and self.state.link == "live":
            await self._attachment.ask(control.Stop())
        return word not in ("quit", "detach")

    async def _carry_out(self, command: control.Command) -> None:
        if isinstance(command, control.Say) and self.state.room is None:
            self._say("You are in no room. /rooms lists them, /join NAME goes into one.")
            return
        answer = await self._attachment.ask(command)
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


def run(profile: Path, words: Sequence[str]) -> int:
    """Talk until the person ends it; the exit status. `words` are options for a daemon that has to be started."""

    async def talk() -> None:
        lines: asyncio.Queue[str | None] = asyncio.Queue()
        reader = threading.Thread(
            target=_read_lines, args=(asyncio.get_running_loop(), lines), name="typed lines", daemon=True
        )
        reader.start()
        await Conversation(profile, words, lambda text: print(text, flush=True)).run(lines)

    asyncio.run(talk())
    return 0
