"""The control socket, both ends: commands and events, hostile and sleepy clients, and who may use it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from meshchat import control
from meshchat.control import (
    Alias,
    Command,
    ControlClient,
    ControlServer,
    Done,
    Event,
    GetStatus,
    Join,
    Levels,
    MemberChanged,
    Missed,
    Notice,
    RoomList,
    Rooms,
    Snapshot,
    Status,
    Stop,
    Volume,
)
from meshchat.errors import MeshchatError, NoDaemon, Refused, UsageError
from meshchat.remote import protocol
from tests.control_daemon import House, member


@pytest.fixture(params=[False, True], ids=["unix", "tcp"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ControlServer]:
    house = House()
    server = ControlServer(tmp_path, house.handle, house.snapshot, force_tcp=request.param)
    await server.start()
    yield server
    await server.close()


@contextlib.asynccontextmanager
async def raw(profile: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that has shown its token where one is asked for, and has not been greeted yet."""
    door = msgspec.json.decode((profile / "control").read_bytes(), type=control.Door)
    where = door.address.partition(":")[2]
    if door.token:
        host, _, port = where.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(protocol.encode_line(control.Token(door.token)))
    else:
        reader, writer = await asyncio.open_unix_connection(where)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def collect(events: AsyncIterator[Event], is_last: Callable[[Event], bool]) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(10):
        async for event in events:
            found.append(event)
            if is_last(event):
                break
    return found


async def test_a_command_is_answered(server: ControlServer, tmp_path: Path) -> None:
    async with await ControlClient.connect(tmp_path) as client:
        assert client.greeting.protocol == control.PROTOCOL
        assert client.greeting.pid == os.getpid()
        rooms = await client.call(Rooms())
        assert isinstance(rooms, RoomList)
        assert rooms.rooms[0].name == "kitchen"
        assert await client.call(Alias("Grete Hermann")) == Done()
        answer = await client.call(GetStatus())
        assert isinstance(answer, Status)
        assert answer.alias == "Grete Hermann"


@pytest.mark.parametrize(
    ("command", "error", "words"),
    [
        (Join("cellar"), Refused, "room not found"),
        (Volume("bob", 1.0), UsageError, "no such member"),
        (control.Mute(), MeshchatError, "the cable is out"),
        (Stop(), MeshchatError, "fault"),
    ],
)
async def test_an_error_arrives_as_what_it_was_and_the_daemon_goes_on(
    server: ControlServer, tmp_path: Path, command: Command, error: type[MeshchatError], words: str
) -> None:
    async with await ControlClient.connect(tmp_path) as client:
        with pytest.raises(MeshchatError, match=words) as caught:
            await client.call(command)
        assert type(caught.value) is error
        assert await client.call(Join("kitchen")) == Done()


async def test_several_calls_at_once_each_get_their_own_answer(server: ControlServer, tmp_path: Path) -> None:
    async with await ControlClient.connect(tmp_path) as client:
        answers = await asyncio.gather(*(client.call(Rooms() if turn % 2 else GetStatus()) for turn in range(20)))
    assert [type(answer) for answer in answers] == [Status, RoomList] * 10


async def test_a_subscriber_gets_a_snapshot_then_what_happens(server: ControlServer, tmp_path: Path) -> None:
    async with await ControlClient.connect(tmp_path) as client, contextlib.aclosing(client.events()) as events:
        first = await anext(events)
        assert isinstance(first, Snapshot)
        told: list[Event] = [
            control.MemberJoined(member("bob")),
            Levels({"bob": -20.0, "eve": None}),
            control.MemberLeft("bob", "bob", "left"),
            Notice("warning", "the network changed"),
        ]
        for event in told:
            server.publish(event)
        assert await collect(events, lambda event: isinstance(event, Notice)) == told
        assert isinstance(await client.call(GetStatus()), Status), "questions go on beside events"


async def test_subscribers_see_the_last_words_and_then_the_end(tmp_path: Path) -> None:
    house = House()
    server = ControlServer(tmp_path, house.handle, house.snapshot)
    await server.start()
    async with await ControlClient.connect(tmp_path) as client:
        events = client.events()
        assert isinstance(await anext(events), Snapshot)
        server.publish(Notice("info", "goodbye"))
        await server.close()
        assert [event async for event in events] == [Notice("info", "goodbye")]
        with pytest.raises(NoDaemon):
            await client.call(Rooms())
    with pytest.raises(NoDaemon, match="meshchat --headless"):
        await ControlClient.connect(tmp_path)


async def test_a_client_that_never_reads_costs_a_constant(server: ControlServer, tmp_path: Path) -> None:
    """100,000 events of each kind: memory stays put, and what the client finds when it wakes is whole."""
    count = 100_000
    async with raw(tmp_path) as (reader, writer):
        writer.write(protocol.encode_line(control.Subscribe(id=1)))
        assert b"greet" not in await reader.readline()
        assert msgspec.json.decode(await reader.readline(), type=control.Reply).ok == Done()
        assert isinstance(protocol.read_event(await reader.readline()), Snapshot)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        tracemalloc.start()
        try:
            await _publish_many(server, count // 2)
            halfway, _ = tracemalloc.get_traced_memory()
            await _publish_many(server, count // 2)
            end, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert end - halfway < 200_000, f"grew from {halfway} to {end} bytes"
        assert peak < 4_000_000
        server.publish(Notice("error", "last"))
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        seen = await _read_until_snapshot(reader)
    missed = [event.count for event in seen if isinstance(event, Missed)]
    notices = [event for event in seen if isinstance(event, Notice)]
    assert len(notices) + sum(missed) == count + 1, "each event that was not told was counted"
    assert notices[-1] == Notice("error", "last")
    assert isinstance(seen[-1], Snapshot)


async def _publish_many(server: ControlServer, count: int) -> None:
    for turn in range(count):
        server.publish(Notice("info", f"number {turn}"))
        server.publish(Levels({"bob": float(-turn % 128)}))
        server.publish(MemberChanged(member(f"member {turn % 50}", float(turn % 100))))
        if turn % 100 == 0:
            await asyncio.sleep(0)


async def _read_until_snapshot(reader: asyncio.StreamReader) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(20):
        while not found or not isinstance(found[-1], Snapshot):
            event = protocol.read_event(await reader.readline())
            assert event is not None
            found.append(event)
    return found


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n",
        b"\xff\xfe\x00\n",
        b"{}\n",
        b'{"id": "seven", "command": "rooms"}\n',
        b"[" * 60_000 + b"\n",
        b'{"x": ' * 9_000 + b"\n",
        b"x" * 200_000,
    ],
    ids=["http", "binary", "empty", "no-number", "arrays", "objects", "endless"],
)
async def test_garbage_gets_one_error_line_and_the_end(server: ControlServer, tmp_path: Path, garbage: bytes) -> None:
    async with raw(tmp_path) as (reader, writer):
        await reader.readline()
        writer.write(garbage)
        async with asyncio.timeout(5):
            line = await reader.readline()
            with contextlib.suppress(ConnectionResetError):  # what we sent and nobody read may reset the end
                assert await reader.read() == b""
    reply = msgspec.json.decode(line, type=control.Reply)
    assert reply.id is None
    assert isinstance(reply.error, control.Failure)
    assert reply.error.kind == "protocol"
    async with await ControlClient.connect(tmp_path) as client:
        assert isinstance(await client.call(Rooms()), RoomList)


@pytest.mark.parametrize(
    ("request_line", "words"),
    [
        (b'{"id": 4, "command": "jion", "name": "x"}', "jion"),
        (b'{"id": 4, "command": "join"}', "name"),
        (b'{"id": 4, "command": "join", "name": ""}', "length"),
        (b'{"id": 4, "command": "join", "name": "%s"}' % (b"x" * 33), "length"),
        (b'{"id": 4, "command": "leave", "nmae": 1}', "nmae"),
        (b'{"id": 4, "command": "volume", "member": "bob", "gain": 5}', "<= 4"),
    ],
)
async def test_a_wrong_request_is_explained_and_may_be_followed_by_a_better_one(
    server: ControlServer, tmp_path: Path, request_line: bytes, words: str
) -> None:
    async with raw(tmp_path) as (reader, writer):
        await reader.readline()
        writer.write(request_line + b"\n" + b'{"id": 5, "command": "rooms"}\n')
        wrong = msgspec.json.decode(await reader.readline(), type=control.Reply)
        right = msgspec.json.decode(await reader.readline(), type=control.Reply)
    assert isinstance(wrong.error, control.Failure)
    assert (wrong.id, wrong.error.kind, right.id) == (4, "usage", 5)
    assert words in wrong.error.message
    assert isinstance(right.ok, RoomList)


async def test_one_client_too_many_is_told_so(server: ControlServer, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(control.CLIENTS_MAX):
            await stack.enter_async_context(await ControlClient.connect(tmp_path))
        with pytest.raises(MeshchatError, match="connected already"):
            await ControlClient.connect(tmp_path)
    async with asyncio.timeout(5):
        while True:
            with contextlib.suppress(MeshchatError):
                async with await ControlClient.connect(tmp_path) as client:
                    assert isinstance(await client.call(Rooms()), RoomList)
                    break


async def test_on_tcp_nothing_is_done_without_the_token(tmp_path: Path) -> None:
    house = House()
    server = ControlServer(tmp_path, house.handle, house.snapshot, force_tcp=True)
    host, _, port = (await server.start()).removeprefix("tcp:").rpartition(":")
    assert stat.S_IMODE((tmp_path / "control").stat().st_mode) == 0o600
    for first in (b'{"id": 1, "command": "stop"}\n', b'{"token": ""}\n', b'{"token": "\\u00fc"}\n', b"\n"):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(first + b'{"id": 2, "command": "rooms"}\n')
        assert b"token" in await reader.readline()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
    assert house.heard == []
    await server.close()


async def test_a_client_that_vanishes_harms_nobody(server: ControlServer, tmp_path: Path) -> None:
    for _ in range(3):
        async with raw(tmp_path) as (reader, writer):
            await reader.readline()
            writer.write(b'{"id": 1, "command": "subscribe"}\n{"id": 2, "command": "rooms"}\n')
            await reader.readline()
            writer.transport.abort()
        for turn in range(100):
            server.publish(Notice("info", str(turn)))
    async with await ControlClient.connect(tmp_path) as client:
        assert isinstance(await client.call(Rooms()), RoomList)


async def test_a_daemon_of_another_protocol_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    server = ControlServer(tmp_path, house.handle, house.snapshot)
    await server.start()
    monkeypatch.setattr("meshchat.remote.server.PROTOCOL", 99)
    with pytest.raises(MeshchatError, match="protocol 99"):
        await ControlClient.connect(tmp_path)
    await server.close()
