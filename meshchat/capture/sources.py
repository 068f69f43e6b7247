"""Where pictures of a screen come from: the screen itself, a file or a folder of pictures, or a pattern drawn here."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import mss
import numpy as np
from PIL import Image

from meshchat.capture.pattern import KINDS, Pattern
from meshchat.capture.protocol import DEFAULT_SOURCE, Spec
from meshchat.capture.x11 import Display
from meshchat.errors import ScreenError
from meshchat.media.tiles import Rows, cut_or_filled
from meshchat.units import Pixels, Seconds

PATTERN = "test-pattern"

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")

SHOWN_S: Seconds = 1.0
"""How long each picture of a folder is shown."""


@dataclass(frozen=True, slots=True)
class Shot:
    """What a source shows."""

    picture: Pixels
    """Contiguous; another shot may change it."""
    rows: Rows | None = None
    """Where it may differ from the shot before; None if nobody knows."""


class Source(Protocol):
    """Something that has a picture at any time."""

    title: str
    """What is shared, in words for people."""

    def grab(self, at: Seconds) -> Shot:
        """The picture at that time; the caller does not keep it. Raises `ScreenError` when it is gone."""


def open_source(spec: Spec) -> Source:
    """The source that was asked for. Raises `ScreenError` with the remedy if there is none."""
    if spec.source == DEFAULT_SOURCE:
        return Screen(spec)
    name, _, kind = spec.source.partition(":")
    if name == PATTERN:
        if kind and kind not in KINDS:
            raise ScreenError(f"no test pattern {kind!r}; there are {', '.join(KINDS)}")
        return Drawn(Pattern(kind or KINDS[0]))
    return Pictures(Path(spec.source).expanduser())


class Drawn:
    """A pattern that is drawn here."""

    def __init__(self, pattern: Pattern) -> None:
        self.title = pattern.title
        self._pattern = pattern

    def grab(self, at: Seconds) -> Shot:
        """The pattern at that time."""
        return Shot(self._pattern.grab(at))


class Pictures:
    """A picture from a file, or those of a folder one after the other."""

    def __init__(self, path: Path) -> None:
        paths = sorted(each for each in path.iterdir() if each.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if not paths:
            raise ScreenError(f"no picture in {path}: it needs files ending in {', '.join(SUFFIXES)}")
        self.title = path.name
        self._paths = paths
        self._shown = -1
        self._picture: Pixels = self._load(0)
        self._began_at: Seconds | None = None

    def grab(self, at: Seconds) -> Shot:
        """The picture whose turn it is, cut or filled to the size of the first."""
        self._began_at = at if self._began_at is None else self._began_at
        self._load(int((at - self._began_at) / SHOWN_S) % len(self._paths))
        return Shot(self._picture)

    def _load(self, number: int) -> Pixels:
        if number == self._shown:
            return self._picture
        path = self._paths[number]
        try:
            with Image.open(path) as image:
                loaded = np.array(image.convert("RGBA"))
        except (OSError, Image.DecompressionBombError) as error:
            raise ScreenError(f"cannot read the picture {path}: {error}") from None
        pixels = np.ascontiguousarray(loaded[:, :, [2, 1, 0, 3]]).view(np.uint32)[:, :, 0]
        self._picture = pixels if self._shown < 0 else cut_or_filled(pixels, *self._picture.shape)
        self._shown = number
        return self._picture


class Screen:
    """A monitor, all of them, or a part."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._grabber: Any = None
        self._size: tuple[int, int] | None = None
        self.display = _display()
        """What tells of drawing, and is looked at there alone; None where nothing does."""
        self._open()

    def grab(self, at: Seconds) -> Shot:
        """The screen as it is, with the pointer."""
        try:
            return self._shot()
        except ScreenError:
            self._open()  # the screen has another size now, or it is gone: that says which
            return self._shot()

    def follow_size(self) -> None:
        """Opens the screen anew if its monitors may have changed: asking the display costs less than opening it."""
        size = None
        if self.display:
            with contextlib.suppress(OSError):
                size = self.display.size()
        if (size is None or size != self._size) and self._spec.region is None:
            self._open()
        self._size = size

    def _shot(self) -> Shot:
        try:
            if self.display:
                rows = self.display.look()
                return Shot(self.display.picture, rows)
            shot = self._grabber.grab(self._area)
        except (mss.ScreenShotError, OSError, ValueError) as error:
            raise ScreenError(_no_screen(error)) from None
        return Shot(np.frombuffer(shot.raw, np.uint32).reshape(shot.height, shot.width))

    def _open(self) -> None:
        # The old connection is let go when the new one stands: a display without programs may end.
        old, self._grabber = self._grabber, None
        try:
            self._grabber = mss.MSS(with_cursor=True)
            monitors = self._grabber.monitors
        except (mss.ScreenShotError, OSError, ValueError, ImportError) as error:
            raise ScreenError(_no_screen(error)) from None
        finally:
            if old is not None:
                old.close()
        if not 0 <= self._spec.monitor < len(monitors):
            raise ScreenError(f"no monitor {self._spec.monitor}; there are {len(monitors) - 1}, counted from 1")
        monitor = monitors[self._spec.monitor]
        self._area = _part(monitor, self._spec.region)
        if self.display:
            try:
                self.display.use(**self._area)
            except OSError:
                self.display = None
        which = f"monitor {self._spec.monitor}" if self._spec.monitor else "screen"
        self.title = f"{which}, {self._area['width']}x{self._area['height']}"


def _display() -> Display | None:
    """The display, if it is one that reports what is drawn."""
    try:
        return Display()
    except (OSError, ImportError):
        return None


def _part(monitor: Any, region: tuple[int, int, int, int] | None) -> dict[str, int]:
    if region is None:
        return {name: monitor[name] for name in ("left", "top", "width", "height")}
    x, y, width, height = region
    inside = x >= 0 and y >= 0 and x + width <= monitor["width"] and y + height <= monitor["height"]
    if not inside or width < 1 or height < 1:
        size = f"{monitor['width']}x{monitor['height']}"
        raise ScreenError(f"the region {x},{y},{width},{height} is not inside the screen of {size}")
    return {"left": monitor["left"] + x, "top": monitor["top"] + y, "width": width, "height": height}


def _no_screen(error: Exception) -> str:
    return (
        f"cannot look at the screen: {error}. On Linux a display is needed (the variable DISPLAY); on macOS allow "
        "screen recording in the system's privacy settings; without a screen share --source test-pattern or a picture"
    )
