"""What is seen, as one value; and `reduce`, which makes the next one from what happened.

The daemon's events come in, a new `State` comes out, and widgets draw it: no widget keeps a second truth. Text that
other people chose is cleaned on its way in, here and nowhere else, so that no line drawn from a `State` can hold what
a terminal would obey. Time is an argument; what grows has a limit beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from msgspec import structs

from meshchat import control
from meshchat.control import MemberStatus, RoomSummary
from meshchat.units import Seconds, safe_text
from meshchat.view.story import Story

TRAIL_MAX = 60
"""Readings of the figures kept for each member, one a second: the last minute. The oldest go."""

TEXT_CHARACTERS_MAX = 500
"""Longest notice or reason that is shown; the rest is cut."""

INFO_S: Seconds = 6.0
"""How long a notice that asks for nothing stays."""

TROUBLE_S: Seconds = 30.0
"""How long one stays that asks for something; it is in the list of what happened after that."""


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
    """The figures of each member, as they are now."""

    members: tuple[MemberStatus, ...]


@dataclass(frozen=True, slots=True)
class ChatRead:
    """The chat of the room, as the daemon has it."""

    lines: tuple[control.ChatLine, ...]


@dataclass(frozen=True, slots=True)
class Looked:
    """The person looks at this terminal, or elsewhere."""

    here: bool


@dataclass(frozen=True, slots=True)
class Told:
    """This program itself has something to say."""

    severity: control.Severity
    text: str


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time passed."""


@dataclass(frozen=True, slots=True)
class NoticeRead:
    """The person has read the notice."""


Local: TypeAlias = Linked | Unlinked | FiguresRead | ChatRead | Looked | Told | Ticked | NoticeRead
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
    microphone: str = ""
    speaker: str = ""
    muted: bool = False
    deafened: bool = False
    live_since: Seconds = 0.0
    now: Seconds = 0.0
    rooms: tuple[RoomSummary, ...] = ()
    room: Room | None = None
    levels: Mapping[str, float | None] = field(default_factory=dict)
    trails: Mapping[str, tuple[Reading, ...]] = field(default_factory=dict)
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


def reduce(state: State, event: Happening, now: Seconds) -> State:
    """What is seen after `event`, which happened at `now`. Events that change nothing leave the same `State`."""
    match event:
        case Linked() | Unlinked() | FiguresRead() | ChatRead() | Looked() | Told() | Ticked() | NoticeRead():
            return _local(state, event, now)
        case control.RoomEntered() | control.RoomLeft() | control.CoordinatorChanged():
            return _room(state, event, now)
        case control.MemberJoined() | control.MemberLeft() | control.MemberChanged() | control.Speaking():
            return _member(state, event)
        case control.Snapshot():
            return _snapshot(state, event, now)
        case _:
            return _latest(state, event, now)


def _latest(state: State, event: control.Event, now: Seconds) -> State:
    match event:
        case control.Levels(levels_db):
            return replace(state, levels=levels_db)
        case control.RoomsChanged(rooms):
            return replace(state, rooms=_rooms(rooms))
        case control.SelfChanged():
            return _self_changed(state, event)
        case control.Notice(severity, text):
            return _noticed(state, severity, text, now)
        case control.ChatAdded(line):
            return replace(state, story=state.story.add(line)) if state.room else state
        case _:
            return state


def _local(state: State, event: Local, now: Seconds) -> State:
    match event:
        case Linked(own):
            return replace(state, link="live", trouble="", own=own, live_since=now)
        case Unlinked(reason, starting):
            return replace(_gone(state), link="starting" if starting else "lost", trouble=_text(reason))
        case FiguresRead(members):
            return _figures(state, members, now)
        case ChatRead(lines):
            return replace(state, story=state.story.reread(lines))
        case Looked(here):
            return replace(state, story=state.story.came_back() if here else state.story.went_away())
        case _:
            return _noticing(state, event, now)


def _noticing(state: State, event: Told | Ticked | NoticeRead, now: Seconds) -> State:
    match event:
        case Told(severity, text):
            return _noticed(state, severity, text, now)
        case Ticked():
            over = state.notice is not None and state.notice.until <= now
            return replace(state, now=now, notice=None if over else state.notice)
        case NoticeRead():
            return replace(state, notice=None)


def _gone(state: State) -> State:
    """Without a daemon nobody is heard, and whoever was seen is not seen now."""
    return replace(state, room=None, rooms=(), levels={}, trails={})


def _snapshot(state: State, event: control.Snapshot, now: Seconds) -> State:
    status = event.status
    room = _entered(status.room) if status.room else None
    return replace(
        state, now=now, peer_id=status.peer_id, alias=safe_text(status.alias), addresses=status.addresses,
        microphone=_text(status.microphone), speaker=_text(status.speaker), muted=status.muted,
        deafened=status.deafened, rooms=_rooms(event.rooms), room=room,
    )  # fmt: skip


def _self_changed(state: State, event: control.SelfChanged) -> State:
    alias = safe_text(event.alias)

    def renewed(member: MemberStatus) -> MemberStatus:
        return structs.replace(member, alias=alias, muted=event.muted, deafened=event.deafened)

    return replace(
        _changed(state, state.peer_id, renewed), alias=alias, muted=event.muted, deafened=event.deafened,
        microphone=_text(event.microphone), speaker=_text(event.speaker),
    )  # fmt: skip


def _room(
    state: State, event: control.RoomEntered | control.RoomLeft | control.CoordinatorChanged, now: Seconds
) -> State:
    match event:
        case control.RoomEntered(room):
            entered = _entered(room)
            fresh = replace(state, room=entered, levels={}, trails={}, story=state.story.left())
            return _logged(fresh, "note", f"You are in {entered.name}.", now)
        case control.RoomLeft(name, room_id, reason):
            if state.room is not None and state.room.id != room_id:
                return state
            why = "" if reason == "left" else f": {_text(reason)}"
            return _logged(
                replace(state, room=None, story=state.story.left()), "note", f"You left {safe_text(name)}{why}.", now
            )
        case control.CoordinatorChanged(coordinator=coordinator):
            return _coordinated(state, coordinator, now)


def _coordinated(state: State, coordinator: str | None, now: Seconds) -> State:
    if state.room is None:
        return state
    members = tuple(structs.replace(each, coordinator=each.id == coordinator) for each in state.room.members)
    known = replace(state, room=replace(state.room, coordinator=coordinator, members=members))
    leader = known.member(coordinator) if coordinator else None
    if leader is None or coordinator == state.room.coordinator:
        return known
    return _logged(known, "note", "You coordinate now." if leader.you else f"{leader.alias} coordinates now.", now)


def _member(
    state: State, event: control.MemberJoined | control.MemberLeft | control.MemberChanged | control.Speaking
) -> State:
    """Who is here and how; that somebody came or went is told by the chat."""
    if state.room is None:
        return state
    match event:
        case control.MemberJoined(member):
            return _with(state, _clean(member))
        case control.MemberLeft(member_id):
            others = tuple(each for each in state.room.members if each.id != member_id)
            return replace(state, room=replace(state.room, members=others))
        case control.MemberChanged(member):
            return _with(state, _clean(member))
        case control.Speaking(member_id, speaking):
            return _changed(state, member_id, lambda member: structs.replace(member, speaking=speaking))


def _with(state: State, member: MemberStatus) -> State:
    """The room with this member in it, in its old place if it had one."""
    assert state.room is not None
    others = state.room.members
    if state.member(member.id) is None:
        return replace(state, room=replace(state.room, members=(*others, member)))
    return _changed(state, member.id, lambda _: member)


def _changed(state: State, member_id: str, change: Callable[[MemberStatus], MemberStatus]) -> State:
    if state.room is None:
        return state
    members = tuple(change(each) if each.id == member_id else each for each in state.room.members)
    return replace(state, room=replace(state.room, members=members))


def _figures(state: State, members: Iterable[MemberStatus], now: Seconds) -> State:
    """Figures of those who are known; who comes and goes is told by events alone, so that none is told twice."""
    if state.room is None:
        return state
    read = {each.id: _clean(each) for each in members}
    here = tuple(read.get(each.id, each) for each in state.room.members)
    trails = {each.id: state.trails[each.id] for each in here if each.id in state.trails}
    for member in here:
        if member.id in read:
            reading = Reading(now, member.loss_percent, member.rtt_ms, member.packets_received)
            trails[member.id] = (*trails.get(member.id, ()), reading)[-TRAIL_MAX:]
    return replace(state, room=replace(state.room, members=here), trails=trails)


def _noticed(state: State, severity: control.Severity, text: str, now: Seconds) -> State:
    """One notice at a time: a newer one takes the place, the same one again only stays longer."""
    clean, old = _text(text), state.notice
    stays = INFO_S if severity == "info" else TROUBLE_S
    if old is not None and old.text == clean:
        return replace(state, notice=replace(old, until=now + stays))
    more = old.more + 1 if old is not None else 0
    shown = replace(state, notice=Shown(severity, clean, now + stays, more))
    return shown if severity == "info" else _logged(shown, "trouble", clean, now)


def _logged(state: State, kind: Literal["note", "trouble"], text: str, now: Seconds) -> State:
    return replace(state, story=state.story.remark(kind, text, int((now + state.wall_ahead_s) * 1000)))


def _entered(room: control.RoomStatus) -> Room:
    members = tuple(map(_clean, room.members))
    return Room(room.id, safe_text(room.name), room.coordinator, members)


def _clean(member: MemberStatus) -> MemberStatus:
    addresses = tuple(safe_text(each, 64) for each in member.addresses)
    return structs.replace(member, alias=safe_text(member.alias) or member.id[:8], addresses=addresses)


def _rooms(rooms: Iterable[RoomSummary]) -> tuple[RoomSummary, ...]:
    """The rooms in an order that does not move under the finger: one's own first, then by name."""
    cleaned = (structs.replace(each, name=safe_text(each.name)) for each in rooms)
    return tuple(sorted(cleaned, key=lambda room: (not room.joined, room.name.casefold(), room.id)))


def _text(text: str) -> str:
    return safe_text(text, TEXT_CHARACTERS_MAX, 4 * TEXT_CHARACTERS_MAX)
