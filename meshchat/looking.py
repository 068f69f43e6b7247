"""Looking at a screen from the command line: a picture of it as a file, once it is exact, or as it is after a while."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from meshchat import control
from meshchat.codec import decode_exact, decode_jpeg, png
from meshchat.errors import MeshchatError, Refused, WireError
from meshchat.media.canvas import Canvas
from meshchat.media.operations import Size, parse_operations
from meshchat.media.parts import PRESENT, SETTLED
from meshchat.units import Seconds

EXACT_S: Seconds = 3.0
"""How long to wait for an exact picture; a film never becomes one."""

FIRST_S: Seconds = 10.0
"""How long the first whole picture may take on a bad link."""

MESSAGE_BYTES_MAX = 2 << 20


@dataclass(slots=True)
class View:
    """A screen as a viewer has it."""

    canvas: Canvas = field(default_factory=lambda: Canvas(decode_jpeg, decode_exact))
    size: Size | None = None
    whole: bool = False
    """Whether the picture can be shown."""
    exact: bool = False

    def take(self, message: bytes) -> None:
        """The next message of the feed. Raises `WireError` for what does not decode."""
        operations, self.size = parse_operations(message[1:], self.size)
        self.canvas.carry_out(operations)
        self.whole, self.exact = bool(message[0] & PRESENT), bool(message[0] & SETTLED)


@contextlib.asynccontextmanager
async def feed(address: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """The messages of a feed. Raises `MeshchatError` if the daemon does not serve it any more."""
    try:
        async with connect(address, compression=None, max_size=MESSAGE_BYTES_MAX, proxy=None) as connection:
            yield (message async for message in connection if isinstance(message, bytes))
    except (OSError, InvalidHandshake, ConnectionClosed) as error:
        raise MeshchatError(f"the daemon does not show this screen any more: {error}") from None


async def snapshot(daemon: control.ControlClient, member: str, path: Path) -> control.Watching:
    """Writes a PNG of that member's screen. Raises `MeshchatError` if there is no picture, or it cannot be written."""
    answer = await daemon.call(control.Watch(member))
    assert isinstance(answer, control.Watching)
    try:
        view = await _look(answer.feed)
    finally:
        if not answer.already:
            await daemon.call(control.Unwatch(answer.id))
    await asyncio.to_thread(_write, path, view)
    return answer


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
            except (TimeoutError, StopAsyncIteration, WireError):
                break
            if view.whole and not began_whole:
                began_whole, until = True, loop.time() + EXACT_S
    if not began_whole:
        raise Refused("no picture came; does the member still share its screen?")
    return view
