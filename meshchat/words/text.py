"""Names and texts as they stand on the command line, refused here where nothing would be left of them to show."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from meshchat.errors import UsageError
from meshchat.units import TEXT_CHARACTERS_MAX, TEXT_LINES_MAX, safe_lines, safe_text


def name(given: str) -> str:
    """A room's name or an alias as it will be shown. Raises `UsageError` where too little or too much would be left."""
    shown = safe_text(given)
    if not shown or shown != safe_text(given, 2 * len(given), 8 * len(given)):
        raise UsageError(f"{given!r} is no name: it takes 1 to 32 printable characters")
    return shown


def text(words: Sequence[str]) -> str:
    """What is to be written, `-` for standard input. Raises `UsageError` if nothing of it can be shown, or too long."""
    bytes_max = 4 * TEXT_CHARACTERS_MAX + 1
    given = sys.stdin.buffer.read(bytes_max).decode(errors="replace") if list(words) == ["-"] else " ".join(words)
    shown = safe_lines(given)
    if not shown or len(given.strip()) > TEXT_CHARACTERS_MAX or len(given.strip().splitlines()) > TEXT_LINES_MAX:
        raise UsageError(
            f"a text has 1 to {TEXT_CHARACTERS_MAX} characters that can be shown, on {TEXT_LINES_MAX} lines at most"
        )
    return shown
