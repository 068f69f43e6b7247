"""Service: each command of a client, brought to the part that does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from meshchat import control
from meshchat.entrance import cleaned
from meshchat.errors import Refused
from meshchat.parts import Parts


class _Acting(Protocol):
    """A part that does commands of its own."""

    async def act(self, command: control.Command) -> control.Answer | None:
        """Does the command; None if it is about something else."""


class Service:
    """Does what clients ask for."""

    def __init__(self, parts: Parts, stop: Callable[[], None]) -> None:
        """`stop` ends the daemon, once the answer is out."""
        self._parts = parts
        self._stop = stop
        self._acting: tuple[_Acting, ...] = (
            parts.entrance, parts.screens, parts.devices, parts.talking, parts.playing,
        )  # fmt: skip

    async def handle(self, command: control.Command) -> control.Answer:
        """The answer. Raises `MeshchatError` for what is refused or fails."""
        parts = self._parts
        match command:
            case control.Rooms():
                return control.RoomList(parts.answers.rooms())
            case control.GetStatus():
                return parts.answers.status()
            case control.Members():
                self._must_be_in_room()
                return control.MemberList(parts.answers.members())
            case control.Say(text=text):
                return await parts.chronicle.say(text)
            case control.Chat():
                return parts.chronicle.told()
        answer: control.Answer | None = None
        for part in self._acting:
            answer = answer or await part.act(command)
        if answer is None and isinstance(command, control.Verify):
            answer = await parts.trust.verify(*parts.answers.named(command.member), agreed=command.agreed)
        if answer is None:
            self._obey(command)
        return answer or control.Done()

    def _obey(self, command: control.Command) -> None:
        parts = self._parts
        match command:
            case control.Leave():
                parts.mesh.leave()
            case control.Alias(name=name):
                parts.mesh.rename(cleaned(name))
                parts.herald.myself(parts.answers)
            case control.Even(on=on):
                parts.call.incoming.even(on)
            case control.Volume(member=member, gain=gain, music=music):
                self._must_be_in_room()
                parts.call.set_volume(parts.answers.find_member(member), gain, music=music)
            case _ if parts.moderation.obey(command):
                pass
            case control.Stop():
                self._stop()
            case _:
                parts.moderation.set_silence(command)
                parts.herald.myself(parts.answers)

    def _must_be_in_room(self) -> None:
        if self._parts.mesh.node.room is None:
            raise Refused("not in a room")
