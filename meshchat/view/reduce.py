"""`reduce` makes the next `State` from what happened.

Text that other people chose is cleaned on its way in, here and nowhere else, so that no line drawn from a `State` can
hold what a terminal would obey. Time is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Literal, TypeAlias

from msgspec import structs

from meshchat import control
from meshchat.control import MemberStatus, RoomSummary
from meshchat.units import Seconds, safe_text, short
from meshchat.view.state import (
    TRAIL_MAX,
    ChatRead,
    Compared,
    Equipped,
    FiguresRead,
    Happening,
    Linked,
    Looked,
    NoticeRead,
    Reading,
    Room,
    ScreensRead,
    Shown,
    State,
    Ticked,
    Told,
    Unlinked,
    WordsRead,
)

TEXT_CHARACTERS_MAX = 500
"""Longest notice or reason that is shown; the rest is cut."""

WORDS_CHARACTERS_MAX = 100
"""Longer than any two words to compare."""

INFO_S: Seconds = 6.0
"""How long a notice that asks for nothing stays."""

TROUBLE_S: Seconds = 30.0
"""How long one stays that asks for something; it is in the list of what happened after that."""

Own: TypeAlias = Linked | Unlinked | ChatRead | Looked | Equipped | WordsRead | Told | Ticked | NoticeRead

SILENT_DB = -90.0
"""Quieter than any microphone that is switched on: its own noise is louder."""

SPOKEN_DB = -35.0
"""Somebody speaks into the microphone: typing and a fan are less, even close to it."""


def reduce(state: State, event: Happening, now: Seconds) -> State:
    """What is seen after `event`, which happened at `now`. Events that change nothing leave the same `State`."""
    match event:
        case (
            Linked() | Unlinked() | ChatRead() | Looked() | Equipped() | WordsRead() | Told() | Ticked() | NoticeRead()
        ):
            return _local(state, event, now)
        case FiguresRead() | ScreensRead() | control.Levels() | control.WordsShown():
            return _read(state, event, now)
        case control.RoomEntered() | control.RoomLeft() | control.CoordinatorChanged():
            return _room(state, event, now)
        case control.MemberJoined() | control.MemberLeft() | control.MemberChanged() | control.Speaking():
            return _member(state, event)
        case control.Snapshot():
            return _snapshot(state, event, now)
        case _:
            return _latest(state, event, now)


def _read(state: State, event: FiguresRead | ScreensRead | control.Levels | control.WordsShown, now: Seconds) -> State:
    match event:
        case FiguresRead(status):
            return _figures(state, status, now)
        case ScreensRead(told):
            return replace(state, share=_share(told.sharing), screens={each.id: each for each in told.screens})
        case control.Levels(levels_db):
            return _levels(state, levels_db, now)
        case control.WordsShown():
            return _words(state, event, now)


def _latest(state: State, event: control.Event, now: Seconds) -> State:
    match event:
        case control.RoomsChanged(rooms):
            return replace(state, rooms=_rooms(rooms))
        case control.SelfChanged():
            return _self_changed(state, event, now)
        case control.PlayChanged(playing):
            return replace(state, playing=_playing(playing))
        case control.Notice(severity, text):
            return _noticed(state, severity, text, now)
        case control.ChatAdded(line):
            return replace(state, story=state.story.add(line)) if state.room else state
        case _:
            return state


def _local(state: State, event: Own, now: Seconds) -> State:
    match event:
        case Linked(own):
            return replace(state, link="live", trouble="", own=own, live_since=now)
        case Unlinked(reason, starting):
            return replace(_gone(state), link="starting" if starting else "lost", trouble=_text(reason))
        case ChatRead(lines):
            return replace(state, story=state.story.reread(lines))
        case Equipped() | WordsRead():
            return replace(state, holds=True) if isinstance(event, Equipped) else replace(state, compared=None)
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
    return replace(_outside(state), rooms=())


def _outside(state: State) -> State:
    """Without what belongs to a room, but for its chat."""
    return replace(state, room=None, levels={}, trails={}, unanswered=0, share=None, screens={}, compared=None)


def _snapshot(state: State, event: control.Snapshot, now: Seconds) -> State:
    status = event.status
    room = _entered(status.room) if status.room else None
    return replace(
        _oneself(state, status), now=now, heard_at=now, peer_id=status.peer_id, addresses=status.addresses,
        port=status.port, playing=_playing(status.playing), rooms=_rooms(event.rooms), room=room,
    )  # fmt: skip


def _oneself(state: State, told: control.Status | control.SelfChanged) -> State:
    """What of oneself a person changes, or a device that comes and goes."""
    return replace(
        state, alias=safe_text(told.alias), muted=told.muted, deafened=told.deafened,
        microphone=_text(told.microphone), speaker=_text(told.speaker), transmit=told.transmit,
        threshold_db=told.threshold_db, talking=told.talking, music=told.music,
    )  # fmt: skip


def _self_changed(state: State, event: control.SelfChanged, now: Seconds) -> State:
    told = _oneself(state, event)

    def renewed(member: MemberStatus) -> MemberStatus:
        return structs.replace(member, alias=told.alias, muted=told.muted, deafened=told.deafened)

    known = _changed(told, told.peer_id, renewed)
    if event.transmit == state.transmit:
        return known
    key = "Hold Space to talk" if state.holds else "Space begins to talk, and ends it"
    return _noticed(known, "info", transmit_sentence(known, f"{key}; while you write, F4 does the same."), now)


def transmit_sentence(state: State, by_key: str) -> str:
    """When one's sound goes out; by key, in the words of whoever shows it."""
    return {
        "continuous": "Your sound goes out all the time.",
        "voice": f"Your sound goes out while you speak, louder than {state.threshold_db:.0f} dB.",
        "push": by_key,
    }[state.transmit]


def _room(
    state: State, event: control.RoomEntered | control.RoomLeft | control.CoordinatorChanged, now: Seconds
) -> State:
    match event:
        case control.RoomEntered(room):
            entered = _entered(room)
            fresh = replace(_outside(state), room=entered, heard_at=now, story=state.story.left())
            return _logged(fresh, "note", f"You are in {entered.name}.", now)
        case control.RoomLeft(name, room_id, reason):
            if state.room is not None and state.room.id != room_id:
                return state
            why = "" if reason == "left" else f": {_text(reason)}"
            return _logged(
                replace(_outside(state), story=state.story.left()), "note", f"You left {safe_text(name)}{why}.", now
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


def _levels(state: State, levels_db: Mapping[str, float | None], now: Seconds) -> State:
    own = levels_db.get(state.peer_id)
    return replace(
        state, levels=levels_db,
        heard_at=now if own is not None and own > SILENT_DB else state.heard_at,
        spoke_muted_at=now if own is not None and own > SPOKEN_DB and state.muted else state.spoke_muted_at,
    )  # fmt: skip


def _words(state: State, event: control.WordsShown, now: Seconds) -> State:
    shown = compared(event)
    said = f"Words to compare with {shown.alias}, who sees them too: v on {shown.alias} shows them."
    return _noticed(replace(state, compared=shown), "info", said, now)


def compared(told: control.Words | control.WordsShown) -> Compared:
    """Words to compare, asked for here or there."""
    words = safe_text(told.words, WORDS_CHARACTERS_MAX, 4 * WORDS_CHARACTERS_MAX)
    return Compared(told.id, safe_text(told.alias) or short(told.id), words)


def _playing(playing: control.PlayStatus | None) -> control.PlayStatus | None:
    return structs.replace(playing, file=_text(playing.file)) if playing else None


def _share(share: control.ShareStatus | None) -> control.ShareStatus | None:
    return structs.replace(share, title=_text(share.title)) if share else None


def _figures(state: State, status: control.Status, now: Seconds) -> State:
    """Figures of those who are known; who comes and goes is told by events alone, so that none is told twice."""
    state = replace(
        state, addresses=status.addresses, port=status.port, unanswered=status.unanswered,
        playing=_playing(status.playing),
    )  # fmt: skip
    if state.room is None or status.room is None or status.room.id != state.room.id:
        return state
    read = {each.id: _clean(each) for each in status.room.members}
    here = tuple(read.get(each.id, each) for each in state.room.members)
    trails = {each.id: state.trails[each.id] for each in here if each.id in state.trails}
    for member in here:
        if member.id in read:
            reading = Reading(now, member.loss_percent, member.rtt_ms, member.packets_received, member.bytes_received)
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
    return structs.replace(member, alias=safe_text(member.alias) or short(member.id), addresses=addresses)


def _rooms(rooms: Iterable[RoomSummary]) -> tuple[RoomSummary, ...]:
    """The rooms in an order that does not move under the finger: one's own first, then by name."""
    cleaned = (structs.replace(each, name=safe_text(each.name)) for each in rooms)
    return tuple(sorted(cleaned, key=lambda room: (not room.joined, room.name.casefold(), room.id)))


def _text(text: str) -> str:
    return safe_text(text, TEXT_CHARACTERS_MAX, 4 * TEXT_CHARACTERS_MAX)
