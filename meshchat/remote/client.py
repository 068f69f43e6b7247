"""A program's end of the control socket: ask, be answered; or listen to what happens.

Questions and events use a connection each. So a slow reader of events is slowed by its own socket alone, the
daemon merges what it has not read, and nothing has to be queued here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from types import TracebackType

import msgspec

from meshchat.errors import MeshchatError, NoDaemon, Refused, UsageError
from meshchat.remote import address
from meshchat.remote.commands import Command, Subscribe
from meshchat.remote.events import Event
from meshchat.remote.protocol import (
    ANSWER_BYTES_MAX,
    PROTOCOL,
    Failure,
    Greeting,
    Reply,
    Token,
    encode_line,
    read_event,
)
from meshchat.remote.state import Answer

GREETING_SECONDS = 5.0
"""How long a daemon may take to greet; it is on this machine."""

ANSWER_SECONDS = 30.0
"""How long a command may take: several times the longest a daemon waits for its peers."""


class ControlClient:
    """A connection to the daemon of one profile, made by `connect`; ends with `close` or an `async with`."""

    def __init__(
        self, profile: Path, greeting: Greeting, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.profile = profile
        self.greeting = greeting
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()
        self._serial = 0

    @classmethod
    async def connect(cls, profile: Path) -> ControlClient:
        """Reach the daemon. Raises `NoDaemon`, or `MeshchatError` when another version's daemon answers."""
        door = address.find(profile)
        reader, writer = await _open(profile, address.connect_details(door))
        try:
            if door.token:
                writer.write(encode_line(Token(door.token)))
            async with asyncio.timeout(GREETING_SECONDS):
                greeting = _greeting(await reader.readline(), profile)
        except (OSError, TimeoutError) as error:
            writer.close()
            raise MeshchatError(f"the daemon of {profile} does not greet; end it and start it again") from error
        except BaseException:
            writer.close()
            raise
        return cls(profile, greeting, reader, writer)

    async def call(self, command: Command) -> Answer:
        """Have `command` done.

        Raises `Refused`, `UsageError` or `MeshchatError` with the daemon's words, or `NoDaemon` when it is gone.
        """
        async with self._turn:
            self._serial += 1
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    reply = await self._reply(msgspec.structs.replace(command, id=self._serial))
            except TimeoutError:
                who = f"the daemon (process {self.greeting.pid})"
                raise MeshchatError(f"{who} gave no answer for {ANSWER_SECONDS:g} s; see what it logs") from None
        if isinstance(reply.ok, msgspec.UnsetType):
            raise _raised(reply.error)
        return reply.ok

    async def events(self) -> AsyncGenerator[Event, None]:
        """A `Snapshot`, then what happens, until the daemon ends; over a connection of its own.

        Close it with `contextlib.aclosing` when leaving the loop early.
        """
        async with await ControlClient.connect(self.profile) as own:
            await own.call(Subscribe())
            while line := await own._line():
                event = read_event(line)
                if event is not None:
                    yield event

    async def close(self) -> None:
        """End the connection."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return  # the daemon was faster

    async def __aenter__(self) -> ControlClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _reply(self, command: Command) -> Reply:
        """The reply to `command`; replies to earlier ones, whose callers gave up, are passed over."""
        try:
            self._writer.write(encode_line(command))
            await self._writer.drain()
        except OSError:
            raise NoDaemon("the daemon ended") from None
        while line := await self._line():
            reply = msgspec.json.decode(line, type=Reply)
            if reply.id is None or reply.id == command.id:
                return reply
        raise NoDaemon("the daemon ended before it answered")

    async def _line(self) -> bytes:
        """The next line; empty at the end, which a daemon that was killed leaves in the middle of a line."""
        try:
            line = await self._reader.readline()
        except OSError:
            return b""
        return line if line.endswith(b"\n") else b""


async def _open(profile: Path, where: tuple[str, int] | str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        if isinstance(where, str):
            return await asyncio.open_unix_connection(where, limit=ANSWER_BYTES_MAX)
        return await asyncio.open_connection(*where, limit=ANSWER_BYTES_MAX)
    except PermissionError as error:
        raise MeshchatError(f"the daemon of {profile} belongs to another user; choose your own --profile") from error
    except OSError as error:
        raise NoDaemon(address.nobody_answers(profile)) from error


def _greeting(line: bytes, profile: Path) -> Greeting:
    """The greeting in the first line, from a daemon that can be talked to."""
    try:
        greeting = msgspec.json.decode(line, type=Greeting)
    except msgspec.DecodeError:
        raise _not_greeted(line, profile) from None
    if greeting.protocol != PROTOCOL:
        raise MeshchatError(
            f"the daemon is meshchat {greeting.meshchat} and speaks protocol {greeting.protocol}, this program"
            f" {PROTOCOL}; end it (process {greeting.pid}) and start it again"
        )
    return greeting


def _not_greeted(line: bytes, profile: Path) -> MeshchatError:
    """Why there was no greeting: turned away with a reason, closed at once, or not a daemon at all."""
    try:
        reply = msgspec.json.decode(line, type=Reply)
    except msgspec.DecodeError:
        return NoDaemon(address.nobody_answers(profile))
    return _raised(reply.error)


def _raised(error: Failure | msgspec.UnsetType) -> MeshchatError:
    if isinstance(error, msgspec.UnsetType):
        return MeshchatError("the daemon answered neither yes nor no; is it another version?")
    kinds = {"refused": Refused, "usage": UsageError}
    return kinds.get(error.kind, MeshchatError)(error.message)
