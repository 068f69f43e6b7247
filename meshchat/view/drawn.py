"""Widgets that draw lines made of pieces: a line, a column of lines, and a column with a cursor.

Textual's own list lays everything out again when one prompt changes; with a meter in each row that happens ten times a
second. Here lines that stay equal are not touched, and text is never markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, get_args

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Label

from meshchat.view.lines import Pieces, Role

ROLE_CLASSES = {f"role--{role}" for role in get_args(Role)}
"""The style sheet gives each role its looks."""


def strip_of(widget: Widget, pieces: Pieces, under: Style) -> Strip:
    """The pieces in the looks of their roles, over the style `under`, as wide as the widget."""
    base = widget.rich_style
    looks = {role: widget.get_component_rich_style(f"role--{role}", partial=True) for _, role in pieces}
    segments = [Segment(text, base + looks[role] + under) for text, role in pieces]
    return Strip(segments).adjust_cell_length(widget.size.width, base + under)


class Said(Label):
    """Text that changes; Textual would lay everything out again even for the same one."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, markup=False)

    def say(self, text: str) -> None:
        """Show this instead."""
        if text != self.content:
            self.update(text)


class OneLine(Widget):
    """One line of pieces."""

    COMPONENT_CLASSES: ClassVar[set[str]] = ROLE_CLASSES

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._pieces: Pieces = ()

    def show_line(self, pieces: Pieces) -> None:
        """Show this instead."""
        if pieces != self._pieces:
            self._pieces = pieces
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of the terminal."""
        if y > 0:
            return Strip.blank(self.size.width, self.rich_style)
        return strip_of(self, self._pieces, Style.null())


class Lines(ScrollView, can_focus=True):
    """Lines one above the other; `follow` keeps the last one in sight unless one has scrolled up."""

    COMPONENT_CLASSES: ClassVar[set[str]] = ROLE_CLASSES | {"drawn--cursor"}

    def __init__(self, id: str, follow: bool = False) -> None:
        super().__init__(id=id)
        self._lines: tuple[Pieces, ...] = ()
        self._title = ""
        self._follow = follow

    @property
    def columns(self) -> int:
        """How wide a line may be."""
        return max(self.scrollable_content_region.width, 8)

    def entitle(self, title: str) -> None:
        """Show this title; Textual would draw all lines again even for the same one."""
        if title != self._title:
            self._title, self.border_title = title, Text(title)  # a str would be read as markup

    def show_lines(self, lines: Sequence[Pieces]) -> None:
        """Show these lines and no others."""
        old, self._lines = self._lines, tuple(lines)
        if len(old) != len(self._lines):
            at_end = self.scroll_offset.y >= self.max_scroll_y
            self.virtual_size = Size(0, len(self._lines))
            self.refresh()
            if self._follow and at_end:
                self.scroll_end(animate=False)
            return
        for place, (was, now) in enumerate(zip(old, self._lines, strict=True)):
            if was != now:
                self.refresh_line(place)

    def render_line(self, y: int) -> Strip:
        """One line of the terminal."""
        place = y + self.scroll_offset.y
        if place >= len(self._lines):
            return Strip.blank(self.size.width, self.rich_style)
        return strip_of(self, self._lines[place], self.under(place))

    def under(self, place: int) -> Style:
        """What lies under the line at `place`."""
        return Style.null()


class Rows(Lines):
    """Lines, the first of which have a key each; the cursor stands on one of those."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("home", "move(-9999)", "First", show=False),
        Binding("end", "move(9999)", "Last", show=False),
        Binding("pageup", "move(-10)", "Page up", show=False),
        Binding("pagedown", "move(10)", "Page down", show=False),
        Binding("enter", "choose", "Choose", show=False),
    ]

    cursor: reactive[int] = reactive(0, repaint=False)

    class Chosen(Message):
        """Enter, or a click, on a line with a key."""

        def __init__(self, rows: Rows, key: str) -> None:
            super().__init__()
            self.rows = rows
            self.key = key

        @property
        def control(self) -> Rows:
            return self.rows

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self._keys: tuple[str, ...] = ()

    @property
    def chosen(self) -> str | None:
        """The key under the cursor."""
        return self._keys[self.cursor] if self.cursor < len(self._keys) else None

    def show_rows(self, keyed: Sequence[tuple[str, Pieces]], notes: Sequence[Pieces] = ()) -> None:
        """Show these lines, then the notes; the cursor stays on the key it was on."""
        before = self.chosen
        self._keys = tuple(key for key, _ in keyed)
        self.show_lines([*(pieces for _, pieces in keyed), *notes])
        if before in self._keys:
            self.cursor = self._keys.index(before)
        else:
            self.cursor = max(0, min(self.cursor, len(self._keys) - 1))

    def under(self, place: int) -> Style:
        """The cursor, while these lines are where the keys go."""
        on_cursor = place == self.cursor and self.has_focus and place < len(self._keys)
        return self.get_component_rich_style("drawn--cursor", partial=True) if on_cursor else Style.null()

    def watch_cursor(self, old: int, new: int) -> None:
        """Repaint the two lines concerned and keep the new one in sight."""
        self.refresh_line(old)
        self.refresh_line(new)
        self.scroll_to_region(Region(0, new, 1, 1), animate=False)

    def on_focus(self) -> None:
        """Show the cursor."""
        self.refresh_line(self.cursor)

    def on_blur(self) -> None:
        """Hide the cursor."""
        self.refresh_line(self.cursor)

    def on_click(self, event: events.Click) -> None:
        """A click on a line means it."""
        where = event.get_content_offset(self)
        place = where.y + self.scroll_offset.y if where else len(self._keys)
        if place < len(self._keys):
            self.cursor = place
            self.action_choose()

    def action_move(self, by: int) -> None:
        """Move the cursor by so many lines, as far as there are some."""
        self.cursor = max(0, min(self.cursor + by, len(self._keys) - 1))

    def action_choose(self) -> None:
        """Tell that the line under the cursor is meant."""
        if self.chosen is not None:
            self.post_message(self.Chosen(self, self.chosen))
