"""A member's screen as a picture file: once it is exact, or as it is after a while."""

from __future__ import annotations

import asyncio
from pathlib import Path

from meshchat.codec import png
from meshchat.errors import MeshchatError, Refused, WireError
from meshchat.looking import FIRST_S, NO_PICTURE, Ended, View, feed
from meshchat.units import Seconds

EXACT_S: Seconds = 3.0
"""How long to wait for an exact picture; a film never becomes one."""


async def snapshot(address: str, path: Path) -> None:
    """Writes a PNG of what that feed shows. Raises `MeshchatError` if there is no picture, or it cannot be written."""
    view = await _look(address)
    await asyncio.to_thread(_write, path, view)


def _write(path: Path, view: View) -> None:
    try:
        path.write_bytes(png(view.canvas.picture))
    except OSError as error:
        raise MeshchatError(f"cannot write {path}: {error.strerror}") from error


async def _look(address: str) -> View:
    view = View()
    began_whole = False
    loop = asyncio.get_running_loop()
    async with feed(address) as messages:
        until = loop.time() + FIRST_S
        while not view.exact:
            try:
                view.take(await asyncio.wait_for(anext(messages), until - loop.time()))
            except (TimeoutError, Ended, WireError):
                break
            if view.whole and not began_whole:
                began_whole, until = True, loop.time() + EXACT_S
    if not began_whole:
        raise Refused(NO_PICTURE)
    return view
