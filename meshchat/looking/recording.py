"""A member's screen written down as it is watched: pictures in a folder, or a film.

A picture is written when something has changed, with the time since the first: as a file's name in milliseconds, or as
the film's own time stamps, so nothing depends on how evenly pictures come. A film ends when watching ended, however
long nothing moved before.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from meshchat.codec import encode_jpeg
from meshchat.errors import MeshchatError, UsageError, WireError
from meshchat.looking import Ended, View, feed
from meshchat.media.tiles import cut_or_filled
from meshchat.units import Pixels, Seconds

PAUSE_S: Seconds = 1 / 30
"""Least time between two pictures."""

QUALITY = 95
"""Of the pictures in a folder, as JPEG counts it, with colours in full resolution."""

FILMS = (".mkv", ".mp4")

TICKS = 1000
"""Of a film's time stamps, in a second."""

LIBRARY = "av"


class Reel(Protocol):
    """Where pictures go. Both may raise `MeshchatError`."""

    def put(self, picture: Pixels, at: Seconds) -> None:
        """A picture, and when it was seen, since the first."""

    def close(self, at: Seconds) -> None:
        """Nothing more comes; watching ended then."""


async def record(address: str, path: Path) -> str:
    """Writes down that feed until it ends, or this is cancelled; what became of it, in words.

    Raises `UsageError` for a name that is neither a film's nor a folder's, and `MeshchatError` for what fails.
    """
    reel = _open(path)
    loop = asyncio.get_running_loop()
    view, count, began, why = View(), 0, 0.0, ""
    changed = False
    writing: asyncio.Future[None] | None = None
    try:
        async with feed(address) as messages:
            written = 0.0
            async for message in messages:
                with contextlib.suppress(WireError):  # what is damaged is sent again in time
                    changed = bool(view.take(message)) or changed
                if changed and view.whole and loop.time() >= written + PAUSE_S:
                    written, changed = loop.time(), False
                    began = began or written
                    writing = asyncio.ensure_future(asyncio.to_thread(reel.put, view.canvas.picture, written - began))
                    await asyncio.shield(writing)
                    count += 1
    except Ended as ended:
        why = str(ended)
    finally:
        if writing:
            await asyncio.wait({writing})  # a thread writes on when this is cancelled
        lasted = loop.time() - began if began else 0.0
        if changed and view.whole and count:
            reel.put(view.canvas.picture, lasted)
            count += 1
        reel.close(lasted)
    return f"{count} pictures in {lasted:.1f} s are in {path}; {why}"


def _open(path: Path) -> Reel:
    if path.suffix.lower() in FILMS:
        if importlib.util.find_spec(LIBRARY) is None:
            raise MeshchatError("a film needs the extra `film` (pip install 'meshchat[film]'); a folder needs nothing")
        return Film(path)
    if path.suffix:
        raise UsageError(f"--record {path}: name a film ({' or '.join(FILMS)}), or a folder, without a suffix")
    return Folder(path)


class Folder:
    """A JPEG for each picture, named by its time in milliseconds."""

    def __init__(self, path: Path) -> None:
        """Raises `MeshchatError` if there can be no such folder, or it has something in it."""
        self._path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise MeshchatError(f"{path} has files in it; name a folder that is empty or not there yet")
        except OSError as error:
            raise MeshchatError(f"cannot write into {path}: {error.strerror}") from error

    def put(self, picture: Pixels, at: Seconds) -> None:
        """See `Reel`."""
        try:
            (self._path / f"{at * 1000:09.0f}.jpg").write_bytes(encode_jpeg(picture, QUALITY))
        except OSError as error:
            raise MeshchatError(f"cannot write into {self._path}: {error.strerror}") from error

    def close(self, at: Seconds) -> None:
        """See `Reel`: each picture is whole already."""


class Film:
    """H.264 in Matroska or MP4; pictures of another size than the first are cut or filled to that."""

    def __init__(self, path: Path) -> None:
        """Raises `MeshchatError` if there can be no such file."""
        import av

        self._path = path
        self._last: tuple[Pixels, int] | None = None
        self._stream: Any = None
        self._frame: Any = av.VideoFrame.from_ndarray
        self._failed = (OSError, av.FFmpegError)
        try:
            self._file: Any = av.open(str(path), "w")
        except self._failed as error:
            raise MeshchatError(f"cannot write {path}: {error}") from error

    def put(self, picture: Pixels, at: Seconds) -> None:
        """See `Reel`."""
        if self._stream is None:
            self._begin(picture.shape[1] // 2 * 2, picture.shape[0] // 2 * 2)  # colours are halved both ways
        fitted = cut_or_filled(picture, self._stream.height, self._stream.width)
        tick = max(round(at * TICKS), self._last[1] + 1 if self._last else 0)
        self._last = fitted, tick
        self._write(fitted, tick)

    def close(self, at: Seconds) -> None:
        """See `Reel`."""
        try:
            if self._last:
                picture, tick = self._last
                self._write(picture, max(round(at * TICKS), tick + 1))
                self._file.mux(self._stream.encode(None))
            self._file.close()
        except self._failed as error:
            raise MeshchatError(f"cannot finish {self._path}: {error}") from error

    def _begin(self, width: int, height: int) -> None:
        self._stream = self._file.add_stream("libx264", options={"preset": "veryfast", "crf": "23"})
        self._stream.width, self._stream.height = max(width, 2), max(height, 2)
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, TICKS)

    def _write(self, picture: Pixels, tick: int) -> None:
        frame = self._frame(picture.view(np.uint8).reshape(*picture.shape, 4), format="bgra")
        frame.pts, frame.time_base = tick, Fraction(1, TICKS)
        try:
            self._file.mux(self._stream.encode(frame))
        except self._failed as error:
            raise MeshchatError(f"cannot write {self._path}: {error}") from error
