"""One's own sound at the bottom of the screen: what the microphone hears, switches, and what is played."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from meshchat import control
from meshchat.units import THRESHOLD_DB, THRESHOLD_DB_MAX, THRESHOLD_DB_MIN
from meshchat.view import lines
from meshchat.view.drawn import OneLine
from meshchat.view.intents import Wish
from meshchat.view.signs import Signs
from meshchat.view.state import State

THRESHOLD_STEP_DB = 2.0
"""One press: as little as can be heard to make a difference."""


class OwnLevel(OneLine):
    """What the microphone hears."""

    def show(self, state: State, signs: Signs) -> None:
        """Draw this state."""
        self.show_line(lines.self_line(state, self.size.width, signs))


class Press(OneLine):
    """A switch of one's own sound: says how it stands, and changes it when clicked."""

    def __init__(self, id: str, action: str) -> None:
        """`action` is the main screen's that its key does, too."""
        super().__init__(id=id)
        self._action = action

    def show(self, said: str, role: lines.Role) -> None:
        """Draw how it stands."""
        self.show_line(((f" {said} ", role),))
        self.styles.width = len(said) + 2

    async def on_click(self, event: events.Click) -> None:
        """Change it."""
        await self.run_action(f"screen.{self._action}")


class Talk(Press):
    """The switch of the microphone; by key, a button that the mouse holds, which every terminal can tell."""

    by_key = False

    def on_mouse_down(self) -> None:
        """Talk."""
        if self.by_key:
            self.capture_mouse()
            self.post_message(Wish(control.Talk(on=True)))

    def on_mouse_up(self) -> None:
        """Talk no more."""
        if self.app.mouse_captured is self:
            self.release_mouse()
            self.post_message(Wish(control.Talk(on=False)))

    async def on_click(self, event: events.Click) -> None:
        """By key, the two above say it all."""
        if self.by_key:
            event.prevent_default()


class Threshold(OwnLevel, can_focus=True):
    """What the microphone hears, with the mark over which it opens by voice: arrows or a click move that."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "Lower", show=False),
        Binding("right", "move(1)", "Higher", show=False),
    ]

    class Moved(Message):
        """The mark is to stand there."""

        def __init__(self, threshold_db: float) -> None:
            super().__init__()
            self.threshold_db = threshold_db

    threshold_db = THRESHOLD_DB

    def show(self, state: State, signs: Signs) -> None:
        """Draw this state."""
        self.threshold_db = state.threshold_db
        self.show_line(lines.self_line(state, self.size.width, signs, marked=True))

    def action_move(self, by: int) -> None:
        """By one step."""
        self._move_to(self.threshold_db + by * THRESHOLD_STEP_DB)

    def on_click(self, event: events.Click) -> None:
        """To where the click was."""
        where = event.get_content_offset(self)
        if where and self.size.width:
            self._move_to(lines.QUIETEST_DB * (1 - where.x / self.size.width))

    def _move_to(self, threshold_db: float) -> None:
        self.threshold_db = min(max(round(threshold_db), THRESHOLD_DB_MIN), THRESHOLD_DB_MAX)
        self.post_message(self.Moved(self.threshold_db))


class Played(OneLine):
    """What is played into the room."""

    def show(self, state: State, signs: Signs) -> None:
        """Draw this state."""
        pieces = lines.playing_line(state, self.app.size.width, signs)
        self.display = bool(pieces)
        self.show_line(pieces)
