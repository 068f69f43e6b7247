"""A QR code drawn in a terminal: two modules to a character, by half blocks, with a margin that cameras need.

A camera expects dark on light. A terminal may be either, so the drawing brings its own black and white (the 256
colours have fixed ones, 16 and 231, where the first sixteen are whatever the theme says). Where colours cannot be
used, the light modules are drawn and the dark ones left blank: right on a dark terminal; on a light one the code is
inverted, and many programs do not read that.

The least error correction that fits is asked for (a screen has no creases), and what room is left in the size is
spent on more. The margin is the four modules of ISO/IEC 18004 section 9.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import segno

MARGIN = 4
"""Light modules around the code."""

# By whether the upper and the lower module are dark.
_DARK_INK = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}
_LIGHT_INK = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}
_BLACK_ON_WHITE = "\x1b[38;5;16;48;5;231m"
_AS_BEFORE = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class QrCode:
    """A code ready to print, and the room that it takes."""

    text: str
    """Lines without the last line end."""
    columns: int
    rows: int

    def fits(self, columns: int, rows: int) -> bool:
        """Whether a terminal of that size shows it whole, with a line to spare for the prompt."""
        return self.columns <= columns and self.rows < rows


def qr(text: str, *, colour: bool = True) -> QrCode:
    """The text, of at most 2953 bytes, as a QR code; without `colour` no escape sequence is used."""
    code = segno.make_qr(text, error="l", boost_error=True)
    modules = [bytes(row) for row in code.matrix_iter(border=MARGIN)]
    width = len(modules[0])
    modules += [bytes(width)] * (len(modules) % 2)
    ink, before, after = (_DARK_INK, _BLACK_ON_WHITE, _AS_BEFORE) if colour else (_LIGHT_INK, "", "")
    lines = [
        before + _line(upper, lower, ink) + after for upper, lower in zip(modules[::2], modules[1::2], strict=True)
    ]
    return QrCode("\n".join(lines), width, len(lines))


def _line(upper: Sequence[int], lower: Sequence[int], ink: dict[tuple[bool, bool], str]) -> str:
    return "".join(ink[bool(above), bool(below)] for above, below in zip(upper, lower, strict=True))
