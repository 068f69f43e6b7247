"""The picture in the terminal: drawn as finely as the terminal says it can, and only what changed."""

from __future__ import annotations

import asyncio
import codecs
import os
import struct
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshchat.codec import encode_exact
from meshchat.looking.drawing import Drawing
from meshchat.looking.ink import EVEN, PALETTE, cube, ink_for
from meshchat.looking.sheet import Sheet
from meshchat.media.operations import Put, Size, encode_operations
from meshchat.media.parts import PRESENT, Slice
from meshchat.media.tiles import Rect
from meshchat.tongue import Area, Speech, heard
from meshchat.units import PeerId, Pixels
from meshchat.web.server import Gallery
from tests.paper import Paper
from tests.screen_lab import text

AREA = Area(1, 1, 40, 11)

SPEECHES = {
    "blocks": Speech("blocks"), "kitty": Speech("kitty", (6, 12)), "sixel": Speech("sixel", (6, 13)),
}  # fmt: skip


# What a terminal says


@pytest.mark.parametrize(
    ("answer", "known", "speech"),
    [
        (b"\x1b_Gi=31;OK\x1b\\\x1b[6;18;9t\x1b[?62;4;52c", None, Speech("kitty", (9, 18))),
        (b"\x1b[6;13;6t\x1b[?63;1;4;22c", None, Speech("sixel", (6, 13))),
        (b"\x1b[?63;1;4;22c", (6, 13), Speech("sixel", (6, 13))),
        (b"\x1b[?63;1;4;22c", None, Speech("blocks")),
        (b"\x1b[?4;1c", (6, 13), Speech("blocks", (6, 13))),
        (b"\x1b_Gi=31;ENOTSUPPORTED\x1b\\\x1b[?1;2c", (8, 16), Speech("blocks", (8, 16))),
        (b"\x1b[6;0;9999t\x1b[?1;4c", None, Speech("blocks")),
        (b"", (0, 0), Speech("blocks")),
    ],
)
def test_a_terminal_is_believed_what_it_says(answer: bytes, known: tuple[int, int] | None, speech: Speech) -> None:
    assert heard(answer, known, is_true=True) == speech


@given(st.binary(max_size=200))
def test_nonsense_draws_blocks(answer: bytes) -> None:
    assert heard(b"\x1b[?1;2c" + answer.replace(b"\x1b", b""), None, is_true=False) == Speech(is_true=False)


# What is drawn


def small(speech: Speech) -> tuple[int, int]:
    return (1, 2) if speech.tongue == "blocks" else speech.cell


@pytest.mark.parametrize("name", SPEECHES)
def test_the_terminal_shows_the_pixels_and_a_small_change_costs_little(name: str) -> None:
    speech = SPEECHES[name]
    cell = small(speech)
    paper, ink = Paper(AREA, cell), ink_for(speech, AREA)
    rng = np.random.default_rng(2)
    pixels: Pixels = text(rng, AREA.columns * cell[0], AREA.rows * cell[1]) & np.uint32(0xFFFFFF)
    first = ink.draw(pixels)
    paper.write(first)
    for _ in range(6):
        y, x = int(rng.integers(0, pixels.shape[0])), int(rng.integers(0, pixels.shape[1]))
        pixels[y, x] ^= np.uint32(0xFFFFFF)
        more = ink.draw(pixels)
        paper.write(more)
        assert 0 < len(more) < len(first) / 4
    levels = np.array(EVEN, np.uint32)
    codes = cube(pixels, EVEN).astype(int)
    coarse = levels[codes // 36] << np.uint32(16) | levels[codes // 6 % 6] << np.uint32(8) | levels[codes % 6]
    assert np.array_equal(paper.pixels, coarse if name == "sixel" else pixels)
    assert ink.draw(pixels) == ""
    paper.write(ink.wipe())
    assert not paper.images


def test_a_terminal_of_256_colours_gets_the_nearest() -> None:
    area = Area(5, 3, 2, 1)
    pixels = np.array([[0xFF0000, 0x00FF00], [0x5F87AF, 0x000000]], np.uint32)
    drawn = ink_for(Speech(is_true=False), area).draw(pixels)
    assert drawn == "\x1b[3;5H\x1b[38;5;196;48;5;67m\u2580\x1b[38;5;46;48;5;16m\u2580\x1b[m"
    assert cube(np.array([[0x2F4050]], np.uint32), PALETTE)[0, 0] == 7


@given(st.integers(1, 700), st.integers(1, 500), st.floats(0.5, 2.0), st.data())
def test_a_sheet_renewed_in_parts_is_the_sheet_made_at_once(
    width: int, height: int, stretch: float, data: st.DataObject
) -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 1 << 24, (height, width), np.uint32)
    sheet = Sheet(80, 48, stretch)
    sheet.renew(picture, [])
    for _ in range(3):
        x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
        part = Rect(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
        part.of(picture)[:] ^= np.uint32(0xFFFFFF)
        sheet.renew(picture, [part])
    anew = Sheet(80, 48, stretch)
    anew.renew(picture, [])
    one, other = (each.pixels.view(np.uint8).astype(int) for each in (sheet, anew))
    assert np.abs(one - other).max() <= 2


def test_what_came_before_the_first_place_is_drawn_and_a_new_place_draws_all_again() -> None:
    drawing = Drawing(SPEECHES["kitty"])
    page = text(np.random.default_rng(3), 240, 128)
    assert drawing.due(0.0) is None
    drawing.take(message(page))
    drawing.place(AREA)
    assert drawing.due(0.0) == 0.0
    paper = Paper(AREA, (6, 12))
    paper.write(drawing.draw())
    drawing.took(10.0, 10.1)
    drawing.take(b"\x01nonsense")
    assert drawing.due(10.1) is None
    assert np.array_equal(paper.pixels[2:130], page)
    paper.write(drawing.place(Area(1, 1, 30, 8)))
    assert not paper.images
    assert drawing.due(10.1) == pytest.approx(0.2), "drawing costs a third of the time at most"
    assert drawing.draw()


def message(page: Pixels) -> bytes:
    height, width = page.shape
    put = Put(Rect(0, 0, width, height), encode_exact(page), exact=True)
    return bytes((PRESENT,)) + encode_operations((Size(width, height), put))


# In a real terminal, as far as one can be made of a pair of pipes

PEER = PeerId("b0" * 32)

PROGRAM = """
import sys
from meshchat.errors import MeshchatError
from meshchat.looking.terminal import show
try:
    show(sys.argv[1], "bob", is_true=True)
except MeshchatError as error:
    sys.exit(str(error))
"""


class Tty:
    """Our end of a pseudo terminal, and everything that was written on it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.seen = ""

    async def sees(self, *wanted: str) -> None:
        while not all(each in self.seen for each in wanted):
            self.seen += self._decoder.decode(await asyncio.to_thread(os.read, self._descriptor, 65536))

    def press(self, keys: bytes) -> None:
        os.write(self._descriptor, keys)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo terminals")
async def test_the_command_draws_on_its_terminal_and_says_why_it_ends() -> None:
    import fcntl
    import pty
    import termios

    page = text(np.random.default_rng(3), 80, 40)
    gallery = Gallery(lambda peer: gallery.show(peer, Slice(1, 0, 1, PRESENT, message(page)[1:])), lambda _: None)
    await gallery.open()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 21, 80, 0, 0))
    before = termios.tcgetattr(theirs)
    words = [sys.executable, "-c", PROGRAM, gallery.links(PEER, "bob")[1]]
    process = await asyncio.create_subprocess_exec(*words, stdin=theirs, stdout=theirs, stderr=asyncio.subprocess.PIPE)
    tty = Tty(ours)
    async with asyncio.timeout(20):
        await tty.sees("\x1b[c")
        tty.press(b"\x1b[?1;2c")
        await tty.sees("figures", "\x1b[?2026l")
        tty.press(b"i")
        await tty.sees("80x40")
        gallery.end(PEER, "it is shared no more")
        await tty.sees("\x1b[?1049l")
        assert process.stderr
        assert (await process.stderr.read()).decode().strip() == "bob: it is shared no more"
        assert await process.wait() == 1
    assert termios.tcgetattr(theirs) == before, "the terminal is as it was"
    paper = Paper(Area(1, 1, 80, 20), (1, 2))
    paper.write(tty.seen.partition("\x1b[?2026h")[2].partition("\x1b[?2026l")[0])
    assert np.array_equal(paper.pixels, page)
    os.close(ours)
    os.close(theirs)
    await gallery.close()
