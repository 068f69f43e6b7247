"""A screen that is drawn here, for machines without one and for tests: colours, text, a film.

Letters are little bitmaps made of chance with a fixed seed, so that every machine draws the same pixels and a test can
tell each of them. What happens depends on the time since the first picture and on nothing else.
"""

from __future__ import annotations

import numpy as np

from meshchat.units import Pixels, Seconds

WIDTH, HEIGHT = 1280, 720

KINDS = ("clock", "still", "typing", "scroll", "film")
"""A square that moves once a second; nothing; a letter ten times a second; a page, 30 rows a second; everything."""

LETTER_WIDTH, LETTER_HEIGHT = 8, 16
PAPER, INK = np.uint32(0xFFF8_F4EC), np.uint32(0xFF20_2428)
COLOURS = (0xFFC8_1E1E, 0xFF1E_A03C, 0xFF1E_50C8, 0xFFE6_B400, 0xFF96_32AA, 0xFF00_A0AA)

FILM_LEFT, FILM_TOP, FILM_WIDTH, FILM_HEIGHT = 720, 160, 480, 360


class Pattern:
    """One kind of it."""

    def __init__(self, kind: str) -> None:
        self.title = f"test pattern, {kind}"
        self._kind = kind
        self._rng = np.random.default_rng(2026)
        self._glyphs = self._rng.integers(0, 2, (64, LETTER_HEIGHT - 6, LETTER_WIDTH - 2), dtype=np.uint8) > 0
        self._page = self._draw_page(4 * HEIGHT)
        self._began_at: Seconds | None = None

    def grab(self, at: Seconds) -> Pixels:
        """The picture at that time."""
        self._began_at = at if self._began_at is None else self._began_at
        passed = at - self._began_at
        match self._kind:
            case "scroll":
                return self._scrolled(int(passed * 30) * LETTER_HEIGHT // 4)
            case "film":
                return self._film(int(passed * 30))
            case "typing":
                return self._typed(int(passed * 10))
            case "clock":
                return self._clock(int(passed))
            case _:
                return self._front()

    def _draw_page(self, height: int) -> Pixels:
        page = np.full((height, WIDTH), PAPER, np.uint32)
        for top in range(0, height - LETTER_HEIGHT, LETTER_HEIGHT):
            column = 2
            for length in self._rng.integers(1, 12, 20):
                for _ in range(int(length)):
                    self._letter(page, top, column * LETTER_WIDTH, int(self._rng.integers(64)))
                    column += 1
                column += 1
                if column > WIDTH // LETTER_WIDTH - 14:
                    break
        return page

    def _letter(self, page: Pixels, top: int, left: int, which: int) -> None:
        page[top + 3 : top + LETTER_HEIGHT - 3, left + 1 : left + LETTER_WIDTH - 1][self._glyphs[which]] = INK

    def _front(self) -> Pixels:
        picture = self._page[:HEIGHT].copy()
        for place, colour in enumerate(COLOURS):
            picture[16:80, 40 + 100 * place : 120 + 100 * place] = colour
        shade = np.linspace(0, 255, FILM_WIDTH).astype(np.uint32)
        picture[FILM_TOP : FILM_TOP + FILM_HEIGHT, FILM_LEFT : FILM_LEFT + FILM_WIDTH] = 0xFF00_0000 | shade * 0x01_0101
        return picture

    def _clock(self, second: int) -> Pixels:
        picture = self._front()
        left = 40 + second % 30 * 40
        picture[640:680, left : left + 40] = COLOURS[second % len(COLOURS)]
        return picture

    def _typed(self, letters: int) -> Pixels:
        picture = self._front()
        for number in range(letters % 80):
            self._letter(picture, 560, 40 + number * LETTER_WIDTH, (number * 7 + letters // 80) % 64)
        return picture

    def _scrolled(self, rows: int) -> Pixels:
        top = rows % (len(self._page) - HEIGHT)
        return self._page[top : top + HEIGHT].copy()

    def _film(self, frame: int) -> Pixels:
        x, y = np.arange(WIDTH, dtype=np.uint32), np.arange(HEIGHT, dtype=np.uint32)[:, None]
        red, green = (x + 5 * frame) // 2 & 255, (y + 3 * frame) & 255
        blue = (x + y + 7 * frame) // 3 & 255
        return (0xFF00_0000 | red << 16 | green << 8 | blue).astype(np.uint32)
