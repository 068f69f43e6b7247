"""The lines of the screen, drawn as pieces of text with a role each: pure, so that tests read them without a terminal.

A role is a word for what a piece is (dim, good, bad ...); the style sheet says how it looks in the theme at hand.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Literal, TypeAlias

from rich.cells import cell_len, set_cell_size

from meshchat.control import MemberStatus, RoomSummary
from meshchat.units import clock
from meshchat.view.signs import Signs, bar
from meshchat.view.state import Room, State
from meshchat.view.story import Line, Story
from meshchat.view.worries import NOT_THERE, Worry

Role: TypeAlias = Literal["text", "own", "dim", "good", "warn", "bad", "speaking", "meter", "accent", "link"]
Piece: TypeAlias = tuple[str, Role]
Pieces: TypeAlias = tuple[Piece, ...]

QUIETEST_DB = -60.0
"""Left end of the meters: a quiet room's noise."""

METER_COLUMNS = 10
NAME_COLUMNS_MAX = 24

ROW_COLUMNS_MAX = 100
"""Widest row about a member: further apart, the eye does not see what belongs together."""

LOSS_FAIR_PERCENT, LOSS_BAD_PERCENT = 1.0, 5.0
"""Above the first one hears something at times, above the second one hears it all the time."""

RTT_FAIR_MS, RTT_BAD_MS = 80.0, 250.0
"""ITU-T G.114: beyond 150 ms one way people begin to interrupt each other; half of it on the way, half in buffers."""


def fitted(text: str, columns: int, signs: Signs) -> str:
    """`text` in exactly `columns` columns, cut with a sign that says so."""
    if cell_len(text) <= columns:
        return set_cell_size(text, max(columns, 0))
    return set_cell_size(text, max(columns - 1, 0)) + signs.ellipsis if columns > 0 else ""


def begun(text: str) -> str:
    """`text` as the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def level_share(level_db: float | None) -> float:
    """Where on a meter a level stands: 0..1."""
    return 0.0 if level_db is None else min(max(1.0 - level_db / QUIETEST_DB, 0.0), 1.0)


def room_line(room: RoomSummary, columns: int, signs: Signs) -> Pieces:
    """A room in the list: where one is, its name, a shared screen, whether it is locked, how many are in it."""
    count = f"{room.members:>3} "
    mark = signs.here if room.joined else " "
    lock = signs.locked if room.locked else " "
    screen = f" {signs.sharing}" if room.sharing else ""
    name = fitted(room.name or "locked room", columns - len(count) - len(screen) - 4, signs)
    return (
        (f"{mark} ", "accent"), (name, "own" if room.joined else "text"), (screen, "warn"), (f" {lock}", "warn"),
        (count, "dim"),
    )  # fmt: skip


def screen_words(state: State, member: MemberStatus) -> str:
    """Whether one watches a member's screen, and whether it watches one's own."""
    watched = member.id in state.screens and state.screens[member.id].watched
    watches = state.share is not None and any(each.id == member.id for each in state.share.watchers)
    return " ".join(word for word, is_so in (("watched", watched), ("watches you", watches)) if is_so)


def member_line(member: MemberStatus, level_db: float | None, columns: int, signs: Signs, screen: str = "") -> Pieces:
    """A member: speaking or not, name, level, what it says of itself, and how well it arrives."""
    columns = min(columns, ROW_COLUMNS_MAX)
    name_columns = min(NAME_COLUMNS_MAX, max(8, columns - METER_COLUMNS - 26))
    full, rest = bar(0.0 if member.muted else level_share(level_db), METER_COLUMNS, signs)
    quality = quality_piece(member, signs)
    words = state_words(member, signs, screen)
    is_well = member.reachable and member.hears_you and not member.impostor
    left = columns - name_columns - METER_COLUMNS - 4 - len(quality[0])
    return (
        _ring(member, signs),
        (fitted(_name(member), name_columns, signs) + " ", "own" if member.you else "text"),
        (full, "meter"), (rest + " ", "dim"),
        (fitted(words, left - 1, signs) + " ", "dim" if is_well else "bad"),
        quality,
    )  # fmt: skip


def state_words(member: MemberStatus, signs: Signs, screen: str = "") -> str:
    """What one should know of a member besides its sound; `screen` is what goes on between us in that respect."""
    said = {
        signs.coordinator: member.coordinator,
        signs.sharing: member.sharing,
        "plays": member.playing,
        screen: bool(screen),
        "IMPOSTOR": member.impostor,
        "verified": member.verified,
        "moderator": member.moderator,
        "not reached": not member.reachable,
        "does not hear you": not member.hears_you,
        "deafened": member.deafened,
        "muted by a moderator": member.muted_by is not None,
        "muted": member.muted and not member.deafened and member.muted_by is None,
        "silent for you": member.volume == 0.0,
        f"volume {member.volume:.0%}": member.volume not in (0.0, 1.0),
    }
    return " ".join(word for word, is_so in said.items() if is_so)


def quality_piece(member: MemberStatus, signs: Signs) -> Piece:
    """How well a member arrives: a bar of three and the round trip; nothing for oneself."""
    if member.you or member.rtt_ms is None:
        return ("", "dim")
    grade = _grade(member)
    shown = {"good": (2, 4, 6), "warn": (2, 4), "bad": (2,)}[grade]
    columns = "".join(signs.spark[each] for each in shown)
    return (f"{columns:<3}{member.rtt_ms:>4.0f} ms", grade)


def _grade(member: MemberStatus) -> Literal["good", "warn", "bad"]:
    loss, rtt = member.loss_percent or 0.0, member.rtt_ms or 0.0
    if loss > LOSS_BAD_PERCENT or rtt > RTT_BAD_MS:
        return "bad"
    return "warn" if loss > LOSS_FAIR_PERCENT or rtt > RTT_FAIR_MS else "good"


def _ring(member: MemberStatus, signs: Signs) -> Piece:
    if not member.reachable:
        return (f"{signs.away} ", "bad")
    if member.muted:
        return (f"{signs.muted} ", "warn")
    return (f"{signs.speaking} ", "speaking") if member.speaking else (f"{signs.quiet} ", "dim")


def _name(member: MemberStatus) -> str:
    return f"{member.alias} (you)" if member.you else member.alias


def header_line(state: State, signs: Signs) -> Pieces:
    """Who one is, where one is, and whether the daemon is there."""
    where = state.room.name if state.room else "in no room"
    pieces: Pieces = ((" meshchat ", "accent"), (f" {state.alias or signs.ellipsis} ", "own"), (f"{signs.dot} ", "dim"))
    if state.link == "live":
        return (*pieces, (where, "text" if state.room else "dim"))
    return (*pieces, ("starting the daemon" if state.link == "starting" else "no daemon", "bad"))


def own_sound(state: State, microphone: bool) -> tuple[str, Role]:
    """How one's microphone, or what one hears, stands: in two words."""
    silent, device = (state.muted, state.microphone) if microphone else (state.deafened, state.speaker)
    if NOT_THERE in device:
        return ("no microphone" if microphone else "no speaker"), "bad"
    if not microphone:
        return ("sound off", "bad") if silent else ("sound on", "good")
    return ("mic muted", "bad") if silent else _open_microphone(state)


def _open_microphone(state: State) -> tuple[str, Role]:
    if state.transmit == "push":
        return ("you talk", "good") if state.talking else ("hold Space" if state.holds else "Space talks", "warn")
    if state.transmit == "voice":
        return ("mic open", "good") if state.talking else ("mic waits", "dim")
    return "music on" if state.music else "mic on", "good"


def device_line(word: str, device: str) -> str:
    """Which device is in use, its kind said once."""
    return device if device.startswith(word) else f"{word}: {device}"


def self_line(state: State, columns: int, signs: Signs, marked: bool = False) -> Pieces:
    """One's own level, and where the threshold is if sound goes out by voice, or with `marked`."""
    full, rest = bar(0.0 if state.muted else level_share(state.levels.get(state.peer_id)), columns, signs)
    if not marked and state.transmit != "voice":
        return (full, "meter"), (rest, "dim")
    at, shown = min(int(level_share(state.threshold_db) * columns), columns - 1), len(full)
    after = max(0, at + 1 - shown)
    return (
        (full[:at], "meter"), (rest[: max(0, at - shown)], "dim"), (signs.mark, "accent"), (full[at + 1 :], "meter"),
        (rest[after:], "dim"),
    )  # fmt: skip


def playing_line(state: State, columns: int, signs: Signs) -> Pieces:
    """The sound file that is played into the room, or nothing."""
    playing = state.playing
    if playing is None:
        return ()
    name = playing.file.replace("\\", "/").rpartition("/")[2]
    volume = "" if playing.volume == 1.0 else f" at {playing.volume:.0%}"
    times = f" {clock(playing.position_s)} of {clock(playing.length_s)}{volume} "
    word = " paused: " if playing.paused else " you play: "
    return (word, "accent"), (fitted(name, columns - len(word) - len(times), signs).rstrip(), "text"), (times, "dim")


def empty_rooms(state: State, signs: Signs) -> tuple[Pieces, ...]:
    """What the list of rooms says when there are none: where it looks, since when, and what one can do."""
    if state.link != "live":
        return ()
    hosts = [address.rpartition(":")[0] for address in state.addresses if "%" not in address] or list(state.addresses)
    seen = max(0, round(state.now - state.live_since))
    where: list[Pieces] = [((fitted(f"  {host}", 24, signs).rstrip(), "dim"),) for host in hosts[:4]]
    if not hosts:
        return ((("No network.", "bad"),),)
    return (
        (("No rooms yet.", "text"),), ((f"Looking for {seen} s on", "dim"),), *where, ((" ", "dim"),),
        (("n", "accent"), (" opens a room", "text")), (("j", "accent"), (" joins by link,", "text")),
        (("  name or address", "text"),),
    )  # fmt: skip


def no_room(state: State, signs: Signs) -> tuple[Pieces, ...]:
    """What the place of the members says outside a room: what to do next."""
    if state.link != "live":
        return ((("", "dim"),), ((f"  {state.trouble}", "text"),))
    if state.rooms:
        return (
            (("", "dim"),), (("  Choose a room and press Enter, and you talk.", "text"),), (("", "dim"),),
            (("  n", "accent"), ("  opens a new one", "dim")), (("  j", "accent"), ("  joins by name or link", "dim")),
            (("  ?", "accent"), ("  tells the other keys", "dim")),
        )  # fmt: skip
    return (
        (("", "dim"),), (("  n", "accent"), ("  opens a room. Others on this network see it at once.", "text")),
        (("  j", "accent"), ("  enters a room by its invite link.", "text")),
        (("  ?", "accent"), ("  tells the other keys.", "text")),
    )  # fmt: skip


def room_title(room: Room, signs: Signs) -> str:
    """The room's name and how many are in it."""
    count = len(room.members)
    return f"{room.name} {signs.dot} {count} {'member' if count == 1 else 'members'}"


def story_lines(story: Story, columns: int, signs: Signs) -> list[Pieces]:
    """What was said and happened, each with its time of day, folded to the width; a rule before what is new."""
    drawn: list[Pieces] = []
    for line in story.lines:
        if line.key == story.unread_from:
            rule = signs.rule * max(0, (columns - 7) // 2)
            drawn.append(((f"{rule}  new  {rule}"[:columns], "accent"),))
        drawn += story_line(line, columns)
    return drawn


def story_line(line: Line, columns: int) -> list[Pieces]:
    """One line of the story; `!` marks what names oneself, and what is folded is indented under its speaker."""
    stamp = time.strftime("%H:%M", time.localtime(line.at_ms / 1000)) + ("!" if line.mention else " ")
    if line.kind != "said":
        role: Role = {"came": "good", "went": "warn", "trouble": "bad"}.get(line.kind, "dim")  # type: ignore[assignment]
        rows = folded(happening_text(line), columns - len(stamp))
        return [((stamp if not at else " " * len(stamp), "dim"), (row, role)) for at, row in enumerate(rows)]
    head = f"{line.who}: "
    rows = [row for part in line.text.split("\n") for row in folded(part, max(columns - len(stamp) - 2, 8))]
    if cell_len(head) + cell_len(rows[0]) > columns - len(stamp):
        rows.insert(0, "")
    first: Pieces = (
        (stamp, "accent" if line.mention else "dim"), (head, "own" if line.you else "accent"), *linked(rows[0]),
    )  # fmt: skip
    return [first, *(((" " * (len(stamp) + 2), "dim"), *linked(row)) for row in rows[1:])]


def happening_text(line: Line) -> str:
    """What a line says that nobody said."""
    if line.kind == "came":
        return "You came in." if line.you else f"{line.who} came in."
    if line.kind == "went":
        return f"{line.who} left." if line.text in ("", "left") else f"{line.who} is gone: {line.text}."
    return line.text


def finished_mention(text: str, aliases: Iterable[str]) -> str | None:
    """`text` with the name finished that its last `@...` begins; None where it begins none."""
    begun = re.search(r"(?:^|\s)@(\S+)$", text)
    if begun is None:
        return None
    found = sorted(each for each in aliases if each.casefold().startswith(begun[1].casefold()))
    return text + found[0][len(begun[1]) :] if found else None


def linked(text: str) -> Pieces:
    """The text with its web addresses in the role of links: shown, never opened by themselves."""
    pieces: list[Piece] = []
    for word in re.split(r"(https?://\S+)", text):
        if word:
            pieces.append((word, "link" if word.startswith("http") else "text"))
    return tuple(pieces)


def folded(text: str, columns: int) -> list[str]:
    """`text` in lines of at most `columns` columns, broken at blanks where there are some."""
    lines, line = [], ""
    for word in text.split(" "):
        rest = word
        if line and cell_len(line) + 1 + cell_len(rest) <= columns:
            line, rest = f"{line} {rest}", ""
        elif line:
            lines.append(line)
            line = ""
        while rest and cell_len(rest) > columns:
            head = set_cell_size(rest, columns).rstrip()
            lines.append(head)
            rest = rest[max(len(head), 1) :]
        line = rest or line
    return [*lines, line]


def notice_line(state: State, signs: Signs, columns: int) -> Pieces:
    """The one line above the keys: what is wrong with the daemon, else the notice, else nothing."""
    if state.link == "lost":
        return (
            (fitted(f" {state.trouble}", columns - 24, signs), "bad"),
            ("  r", "accent"),
            (" starts it again", "text"),
        )
    shown = state.notice
    if shown is None:
        return ()
    role: Role = {"info": "text", "warning": "warn", "error": "bad"}[shown.severity]  # type: ignore[assignment]
    more = f" (and {shown.more} before)" if shown.more else ""
    return ((fitted(f" {shown.text}", columns - len(more) - 1, signs).rstrip(), role), (more, "dim"))


def note_lines(text: str, columns: int) -> list[Pieces]:
    """A remark under a list, folded."""
    return [((row, "dim"),) for row in folded(text, columns)] if text else []


KEYS = {"": "", "sound": "o chooses another.", "mute": "m opens it."}
"""How to do what a worry asks for."""


def worry_lines(found: Iterable[Worry], columns: int) -> list[Pieces]:
    """What is wrong and what to do, folded and marked."""
    drawn: list[Pieces] = []
    for worry in found:
        role: Role = "bad" if worry.grave else "warn"
        rows = folded(f"{worry.text} {KEYS[worry.by]}".strip(), columns - 2)
        drawn += [(("! " if not place else "  ", role), (row, role)) for place, row in enumerate(rows)]
    return drawn


def text_of(pieces: Iterable[Piece]) -> str:
    """The pieces without their roles."""
    return "".join(text for text, _ in pieces)
