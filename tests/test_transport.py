"""QUIC links over loopback: both sides prove their keys, strangers cost nothing, nonsense ends at the door."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from aioquic.buffer import Buffer  # type: ignore[attr-defined]
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import pull_quic_header

from meshchat.config import DEFAULT_PORT
from meshchat.errors import NetworkError
from meshchat.identity import Identity, load_identity
from meshchat.interfaces import LocalAddress
from meshchat.mesh import Mesh
from meshchat.peers import effects as out
from meshchat.peers.room import open_room
from meshchat.transport.connection import ONE_STREAM
from meshchat.transport.mutual import ALPN, MutualConnection, configuration
from meshchat.transport.port import Port
from meshchat.units import Address, PeerId, Seconds

LOOPBACK = (LocalAddress("127.0.0.1", "lo", 1),)


class Peer:
    """A mesh on loopback, and what it reported."""

    def __init__(self, folder: Path, name: str, identity: Identity | None = None) -> None:
        self.identity = identity or load_identity(folder / name)
        self.events: list[out.Event] = []
        self.media: list[bytes] = []
        self.reports: list[bytes] = []
        self.mesh = Mesh(
            self.identity,
            name,
            on_event=self.events.append,
            on_media=lambda data, _route, _now: self.media.append(data),
            on_report=lambda _peer, data: self.reports.append(data),
        )
        self.mesh.open(LOOPBACK, None)

    @property
    def address(self) -> Address:
        return self.mesh.addresses[0]

    @property
    def aliases(self) -> set[str]:
        return {member.alias for member in self.mesh.node.members()}


Born = Callable[[str], Peer]


@pytest.fixture
async def born(tmp_path: Path) -> AsyncIterator[Born]:
    peers: list[Peer] = []

    def make(name: str) -> Peer:
        peers.append(Peer(tmp_path, name))
        return peers[-1]

    yield make
    for peer in peers:
        peer.mesh.close()


async def until(true: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)


async def test_two_peers_meet_and_each_knows_the_other_by_its_key(born: Born) -> None:
    ann, bob = born("ann"), born("bob")
    for peer in (ann, bob):
        peer.mesh.enter(open_room("lobby"), "lobby")
    bob.mesh.add_seed(ann.address)
    await until(lambda: ann.aliases == bob.aliases == {"ann", "bob"})
    assert set(ann.mesh.node.links) == {bob.identity.peer_id}
    assert set(bob.mesh.node.links) == {ann.identity.peer_id}
    await until(lambda: any(isinstance(event, out.KeyReceived) for event in ann.events))


async def test_media_goes_to_every_member_and_reports_to_one(born: Born) -> None:
    ann, bob, eve = born("ann"), born("bob"), born("eve")
    for peer in (ann, bob, eve):
        peer.mesh.enter(open_room("lobby"), "lobby")
    for peer in (bob, eve):
        peer.mesh.add_seed(ann.address)
    await until(lambda: all(len(peer.aliases) == 3 for peer in (ann, bob, eve)))
    await until(lambda: len(ann.mesh.media_routes) == 2)
    assert ann.mesh.send_media(b"\x90" + bytes(60)) == 2
    await until(lambda: bob.media and eve.media)
    ann.mesh.send_report(bob.identity.peer_id, b"report")
    await until(lambda: bob.reports == [b"report"])
    assert eve.reports == []


async def test_a_peer_that_shows_another_key_than_its_id_is_refused(born: Born) -> None:
    ann, bob = born("ann"), born("bob")
    route = bob.mesh.port.route_to(ann.address)
    assert route is not None
    connection = bob.mesh.endpoint.call(route, PeerId("0" * 64), None, asyncio.get_running_loop().time())
    await until(lambda: connection.over)
    assert connection.peer is None
    assert not bob.mesh.node.links


async def test_a_clean_close_is_known_at_once(born: Born) -> None:
    ann, bob = born("ann"), born("bob")
    for peer in (ann, bob):
        peer.mesh.enter(open_room("lobby"), "lobby")
    bob.mesh.add_seed(ann.address)
    await until(lambda: len(ann.aliases) == 2)
    bob.mesh.close()
    await until(lambda: ann.aliases == {"ann"}, seconds=1)
    left = [event for event in ann.events if isinstance(event, out.MemberLeft)]
    assert [event.reason for event in left] == ["left"]


async def test_a_restarted_peer_takes_the_place_of_its_former_self(born: Born, tmp_path: Path) -> None:
    ann, bob = born("ann"), born("bob")
    for peer in (ann, bob):
        peer.mesh.enter(open_room("lobby"), "lobby")
    bob.mesh.add_seed(ann.address)
    await until(lambda: len(ann.aliases) == 2)
    bob.mesh.port.close()  # as a crash does: no goodbye
    again = Peer(tmp_path, "bob")
    try:
        again.mesh.enter(open_room("lobby"), "lobby")
        again.mesh.add_seed(ann.address)
        await until(lambda: again.aliases == {"ann", "bob"}, seconds=2)
        assert any(isinstance(event, out.MemberLeft) and event.reason == "restarted" for event in ann.events)
    finally:
        again.mesh.close()


async def test_a_peer_that_shuts_our_stream_is_sent_off_and_disturbs_nobody(born: Born) -> None:
    ann, bob, eve = born("ann"), born("bob"), born("eve")
    for peer in (ann, bob, eve):
        peer.mesh.enter(open_room("lobby"), "lobby")
    for peer in (bob, eve):
        peer.mesh.add_seed(ann.address)
    await until(lambda: len(ann.aliases) == 3 and "ann" in eve.aliases)
    (connection,) = (each for each in eve.mesh.endpoint.connections if each.peer == ann.identity.peer_id)
    theirs = 3 if connection.outgoing else 2  # RFC 9000 section 2.1: the first one-way stream of each side
    connection.core.stop_stream(theirs, error_code=1)
    connection.flush(asyncio.get_running_loop().time())
    ended: list[str] = []
    link_down = ann.mesh.node.link_down

    def noted(peer: PeerId, reason: str, now: Seconds) -> None:
        ended.append(reason)
        link_down(peer, reason, now)

    ann.mesh.node.link_down = noted  # type: ignore[method-assign]
    await until(lambda: ended == [ONE_STREAM])
    ann.mesh.rename("anna")
    await until(lambda: "anna" in bob.aliases)
    assert not [event for event in bob.events if isinstance(event, out.MemberLeft)]


async def test_ones_own_address_is_no_peer(born: Born) -> None:
    ann = born("ann")
    ann.mesh.add_seed(ann.address)
    await until(lambda: any(each.peer == ann.identity.peer_id for each in ann.mesh.endpoint.connections))
    assert not ann.mesh.node.links


@contextlib.contextmanager
def stranger() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
        outside.bind(("127.0.0.1", 0))
        outside.setblocking(False)
        yield outside


def first_flight(certificate: Identity | None) -> tuple[QuicConnection, QuicConfiguration]:
    configuration = QuicConfiguration(alpn_protocols=[ALPN], is_client=True, verify_mode=0)
    if certificate:
        configuration.certificate, configuration.private_key = certificate.certificate, certificate.private_key
    return QuicConnection(configuration=configuration), configuration


async def exchange(core: QuicConnection, outside: socket.socket, to: tuple[str, int], rounds: int) -> None:
    """Carries datagrams between a bare QUIC client and a peer."""
    loop = asyncio.get_running_loop()
    for _ in range(rounds):
        for data, _address in core.datagrams_to_send(loop.time()):
            outside.sendto(data, to)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                core.receive_datagram(await loop.sock_recv(outside, 65536), to, loop.time())
        timer = core.get_timer()
        if timer is not None and timer <= loop.time():
            core.handle_timer(loop.time())


async def test_a_client_without_a_certificate_gets_no_link(born: Born) -> None:
    ann = born("ann")
    to = ("127.0.0.1", ann.address.port)
    with stranger() as outside:
        core, _ = first_flight(None)
        core.connect(to, asyncio.get_running_loop().time())
        await exchange(core, outside, to, rounds=30)
        names = []
        while event := core.next_event():
            names.append(type(event).__name__)
    assert "ConnectionTerminated" in names
    assert not ann.mesh.node.links


async def test_before_it_is_validated_an_address_gets_less_than_it_sent(born: Born) -> None:
    ann = born("ann")
    to = ("127.0.0.1", ann.address.port)
    with stranger() as outside:
        core, _ = first_flight(None)
        core.connect(to, asyncio.get_running_loop().time())
        (data, _) = core.datagrams_to_send(asyncio.get_running_loop().time())[0]
        for _ in range(50):
            outside.sendto(data, to)
        received = 0
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(0.3):
                    received += len(await asyncio.get_running_loop().sock_recv(outside, 65536))
    assert 0 < received < len(data) * 50 / 3
    assert not ann.mesh.endpoint.connections


async def test_garbage_of_every_kind_is_counted_and_nothing_else(born: Born) -> None:
    ann = born("ann")
    to = ("127.0.0.1", ann.address.port)
    with stranger() as outside:
        for first in range(256):
            outside.sendto(bytes([first]) + bytes(range(200)), to)
        outside.sendto(b"", to)
    await until(lambda: ann.mesh.endpoint.refused >= 64)
    assert len(ann.media) == 64
    assert not ann.mesh.endpoint.connections


async def test_the_next_free_port_is_taken_and_a_chosen_one_that_is_taken_is_an_error(born: Born) -> None:
    ann, bob = born("ann"), born("bob")
    assert ann.address.port >= DEFAULT_PORT
    assert bob.address.port != ann.address.port
    port = Port(lambda *_: None, lambda *_: None, lambda: None)
    with pytest.raises(NetworkError, match="taken by other programs"):
        port.open(LOOPBACK, ann.address.port)
    port.close()


async def test_a_port_without_any_address_says_what_to_do() -> None:
    port = Port(lambda *_: None, lambda *_: None, lambda: None)
    with pytest.raises(NetworkError, match="--interface"):
        port.open((), None)
    port.close()


async def test_interfaces_that_come_and_go_are_followed(born: Born) -> None:
    ann = born("ann")
    second = LocalAddress("127.0.0.2", "lo", 1)
    ann.mesh.set_addresses((*LOOPBACK, second))
    assert set(ann.mesh.port.hosts) == {"127.0.0.1", "127.0.0.2"}
    with stranger() as outside:
        outside.sendto(b"\x90" + bytes(60), ("127.0.0.2", ann.address.port))
        await until(lambda: ann.media)
    ann.mesh.set_addresses((second,))
    assert ann.mesh.port.hosts == ("127.0.0.2",)


def test_what_came_is_acknowledged_with_what_is_sent_next_and_not_by_a_timer_of_its_own(tmp_path: Path) -> None:
    ann, bob = (load_identity(tmp_path / name) for name in ("ann", "bob"))
    client = MutualConnection(configuration=configuration(ann, is_client=True))
    client.connect(("bob", 1), now=0.0)
    first = client.datagrams_to_send(now=0.0)
    called = pull_quic_header(Buffer(data=first[0][0]), host_cid_length=8).destination_cid
    server = MutualConnection(
        configuration=configuration(bob, is_client=False), original_destination_connection_id=called
    )
    for data, _ in first:
        server.receive_datagram(data, ("ann", 2), now=0.0)
    for step in range(1, 20):
        pass_on(server, client, ("bob", 1), 0.01 * step)
        pass_on(client, server, ("ann", 2), 0.01 * step)
    assert server.peer_certificate
    assert not server.datagrams_to_send(now=1.0)
    client.send_stream_data(client.get_next_available_stream_id(is_unidirectional=True), b"a word")
    assert pass_on(client, server, ("ann", 2), 1.0) == 1
    assert pass_on(server, client, ("bob", 1), 1.0) == 1


def pass_on(sender: MutualConnection, receiver: MutualConnection, sender_address: tuple[str, int], now: Seconds) -> int:
    sent = sender.datagrams_to_send(now=now)
    for data, _ in sent:
        receiver.receive_datagram(data, sender_address, now=now)
    return len(sent)
