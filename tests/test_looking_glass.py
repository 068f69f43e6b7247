"""The window: what it shows is the picture, part by part as well as anew, and it obeys keys and says why it closes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from meshchat.codec import encode_exact, encode_jpeg
from meshchat.control import ShareStart, ShareStop
from meshchat.errors import MeshchatError
from meshchat.looking.follow import Arrival
from meshchat.media.operations import Copy, Operation, Put, Size, encode_operations
from meshchat.media.parts import PRESENT
from meshchat.media.tiles import Rect
from meshchat.units import Pixels
from tests.display_lab import Keyboard, a_display, seen_on
from tests.peers_lab import LOOPBACK, Daemon, Lab, lab, own_name, until
from tests.screen_lab import photo, text
from tests.test_screens import page_of_text, screen_of

pygame = pytest.importorskip("pygame", reason="the extra window is not installed")

COLOURS = np.uint32(0x00FF_FFFF)


@pytest.fixture
def no_screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """SDL draws into memory."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame.display.init()
    pygame.font.init()
    yield
    pygame.quit()


class Played:
    """A feed that was written down."""

    def __init__(self) -> None:
        self.waiting: list[Arrival] = []
        self.ended = ""

    def add(self, *operations: Operation) -> None:
        self.waiting.append(Arrival(bytes((PRESENT,)) + encode_operations(operations), 0.0))

    def put(self, x: int, y: int, part: Pixels) -> None:
        height, width = part.shape
        self.add(Put(Rect(x, y, width, height), encode_exact(part), exact=True))

    @property
    def over(self) -> str:
        return "" if self.waiting else self.ended

    def take(self) -> Arrival | None:
        return self.waiting.pop(0) if self.waiting else None


def window() -> Pixels:
    shown = pygame.surfarray.array2d(pygame.display.get_surface()).T
    return np.ascontiguousarray(shown).astype(np.uint32) & COLOURS


def press(*letters: str) -> None:
    for letter in letters:
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=ord(letter), unicode=letter))


def shown_with(played: Played, *letters: str) -> Pixels:
    """What the window shows at the end of that feed, when these keys were pressed at its beginning."""
    from meshchat.looking.glass import Glass

    press(*letters, "q")
    Glass("ann", played).run()
    return window()


def screen(width: int = 640, height: int = 384) -> tuple[Pixels, Played]:
    played = Played()
    played.add(Size(width, height))
    page = text(np.random.default_rng(3), width, height)
    for y in range(0, height, 128):
        for x in range(0, width, 640):
            played.put(x, y, page[y : y + 128, x : x + 640])
    return page, played


@pytest.mark.usefixtures("no_screen")
def test_a_picture_is_shown_one_to_one_to_the_pixel_and_copies_move_it() -> None:
    page, played = screen()
    played.add(Copy(Rect(0, 0, 640, 300), 0, 20))
    assert np.array_equal(shown_with(played), np.vstack((page[20:320], page[300:])))


@pytest.mark.usefixtures("no_screen")
@pytest.mark.parametrize("letters", ["", "-", "---", "+", "++", "+-1"])
def test_what_changed_is_drawn_as_if_all_were_drawn_anew(letters: str) -> None:
    rng = np.random.default_rng(5)
    _, by_parts = screen()
    page, at_once = screen()
    for _ in range(12):
        x, y = int(rng.integers(0, 560)), int(rng.integers(0, 320))
        part = photo(rng, 72, 56)
        page[y : y + 56, x : x + 72] = part & COLOURS
        by_parts.put(x, y, part)
    at_once.waiting = []
    at_once.add(Size(640, 384))
    for y in range(0, 384, 128):
        at_once.put(0, y, page[y : y + 128])
    one, other = (shown_with(each, *letters).view(np.uint8).astype(int) for each in (by_parts, at_once))
    assert np.abs(one - other).max() <= 8, "of noise; fixed-point rounding is all that may differ"
    assert one.any()


@pytest.mark.usefixtures("no_screen")
def test_a_large_screen_is_fitted_and_another_resolution_is_followed() -> None:
    _, played = screen(5120, 1536)
    width = shown_with(played).shape[1]
    assert width <= pygame.display.get_desktop_sizes()[0][0]
    assert window().any()
    small, later = screen(320, 256)
    _, played = screen()
    played.waiting += later.waiting
    shown = shown_with(played)
    assert np.array_equal(shown[64:320, 160:480], small)


@pytest.mark.usefixtures("no_screen")
def test_damage_is_survived_and_the_numbers_are_drawn_over_the_picture() -> None:
    page, played = screen()
    jpeg = bytearray(encode_jpeg(page[:64, :64], 50))
    jpeg[-40:] = bytes(40)
    played.add(Put(Rect(0, 0, 64, 64), bytes(jpeg), exact=False))
    played.waiting.append(Arrival(b"\x01nonsense", 0.0))
    played.put(0, 0, page[:64])
    shown = shown_with(played, "i")
    assert np.array_equal(shown[:300], page[:300])
    assert not np.array_equal(shown[300:], page[300:])


@pytest.mark.usefixtures("no_screen")
def test_a_feed_that_ends_is_shown_with_the_reason_and_closes_the_window() -> None:
    from meshchat.looking.glass import Glass

    page, played = screen()
    played.ended = "it is shared no more"
    pygame.time.set_timer(pygame.event.Event(pygame.KEYDOWN, key=ord("x"), unicode="x"), 600, 1)
    with pytest.raises(MeshchatError, match=": it is shared no more"):
        Glass("ann\x1b[31m", played).run()
    assert pygame.display.get_caption()[0].startswith("ann[31m")
    assert not np.array_equal(window()[300:], page[300:])


# On a display, with daemons

ROOM = own_name("window")
QUIET = (*LOOPBACK, "--room", ROOM, "--mic", "silence", "--speaker", "null")


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        for name in ("ann", "bob"):
            made.start(name, *QUIET)
        for each in made.daemons:
            each.ready()
        until("they meet", lambda: all(each.sees("ann", "bob") for each in made.daemons), 30.0)
        yield made


def opened(daemon: Daemon, display: str, errors: Path) -> subprocess.Popen[bytes]:
    """`meshchat watch ann` on that display."""
    words = [sys.executable, "-m", "meshchat", "watch", "ann", "--profile", str(daemon.profile)]
    with errors.open("wb") as err:
        return subprocess.Popen(words, env={**os.environ, "DISPLAY": display}, stdout=err, stderr=err)


def holds(
    shot: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], page: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> bool:
    """Whether the text of that page, below its photograph, is to be seen somewhere on a display."""
    wanted = page[128:]
    rows, columns = shot.shape[0] - len(wanted), shot.shape[1] - page.shape[1]
    middle = [
        (y, x) for y in range(rows + 1) for x in range(columns + 1) if np.array_equal(shot[y, x : x + 640], wanted[0])
    ]
    return any(np.array_equal(shot[y : y + len(wanted), x : x + 640], wanted) for y, x in middle)


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="no Xvfb is installed")
def test_watching_opens_a_window_that_shows_the_screen_to_the_pixel(tmp_path: Path, peers: Lab) -> None:
    pytest.importorskip("xcffib", reason="the extra x11 is not installed")
    ann, bob = peers.daemons
    page = page_of_text(tmp_path / "page.png")
    ann.ask(ShareStart(source=str(tmp_path / "page.png")))
    until("bob sees that ann shares", lambda: bob.members()["ann"].sharing)
    with a_display(tmp_path, 800, 600) as display:
        said = tmp_path / "window.err"
        process = opened(bob, display, said)
        until("the page is seen", lambda: holds(seen_on(display), page), 20.0)
        keyboard = Keyboard(display)
        keyboard.press("i")
        until("the numbers are seen", lambda: not holds(seen_on(display), page))
        keyboard.press("q")
        assert process.wait(10) == 0, said.read_text()
        until("it is watched no more", lambda: not screen_of(bob, "ann").watched)
        process = opened(bob, display, said)
        until("the page is seen again", lambda: holds(seen_on(display), page), 20.0)
        ann.ask(ShareStop())
        until("the window says why", lambda: not holds(seen_on(display), page))
        keyboard.press("x")
        assert process.wait(10) == 1
        assert said.read_text() == "meshchat: ann: it is shared no more\n"
        keyboard.close()
