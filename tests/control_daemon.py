"""The smallest daemon there is, for the tests of the control socket."""

from __future__ import annotations

from meshchat.control import (
    Alias,
    Answer,
    Command,
    Done,
    GetStatus,
    Join,
    MemberStatus,
    RoomList,
    Rooms,
    RoomSummary,
    Snapshot,
    Status,
    Stop,
    Volume,
)
from meshchat.errors import MeshchatError, Refused, UsageError


def status(alias: str = "ada") -> Status:
    return Status(
        peer_id="ab" * 32,
        alias=alias,
        addresses=("127.0.0.1:47474",),
        port=47474,
        control="unix:/somewhere",
        room=None,
        muted=False,
        deafened=False,
        microphone="default",
        speaker="default",
        uptime_s=1.5,
        version="0",
    )


def member(member_id: str, level_db: float | None = None) -> MemberStatus:
    return MemberStatus(id=member_id, alias=member_id, you=False, coordinator=False, level_db=level_db)


class House:
    """The smallest daemon there is: one alias, one room that exists, and a handler that can go wrong in every way."""

    def __init__(self) -> None:
        self.alias = "ada"
        self.heard: list[Command] = []

    async def handle(self, command: Command) -> Answer:
        self.heard.append(command)
        match command:
            case Rooms():
                return RoomList((RoomSummary("00" * 16, "kitchen", False, 2, False),))
            case Join(name="kitchen"):
                return Done()
            case Join():
                raise Refused("room not found")
            case Alias(name):
                self.alias = name
                return Done()
            case Volume():
                raise UsageError("no such member")
            case Stop():
                raise ZeroDivisionError("a fault of our own")
            case GetStatus():
                return status(self.alias)
            case _:
                raise MeshchatError("the cable is out")

    def snapshot(self) -> Snapshot:
        return Snapshot(status(self.alias), ())
