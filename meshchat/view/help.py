"""The page of keys, made from the table of actions, so that it cannot be out of date."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Label

from meshchat.view.actions import ACTIONS
from meshchat.view.lines import folded
from meshchat.view.signs import Signs

KEY_COLUMNS = 14
MEANING_COLUMNS = 54
"""What fits beside the keys in the box, with a bar to scroll by."""

SPELT = {
    "question_mark": "?", "plus": "+", "minus": "-", "equals_sign": "=", "ctrl+d": "Ctrl+D", "ctrl+q": "Ctrl+Q",
    "escape": "Esc", "space": "Space", "f1": "F1", "f2": "F2", "f3": "F3",
    "f4": "F4",
}  # fmt: skip


def spelt(key: str) -> str:
    """A key as it is called."""
    return SPELT.get(key, key)


def help_text(signs: Signs) -> str:
    """All keys and all signs."""
    moves = [
        ("Enter, click", "join the room, or see what can be done about the member, under the cursor"),
        ("Tab", "go to the next part of the screen; arrows move in it"),
        ("Ctrl+P", "find any of these by name"),
    ]
    keys = [(", ".join(map(spelt, each.keys.split(","))) if each.keys else "Ctrl+P", each.meaning) for each in ACTIONS]
    marks = [
        (signs.speaking, "speaking"), (signs.quiet, "not speaking"), (signs.muted, "muted"),
        (signs.away, "not reached from here, though others hear it"), (signs.coordinator, "keeps the list of members"),
        (signs.sharing, "shares a screen"),
        (signs.locked, "locked: has an invite link"), (signs.here, "the room that you are in"),
    ]  # fmt: skip
    indent = "\n" + " " * KEY_COLUMNS
    rows = ((key, indent.join(folded(meaning, MEANING_COLUMNS))) for key, meaning in [*moves, *keys, ("", ""), *marks])
    return "\n".join(f"{key:<{KEY_COLUMNS}}{meaning}" for key, meaning in rows)


class HelpPage(ModalScreen[None]):
    """All keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q,question_mark,f1", "dismiss", "Back")]

    def __init__(self, signs: Signs) -> None:
        super().__init__()
        self._signs = signs

    def compose(self) -> ComposeResult:
        """The text, which scrolls where the screen is small."""
        with VerticalScroll(id="box") as box:
            box.border_title = "Keys"
            yield Label(help_text(self._signs), markup=False)
