"""What is seen, as one value, and what can happen to it: the daemon's events, and a few of this program's own.

Widgets draw a `State` and keep no second truth; `view.reduce` makes the next one from what happened. What grows has a
limit beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from meshchat import control
from meshchat.control import MemberStatus, RoomSummary
from meshchat.units import THRESHOLD_DB, Seconds, TransmitMode
from meshchat.view.story import Story

TRAIL_MAX = 60
"""Readings of the figures kept for each member, one a second: the last minute. The oldest go."""


@dataclass(frozen=True, slots=True)
class Linked:
    """The daemon answers. `own`: a terminal started it, so quitting ends it."""

    own: bool


@dataclass(frozen=True, slots=True)
class Unlinked:
    """The daemon does not answer, for a reason in words; `starting` says that one is on its way."""

    reason: str
    starting: bool = False


@dataclass(frozen=True, slots=True)
class FiguresRead:
    """How everything stands, the figures of each member above all: they change all the time."""

    status: control.Status


@dataclass(frozen=True, slots=True)
class ScreensRead:
    """Who shares a screen, who watches ours, and how it goes."""

    told: control.ScreenList


@dataclass(frozen=True, slots=True)
class ChatRead:
    """The chat of the room, as the daemon has it."""

    lines: tuple[control.ChatLine, ...]


@dataclass(frozen=True, slots=True)
class Looked:
    """The person looks at this terminal, or elsewhere."""

    here: bool


@dataclass(frozen=True, slots=True)
class Equipped:
    """The terminal tells when a key is let go."""


@dataclass(frozen=True, slots=True)
class WordsRead:
    """The person has seen the words to compare."""


@dataclass(frozen=True, slots=True)
class Told:
    """This program itself has something to say."""

    severity: control.Severity
    text: str


TICK_S: Seconds = 1.0
"""How often what only time changes is looked at: notices that are over, how long one has been looking."""


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time passed."""


@dataclass(frozen=True, slots=True)
class NoticeRead:
    """The person has read the notice."""


Local: TypeAlias = (
    Linked
    | Unlinked
    | FiguresRead
    | ScreensRead
    | ChatRead
    | Looked
    | Equipped
    | WordsRead
    | Told
    | Ticked
    | NoticeRead
)
Happening: TypeAlias = control.Event | Local


@dataclass(frozen=True, slots=True)
class Shown:
    """The notice that stands above the keys; `more` others came since it was last read."""

    severity: control.Severity
    text: str
    until: Seconds
    more: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """A member's figures at one instant; None for what was not known."""

    at: Seconds
    loss_percent: float | None
    rtt_ms: float | None
    packets: int | None
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Compared:
    """Words to compare with a member."""

    id: str
    alias: str
    words: str


@dataclass(frozen=True, slots=True)
class Room:
    """The room that this peer is in."""

    id: str
    name: str
    coordinator: str | None
    members: tuple[MemberStatus, ...]


@dataclass(frozen=True, slots=True)
class State:
    """Everything that is seen."""

    link: Literal["starting", "live", "lost"] = "starting"
    trouble: str = ""
    own: bool = True
    peer_id: str = ""
    alias: str = ""
    addresses: tuple[str, ...] = ()
    port: int = 0
    unanswered: int = 0
    """How many there should be who do not answer."""
    microphone: str = ""
    speaker: str = ""
    muted: bool = False
    deafened: bool = False
    transmit: TransmitMode = "continuous"
    threshold_db: float = THRESHOLD_DB
    music: bool = False
    """Whether what the microphone hears goes out as music."""
    talking: bool = True
    """Whether what the microphone hears goes out, but for the mute."""
    holds: bool = False
    """Whether the terminal tells when a key is let go."""
    playing: control.PlayStatus | None = None
    live_since: Seconds = 0.0
    now: Seconds = 0.0
    rooms: tuple[RoomSummary, ...] = ()
    room: Room | None = None
    levels: Mapping[str, float | None] = field(default_factory=dict)
    trails: Mapping[str, tuple[Reading, ...]] = field(default_factory=dict)
    share: control.ShareStatus | None = None
    """The screen that one shares, and who watches it."""
    screens: Mapping[str, control.ScreenStatus] = field(default_factory=dict)
    """Those that others share, by member."""
    compared: Compared | None = None
    """Words that a member was shown too, and that the person has not seen yet."""
    heard_at: Seconds = -math.inf
    """When one's own microphone last heard anything at all."""
    spoke_muted_at: Seconds = -math.inf
    """When the person last spoke into a muted microphone."""
    story: Story = field(default_factory=Story)
    wall_ahead_s: Seconds = 0.0
    """The time of day less the monotonic clock."""
    notice: Shown | None = None

    @property
    def sharing(self) -> bool:
        """Whether one's own screen is shared."""
        me = self.member(self.peer_id)
        return me is not None and me.sharing

    def member(self, member_id: str) -> MemberStatus | None:
        """The member of that id, if it is in the room."""
        members = self.room.members if self.room else ()
        return next((each for each in members if each.id == member_id), None)
