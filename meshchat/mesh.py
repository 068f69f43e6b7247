"""The door to the network: one UDP port, links to other peers over it, and the timer that drives the control plane.

Everything that decides is in `peers/` and knows neither clock nor socket; this file carries its wishes out. What comes
in is handed to the node, the node is ticked, its effects are done in order, and whatever they wrote is sent in one go.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable, Sequence

from meshchat.errors import Refused, WireError
from meshchat.identity import Identity
from meshchat.interfaces import LocalAddress
from meshchat.locks.invite import Invite
from meshchat.locks.statements import Kind, Statement
from meshchat.peers import effects as out
from meshchat.peers.directory import RoomHint
from meshchat.peers.lines import LineId
from meshchat.peers.messages import ADDRESSES_MAX, Beat, Message, describe
from meshchat.peers.node import Node
from meshchat.transport.asleep import SleepClock
from meshchat.transport.connection import Connection
from meshchat.transport.doubles import KEY_IN_USE, Doubles
from meshchat.transport.endpoint import Endpoint
from meshchat.transport.lookup import resolved
from meshchat.transport.notary import DeviceNotary
from meshchat.transport.port import MediaHandler, Port, Route
from meshchat.units import Address, PeerId, RoomId, Seconds, short
from meshchat.wire import binding_indication

log = logging.getLogger(__name__)
traffic = logging.getLogger("meshchat.messages")
"""One line for each control message in and out (`-l`)."""

HANDSHAKE_S: Seconds = 4.0
"""A call that nobody has answered by then is given up; the directory calls again later."""

NEXT_ADDRESS_S: Seconds = 0.2
"""Between calls to one peer's several addresses: as in RFC 8305 section 5, so that a dead one costs little."""

CALLS_MAX = 32
"""Calls under way at once; more wait for their next turn in the directory."""

CONNECTIONS_PER_PEER_MAX = 4
"""Two peers that call each other at once have two; more from one start of one peer is nonsense."""

TRANSACTION_BYTES = 12


RENEW_S: Seconds = 2.0
"""Two peers that call each other at once have two connections within this. A later one says that the other side lost
the first."""


class Mesh:
    """This peer's links, kept as the control plane wants them."""

    def __init__(
        self,
        identity: Identity,
        alias: str,
        *,
        on_event: Callable[[out.Event], None],
        on_media: MediaHandler,
        on_report: Callable[[PeerId, bytes], None],
    ) -> None:
        """`on_event` and `on_report` are called on the event loop, `on_media` on the port's own thread."""
        self.node = Node(identity.peer_id, alias, random.Random(), os.urandom, DeviceNotary(identity))
        self.port = Port(on_media, self._datagram, self._read)
        self.endpoint = Endpoint(identity, self.port, self)
        self.media_routes: dict[PeerId, Route] = {}
        """The ways to every member; replaced as a whole, so that any thread may read it."""
        self.breath: Callable[[], bytes | None] = lambda: None
        """Gives a sealed sign of life for every member, once there is somebody who seals."""
        self._private_key = identity.private_key
        self._links: dict[PeerId, list[Connection]] = {}
        self._doubles = Doubles(self._replace)
        self._sleep_clock = SleepClock()
        self._on_event = on_event
        self._on_report = on_report
        self._timer: asyncio.TimerHandle | None = None
        self._pump_due = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def open(self, addresses: Sequence[LocalAddress], number: int | None) -> None:
        """Takes the UDP port. Raises `NetworkError` with the remedy if that cannot be done."""
        self.port.open(addresses, number)
        self._tell_addresses()

    def set_addresses(self, addresses: Sequence[LocalAddress]) -> None:
        """Follows interfaces that came or went."""
        self.port.set_addresses(addresses)
        self._tell_addresses()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where this peer can be reached."""
        return tuple(Address(host, self.port.number) for host in self.port.hosts)

    def enter(self, room: RoomId, name: str, secret: bytes | None = None, found: Statement | None = None) -> None:
        """Goes into a room, a locked one with its `secret`, our own with what founds it; `Refused` if we are in it."""
        self._tell_time_of_day()
        self.node.enter(room, name, self._now(), secret, found)
        self.pump()

    def order(self, kind: Kind, subject: str = "", value: str = "") -> None:
        """Gives an order in our room; `Refused` where we have no right to it, or it would change nothing."""
        try:
            self.node.order(self._private_key, kind, self._now(), subject, value)
        finally:
            self.pump()

    def keep_door(self, invite: Invite, key: bytes | None) -> None:
        """What the locked room that we are in hands to newcomers, and the key that its passphrase makes, if known."""
        if self.node.room:
            self.node.room.door.equip(invite, key)

    def ring(self, room: RoomId, key: bytes) -> None:
        """Asks to be let into a locked room (`Node.ring`); `Refused` while we ask already."""
        self.node.ring(room, key, self._now())
        self.pump()

    def leave(self) -> None:
        """Goes out of the room; `Refused` if we are in none."""
        self.node.leave(self._now())
        self.pump()

    def rename(self, alias: str) -> None:
        """Takes another alias; `Refused` if a member has it."""
        self.node.rename(alias)
        self.pump()

    def say(self, text: str) -> tuple[LineId, int]:
        """Writes a line to the room; its id, and to how many members it went. `Refused` outside a room (`Chat.say`)."""
        if self.node.room is None:
            raise Refused("not in a room")
        self._tell_time_of_day()
        said = self.node.room.chat.say(text, self._now())
        self.pump()
        return said

    def set_host(self, host: int) -> None:
        """How good a host this machine is (`host.mark`); members rank by it when the coordinator goes."""
        self.node.set_host(host)
        self.pump()

    def set_silence(self, muted: bool, deafened: bool) -> None:
        """Tells the room whether we speak and listen."""
        self.node.set_silence(muted, deafened)
        self.pump()

    def found(self, peer: PeerId, addresses: tuple[Address, ...], rooms: tuple[RoomHint, ...]) -> None:
        """Discovery heard of a peer."""
        self.node.directory.learn(peer, addresses, rooms, self._now())
        self._pump_soon()

    def forgotten(self, peer: PeerId) -> None:
        """Discovery takes it back; a link stays for as long as it lives."""
        self.node.directory.forget(peer, self._now())

    def add_seed(self, address: Address) -> None:
        """Calls an address that the user gave until somebody answers."""
        self.node.directory.add_seed(address, self._now())
        self.pump()

    def send_media(self, datagram: bytes) -> int:
        """Sends one sealed packet to every member, from any thread; returns to how many."""
        routes = self.media_routes
        for route in routes.values():
            self.port.send(datagram, route)
        return len(routes)

    def send_report(self, peer: PeerId, data: bytes) -> None:
        """Sends a report that may get lost (RTCP in a QUIC datagram)."""
        connections = self._links.get(peer)
        if connections:
            connections[0].send_datagram(data)
            self._pump_soon()

    def heard(self, peer: PeerId, at: Seconds) -> None:
        """Media from `peer` was opened at that time: a sign of life."""
        self.node.heard(peer, at)

    def close(self) -> None:
        """Leaves politely: the members hear it before the port closes. Harmless when done again."""
        if self._closed:
            return
        if self.node.room:
            self.leave()
        self._closed = True
        self.endpoint.close("left", self._now())
        if self._timer:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        self.port.close()

    def pump(self) -> None:
        """Ticks the node, does what it wants, sends what is waiting."""
        self._pump_due = False
        if self._closed:
            return
        now = self._now()
        slept_s = self._sleep_clock.slept()
        if slept_s:
            log.info("the machine slept for %.0f s", slept_s)
            self.node.woke(now)
        self.node.tick(now)
        while effects := self.node.effects():
            for effect in effects:
                self._do(effect, now)
        self.endpoint.flush(now)
        self._refresh_routes()
        self._set_timer()

    # What the connections tell (`Listener`)

    def connection_up(self, connection: Connection, now: Seconds) -> None:
        """A peer proved its key."""
        peer = connection.peer
        assert peer is not None
        route = connection.route
        if peer == self.node.me or route is None:
            connection.close("this is me: is the profile in use twice?", now)
            return
        known = self._links.get(peer)
        if known and known[0].incarnation != connection.incarnation:
            self._doubles.examine(peer, known[0], connection, now)
            return
        link = self.node.links.get(peer)
        if known and link and now - link.up_at > RENEW_S:
            self._end_link(peer, "renewed", now)
            known = None
        if known is None:
            self._link(connection, now)
        elif len(known) >= CONNECTIONS_PER_PEER_MAX:
            connection.close("too many connections", now)
        else:
            known.append(connection)
        self._pump_soon()

    def connection_down(self, connection: Connection, reason: str, now: Seconds) -> None:
        """A connection ended. The first of a link carries what we say, so the link ends with it."""
        peer = connection.peer
        connections = self._links.get(peer, []) if peer else []
        if peer and reason == KEY_IN_USE:
            self._on_event(out.KeyInUse(peer))
        if peer is None or connection not in connections:
            log.debug("call to %s ended: %s", connection.route, reason)
        elif connections[0] is not connection:
            connections.remove(connection)
        else:
            self._end_link(peer, reason, now)
        self._pump_soon()

    def message_came(self, connection: Connection, message: Message, now: Seconds) -> None:
        """The next control message of a peer."""
        assert connection.peer is not None
        if traffic.isEnabledFor(logging.INFO):
            self._log_message("in", connection, message)
        if not self._doubles.keep(connection, message):
            self.node.received(connection.peer, message, now)
        if not isinstance(message, Beat) or self.node.has_effects:  # a beat that moves nothing moves no timer
            self._pump_soon()

    def datagram_came(self, connection: Connection, data: bytes, now: Seconds) -> None:
        """A report from a peer."""
        assert connection.peer is not None
        self.node.heard(connection.peer, now, aloud=False)
        self._on_report(connection.peer, data)

    # Inside

    def _now(self) -> Seconds:
        return asyncio.get_running_loop().time()

    def _datagram(self, data: bytes, route: Route, now: Seconds) -> None:
        if not self._closed:
            self.endpoint.receive(data, route, now)

    def _read(self) -> None:
        """What came together is answered together: by the next pump, if there is one to come."""
        if not self._pump_due and not self._closed:
            self.endpoint.flush(self._now())

    def _pump_soon(self) -> None:
        if not self._pump_due and not self._closed:
            self._pump_due = True
            asyncio.get_running_loop().call_soon(self.pump)

    def _set_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        at = self.node.timer()
        self._timer = asyncio.get_running_loop().call_at(at, self.pump) if at is not None else None

    def _do(self, effect: out.Effect, now: Seconds) -> None:
        match effect:
            case out.Send(peer, message):
                self._send(peer, message)
            case out.Dial(peer, addresses):
                task = asyncio.get_running_loop().create_task(self._call(peer, addresses))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case out.Punch(addresses):
                for address in addresses:
                    route = self.port.route_to(address)
                    if route:
                        self.port.send(binding_indication(os.urandom(TRANSACTION_BYTES)), route)
            case out.Breathe(peers):
                self._breathe(peers)
            case out.Drop(peer, reason):
                self._end_link(peer, reason, now)
            case _:
                self._on_event(effect)

    def _send(self, peer: PeerId, message: Message) -> None:
        connections = self._links.get(peer)
        if connections:
            connections[0].send(message)
            if traffic.isEnabledFor(logging.INFO):
                self._log_message("out", connections[0], message)

    def _breathe(self, peers: Sequence[PeerId]) -> None:
        datagram = self.breath()
        for peer in peers:
            if datagram and (route := self.media_routes.get(peer)):
                self.port.send(datagram, route)

    def _link(self, connection: Connection, now: Seconds) -> None:
        peer, route = connection.peer, connection.route
        assert peer is not None
        assert route is not None
        self._links[peer] = [connection]
        log.info("linked with %s at %s", short(peer), route.address)
        self.node.link_up(peer, route.address, connection.seed, now)

    def _replace(self, newer: Connection, messages: list[Message]) -> None:
        """A peer crashed and started again."""
        peer, now = newer.peer, self._now()
        assert peer is not None
        if self._closed:
            return
        self._end_link(peer, "restarted", now)
        self._link(newer, now)
        try:
            for message in messages:
                self.node.received(peer, message, now)
        except WireError as error:
            self._end_link(peer, str(error), now)
        self._pump_soon()

    def _end_link(self, peer: PeerId, reason: str, now: Seconds) -> None:
        connections = self._links.pop(peer, [])
        for connection in connections:
            if not connection.over:
                connection.close(reason, now)
        if connections:
            log.info("link with %s ended: %s", short(peer), reason)
        self.node.link_down(peer, reason, now)

    async def _call(self, peer: PeerId | None, addresses: tuple[Address, ...]) -> None:
        """Calls one address after the other until the peer is linked; the directory decides when to try again."""
        for address in addresses[:ADDRESSES_MAX]:
            pending = [each for each in self.endpoint.connections if each.outgoing and each.peer is None]
            if (peer is not None and peer in self._links) or len(pending) >= CALLS_MAX:
                return
            for found in await resolved(address):
                route = self.port.route_to(found)
                if route and not any(each.route == route for each in pending):
                    seed = address if peer is None else None
                    connection = self.endpoint.call(route, peer, seed, self._now())
                    asyncio.get_running_loop().call_later(HANDSHAKE_S, self._give_up, connection)
            await asyncio.sleep(NEXT_ADDRESS_S)

    def _give_up(self, connection: Connection) -> None:
        if connection.peer is None and not connection.over and not self._closed:
            connection.drop()

    def _refresh_routes(self) -> None:
        members = self.node.room.hearers() if self.node.room else []
        routes = {link.peer: self._links[link.peer][0].route for link in members if link.peer in self._links}
        self.media_routes = {peer: route for peer, route in routes.items() if route is not None}

    def _tell_time_of_day(self) -> None:
        self.node.set_time_of_day(time.time_ns() // 1_000_000, self._now())

    def _tell_addresses(self) -> None:
        self.node.set_addresses(tuple(str(each) for each in self.addresses if "%" not in each.host)[:ADDRESSES_MAX])

    def _log_message(self, way: str, connection: Connection, message: Message) -> None:
        peer = short(connection.peer) if connection.peer else "?"
        where = connection.route.address if connection.route else "?"
        traffic.info("%s %s %s %s", way, peer, where, describe(message))
