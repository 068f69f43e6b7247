"""The daemon's answers and events as text for a person: aligned tables, one line for each event.

Everything that peers chose (names above all) goes through `units.safe_text` once more here: the terminal must not
obey a stranger even if a room below forgot.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from meshchat.remote.commands import LINK_CHARACTERS_MAX
from meshchat.remote.events import (
    ChatAdded,
    CoordinatorChanged,
    Event,
    Levels,
    MemberChanged,
    MemberJoined,
    MemberLeft,
    Missed,
    Notice,
    PlayChanged,
    RoomEntered,
    RoomLeft,
    RoomsChanged,
    SelfChanged,
    Snapshot,
    Speaking,
    WordsShown,
)
from meshchat.remote.state import (
    Answer,
    ChatHistory,
    ChatLine,
    DeviceList,
    DeviceStatus,
    Done,
    Invited,
    MemberList,
    MemberStatus,
    Playing,
    PlayStatus,
    ProcessingStatus,
    RoomList,
    RoomStatus,
    RoomSummary,
    Said,
    ScreenList,
    ShareStatus,
    Status,
    Watching,
    Words,
)
from meshchat.units import clock, safe_lines, safe_text, short

TEXT_CHARACTERS_MAX = 500
"""Longest notice that is shown whole."""

UNKNOWN = "-"

_AGREE = "{} sees the same two words? Then run: meshchat verify {} --agreed"

NO_NAME = "(locked)"
"""A room that does not show its name."""


def answer_text(answer: Answer) -> str:
    """What a person reads on stdout: lines without the last newline, or nothing at all."""
    match answer:
        case Done() | Said():
            return ""
        case Words(member, alias, words):
            return f"{_clean(words, TEXT_CHARACTERS_MAX)}\n{_AGREE.format(_who(member, alias), _clean(short(member)))}"
        case Invited(link) | Watching(page=link):
            return _clean(link, LINK_CHARACTERS_MAX)
        case RoomList() | MemberList() | ScreenList() | DeviceList() | Playing() | ProcessingStatus():
            return _listed(answer)
        case ChatHistory(lines):
            return "\n".join(map(line_text, lines))
        case Status():
            return _status(answer)


def _listed(answer: RoomList | MemberList | ScreenList | DeviceList | Playing | ProcessingStatus) -> str:
    match answer:
        case RoomList(rooms):
            return _rooms(rooms)
        case MemberList(members):
            return _members(members)
        case ScreenList():
            return _screens(answer)
        case DeviceList():
            return _devices(answer)
        case Playing(playing):
            return _play(playing)
        case ProcessingStatus():
            return _processing(answer)


def event_text(event: Event) -> str:
    """What happened, on one line; a snapshot on a few."""
    match event:
        case Snapshot(status, rooms):
            return f"{_status(status)}\n\n{_rooms(rooms)}"
        case MemberJoined() | MemberLeft() | MemberChanged() | Speaking():
            return _of_member(event)
        case ChatAdded(line):
            return f"chat         {line_text(line)}"
        case RoomEntered() | RoomLeft() | RoomsChanged() | CoordinatorChanged():
            return _of_room(event)
        case _:
            return _of_self(event)


def line_text(line: ChatLine) -> str:
    """One line of the chat: the time, who, and what; further rows of it are indented, so that none passes for another.

    The time is what the author's clock said, or, if that is a day off, when it came here. `!` marks what names us.
    """
    shown = time.localtime(line.shown_ms / 1000)
    head, who = f"{time.strftime('%H:%M', shown)}{'!' if line.mention else ' '}", _clean(line.alias)
    match line.kind:
        case "came":
            return f"{head} {who} came"
        case "went":
            return f"{head} {who} went: {_clean(line.text, TEXT_CHARACTERS_MAX)}"
        case "said":
            return f"{head} {who}: " + safe_lines(line.text).replace("\n", "\n       ")


def _of_member(event: MemberJoined | MemberLeft | MemberChanged | Speaking) -> str:
    match event:
        case MemberJoined(member):
            return f"joined       {_who(member.id, member.alias)}"
        case MemberLeft(member_id, alias, reason):
            return f"left         {_who(member_id, alias)}: {_clean(reason, TEXT_CHARACTERS_MAX)}"
        case MemberChanged(member):
            return f"member       {_who(member.id, member.alias)}: {_marks(member) or 'listening'}"
        case Speaking(member_id, speaking):
            return f"speaking     {_clean(short(member_id))} {'began' if speaking else 'ended'}"


def _of_room(event: RoomEntered | RoomLeft | RoomsChanged | CoordinatorChanged) -> str:
    match event:
        case RoomEntered(room):
            return f"room         entered {_clean(room.name)}, {len(room.members)} in it"
        case RoomLeft(name, _, reason):
            return f"room         left {_clean(name)}: {_clean(reason, TEXT_CHARACTERS_MAX)}"
        case RoomsChanged(rooms):
            return f"rooms        {', '.join(_clean(room.name) for room in rooms) or 'none'}"
        case CoordinatorChanged(epoch, coordinator):
            return f"coordinator  {_coordinator(coordinator)} in epoch {epoch}"


def _of_self(event: SelfChanged | Levels | Notice | Missed | WordsShown | PlayChanged) -> str:
    match event:
        case PlayChanged(playing):
            return f"playing      {_play(playing)}"
        case SelfChanged():
            return f"self         {_clean(event.alias)}: {_own_sound(event)}"
        case Levels(levels_db):
            loud = (f"{_clean(short(member))} {_number(level)} dB" for member, level in levels_db.items())
            return f"levels       {', '.join(loud)}"
        case WordsShown(member, alias, words):
            return f"words        with {_who(member, alias)}: {_clean(words, TEXT_CHARACTERS_MAX)}"
        case Notice(severity, text):
            return f"{severity:<12} {_clean(text, TEXT_CHARACTERS_MAX)}"
        case Missed(count):
            return f"missed       {count} events"


def table(rows: Sequence[Sequence[str]], numbers: frozenset[int] = frozenset()) -> str:
    """Rows in aligned columns, two blanks apart; the columns in `numbers` are flush right."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(_padded(row, widths, numbers)).rstrip() for row in rows)


def _rooms(rooms: Sequence[RoomSummary]) -> str:
    if not rooms:
        return "no rooms"
    lines = [("ROOM", "MEMBERS", "LOCKED", "JOINED", "SHARED", "ID")]
    lines += [
        (
            _clean(room.name) if room.name else NO_NAME,
            str(room.members),
            _yes(room.locked),
            _yes(room.joined),
            _yes(room.sharing),
            _clean(short(room.id)),
        )
        for room in rooms
    ]
    return table(lines, frozenset({1}))


def _members(members: Sequence[MemberStatus]) -> str:
    heads = (
        "ALIAS",
        "ID",
        "STATE",
        "LEVEL dB",
        "RTT ms",
        "LOSS %",
        "JITTER ms",
        "DELAY ms",
        "RECEIVED",
        "LOST",
        "MADE UP ms",
    )
    lines = [heads] + [
        (
            _clean(member.alias), _clean(short(member.id)), _marks(member) or UNKNOWN, _number(member.level_db),
            _number(member.rtt_ms), _number(member.loss_percent), _number(member.jitter_ms),
            _number(member.playout_delay_ms), _number(member.packets_received), _number(member.packets_lost),
            _number(member.concealed_ms),
        )
        for member in members
    ]  # fmt: skip
    return table(lines, frozenset(range(3, len(heads))))


def _screens(told: ScreenList) -> str:
    heads = ("SCREEN", "ID", "WATCHED", "SIZE", "FPS", "Mbit/s", "ASKED AGAIN", "GIVEN UP", "EXACT")
    lines = [heads] + [
        (
            _clean(each.alias), _clean(short(each.id)), _yes(each.watched), f"{each.width}x{each.height}",
            _number(each.fps), f"{each.mbit:.2f}", str(each.nacks), str(each.given_up), _yes(each.exact),
        )
        for each in told.screens
    ]  # fmt: skip
    shared = _share(told.sharing) if told.sharing else "you share no screen"
    return shared + ("\n\n" + table(lines, frozenset(range(4, 8))) if told.screens else "\nnobody else shares one")


def _share(share: ShareStatus) -> str:
    title = _clean(share.title, TEXT_CHARACTERS_MAX)
    text = f"you share {title}: {share.width}x{share.height}, {share.fps:.1f} fps, {share.mbit:.2f} Mbit/s"
    lines = [("WATCHER", "Mbit/s MAX", "DELAY ms", "STATE", "MERGED", "RESENT")]
    lines += [
        (
            _clean(short(each.id)), _number(each.mbit_max), _number(each.delay_ms),
            "behind" if each.behind else "in step", str(each.merged), str(each.resent),
        )
        for each in share.watchers
    ]  # fmt: skip
    return text + ("\n\n" + table(lines, frozenset({1, 2, 4, 5})) if share.watchers else "\nnobody watches it")


def _devices(told: DeviceList) -> str:
    using = [("in use", _clean(each, TEXT_CHARACTERS_MAX)) for each in (told.microphone, told.speaker) if each]
    listed = [_device_table("MICROPHONE", told.microphones), _device_table("SPEAKER", told.speakers)]
    return "\n\n".join([*listed, table(using)] if using else listed)


def _device_table(head: str, devices: Sequence[DeviceStatus]) -> str:
    if not devices:
        return f"no {head.lower()}s"
    lines = [("NUMBER", head, "BY", "CHANNELS", "RATE Hz", "STATE")]
    lines += [
        (
            str(each.number), _clean(each.name, TEXT_CHARACTERS_MAX), _clean(each.host), str(each.channels),
            f"{each.rate_hz:.0f}", _named_flags({"default": each.default, "in use": each.used}) or UNKNOWN,
        )
        for each in devices
    ]  # fmt: skip
    return table(lines, frozenset({0, 3, 4}))


def _status(status: Status) -> str:
    room = status.room
    lines = [
        ("peer", _clean(status.peer_id, 64)),
        ("alias", _clean(status.alias)),
        ("addresses", ", ".join(_clean(each, 64) for each in status.addresses) or UNKNOWN),
        ("port", str(status.port)),
        ("control", _clean(status.control, TEXT_CHARACTERS_MAX)),
        ("sound", _own_sound(status)),
        ("processing", _processing(status.processing)),
        ("microphone", _clean(status.microphone, TEXT_CHARACTERS_MAX)),
        ("speaker", _clean(status.speaker, TEXT_CHARACTERS_MAX)),
        ("playing", _play(status.playing)),
        ("running for", f"{status.uptime_s:.0f} s, meshchat {_clean(status.version)}"),
        ("room", _room(room) if room else "none"),
    ]
    counted = [(_clean(name), str(count)) for name, count in sorted(status.counters.items())]
    return table(lines + counted) + (f"\n\n{_members(room.members)}" if room else "")


def _own_sound(own: Status | SelfChanged) -> str:
    """Whether we are heard and hear, and when the microphone's sound goes out if that is not always."""
    now = "open" if own.talking else "closed"
    when = {"continuous": "", "voice": f"by voice over {own.threshold_db:g} dB", "push": "by key"}[own.transmit]
    flags = _flags(muted=own.muted, deafened=own.deafened, music=own.music)
    return ", ".join(filter(None, (flags, f"{when}: {now}" if when else "" if flags else now)))


def _play(playing: PlayStatus | None) -> str:
    if playing is None:
        return "nothing"
    where = f"{clock(playing.position_s)} of {clock(playing.length_s)}"
    flags = _named_flags({"paused": playing.paused, f"volume {playing.volume:g}": playing.volume != 1.0})
    return ", ".join(filter(None, (_clean(playing.file, TEXT_CHARACTERS_MAX), where, flags)))


def _processing(told: ProcessingStatus) -> str:
    """What is done to our sound, and what could be."""
    done = f"{', '.join(told.done)}: {told.delay_ms:g} ms later" if told.done else "none"
    return f"{done} (echo {told.echo}, noise {told.noise}, gain {told.gain})" + (
        f"; {_clean(told.lacking, TEXT_CHARACTERS_MAX)}" if told.lacking else ""
    )


def _room(room: RoomStatus) -> str:
    return f"{_who(room.id, room.name)}, epoch {room.epoch}, coordinator {_coordinator(room.coordinator)}"


def _marks(member: MemberStatus) -> str:
    volume = "" if member.volume == 1.0 else f"volume {member.volume:g}"
    music = "" if member.music_volume == 1.0 else f"its music {member.music_volume:g}"
    by = f"muted by {_clean(short(member.muted_by))}" if member.muted_by else ""
    known = _named_flags(
        {"verified": member.verified, "IMPOSTOR": member.impostor, "does not hear you": not member.hears_you}
    )
    said = _flags(
        you=member.you, coordinator=member.coordinator, moderator=member.moderator, speaking=member.speaking,
        muted=member.muted, deafened=member.deafened, sharing=member.sharing, playing=member.playing,
    )  # fmt: skip
    return ", ".join(filter(None, (said, known, by, volume, music)))


def _flags(**flags: bool) -> str:
    return _named_flags(flags)


def _named_flags(flags: Mapping[str, bool]) -> str:
    return ", ".join(name for name, is_set in flags.items() if is_set)


def _yes(value: bool) -> str:
    return "yes" if value else UNKNOWN


def _number(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return str(value) if isinstance(value, int) else f"{value:.1f}"


def _coordinator(peer: str | None) -> str:
    return "unknown" if peer is None else _clean(short(peer))


def _who(long_id: str, name: str) -> str:
    return f"{_clean(name)} ({_clean(short(long_id))})"


def _clean(text: str, characters_max: int = 32) -> str:
    return safe_text(text, characters_max, 4 * characters_max) or UNKNOWN


def _width(text: str) -> int:
    """How many columns of a terminal `text` takes: East Asian wide letters two, combining marks none."""
    return sum(
        0 if unicodedata.category(letter).startswith("M") else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )


def _padded(row: Sequence[str], widths: Sequence[int], numbers: frozenset[int]) -> Iterator[str]:
    for place, (text, width) in enumerate(zip(row, widths, strict=True)):
        blanks = " " * (width - _width(text))
        yield blanks + text if place in numbers else text + blanks
