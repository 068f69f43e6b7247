"""The daemon's end of the control socket: reads commands, hands them on, and keeps subscribers told.

Each connection is one coroutine that reads a request, waits for its answer and writes it, and for a subscriber a
second one that empties its `Backlog` as fast as the client reads. A client that stops reading costs its backlog and
one write buffer, and is never waited for by anything but its own two coroutines.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from meshchat import __version__
from meshchat.errors import MeshchatError, Refused, UsageError
from meshchat.remote import address
from meshchat.remote.backlog import Backlog
from meshchat.remote.commands import Command, Subscribe
from meshchat.remote.events import Event, Snapshot
from meshchat.remote.protocol import (
    LINE_BYTES_MAX,
    PROTOCOL,
    Door,
    ErrorKind,
    Failure,
    Greeting,
    Reply,
    Token,
    encode_line,
    read_command,
    request_id,
)
from meshchat.remote.state import Answer, Done

log = logging.getLogger(__name__)

CLIENTS_MAX = 32
"""Connections at a time: a person's terminals and scripts. One more is told so and closed."""

WRITE_BUFFER_BYTES_MAX = 64 * 1024
"""What may wait in one client's transport; above it events stay in its backlog, where they are merged."""

TOKEN_SECONDS = 5.0
"""How long a TCP client may take to show its token before it makes room for another."""

CLOSE_SECONDS = 1.0
"""How long the last words may take to be read when the daemon ends; then the connection is cut."""

Handle = Callable[[Command], Awaitable[Answer]]


class ControlServer:
    """The control socket of one profile; everything from the event loop that ran `start`."""

    def __init__(
        self, profile: Path, handle: Handle, snapshot: Callable[[], Snapshot], *, force_tcp: bool = False
    ) -> None:
        """`handle` does a command, never `Subscribe`, or raises a `MeshchatError`; `snapshot` tells the state."""
        self._profile = profile
        self._handle = handle
        self._snapshot = snapshot
        self._force_tcp = force_tcp
        self._door = Door("")
        self._server: asyncio.Server | None = None
        self._clients: set[_Client] = set()

    async def start(self) -> str:
        """Listen; the address for the ready line. Raises `MeshchatError` when a daemon answers for this profile."""
        listener, self._door = await asyncio.to_thread(address.listen, self._profile, self._force_tcp)
        opener = asyncio.start_server if self._door.token else asyncio.start_unix_server
        self._server = await opener(self._serve, sock=listener, limit=LINE_BYTES_MAX)
        return self._door.address

    @property
    def is_watched(self) -> bool:
        """Whether anybody wants to hear of events."""
        return any(client.has_subscribed for client in self._clients)

    def publish(self, event: Event) -> None:
        """Tell every subscriber, as soon as it reads."""
        for client in self._clients:
            client.tell(event)

    async def close(self) -> None:
        """Stop listening and end every connection; what was published before is still written to who reads."""
        if self._server is None:
            return
        self._server.close()
        address.withdraw(self._profile, self._door)
        clients = list(self._clients)
        await asyncio.gather(*(client.close() for client in clients))
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        crowded = len(self._clients) >= CLIENTS_MAX
        client = _Client(reader, writer, self._handle, self._snapshot, self._door.token)
        self._clients.add(client)
        try:
            # Until Python 3.12 `asyncio.streams` reports a connection whose reader was cancelled as an error.
            with contextlib.suppress(asyncio.CancelledError):
                if crowded:
                    await client.turn_away(f"{CLIENTS_MAX} programs are connected already")
                else:
                    await client.run()
        finally:
            self._clients.discard(client)


class _Client:
    """One connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        handle: Handle,
        snapshot: Callable[[], Snapshot],
        token: str,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._handle = handle
        self._snapshot = snapshot
        self._token = token
        self._wake = asyncio.Event()
        self._backlog: Backlog | None = None
        self._pump: asyncio.Task[None] | None = None
        self._reading = asyncio.current_task()
        writer.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES_MAX)

    @property
    def has_subscribed(self) -> bool:
        """Whether it wants to hear of events."""
        return self._backlog is not None

    def tell(self, event: Event) -> None:
        """Keep `event` for the client if it has subscribed."""
        if self._backlog is not None:
            self._backlog.push(event)
            self._wake.set()

    async def run(self) -> None:
        """Serve until the client goes or talks nonsense; `close` ends it from outside."""
        try:
            if await self._is_admitted():
                self._writer.write(encode_line(Greeting(__version__, PROTOCOL, os.getpid())))
                while await self._serve_one():
                    await self._writer.drain()
            await self._end()
        except OSError:
            self._writer.transport.abort()  # the client went without a word, which is its right
        except Exception:
            log.exception("a control client was cut off by our own fault")
            self._writer.transport.abort()
        finally:
            if self._pump is not None:
                self._pump.cancel()

    async def close(self) -> None:
        """Write what waits as far as the client reads, then end the connection."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        while self._backlog is not None and self._has_room() and (event := self._backlog.take()) is not None:
            self._writer.write(encode_line(event))
        await self._end()

    async def turn_away(self, why: str) -> None:
        """Say why this is not going to work, and end the connection."""
        self._writer.write(encode_line(Reply(None, error=Failure("protocol", why))))
        await self._end()

    async def _end(self) -> None:
        self._writer.close()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()

    def _has_room(self) -> bool:
        transport = self._writer.transport
        return not transport.is_closing() and transport.get_write_buffer_size() < WRITE_BUFFER_BYTES_MAX

    async def _is_admitted(self) -> bool:
        """Whether the client may talk: on TCP its first line must show the token, which only the profile tells."""
        if not self._token:
            return True
        try:
            async with asyncio.timeout(TOKEN_SECONDS):
                shown = msgspec.json.decode(await self._reader.readline(), type=Token).token
        except (ValueError, RecursionError, TimeoutError):  # msgspec's errors are ValueErrors too
            shown = ""
        if hmac.compare_digest(shown.encode(), self._token.encode()):
            return True
        await self.turn_away("the first line must be the token that PROFILE/control tells")
        return False

    async def _serve_one(self) -> bool:
        """Read one request and answer it; whether to go on."""
        try:
            line = await self._reader.readline()
        except ValueError:
            await self.turn_away(f"a line is longer than {LINE_BYTES_MAX} bytes")
            return False
        if not line:
            return False
        try:
            command = read_command(line)
        except msgspec.DecodeError as error:
            return await self._refuse_line(line, str(error))
        if isinstance(command, Subscribe):
            self._writer.write(encode_line(Reply(command.id, ok=Done())))
            self._subscribe()
        else:
            self._writer.write(encode_line(await self._answer(command)))
        return True

    async def _refuse_line(self, line: bytes, why: str) -> bool:
        """A request with an id gets its error and may be followed by a better one; anything else is cut off."""
        number = request_id(line)
        if number is None:
            await self.turn_away(f"not a request of this protocol: {why}")
            return False
        self._writer.write(encode_line(Reply(number, error=Failure("usage", why))))
        return True

    async def _answer(self, command: Command) -> Reply:
        try:
            return Reply(command.id, ok=await self._handle(command))
        except MeshchatError as error:
            kind: ErrorKind = "failed"
            if isinstance(error, Refused | UsageError):
                kind = "refused" if isinstance(error, Refused) else "usage"
            return Reply(command.id, error=Failure(kind, str(error)))
        except Exception:
            log.exception("the command %s failed by our own fault", type(command).__name__)
            return Reply(command.id, error=Failure("internal", "meshchat has a fault; the daemon's log tells where"))

    def _subscribe(self) -> None:
        if self._backlog is None:
            self._backlog = Backlog(self._snapshot)
            self._pump = asyncio.create_task(self._write_events(self._backlog), name="control subscriber")
            self._wake.set()

    async def _write_events(self, backlog: Backlog) -> None:
        """Write events as fast as the client reads; where it does not read, wait here while they are merged."""
        try:
            while await self._wake.wait():
                self._wake.clear()
                while (event := backlog.take()) is not None:
                    self._writer.write(encode_line(event))
                    await self._writer.drain()
        except OSError:
            self._writer.transport.abort()
        except Exception:
            log.exception("a subscriber was cut off by our own fault")
            self._writer.transport.abort()
