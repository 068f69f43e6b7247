"""Looking at a screen that a member shares: each way to look is a client of the daemon's feed, and decodes for itself.

The feed is the same for a page, a window, a picture in the terminal and a file (`web/server.py`); here is the end of it
that programs of ours use.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.frames import CloseCode

from meshchat.codec import decode_exact, decode_jpeg
from meshchat.errors import MeshchatError
from meshchat.media.canvas import Canvas
from meshchat.media.operations import Copy, Put, Size, parse_operations
from meshchat.media.parts import PRESENT, SETTLED
from meshchat.media.tiles import Rect
from meshchat.units import Seconds, safe_text

MESSAGE_BYTES_MAX = 2 << 20

FIRST_S: Seconds = 10.0
"""How long the first picture may take on a bad link."""

NO_PICTURE = "no picture came; does the member still share its screen?"


class Ended(MeshchatError):
    """The screen is shown no more; the message says why."""


@dataclass(slots=True)
class View:
    """A screen as a viewer has it."""

    canvas: Canvas = field(default_factory=lambda: Canvas(decode_jpeg, decode_exact))
    size: Size | None = None
    whole: bool = False
    """Whether the picture can be shown."""
    exact: bool = False

    def take(self, message: bytes) -> tuple[Rect, ...]:
        """The next message of the feed; the parts of the picture that change. Raises `WireError` for damaged ones."""
        operations, self.size = parse_operations(message[1:], self.size)
        before = self.canvas.picture
        self.canvas.carry_out(operations)
        self.whole, self.exact = bool(message[0] & PRESENT), bool(message[0] & SETTLED)
        if self.canvas.picture is not before:
            height, width = self.canvas.picture.shape
            return (Rect(0, 0, width, height),)
        parts = (
            each.where if isinstance(each, Put) else each.to for each in operations if isinstance(each, Put | Copy)
        )
        return tuple(parts)


@contextlib.asynccontextmanager
async def feed(address: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """The messages of a feed, which end with `Ended`. Raises `MeshchatError` if the daemon does not serve it."""
    try:
        async with connect(address, compression=None, max_size=MESSAGE_BYTES_MAX, proxy=None) as connection:
            yield _messages(connection)
    except (OSError, InvalidHandshake) as error:
        raise MeshchatError(f"the daemon does not show this screen any more: {error}") from None


async def _messages(connection: ClientConnection) -> AsyncIterator[bytes]:
    with contextlib.suppress(ConnectionClosed):
        async for message in connection:
            if isinstance(message, bytes):
                yield message
    if connection.close_code == CloseCode.NORMAL_CLOSURE:
        raise Ended(safe_text(connection.close_reason or "") or "the daemon shows it no more")
    raise Ended("the daemon ended" if connection.close_code == CloseCode.GOING_AWAY else "the daemon is gone")
