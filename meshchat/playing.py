"""What is played into the room: the commands that begin, pause and end it, and what people are told of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from meshchat import control
from meshchat.answers import Answers
from meshchat.call import Call
from meshchat.errors import Refused
from meshchat.mesh import Mesh
from meshchat.peers import effects
from meshchat.units import PeerId


class Playing:
    """The commands about sound files that are played."""

    def __init__(
        self,
        mesh: Mesh,
        call: Call,
        answers: Answers,
        publish: Callable[[control.Event], None],
        changed: Callable[[PeerId], None],
        notice: control.Tell,
    ) -> None:
        """On the event loop `publish` sends an event to the clients, `changed` tells them how a member is now.

        `notice` tells people something.
        """
        self._mesh = mesh
        self._call = call
        self._answers = answers
        self._publish = publish
        self._changed = changed
        self._notice = notice
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        """One change at a time: to end a file takes some frames."""
        self._ending: set[asyncio.Task[None]] = set()
        self._count = 0
        """Files played so far: tells the end of one from that of the next."""
        self._heard: frozenset[PeerId] = frozenset()

    async def act(self, command: control.Command) -> control.Answer | None:
        """Does what a command asks for; None if it is about something else. Raises `AudioError` and `Refused`."""
        match command:
            case control.GetPlaying():
                return control.Playing(self._answers.playing())
            case control.Play(file=file, volume=volume):
                await self._play(Path(file), volume)
            case control.Pause() | control.Resume():
                self._must_play()
                self._call.player.pause(isinstance(command, control.Pause))
            case control.PlayVolume(volume=volume):
                self._must_play()
                self._call.player.set_volume(volume)
            case control.PlayStop():
                self._must_play()
                await self._stop()
                return control.Done()
            case _:
                return None
        self._tell()
        return control.Done()

    def on_event(self, event: effects.Event) -> None:
        """Nothing is played outside a room, nor by somebody whom a moderator silenced."""
        if isinstance(event, effects.RoomLeft | effects.Silenced) and self._answers.playing():
            self._end("nothing is played any more")

    def look(self) -> None:
        """Tells the clients of members who began to play something, or ended."""
        heard = self._answers.plays()
        for peer in heard ^ self._heard:
            self._changed(peer)
        self._heard = heard

    async def _play(self, path: Path, volume: float) -> None:
        if self._mesh.node.room is None:
            raise Refused("not in a room")
        if self._mesh.node.muted:
            raise Refused("you are muted: nobody would hear it")
        async with self._turn:
            self._count += 1
            number = self._count

            def over(fault: str) -> None:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                    self._loop.call_soon_threadsafe(self._over, number, path, fault)

            await asyncio.to_thread(self._call.player.play, path, volume, over)

    async def _stop(self) -> None:
        async with self._turn:
            await asyncio.to_thread(self._call.player.stop)
            self._tell()

    def _over(self, number: int, path: Path, fault: str) -> None:
        if number == self._count:
            self._end(fault or f"{path.name} has been played to its end", "warning" if fault else "info")

    def _end(self, text: str, severity: control.Severity = "info") -> None:
        ending = self._loop.create_task(self._stop())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        self._notice(severity, text)

    def _must_play(self) -> None:
        if self._answers.playing() is None:
            raise Refused("nothing is played")

    def _tell(self) -> None:
        self._publish(control.PlayChanged(self._answers.playing()))
        self._changed(self._mesh.node.me)
