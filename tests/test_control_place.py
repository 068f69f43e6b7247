"""Where the control socket is: who may open it, who may take its place, and what stands in for it."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from meshchat.control import ControlClient, ControlServer, RoomList, Rooms
from meshchat.errors import MeshchatError, NoDaemon
from tests.control_daemon import House


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def kill_a_daemon(profile: Path, force_tcp: bool) -> None:
    """Leave in `profile` what a daemon leaves that had no time to tidy up."""
    script = (
        "import asyncio, sys, pathlib; from meshchat.control import ControlServer\n"
        "async def main():\n"
        f"    server = ControlServer(pathlib.Path(sys.argv[1]), None, None, force_tcp={force_tcp})\n"
        "    print(await server.start(), flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(profile)], stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline()
        killed.kill()


async def test_only_the_owner_may_open_the_socket(tmp_path: Path) -> None:
    profile = tmp_path / "new" / "profile"
    house = House()
    server = ControlServer(profile, house.handle, house.snapshot)
    address = await server.start()
    assert address == f"unix:{profile / 'control.sock'}"
    assert stat.S_IMODE((profile / "control.sock").stat().st_mode) == 0o600
    assert stat.S_IMODE(profile.stat().st_mode) == 0o700
    await server.close()


async def test_a_profile_too_deep_for_a_socket_gets_a_stand_in(tmp_path: Path) -> None:
    profile = tmp_path / ("deep" * 20) / ("deeper" * 10)
    house = House()
    server = ControlServer(profile, house.handle, house.snapshot)
    path = Path((await server.start()).removeprefix("unix:"))
    assert len(os.fsencode(path)) <= 103
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    async with await ControlClient.connect(profile) as client:
        assert isinstance(await client.call(Rooms()), RoomList)
    await server.close()
    assert path.name not in names_in(path.parent)


@pytest.mark.parametrize("tcp_first", [False, True])
async def test_a_second_daemon_is_refused_and_harms_nothing(tmp_path: Path, tcp_first: bool) -> None:
    house = House()
    first = ControlServer(tmp_path, house.handle, house.snapshot, force_tcp=tcp_first)
    await first.start()
    for force_tcp in (False, True):
        with pytest.raises(MeshchatError, match="already"):
            await ControlServer(tmp_path, house.handle, house.snapshot, force_tcp=force_tcp).start()
    async with await ControlClient.connect(tmp_path) as client:
        assert isinstance(await client.call(Rooms()), RoomList)
    await first.close()
    assert names_in(tmp_path) == ["control.lock"]


async def test_of_two_daemons_started_together_one_wins(tmp_path: Path) -> None:
    house = House()
    servers = [ControlServer(tmp_path, house.handle, house.snapshot) for _ in range(4)]
    outcomes = await asyncio.gather(*(server.start() for server in servers), return_exceptions=True)
    assert sum(isinstance(outcome, str) for outcome in outcomes) == 1, outcomes
    for server in servers:
        await server.close()


@pytest.mark.parametrize("force_tcp", [False, True])
async def test_what_a_killed_daemon_left_is_no_obstacle(tmp_path: Path, force_tcp: bool) -> None:
    kill_a_daemon(tmp_path, force_tcp)
    assert "control" in names_in(tmp_path)
    with pytest.raises(NoDaemon):
        await ControlClient.connect(tmp_path)
    house = House()
    server = ControlServer(tmp_path, house.handle, house.snapshot)
    await server.start()
    async with await ControlClient.connect(tmp_path) as client:
        assert isinstance(await client.call(Rooms()), RoomList)
    await server.close()


async def test_a_program_that_is_no_daemon_on_a_left_over_port_is_not_taken_for_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        (tmp_path / "control").write_text(f'{{"address": "tcp:127.0.0.1:{port}", "token": "old"}}')
        house = House()
        server = ControlServer(tmp_path, house.handle, house.snapshot)
        assert (await server.start()).startswith("unix:")
        await server.close()


@pytest.mark.parametrize("content", ["", "nonsense", '{"address": "ftp:somewhere"}', '{"address": "tcp:10.0.0.1:1"}'])
async def test_a_broken_file_in_the_profile_means_no_daemon(tmp_path: Path, content: str) -> None:
    (tmp_path / "control").write_text(content)
    with pytest.raises(NoDaemon):
        await ControlClient.connect(tmp_path)
