"""What an X11 display tells of its own accord: that something was drawn, so that a still screen need not be looked at.

The server reports the first drawing after each time we say that we have seen what was there (the DAMAGE extension,
version 1.1, section 4). That is said before the picture is taken: whatever is drawn in between is then reported once
more, and nothing is ever missed. The pointer is not drawn by programs, so it is asked for.
"""

from __future__ import annotations

import select
from typing import Any

from meshchat.units import Seconds


class Damage:
    """The reports of one display; `wait` may be called on a thread of its own beside the rest."""

    def __init__(self) -> None:
        """Raises `OSError` where there is no such display, or `ImportError` without the library `xcffib`."""
        import xcffib
        import xcffib.damage
        import xcffib.xproto

        self._refused = (xcffib.ConnectionException, xcffib.ProtocolException)
        try:
            connect: Any = xcffib.connect
            self._display: Any = connect()
            self._root = self._display.get_setup().roots[0].root
            self._damage: Any = self._display(xcffib.damage.key)
            self._damage.QueryVersion(1, 1).reply()
            self._number = self._display.generate_id()
            self._damage.CreateChecked(self._number, self._root, xcffib.damage.ReportLevel.NonEmpty).check()
        except self._refused as error:
            raise OSError(f"the display reports no drawing: {type(error).__name__}") from None

    def wait(self, seconds: Seconds) -> bool:
        """Waits for so long; whether something was drawn. Raises `OSError` when the display is gone."""
        try:
            drawn = self._display.poll_for_event() is not None
            if not drawn:
                select.select([self._display.get_file_descriptor()], [], [], seconds)
            while self._display.poll_for_event() is not None:
                drawn = True
        except (*self._refused, ValueError) as error:
            raise OSError(f"the display is gone: {type(error).__name__}") from None
        return drawn

    def seen(self) -> None:
        """What was drawn so far will be in the next picture. Raises `OSError` when the display is gone."""
        try:
            self._damage.SubtractChecked(self._number, 0, 0).check()
        except self._refused as error:
            raise OSError(f"the display is gone: {type(error).__name__}") from None

    def size(self) -> tuple[int, int]:
        """Width and height of all monitors together. Raises `OSError` when the display is gone."""
        try:
            told = self._display.core.GetGeometry(self._root).reply()
        except self._refused as error:
            raise OSError(f"the display is gone: {type(error).__name__}") from None
        return told.width, told.height

    def pointer(self) -> tuple[int, int]:
        """Where the pointer is. Raises `OSError` when the display is gone."""
        try:
            told = self._display.core.QueryPointer(self._root).reply()
        except self._refused as error:
            raise OSError(f"the display is gone: {type(error).__name__}") from None
        return told.root_x, told.root_y
