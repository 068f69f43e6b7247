"""How many are in a room is told in its time, so that a crowd that comes does not flood the network with numbers."""

from __future__ import annotations

import asyncio

from meshchat.discovery import NUMBER_PAUSE_S, Discovery, RoomNotice
from meshchat.interfaces import LocalAddress
from meshchat.units import PeerId, RoomId

LOOPBACK = (LocalAddress("127.0.0.1", "lo", 1),)
VAULT = RoomNotice(RoomId("2" * 32), "vault", True, 1)


def lobby(members: int) -> RoomNotice:
    return RoomNotice(RoomId("1" * 32), "lobby", False, members)


async def test_how_many_are_in_a_full_room_is_told_in_its_time_and_another_room_soon() -> None:
    discovery = Discovery(PeerId("a" * 64), 40123, LOOPBACK, lambda _event: None)
    await discovery.start()
    try:
        discovery.announce([lobby(1)])
        async with asyncio.timeout(5):
            while discovery._timers.keys() & {"repeat", "update"}:
                await asyncio.sleep(0.01)
        now = asyncio.get_running_loop().time
        for members in range(90, 101):
            discovery.announce([lobby(members)])
        assert discovery._told == (lobby(1),)
        assert NUMBER_PAUSE_S * 90 - 5 < discovery._timers["update"].when() - now() <= NUMBER_PAUSE_S * 90
        discovery.announce([lobby(100), VAULT])
        async with asyncio.timeout(5):
            while VAULT not in discovery._told:
                await asyncio.sleep(0.01)
        assert "repeat" in discovery._timers, "a room is worth telling twice"
    finally:
        await discovery.close()
