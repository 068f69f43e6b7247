"""A feed followed on a thread of its own, for viewers whose main thread belongs to something else, such as a window.

What waits is bounded: a viewer that does not keep up leaves the rest with the daemon, which begins it anew in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from meshchat.errors import MeshchatError
from meshchat.looking import feed
from meshchat.units import Seconds

WAITING_MAX = 64
"""Messages taken ahead of the viewer: some pictures in motion."""

PAUSE_S: Seconds = 0.004
"""Between two looks whether a viewer that is behind has caught up."""

END_S: Seconds = 2.0
"""How long taking leave of the daemon may take."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message of the feed."""

    data: bytes
    at: Seconds
    """When it came, by the monotonic clock."""


class Incoming(Protocol):
    """What a viewer looks at."""

    @property
    def over(self) -> str:
        """Why nothing more comes, once everything before was taken; empty while it goes on."""

    def take(self) -> Arrival | None:
        """The next message, if one waits."""


class Follower:
    """Takes what comes until the feed ends or `close` is called."""

    def __init__(self, address: str, wake: Callable[[], None]) -> None:
        """`wake` is called on the thread after each message, and at the end."""
        self._address = address
        self._wake = wake
        self._waiting: deque[Arrival] = deque()
        self._loop = asyncio.new_event_loop()
        self._following: asyncio.Task[None] | None = None
        self._over = ""
        self._thread = threading.Thread(target=self._run, name="meshchat-feed", daemon=True)
        self._thread.start()

    @property
    def over(self) -> str:
        """Why nothing more comes, once everything before was taken; empty while the feed goes on."""
        return "" if self._waiting else self._over

    def take(self) -> Arrival | None:
        """The next message, if one waits."""
        try:
            return self._waiting.popleft()
        except IndexError:
            return None

    def close(self) -> None:
        """Leaves the feed; blocks for a moment."""
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(END_S)

    def _cancel(self) -> None:
        if self._following:
            self._following.cancel()

    def _run(self) -> None:
        self._following = self._loop.create_task(self._follow())
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._following)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _follow(self) -> None:
        try:
            async with feed(self._address) as messages:
                async for message in messages:
                    while len(self._waiting) >= WAITING_MAX:
                        await asyncio.sleep(PAUSE_S)
                    self._waiting.append(Arrival(message, time.monotonic()))
                    self._wake()
        except MeshchatError as error:
            self._over = str(error)
            self._wake()
