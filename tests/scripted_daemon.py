"""A daemon that plays a part on a real control socket: the tests of the terminal UI tell it what to say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from msgspec import structs

from meshchat import control
from meshchat.control import (
    Answer,
    ChatLine,
    Command,
    ControlServer,
    MemberStatus,
    RoomStatus,
    RoomSummary,
    Snapshot,
    Status,
)
from meshchat.errors import Refused
from meshchat.units import THRESHOLD_DB, TransmitMode

ADA, BOB, EVE = "ad" * 32, "b0" * 32, "ee" * 32
KITCHEN, BOARD = "0a" * 16, "0b" * 16
LINK = "meshchat://AQ-the-link"
WORDS = "acid zoom"
PAGE = "http://127.0.0.1:40123/?token=once"


def member(member_id: str, alias: str, **more: object) -> MemberStatus:
    known = MemberStatus(id=member_id, alias=alias, you=member_id == ADA, coordinator=False)
    return structs.replace(known, **more)


def said(order: int, alias: str, text: str, *, you: bool = False, mention: bool = False) -> ChatLine:
    author = ADA if you else BOB
    return ChatLine(f"{order:032x}", "said", order, author, alias, you, text, order, order, mention)


def came(alias: str, text: str = "", kind: Literal["came", "went"] = "came") -> ChatLine:
    return ChatLine(f"{kind}-{alias}", kind, 10**12, EVE, alias, False, text, 10**12, 10**12)


def summary(
    name: str, members: int = 2, *, locked: bool = False, joined: bool = False, sharing: bool = False
) -> RoomSummary:
    return RoomSummary(BOARD if locked else KITCHEN, name, locked, members, joined, sharing)


def room(*others: MemberStatus, name: str = "kitchen", moderator: bool = False) -> RoomStatus:
    return RoomStatus(name, KITCHEN, 1, BOB, (member(ADA, "ada", moderator=moderator), *others))


@dataclass
class Script:
    """What the daemon knows and what it heard; `refusal` is what it says to joins, creations and screens."""

    server: ControlServer = field(init=False)
    alias: str = "ada"
    rooms: tuple[RoomSummary, ...] = ()
    room: RoomStatus | None = None
    muted: bool = False
    refusal: str = ""
    chat: tuple[ChatLine, ...] = ()
    microphone: str = "default"
    transmit: TransmitMode = "continuous"
    threshold_db: float = THRESHOLD_DB
    talking: bool = True
    playing: control.PlayStatus | None = None
    listed: control.DeviceList | None = None
    screens: control.ScreenList = field(default_factory=lambda: control.ScreenList(None, ()))
    heard: list[Command] = field(default_factory=list)

    def status(self) -> Status:
        return Status(
            peer_id=ADA, alias=self.alias, addresses=("192.168.1.4:47474",), port=47474, control="unix:/x",
            room=self.room, muted=self.muted, deafened=False, microphone=self.microphone, speaker="default",
            uptime_s=1.0, version="0", transmit=self.transmit, threshold_db=self.threshold_db, talking=self.talking,
            playing=self.playing,
        )  # fmt: skip

    def devices(self) -> control.DeviceList:
        names = ("Built-in", "Headset")
        each = tuple(
            control.DeviceStatus(place, name, "ALSA", 1, 48000.0, place == 0, name == self.microphone)
            for place, name in enumerate(names)
        )
        return control.DeviceList(each, (structs.replace(each[0], used=True),), self.microphone, "default")

    def snapshot(self) -> Snapshot:
        return Snapshot(self.status(), self.rooms)

    def publish(self, event: control.Event) -> None:
        self.server.publish(event)

    def wishes(self, *kinds: type[Command]) -> list[Command]:
        """What was asked for, without the figures that a terminal reads by itself."""
        return [each for each in self.heard if isinstance(each, kinds)]

    def talked(self) -> tuple[bool | None, ...]:
        """What was told of the key to talk."""
        return tuple(each.on for each in self.heard if isinstance(each, control.Talk))

    async def handle(self, command: Command) -> Answer:
        self.heard.append(command)
        answer = self.told(command)
        if answer is not None:
            return answer
        match command:
            case control.Invite() if self.room and self.room.name == "board":
                return control.Invited(LINK)
            case control.Invite():
                raise Refused("room is open: kitchen; whoever knows its name can join it")
            case (
                control.Create() | control.Join() | control.Enter() | control.Say() | control.ShareStart()
                | control.UseMicrophone()
            ) if self.refusal:  # fmt: skip
                raise Refused(self.refusal)
            case control.Create(locked=True):
                return control.Invited(LINK)
            case control.Watch(member=watched):
                return control.Watching(watched, "bob", PAGE, PAGE.replace("http", "ws"), already=False)
            case control.Say(text=text):
                self.publish(control.ChatAdded(said(2 * 10**12, self.alias, text, you=True)))
                return control.Said("aa" * 16, 1)
        self.obey(command)
        return control.Done()

    def told(self, command: Command) -> Answer | None:
        """What is answered to questions that change nothing."""
        match command:
            case control.Verify(agreed=True):
                return None
            case control.Verify():
                return control.Words(BOB, "bob", WORDS)
        answers: dict[type[Command], Callable[[], Answer]] = {
            control.GetStatus: self.status,
            control.Devices: lambda: self.listed or self.devices(),
            control.Screens: lambda: self.screens,
            control.Chat: lambda: control.ChatHistory(self.chat),
        }
        return answers[type(command)]() if type(command) in answers else None

    def obey(self, command: Command) -> None:
        match command:
            case control.Create(name=name) | control.Join(name=name):
                self.enter(room(member(BOB, "bob", coordinator=True), name=name))
            case control.Leave():
                self.leave()
            case control.Alias(name=name):
                self.alias = name
                self.tell()
            case control.ShareStart() | control.ShareStop():
                self.share(isinstance(command, control.ShareStart))
            case _:
                self.obey_about_sound(command)

    def obey_about_sound(self, command: Command) -> None:
        match command:
            case control.Mute() | control.Unmute():
                self.muted = isinstance(command, control.Mute)
                self.tell()
            case control.Transmit(mode=mode, threshold_db=threshold_db):
                self.transmit, self.talking = mode, mode == "continuous"
                self.threshold_db = self.threshold_db if threshold_db is None else threshold_db
                self.tell()
            case control.Talk(on=on):
                self.talking = not self.talking if on is None else on
                self.tell()
            case control.UseMicrophone(source=source):
                self.microphone = source.partition(",")[0]
                self.tell()
            case control.Play(file=file, volume=volume):
                self.play(control.PlayStatus(file, 0.0, 125.0, False, volume))
            case control.PlayStop():
                self.play(None)

    def tell(self) -> None:
        """How one's own sound stands."""
        self.publish(
            control.SelfChanged(
                self.alias,
                self.muted,
                False,
                self.microphone,
                "default",
                self.transmit,
                self.threshold_db,
                self.talking,
            )
        )

    def play(self, playing: control.PlayStatus | None) -> None:
        self.playing = playing
        self.publish(control.PlayChanged(playing))

    def share(self, sharing: bool) -> None:
        assert self.room is not None
        me = structs.replace(self.room.members[0], sharing=sharing)
        self.room = structs.replace(self.room, members=(me, *self.room.members[1:]))
        self.publish(control.MemberChanged(me))

    def enter(self, entered: RoomStatus) -> None:
        self.room = entered
        self.publish(control.RoomEntered(entered))

    def leave(self) -> None:
        left, self.room = self.room, None
        if left:
            self.publish(control.RoomLeft(left.name, left.id, "left"))


@asynccontextmanager
async def playing(profile: Path, change: Callable[[Script], None] = lambda _: None) -> AsyncIterator[Script]:
    """A scripted daemon for that profile; `change` prepares what it knows."""
    script = Script()
    change(script)
    script.server = ControlServer(profile, script.handle, script.snapshot)
    await script.server.start()
    try:
        yield script
    finally:
        await script.server.close()
