"""The window in which a member's screen is looked at, through SDL.

The picture is decoded where it is shown, and only what changed is scaled and handed to the system, once for each whole
picture. Nothing here waits for a graphics card: without one, drawing through a software renderer of OpenGL takes
between 26 ms and seconds, while the plain memory that X11 shares with a window takes a few (SDL calls the choice
`SDL_FRAMEBUFFER_ACCELERATION`).
"""

from __future__ import annotations

import contextlib
import io
import os
import time

with contextlib.redirect_stdout(io.StringIO()):  # it greets on stdout, which is for data
    import pygame

from meshchat.errors import MeshchatError, WireError
from meshchat.looking import FIRST_S, NO_PICTURE, View
from meshchat.looking.follow import Arrival, Follower, Incoming
from meshchat.looking.numbers import Numbers
from meshchat.looking.place import UNIT, Place, actual, fitted, kept, moved, piece, zoomed
from meshchat.media.operations import Size
from meshchat.media.tiles import Rect, around
from meshchat.units import Pixels, Seconds, safe_text

FAREWELL_S: Seconds = 3.0
"""How long the reason of the end is shown over the last picture."""

NUMBERS_S: Seconds = 0.5
"""Between two looks at the numbers, while they are shown."""

SHARE = 0.9
"""How much of the display a new window takes at most."""

MESSAGES_MAX = 64
"""Taken at once before keys are looked at again."""

PARTS_MAX = 48
"""Changed parts drawn one by one; more are drawn as the rectangle around them."""

ARROW_PIXELS = 64

GROUND, INK, PAPER = (16, 20, 24), (216, 216, 208), (16, 20, 24)

CAME = pygame.event.custom_type()


class Glass:
    """One window, which shows one feed."""

    def __init__(self, alias: str, follower: Incoming) -> None:
        self._alias = safe_text(alias)
        self._follower = follower
        self._view = View()
        self._numbers = Numbers()
        self._place = Place(0, 0, UNIT)
        self._shared: pygame.Surface | None = None
        self._changed: list[Rect] = []
        self._open = True
        self._counting = False
        self._told = ""

    def run(self) -> None:
        """Shows the feed until the person closes the window. Raises `MeshchatError` when the feed ends before."""
        self._take(self._first())
        self._font = pygame.font.Font(None, 22)
        self._make_window(full=False)
        while self._open and not self._follower.over:
            self._obey(pygame.event.wait(int(NUMBERS_S * 1000)))
            for event in pygame.event.get():
                self._obey(event)
            self._take_all()
            if self._counting:
                self._tell(self._line())
        if self._open:
            self._bid_farewell()

    def _first(self) -> Arrival:
        """The first message, which says how large the screen is."""
        until = time.monotonic() + FIRST_S
        while not (arrival := self._follower.take()):
            pygame.event.wait(100)
            if self._follower.over:
                raise MeshchatError(self._follower.over)
            if time.monotonic() > until:
                raise MeshchatError(NO_PICTURE)
        return arrival

    def _make_window(self, *, full: bool) -> None:
        desktop = Size(*pygame.display.get_desktop_sizes()[0])
        picture = self._size
        room = fitted(picture, Size(int(desktop.width * SHARE), int(desktop.height * SHARE)))
        width, height = picture.width * room.scale // UNIT, picture.height * room.scale // UNIT
        if full:
            width, height = desktop.width, desktop.height
        pygame.display.set_mode((max(width, 320), max(height, 200)), pygame.FULLSCREEN if full else pygame.RESIZABLE)
        self._is_full = full
        self._name()
        self._draw_all()

    def _name(self) -> None:
        pygame.display.set_caption(f"{self._alias}: screen - meshchat")

    @property
    def _size(self) -> Size:
        return self._view.size or Size(640, 400)

    @property
    def _window(self) -> Size:
        return Size(*self._paper.get_size())

    @property
    def _paper(self) -> pygame.Surface:
        """What is drawn on."""
        paper = pygame.display.get_surface()
        assert paper is not None
        return paper

    # What comes

    def _take_all(self) -> None:
        for _ in range(MESSAGES_MAX):
            arrival = self._follower.take()
            if arrival is None:
                break
            self._take(arrival)
        else:
            pygame.event.post(pygame.event.Event(CAME))  # the rest after a look at the keys
        if self._view.whole and self._changed:
            self._draw_changes()

    def _take(self, arrival: Arrival) -> None:
        self._numbers.came(len(arrival.data), arrival.at)
        with contextlib.suppress(WireError):  # the daemon has looked through it: what is damaged is redrawn in time
            self._changed += self._view.take(arrival.data)
        picture = self._view.canvas.picture
        if picture.size and (self._shared is None or self._shared.get_size() != picture.shape[::-1]):
            self._shared = _surface(picture)
            if pygame.display.get_surface():
                self._draw_all()

    # What is drawn

    def _draw_changes(self) -> None:
        began = time.monotonic()
        parts = self._changed if len(self._changed) <= PARTS_MAX else [around(self._changed)]
        self._changed = []
        self._draw([each for part in parts if (each := self._draw_part(part))])
        self._numbers.shown(began, time.monotonic())

    def _draw_all(self) -> None:
        """The whole window, as after a change of its size."""
        self._place = kept(self._place, self._size, self._window)
        self._paper.fill(GROUND)
        self._draw_part(Rect(0, 0, self._size.width, self._size.height))
        self._draw([self._paper.get_rect()])

    def _draw_part(self, part: Rect) -> pygame.Rect | None:
        """Draws a part of the picture; where in the window that was."""
        found = piece(part, self._size, self._place, self._window)
        if found is None or self._shared is None:
            return None
        source = pygame.Rect(found.source.x, found.source.y, found.source.width, found.source.height)
        target = pygame.Rect(found.target.x, found.target.y, found.target.width, found.target.height)
        window = self._paper
        if self._place.scale == UNIT:
            window.blit(self._shared, target, source)
        else:
            resize = pygame.transform.scale if self._place.scale > UNIT else pygame.transform.smoothscale
            scaled = resize(self._shared.subsurface(source), target.size)
            scaled.set_alpha(None)
            window.blit(scaled, target)
        return target.clip(window.get_rect())

    def _draw(self, areas: list[pygame.Rect]) -> None:
        """Shows what was drawn, with the line over it."""
        if self._told:
            areas.append(self._draw_line())
        pygame.display.update(areas)

    def _draw_line(self) -> pygame.Rect:
        window = self._paper
        text = self._font.render(self._told, True, INK, PAPER)
        box = text.get_rect(bottomleft=(14, window.get_height() - 12)).inflate(12, 8)
        window.fill(PAPER, box)
        window.blit(text, box.move(6, 4))
        return box

    def _tell(self, line: str) -> None:
        """Shows a line over the picture, or takes it away."""
        if line != self._told:
            self._told = line
            self._draw_all()

    def _line(self) -> str:
        screen = f"{self._size.width}x{self._size.height} at {self._place.scale / UNIT:.0%}"
        return self._numbers.line(screen, self._view.exact, time.monotonic())

    def _bid_farewell(self) -> None:
        why = f"{self._alias}: {self._follower.over}"
        self._tell(why)
        until = time.monotonic() + FAREWELL_S
        while self._open and time.monotonic() < until:
            event = pygame.event.wait(100)
            if event.type in (pygame.QUIT, pygame.KEYDOWN, pygame.MOUSEBUTTONDOWN):
                break
        raise MeshchatError(why)

    # What the person does

    def _obey(self, event: pygame.Event) -> None:
        if event.type in (pygame.QUIT, pygame.WINDOWCLOSE):
            self._open = False
        elif event.type in (pygame.WINDOWSIZECHANGED, pygame.WINDOWEXPOSED):
            self._draw_all()
        elif event.type == pygame.MOUSEWHEEL:
            self._go(zoomed(self._place, event.y, *pygame.mouse.get_pos()))
        elif event.type == pygame.MOUSEMOTION and event.buttons[0]:
            self._go(moved(self._place, *event.rel))
        elif event.type == pygame.KEYDOWN:
            self._press(event.key, event.unicode)

    def _press(self, key: int, letter: str) -> None:
        middle = self._window.width // 2, self._window.height // 2
        arrows = {
            pygame.K_LEFT: (ARROW_PIXELS, 0), pygame.K_RIGHT: (-ARROW_PIXELS, 0),
            pygame.K_UP: (0, ARROW_PIXELS), pygame.K_DOWN: (0, -ARROW_PIXELS),
        }  # fmt: skip
        if key in arrows:
            self._go(moved(self._place, *arrows[key]))
        elif key == pygame.K_ESCAPE and self._is_full:
            self._make_window(full=False)
        elif letter in ("f", "F"):
            self._make_window(full=not self._is_full)
        elif letter == "1":
            self._go(actual(self._size, self._window))
        elif letter == "0":
            self._go(fitted(self._size, self._window))
        elif letter in ("+", "=", "-"):
            self._go(zoomed(self._place, -1 if letter == "-" else 1, *middle))
        elif letter in ("i", "I"):
            self._counting = not self._counting
            self._tell(self._line() if self._counting else "")
        elif letter in ("q", "Q"):
            self._open = False

    def _go(self, place: Place) -> None:
        if place != self._place:
            self._place = place
            self._draw_all()


def _surface(picture: Pixels) -> pygame.Surface:
    """The canvas itself as SDL sees it: what is drawn on the one is on the other."""
    surface = pygame.image.frombuffer(picture.data, picture.shape[::-1], "BGRA")
    surface.set_alpha(None)  # it is opaque, whatever its fourth byte says
    return surface


def show(address: str, alias: str) -> None:
    """Opens a window on that feed; until the person closes it. Raises `MeshchatError` with why it closed by itself."""
    pygame.display.init()
    pygame.font.init()
    try:
        if pygame.display.get_driver() == "x11":
            os.putenv("SDL_FRAMEBUFFER_ACCELERATION", "0")  # SDL reads it from the C library when a window is made
        follower = Follower(address, _wake)
        try:
            Glass(alias, follower).run()
        finally:
            follower.close()
    except pygame.error as error:
        raise MeshchatError(f"no window can be opened: {error}; --web shows the screen in a browser") from None
    finally:
        pygame.quit()


def _wake() -> None:
    with contextlib.suppress(pygame.error):  # it is closing, or has thousands of events to look at
        pygame.event.post(pygame.event.Event(CAME))
