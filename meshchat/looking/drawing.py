"""A screen drawn on a part of a terminal: what came and was not drawn yet, and how often it is worth drawing."""

from __future__ import annotations

import contextlib

from meshchat.errors import WireError
from meshchat.looking import View
from meshchat.looking.ink import Ink, ink_for
from meshchat.looking.sheet import Sheet
from meshchat.media.tiles import Rect
from meshchat.tongue import Area, Speech
from meshchat.units import Seconds

PAUSE_S: Seconds = 1 / 15
"""Least time between two drawings: terminals show no film."""

SHARE = 2.0
"""So many times as long as a drawing took is waited before the next, so that it costs a third of a core at most."""

PARTS_MAX = 64
"""Changed parts remembered one by one; more are the whole picture."""

TOGETHER = ("\x1b[?2026h\x1b7", "\x1b8\x1b[?2026l")
"""Around a drawing: shown at once where the terminal knows how, and the cursor comes back to where it was."""


class Drawing:
    """One screen on one part of a terminal."""

    def __init__(self, speech: Speech) -> None:
        self.view = View()
        self._speech = speech
        self._sheet: Sheet | None = None
        self._ink: Ink | None = None
        self._parts: list[Rect] = []
        self._due_at: Seconds = 0.0

    def place(self, area: Area) -> str:
        """Draws there from now on, and anew; what to write so that nothing stays where it was."""
        wiped = self.wipe()
        across, down = (1, 2) if self._speech.tongue == "blocks" else self._speech.cell
        stretch = 2 * self._speech.cell[0] / self._speech.cell[1] if self._speech.tongue == "blocks" else 1.0
        self._sheet = Sheet(area.columns * across, area.rows * down, stretch)
        self._ink = ink_for(self._speech, area)
        self._changed(self._whole())
        return wiped

    def take(self, message: bytes) -> None:
        """A message of the feed; what is damaged is redrawn in time."""
        with contextlib.suppress(WireError):
            self._changed(list(self.view.take(message)))

    def due(self, now: Seconds) -> Seconds | None:
        """How long until there is something to draw; None while there is not."""
        is_waiting = self._parts and self.view.whole and self._sheet
        return max(0.0, self._due_at - now) if is_waiting else None

    def draw(self) -> str:
        """What to write so that the terminal shows what came; empty if it does."""
        assert self._sheet is not None
        assert self._ink is not None
        parts, self._parts = self._parts, []
        self._sheet.renew(self.view.canvas.picture, parts)
        drawn = self._ink.draw(self._sheet.pixels)
        return drawn.join(TOGETHER) if drawn else ""

    def took(self, began: Seconds, ended: Seconds) -> None:
        """A drawing was made and written between these times."""
        self._due_at = max(began + PAUSE_S, ended + SHARE * (ended - began))

    def wipe(self) -> str:
        """What to write so that nothing of it stays behind."""
        return self._ink.wipe() if self._ink else ""

    def _changed(self, parts: list[Rect]) -> None:
        self._parts += parts
        if len(self._parts) > PARTS_MAX:
            self._parts = self._whole()

    def _whole(self) -> list[Rect]:
        height, width = self.view.canvas.picture.shape
        return [Rect(0, 0, width, height)] if width else []
