"""What can be done about one member, as a list to choose from, and the words that two people compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Label

from meshchat.view.actions import Action
from meshchat.view.drawn import Rows
from meshchat.view.help import spelt
from meshchat.view.lines import Pieces
from meshchat.view.state import Compared

KEY_COLUMNS = 7


class PersonBox(ModalScreen[str | None]):
    """The actions that have a meaning for a member; ends with the name of the one that was chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "dismiss(None)", "Back")]

    def __init__(self, alias: str, actions: Sequence[Action]) -> None:
        super().__init__()
        self._alias = alias
        self._actions = actions

    def compose(self) -> ComposeResult:
        """One line for each."""
        with Vertical(id="box") as box:
            box.border_title = Text(self._alias)  # a str would be read as markup
            yield Rows("choices")

    def on_mount(self) -> None:
        """Fill the list, and let the keys go to it."""
        rows = self.query_one(Rows)
        rows.show_rows([(each.name, _line(each)) for each in self._actions])
        rows.focus()

    @on(Rows.Chosen)
    def choose(self, event: Rows.Chosen) -> None:
        """Enter or a click."""
        self.dismiss(event.key)


def _line(action: Action) -> Pieces:
    return (f"{spelt(action.key):<{KEY_COLUMNS}}", "accent"), (action.meaning, "text")


class VerifyBox(ModalScreen[bool | None]):
    """Two words to be read aloud: the same on both sides, unless somebody sits between. Ends with the verdict."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Back")]

    def __init__(self, compared: Compared) -> None:
        super().__init__()
        self._compared = compared

    def compose(self) -> ComposeResult:
        """The words, and what to do with them; the harmless button has the keys."""
        alias = self._compared.alias
        with Vertical(id="box") as box:
            box.border_title = Text(f"Is it really {alias}?")
            yield Label(f"{alias} sees two words too. Read them to each other:", markup=False)
            yield Label(self._compared.words, id="words", markup=False)
            yield Label("The same on both sides: nobody sits between, and the name is kept for this key.", markup=False)
            with Horizontal(id="buttons"):
                yield Button("Later", id="later")
                yield Button("The same", variant="primary", id="same")
                yield Button("Different", variant="error", id="different")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """A button was pressed."""
        self.dismiss({"same": True, "different": False}.get(event.button.id or ""))
