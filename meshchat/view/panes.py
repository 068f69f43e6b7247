"""The parts of the main screen; each is handed the whole `State` and shows its part of it."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.suggester import Suggester
from textual.widgets import Input

from meshchat.units import TEXT_CHARACTERS_MAX
from meshchat.view import lines
from meshchat.view.drawn import Lines, OneLine, Rows
from meshchat.view.figures import figure_lines
from meshchat.view.intents import Read
from meshchat.view.signs import Signs
from meshchat.view.state import State
from meshchat.view.story import Story
from meshchat.view.worries import alone, worries


class Heading(OneLine):
    """Who one is and where one is."""

    def show(self, state: State, signs: Signs) -> None:
        """Draw this state."""
        self.show_line(lines.header_line(state, signs))


class Rooms(Rows):
    """The rooms around."""

    def show(self, state: State, signs: Signs) -> None:
        """Draw this state."""
        self.entitle("Rooms")
        keyed = [(room.id, lines.room_line(room, self.columns, signs)) for room in state.rooms]
        self.show_rows(keyed, () if keyed else lines.empty_rooms(state, signs))


class Members(Rows):
    """Who is in the room."""

    def show(self, state: State, signs: Signs) -> None:
        """Draw this state."""
        room, columns = state.room, self.columns
        wrong = _under(lines.worry_lines(worries(state), columns))
        if room is None:
            self.entitle("No room")
            self.show_rows((), (*lines.no_room(state, signs), *wrong))
            return
        self.entitle(lines.room_title(room, signs))
        keyed = [
            (
                each.id,
                lines.member_line(each, state.levels.get(each.id), columns, signs, lines.screen_words(state, each)),
            )
            for each in room.members
        ]
        self.show_rows(keyed, (*wrong, *_under(lines.note_lines(alone(state, room), columns))))


def _under(rows: list[lines.Pieces]) -> list[lines.Pieces]:
    """The rows with a blank line before them, if there are any."""
    return [(("", "dim"),), *rows] if rows else []


class Chat(Lines):
    """What was said, who came and went, and what one should have read."""

    _drawn: tuple[Story, int] | None = None

    def show(self, state: State, signs: Signs) -> None:
        """Draw this state."""
        unread = state.story.unread
        self.entitle(f"Chat {signs.dot} {unread} new" if unread else "Chat" if state.room else "What happened")
        if (
            self._drawn is None or self._drawn[0] is not state.story or self._drawn[1] != self.columns
        ):  # folding a thousand lines takes longer than a frame
            self._drawn = state.story, self.columns
            self.show_lines(lines.story_lines(state.story, self.columns, signs))


class Draft(Input):
    """What one is about to say to the room."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.back_to_members", "Back", show=True)]

    def __init__(self) -> None:
        super().__init__(
            placeholder="Write to the room", id="draft", max_length=TEXT_CHARACTERS_MAX, select_on_focus=False,
            suggester=Mentions(),
        )  # fmt: skip

    def show(self, state: State) -> None:
        """Be there inside a room only."""
        assert isinstance(self.suggester, Mentions)
        self.suggester.aliases = tuple(each.alias for each in state.room.members if not each.you) if state.room else ()


class Mentions(Suggester):
    """Proposes to finish an `@name` with the name of a member; the right arrow takes it."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self.aliases: tuple[str, ...] = ()

    async def get_suggestion(self, value: str) -> str | None:
        """The whole text with the name finished."""
        return lines.finished_mention(value, self.aliases)


class Figures(Lines):
    """How well each member arrives, in numbers."""

    def show(self, state: State, signs: Signs) -> None:
        """Draw this state."""
        self.entitle("Figures")
        self.show_lines(figure_lines(state, self.columns, signs))


class NoticeBar(OneLine):
    """The one notice that stands above the keys; a click takes it away."""

    def show(self, state: State, signs: Signs) -> None:
        """Draw this state: what is wrong with the daemon goes before any notice."""
        pieces = lines.notice_line(state, signs, self.app.size.width)
        self.display = bool(pieces)
        self.show_line(pieces)

    def on_click(self, event: events.Click) -> None:
        """Take it away."""
        self.post_message(Read())
