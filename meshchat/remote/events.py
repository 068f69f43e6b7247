"""What the daemon tells a subscriber of its own accord: a snapshot first, then everything that happens."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, TypeAlias

from msgspec import Struct

from meshchat.remote.state import ChatLine, MemberStatus, PlayStatus, RoomStatus, RoomSummary, Status
from meshchat.units import THRESHOLD_DB, TransmitMode


def _snake(name: str) -> str:
    """`MemberJoined` as `member_joined`: the tag of a struct is its name."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


Severity: TypeAlias = Literal["info", "warning", "error"]

Tell: TypeAlias = Callable[[Severity, str], None]
"""Says a sentence to whoever looks."""


class _Event(Struct, frozen=True, tag_field="event", tag=_snake):
    pass


class Snapshot(_Event, frozen=True):
    """Everything as it stands: what came before is history, what comes after are changes to this."""

    status: Status
    rooms: tuple[RoomSummary, ...]


class Missed(_Event, frozen=True):
    """The client read too slowly and `count` events were thrown away; a `Snapshot` follows what was kept."""

    count: int


class MemberJoined(_Event, frozen=True):
    """Somebody came into the room."""

    member: MemberStatus


class MemberLeft(_Event, frozen=True):
    """Somebody left the room, or was lost."""

    id: str
    alias: str
    reason: str


class MemberChanged(_Event, frozen=True):
    """Something about a member is no longer what it was: all of it as it is now."""

    member: MemberStatus


class SelfChanged(_Event, frozen=True):
    """Something about this peer is no longer what it was."""

    alias: str
    muted: bool
    deafened: bool
    microphone: str
    speaker: str
    transmit: TransmitMode = "continuous"
    """When the microphone's sound goes out: always, by voice, or while a key is held."""
    threshold_db: float = THRESHOLD_DB
    """The level over which it opens by voice, in dB below full scale."""
    talking: bool = True
    """Whether it goes out now, but for the mute: by voice, whether it is open; by key, whether that is held."""
    music: bool = False
    """Whether it goes out as it is, as music."""


class RoomEntered(_Event, frozen=True):
    """This peer is in a room now."""

    room: RoomStatus


class RoomLeft(_Event, frozen=True):
    """This peer is in no room any more."""

    name: str
    id: str
    reason: str


class CoordinatorChanged(_Event, frozen=True):
    """The room has another coordinator; null while one is being elected."""

    epoch: int
    coordinator: str | None


class RoomsChanged(_Event, frozen=True):
    """Rooms appeared, vanished or changed: all of them as they are now."""

    rooms: tuple[RoomSummary, ...]


class Speaking(_Event, frozen=True):
    """A member began or stopped speaking."""

    id: str
    speaking: bool


class Levels(_Event, frozen=True):
    """How loud each member is, by id, in dB below full scale: -127..0; null where not known."""

    levels_db: dict[str, float | None]


class ChatAdded(_Event, frozen=True):
    """Something was written to the room, or somebody came or went: a line, mostly but not always the last."""

    line: ChatLine


class PlayChanged(_Event, frozen=True):
    """This peer plays something, or pauses, or changes how loud it is, or (null) plays nothing any more."""

    playing: PlayStatus | None


class WordsShown(_Event, frozen=True):
    """Words to compare with a member, whichever side asked for them."""

    id: str
    alias: str
    words: str


class Notice(_Event, frozen=True):
    """Something that a person should read."""

    severity: Severity
    text: str


Event: TypeAlias = (
    Snapshot | Missed | MemberJoined | MemberLeft | MemberChanged | SelfChanged | RoomEntered | RoomLeft
    | CoordinatorChanged | RoomsChanged | Speaking | Levels | ChatAdded | Notice
    | WordsShown | PlayChanged
)  # fmt: skip
