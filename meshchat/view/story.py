"""What was said and what happened, in one order: the chat's own, with this program's remarks at the end of it.

The chat has the same order for everybody, and a line may come late for an earlier place (after a split has healed), so
lines are put where they belong and not where they arrive. A remark of this program has no place in that order: it goes
last, when it is made. Lines that came while the person was away are counted and marked.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from meshchat.control import ChatLine
from meshchat.units import safe_lines, safe_text, short

LINES_MAX = 1000
"""Lines kept: as many as the daemon keeps of a room, and hours of a calm one. The first ones go."""

Key: TypeAlias = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was said or happened; `at_ms` is the time of day to show, in ms since 1970."""

    order: int
    author: str
    id: str
    at_ms: int
    kind: Literal["said", "came", "went", "note", "trouble"]
    who: str
    text: str
    you: bool = False
    mention: bool = False

    @property
    def key(self) -> Key:
        """Its place."""
        return (self.order, self.author, self.id)


@dataclass(frozen=True, slots=True)
class Story:
    """The lines, in order; `unread` of them, from `unread_from` on, came while the person was away."""

    lines: tuple[Line, ...] = ()
    away: bool = False
    unread: int = 0
    unread_from: Key | None = None
    serial: int = 0

    def remark(self, kind: Literal["note", "trouble"], text: str, at_ms: int) -> Story:
        """With a line of this program's own at the end."""
        order = max(at_ms, self.lines[-1].order if self.lines else 0)
        line = Line(order, "~", f"{self.serial:09}", at_ms, kind, "", text)
        return replace(self, lines=(*self.lines, line)[-LINES_MAX:], serial=self.serial + 1)

    def add(self, told: ChatLine) -> Story:
        """With a line of the chat in its place; one that is there already changes nothing."""
        line = _line(told)
        at = bisect_left(self.lines, line.key, key=lambda each: each.key)
        if at < len(self.lines) and self.lines[at].key == line.key:
            return self
        lines = list(self.lines)
        lines.insert(at, line)
        fresh = replace(self, lines=tuple(lines[-LINES_MAX:]))
        if line.you:
            return fresh.looked() if line.kind == "said" else fresh
        if not self.away or line.kind != "said":
            return fresh
        first = min(self.unread_from or line.key, line.key)
        return replace(fresh, unread=self.unread + 1, unread_from=first)

    def reread(self, told: Iterable[ChatLine]) -> Story:
        """With the chat as the daemon has it, in place of what was known of it; remarks stay."""
        lines = {each.key: each for each in (*filter(_is_remark, self.lines), *map(_line, told))}
        return replace(self, lines=tuple(lines[key] for key in sorted(lines))[-LINES_MAX:])

    def left(self) -> Story:
        """Without the chat: it belongs to the room, and so does what was not read of it."""
        kept = tuple(filter(_is_remark, self.lines))
        return replace(self, lines=kept, unread=0, unread_from=None)

    def looked(self) -> Story:
        """The person has seen it all."""
        return replace(self, away=False, unread=0, unread_from=None)

    def went_away(self) -> Story:
        """The person looks elsewhere; what comes from now on is new to it."""
        return replace(self, away=True, unread=0, unread_from=None)

    def came_back(self) -> Story:
        """The person looks here again; the mark stays until something is written or it goes away again."""
        return replace(self, away=False)


def _is_remark(line: Line) -> bool:
    return line.kind in ("note", "trouble")


def _line(told: ChatLine) -> Line:
    who = safe_text(told.alias) or short(safe_text(told.author))
    return Line(
        told.order, told.author, told.id, told.shown_ms, told.kind, who, safe_lines(told.text), told.you, told.mention
    )
