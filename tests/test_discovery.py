"""Peers on loopback find each other at once, follow changes, and survive what strangers forge."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
import random
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from zeroconf import (  # type: ignore[attr-defined]  # see meshchat.discovery
    DNSAddress,
    DNSOutgoing,
    DNSPointer,
    DNSRecord,
    DNSText,
    RecordUpdate,
    current_time_millis,
)

from meshchat.discovery import (
    UPDATE_GAP_MIN_S,
    Discovery,
    PeerForgotten,
    PeerFound,
    RoomNotice,
    write_record,
)
from meshchat.errors import NetworkError
from meshchat.interfaces import LocalAddress
from meshchat.mdns.hearsay import PEERS_MAX
from meshchat.mdns.notices import ADDRESSES_MAX, TXT_BYTES_MAX, label_of
from meshchat.mdns.records import SERVICE
from meshchat.units import Address, PeerId, RoomId

LOOPBACK = LocalAddress("127.0.0.1", "lo", socket.if_nametoindex(socket.if_nameindex()[0][1]))
LOBBY = RoomNotice(RoomId("0" * 31 + "1"), "Lobby", False, 3)
VAULT = RoomNotice(RoomId("0" * 31 + "2"), "", True, 12)
PORT = 40123

Event = PeerFound | PeerForgotten


def someone() -> PeerId:
    return PeerId(secrets.token_hex(32))


class Person:
    """A Discovery on loopback and everything that it told."""

    def __init__(self, me: PeerId | None = None, addresses: tuple[LocalAddress, ...] = (LOOPBACK,)) -> None:
        self.id = me or someone()
        self.events: list[Event] = []
        self.discovery = Discovery(self.id, PORT, addresses, self.events.append)
        self.knows = self.discovery.peers

    def rooms_of(self, other: PeerId) -> tuple[RoomNotice, ...] | None:
        notice = self.knows.get(other)
        return None if notice is None else notice.rooms

    def sees(self, other: PeerId, members: int) -> bool:
        return [room.members for room in self.rooms_of(other) or ()] == [members]

    def has_dropped_more_than(self, records: int) -> bool:
        return self.discovery.dropped > records

    def told_of(self, other: PeerId) -> list[Event]:
        """Other tests may be running on this machine; only one peer's events count."""
        return [event for event in self.events if _subject(event) == other]


def _subject(event: Event) -> PeerId:
    return event.notice.peer_id if isinstance(event, PeerFound) else event.peer_id


Arrive = Callable[..., Awaitable[Person]]


@pytest.fixture
async def arrive() -> AsyncIterator[Arrive]:
    """Starts people, and sees them all off."""
    people: list[Person] = []

    async def start(**how: Any) -> Person:
        people.append(Person(**how))
        await people[-1].discovery.start()
        return people[-1]

    yield start
    await asyncio.gather(*(person.discovery.close() for person in people))


async def until(condition: Callable[[], object], within_s: float = 4.0) -> None:
    """Waits for what other peers make true; there is nothing to await for that but a look now and then."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


# Two and more peers


async def test_a_newcomer_and_an_old_peer_find_each_other_at_once(arrive: Arrive) -> None:
    alice = await arrive()
    alice.discovery.announce([LOBBY, VAULT])
    bob = await arrive()
    began = asyncio.get_running_loop().time()
    await until(lambda: bob.rooms_of(alice.id) == (LOBBY, VAULT) and bob.id in alice.knows)
    assert asyncio.get_running_loop().time() - began < 0.4
    assert alice.knows[bob.id].addresses == (Address("127.0.0.1", PORT),)
    assert bob.id not in bob.knows


async def test_the_old_peer_answers_even_right_after_it_spoke(arrive: Arrive) -> None:
    """Multicast answers are held back for a second after the last; the question from an own port is not."""
    alice = await arrive()
    await until(lambda: "repeat" not in alice.discovery._timers)
    newcomers = [await arrive() for _ in range(4)]
    began = asyncio.get_running_loop().time()
    await until(lambda: all(alice.id in newcomer.knows for newcomer in newcomers))
    assert asyncio.get_running_loop().time() - began < 0.4


async def test_changes_of_rooms_arrive_the_first_at_once_and_a_burst_as_one(arrive: Arrive) -> None:
    alice, bob = await arrive(), await arrive()
    await until(lambda: alice.id in bob.knows)
    now = asyncio.get_running_loop().time
    await until(lambda: now() - alice.discovery._updated_at > UPDATE_GAP_MIN_S)
    alice.discovery.announce([LOBBY])
    await until(lambda: bob.rooms_of(alice.id) == (LOBBY,), within_s=0.2)
    before = len(bob.told_of(alice.id))
    for members in range(1, 5):
        alice.discovery.announce([RoomNotice(LOBBY.id, LOBBY.name, False, members)])
    await until(lambda: bob.knows[alice.id].rooms[0].members == 4)
    assert len(bob.told_of(alice.id)) - before == 1


async def test_no_repeat_brings_old_rooms_back(arrive: Arrive) -> None:
    alice, bob = await arrive(), await arrive()
    await until(lambda: alice.id in bob.knows)
    for members in (1, 2):
        alice.discovery.announce([RoomNotice(LOBBY.id, LOBBY.name, False, members)])
        await until(partial(bob.sees, alice.id, members))
    await until(lambda: not alice.discovery._timers.keys() & {"repeat", "update"})
    counts = [
        event.notice.rooms[0].members
        for event in bob.told_of(alice.id)
        if isinstance(event, PeerFound) and event.notice.rooms
    ]
    assert counts == [1, 2]


async def test_a_goodbye_is_heard_and_so_is_the_return(arrive: Arrive) -> None:
    alice, bob = await arrive(), await arrive()
    await until(lambda: bob.id in alice.knows)
    await bob.discovery.close()
    await bob.discovery.close()
    await until(lambda: bob.id not in alice.knows)
    assert alice.told_of(bob.id)[-1] == PeerForgotten(bob.id)
    await arrive(me=bob.id)
    await until(lambda: bob.id in alice.knows)


async def test_a_record_that_is_not_refreshed_expires(arrive: Arrive) -> None:
    alice, bob = await arrive(), await arrive()
    await until(lambda: bob.id in alice.knows)
    zeroconf = alice.discovery._zeroconf
    later = current_time_millis() + 1300 * 1000
    stale = [RecordUpdate(record, record) for record in zeroconf.cache.async_expire(later)]
    zeroconf.record_manager.async_updates(later, stale)
    zeroconf.record_manager.async_updates_complete(False)
    assert bob.id not in alice.knows
    assert alice.told_of(bob.id)[-1] == PeerForgotten(bob.id)


async def test_addresses_can_move_while_running(arrive: Arrive) -> None:
    alice, bob = await arrive(), await arrive()
    await until(lambda: bob.id in alice.knows)
    await bob.discovery.set_addresses([LOOPBACK, LocalAddress("192.0.2.77", "gone0", 0)])
    await until(lambda: Address("192.0.2.77", PORT) in alice.knows[bob.id].addresses)
    await bob.discovery.set_addresses([])
    await bob.discovery.set_addresses([LOOPBACK])
    await until(lambda: alice.knows[bob.id].addresses == (Address("127.0.0.1", PORT),))


async def test_an_address_that_is_gone_is_passed_over_and_none_at_all_is_an_error_with_a_remedy(arrive: Arrive) -> None:
    gone = LocalAddress("203.0.113.7", "gone0", 0)
    alice, bob = await arrive(addresses=(gone, LOOPBACK)), await arrive()
    await until(lambda: alice.id in bob.knows)
    for addresses in ((gone,), ()):
        with pytest.raises(NetworkError, match=r"choose another interface.*5353.*invite"):
            await arrive(addresses=addresses)


# Other processes

CHILD = """
import asyncio, json, sys
from meshchat.discovery import Discovery, PeerFound
from meshchat.interfaces import LocalAddress

def tell(event):
    if isinstance(event, PeerFound):
        print(json.dumps(event.notice.peer_id), flush=True)

async def live():
    discovery = Discovery(sys.argv[1], 40124, [LocalAddress("127.0.0.1", "lo", 1)], tell)
    await discovery.start()
    await asyncio.to_thread(sys.stdin.read)
    await discovery.close()

asyncio.run(live())
"""


@contextlib.asynccontextmanager
async def neighbour(me: PeerId) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, me, stdin=pipe, stdout=pipe)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def hears_of(process: asyncio.subprocess.Process, peer_id: PeerId) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(8):
        while json.loads(await process.stdout.readline()) != peer_id:
            pass


async def test_two_processes_on_one_host_see_each_other_and_a_crash_leaves_a_harmless_record(arrive: Arrive) -> None:
    alice = await arrive()
    polite, doomed = someone(), someone()
    async with neighbour(polite) as first, neighbour(doomed) as second:
        for process in (first, second):
            await hears_of(process, alice.id)
        await until(lambda: {polite, doomed} <= alice.knows.keys())
        second.kill()
        await second.wait()
        assert first.stdin is not None
        first.stdin.close()
        await until(lambda: polite not in alice.knows)
        assert await first.wait() == 0
    bob = await arrive()
    await until(lambda: bob.id in alice.knows)
    assert doomed in alice.knows


# Strangers


class Forger:
    """Multicasts any records on loopback, as anyone on a network can."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))

    def send(self, *records: DNSRecord) -> None:
        out = DNSOutgoing(0x8400)
        for record in records:
            out.add_answer_at_time(record, 0)
        for packet in out.packets():
            self._socket.sendto(packet, ("224.0.0.251", 5353))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def forger() -> Iterator[Forger]:
    with contextlib.closing(Forger()) as one:
        yield one


def pointer(label: str, ttl: int = 4500) -> DNSPointer:
    return DNSPointer(SERVICE, 12, 1, ttl, f"{label}.{SERVICE}")


def text(label: str, payload: bytes) -> DNSText:
    return DNSText(f"{label}.{SERVICE}", 16, 0x8001, 4500, payload)


def address(label: str, host: str) -> DNSAddress:
    packed = ipaddress.ip_address(host).packed
    return DNSAddress(f"{label}.local.", 1 if len(packed) == 4 else 28, 0x8001, 120, packed)


def announcement(peer_id: PeerId, *hosts: str) -> list[DNSRecord]:
    label = label_of(peer_id)
    return [
        pointer(label),
        text(label, write_record(peer_id, PORT, [])),
        *(address(label, host) for host in hosts or ("10.1.2.3",)),
    ]


async def test_the_same_id_from_elsewhere_replaces_the_addresses(arrive: Arrive, forger: Forger) -> None:
    alice, mover = await arrive(), someone()
    forger.send(*announcement(mover, "10.0.0.1", "fd00::1"))
    await until(lambda: mover in alice.knows)
    forger.send(*announcement(mover, "10.0.0.2"))
    await until(lambda: alice.knows[mover].addresses == (Address("10.0.0.2", PORT),))


async def test_halves_that_arrive_apart_make_one_notice(arrive: Arrive, forger: Forger) -> None:
    alice, split = await arrive(), someone()
    for record in reversed(announcement(split)):
        assert split not in alice.knows
        forger.send(record)
    await until(lambda: split in alice.knows)


async def test_records_that_lie_are_dropped_and_counted(arrive: Arrive, forger: Forger) -> None:
    alice, liar, honest = await arrive(), someone(), someone()
    label = label_of(liar)
    stolen = write_record(honest, PORT, [])
    lies: list[list[DNSRecord]] = [
        [pointer(label), text(label, stolen), address(label, "10.0.0.1")],
        [pointer(label), text(label, bytes(TXT_BYTES_MAX + 1)), address(label, "10.0.0.1")],
        [pointer("\x1b[31mevil"), text("\x1b[31mevil", stolen)],
        [pointer("x" * 60)],
    ]
    for number, lie in enumerate(lies):
        before = alice.discovery.dropped
        forger.send(*lie)
        await until(partial(alice.has_dropped_more_than, before))
        assert liar not in alice.knows, f"lie {number}"
    forger.send(*announcement(honest))
    await until(lambda: honest in alice.knows)


async def test_no_peer_can_be_at_a_multicast_or_unspecified_address(arrive: Arrive, forger: Forger) -> None:
    alice, odd = await arrive(), someone()
    nowhere = ("224.0.0.251", "0.0.0.0", "255.255.255.255", "::", "ff02::1", "::ffff:10.0.0.1", "fe80::1")
    forger.send(*announcement(odd, "10.0.0.9", *nowhere))
    await until(lambda: odd in alice.knows)
    assert alice.knows[odd].addresses == (Address("10.0.0.9", PORT),)


async def test_five_hundred_addresses_become_sixteen(arrive: Arrive, forger: Forger) -> None:
    alice, crowd = await arrive(), someone()
    label = label_of(crowd)
    forger.send(pointer(label), text(label, write_record(crowd, PORT, [])))
    forger.send(*(address(label, f"10.0.{number // 250}.{number % 250}") for number in range(500)))
    await until(lambda: crowd in alice.knows)
    assert len(alice.knows[crowd].addresses) == ADDRESSES_MAX


async def test_a_flood_of_invented_peers_grows_nothing_and_spares_the_confirmed(
    arrive: Arrive, forger: Forger, caplog: pytest.LogCaptureFixture
) -> None:
    alice, bob, last = await arrive(), await arrive(), someone()
    await until(lambda: bob.id in alice.knows)
    alice.discovery.keep([bob.id])
    seed = secrets.randbits(32)
    rng = random.Random(seed)
    with caplog.at_level(logging.WARNING):
        for number in range(PEERS_MAX + 300):
            invented = PeerId(rng.randbytes(32).hex())
            forger.send(*announcement(invented))
            await asyncio.sleep(0)
            if number % 20 == 0:
                forger.send(DNSText(f"\x1b[2J{number}._http._tcp.local.", 16, 0x8001, 4500, rng.randbytes(4000)))
                await until(partial(alice.knows.__contains__, invented))
        forger.send(*announcement(last))
        await until(lambda: last in alice.knows)
    assert bob.id in alice.knows, f"seed {seed}"
    assert len(alice.knows) <= PEERS_MAX
    assert sum(isinstance(event, PeerForgotten) for event in alice.events) > 100
    cache = alice.discovery._zeroconf.cache.cache
    assert cache.keys() <= {SERVICE, f"{label_of(alice.id)}.{SERVICE}", f"{label_of(alice.id)}.local."}
    assert len(cache[SERVICE]) <= PEERS_MAX + 1
    assert not caplog.records


async def test_records_forged_in_our_own_name_are_not_kept(arrive: Arrive, forger: Forger) -> None:
    alice, last = await arrive(), someone()
    label = label_of(alice.id)
    for number in range(200):
        forger.send(text(label, b"\x03n=%d" % (number % 10) * 100), address(label, f"10.0.0.{number}"))
        await asyncio.sleep(0)
    forger.send(*announcement(last))
    await until(lambda: last in alice.knows)
    assert alice.id not in alice.knows
    assert len(alice.discovery._zeroconf.cache.cache.get(f"{label}.local.", {})) <= 2
