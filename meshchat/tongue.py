"""Which pictures a terminal can draw, found out by asking the terminal itself.

Three questions go out at once: a picture of one pixel in Kitty's protocol that is only to be checked, the size of a
cell, and the primary device attributes (DA1), which every terminal since the VT100 answers and which therefore end the
waiting. Attribute 4 is Sixel. Names of terminals in variables say less: over SSH and in tmux they are wrong or missing.
"""

from __future__ import annotations

import os
import re
import select
import struct
import time
from typing import Literal, TypeAlias

from msgspec import Struct

from meshchat.units import Seconds

Tongue: TypeAlias = Literal["kitty", "sixel", "blocks"]

QUESTIONS = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[16t\x1b[c"

ATTRIBUTES = rb"\x1b\[\?([\d;]*)c"
"""The answer to the last question."""

ANSWER_S: Seconds = 1.0
"""How long a terminal may take: a slow line to the other side of the world."""

ANSWER_BYTES_MAX = 4096

CELL = (10, 20)
"""A cell's width and height in pixels where the terminal does not tell: those of the VT340."""

CELL_MAX = 128
"""Wider or higher cells are nonsense."""


class Speech(Struct, frozen=True):
    """How pictures are to be drawn on a terminal."""

    tongue: Tongue = "blocks"
    cell: tuple[int, int] = CELL
    """Width and height of a cell, in pixels."""
    is_true: bool = True
    """Whether blocks can have any colour, or one of 256."""


class Area(Struct, frozen=True):
    """A part of a terminal, in cells; the left top corner of all is 1, 1."""

    left: int
    top: int
    columns: int
    rows: int


def ask(reading: int, writing: int, *, is_true: bool) -> Speech:
    """Asks the terminal at those descriptors, which hands over keys as they are pressed and does not echo them.

    Blocks for up to `ANSWER_S`. What cannot be asked, such as a Windows console, draws blocks.
    """
    try:
        os.write(writing, QUESTIONS)
        return heard(_answer(reading), _cell(writing), is_true=is_true)
    except OSError:
        return Speech(is_true=is_true)


def _cell(writing: int) -> tuple[int, int] | None:
    """The size of a cell as the system knows it; xterm tells it this way only."""
    try:
        import fcntl
        import termios

        rows, columns, width, height = struct.unpack("HHHH", fcntl.ioctl(writing, termios.TIOCGWINSZ, bytes(8)))
    except (ImportError, OSError):
        return None
    return (width // columns, height // rows) if rows and columns else None


def _answer(reading: int) -> bytes:
    """Everything up to the answer to the last question."""
    until, answer = time.monotonic() + ANSWER_S, b""
    while len(answer) < ANSWER_BYTES_MAX and not re.search(ATTRIBUTES, answer):
        ready, _, _ = select.select([reading], [], [], max(0.0, until - time.monotonic()))
        if not ready or not (more := os.read(reading, ANSWER_BYTES_MAX)):
            break
        answer += more
    return answer


def heard(answer: bytes, cell: tuple[int, int] | None, *, is_true: bool) -> Speech:
    """What the answers say; nothing, or nonsense, is a terminal that draws blocks.

    `cell` is the size of a cell if it is known otherwise. Without one a Sixel picture might be larger than its place.
    """
    size = re.search(rb"\x1b\[6;(\d{1,4});(\d{1,4})t", answer)
    cell = (int(size[2]), int(size[1])) if size else cell
    is_known = cell is not None and all(0 < each <= CELL_MAX for each in cell)
    cell = cell if cell and is_known else CELL
    attributes = re.search(ATTRIBUTES, answer)
    if re.search(rb"\x1b_Gi=31;OK\x1b\\", answer):
        return Speech("kitty", cell, is_true)
    if is_known and attributes and b"4" in attributes[1].split(b";")[1:]:
        return Speech("sixel", cell, is_true)
    return Speech("blocks", cell, is_true)
