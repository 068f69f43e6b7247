"""A room in virtual time: real control planes, a made-up network between them, one seed for all that is chance.

Stories are told with `Village`: peers are born, crash, freeze, are cut off from each other and meet again, and time
passes only when `run` says so. Nothing here sleeps; an hour of a room takes seconds.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from meshchat.errors import WireError
from meshchat.peers import effects as out
from meshchat.peers.directory import RoomHint
from meshchat.peers.messages import Message, Reader, encode
from meshchat.peers.node import Node
from meshchat.peers.room import open_room
from meshchat.units import Address, PeerId, Seconds

HANDSHAKE_S = 0.03
"""A QUIC handshake with a Retry on a LAN."""

IDLE_TIMEOUT_S = 15.0
"""When QUIC itself gives a silent connection up."""


@dataclass
class Peer:
    """One simulated peer: a control plane and what has happened to it."""

    name: str
    node: Node
    address: Address
    alive: bool = True
    frozen: bool = False
    events: list[tuple[Seconds, out.Event]] = field(default_factory=list)
    held: list[Callable[[], None]] = field(default_factory=list)
    """What arrived while it was frozen."""
    tick_at: Seconds | None = None
    """When its next tick is planned."""

    @property
    def id(self) -> PeerId:
        return self.node.me

    def seen(self, kind: type[out.Event]) -> list[tuple[Seconds, out.Event]]:
        return [(at, event) for at, event in self.events if isinstance(event, kind)]

    def aliases(self) -> list[str]:
        return [member.alias for member in self.node.members()]

    def coordinator(self) -> PeerId | None:
        room = self.node.room
        claim = room.election.followed if room else None
        return PeerId(claim.leader) if claim else None


class Village:
    """Peers and the network between them."""

    def __init__(self, seed: int = 1, latency_s: Seconds = 0.002) -> None:
        self.seed = seed
        self.now: Seconds = 100.0
        self.peers: dict[str, Peer] = {}
        self.sent: dict[str, int] = {}
        """Control messages sent, by peer."""
        self._rng = random.Random(seed)
        self._latency_s = latency_s
        self._agenda: list[tuple[Seconds, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._cut: set[frozenset[str]] = set()
        self._links: dict[tuple[PeerId, PeerId], int] = {}
        """Live connections: (from, to) -> number of the connection."""
        self._streams: dict[tuple[PeerId, PeerId, int], Seconds] = {}
        """When the last message on each stream arrives."""

    def born(self, name: str, *, alias: str | None = None, mdns: bool = True) -> Peer:
        """A peer appears; with mDNS it and the others hear of each other at once."""
        peer_id = PeerId(self._rng.randbytes(32).hex())
        node = Node(peer_id, alias or name, random.Random(self._rng.random()), self._rng.randbytes)
        peer = Peer(name, node, Address(f"10.0.0.{len(self.peers) + 1}", 47474))
        node.set_addresses((str(peer.address),))
        self.peers[name] = peer
        self.sent[name] = 0
        if mdns:
            for other in list(self.peers.values()):
                self._introduce(other, peer)
                self._introduce(peer, other)
        self._wake(peer)
        return peer

    def enter(self, names: Iterable[str], room: str = "lobby", *, introduce: bool = True) -> None:
        """Each of the named peers enters a room, and mDNS tells it unless it is not to `introduce` them."""
        for name in names:
            peer = self.peers[name]
            peer.node.enter(open_room(room), room, self.now)
            self._settle(peer)
            for other in list(self.peers.values()) if introduce else ():
                self._introduce(peer, other)

    def leave(self, name: str) -> None:
        """The peer leaves its room."""
        self.peers[name].node.leave(self.now)
        self._settle(self.peers[name])

    def crash(self, name: str) -> None:
        """The peer is gone without a word."""
        self.peers[name].alive = False

    def freeze(self, name: str) -> None:
        """The peer is stopped; what comes waits."""
        self.peers[name].frozen = True

    def thaw(self, name: str) -> None:
        """It goes on, as if no time had passed."""
        peer = self.peers[name]
        peer.frozen = False
        held, peer.held = peer.held, []
        for arrival in held:
            arrival()
        self._wake(peer)

    def cut(self, one: Iterable[str], other: Iterable[str]) -> None:
        """No packet passes between the two groups."""
        self._cut |= {frozenset((a, b)) for a in one for b in other}

    def heal(self) -> None:
        """All packets pass again."""
        self._cut.clear()

    def run(self, seconds: Seconds) -> None:
        """Lets time pass."""
        end = self.now + seconds
        while self._agenda and self._agenda[0][0] <= end:
            self.now, _, act = heapq.heappop(self._agenda)
            act()
        self.now = end

    def tell(self, name: str, what: Callable[[Node], None]) -> None:
        """The user of that peer does something."""
        what(self.peers[name].node)
        self._settle(self.peers[name])

    # Inside

    def _at(self, when: Seconds, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._numbers), act))

    def _introduce(self, known: Peer, to: Peer) -> None:
        if known is to:
            return
        room = known.node.room
        hints = (RoomHint(room.id, room.name),) if room else ()
        to.node.directory.learn(known.id, (known.address,), hints, self.now)
        self._wake(to)

    def _wake(self, peer: Peer) -> None:
        self._plan(peer, self.now)

    def _plan(self, peer: Peer, when: Seconds) -> None:
        """One tick at most is planned for a peer; an earlier one replaces it."""
        if peer.tick_at is None or when < peer.tick_at:
            peer.tick_at = when
            self._at(when, lambda: self._tick(peer, when))

    def _tick(self, peer: Peer, planned: Seconds) -> None:
        if peer.tick_at != planned:
            return
        peer.tick_at = None
        if peer.alive and not peer.frozen:
            peer.node.tick(self.now)
            self._settle(peer)

    def _settle(self, peer: Peer) -> None:
        """Does what the peer wants, and plans its next tick."""
        for effect in peer.node.effects():
            self._do(peer, effect)
        timer = peer.node.timer()
        if timer is not None:
            self._plan(peer, max(timer, self.now + 0.001))

    def _do(self, peer: Peer, effect: out.Effect) -> None:
        match effect:
            case out.Send(to, message):
                self._send(peer, to, message)
            case out.Dial(_, addresses):
                self._dial(peer, addresses)
            case out.Punch():
                pass
            case out.Drop(to, reason):
                self._hang_up(peer, to, reason)
            case _:
                peer.events.append((self.now, effect))

    def _passes(self, a: Peer, b: Peer) -> bool:
        return frozenset((a.name, b.name)) not in self._cut

    def _by_id(self, peer_id: PeerId) -> Peer:
        return next(peer for peer in self.peers.values() if peer.id == peer_id)

    def _send(self, peer: Peer, to: PeerId, message: Message) -> None:
        self.sent[peer.name] += 1
        number = self._links.get((peer.id, to))
        if number is None:
            return
        other = self._by_id(to)
        data = encode(message)
        arrives = self.now + self._latency_s * self._rng.uniform(0.5, 1.5)
        arrives = max(arrives, self._streams.get((peer.id, to, number), 0.0))  # a stream keeps its order
        self._streams[peer.id, to, number] = arrives
        self._at(arrives, lambda: self._arrive(peer, other, data, number))

    def _arrive(self, sender: Peer, peer: Peer, data: bytes, number: int) -> None:
        """QUIC repeats what a cut swallowed, until it gives the connection up."""
        if not peer.alive or self._links.get((sender.id, peer.id)) != number:
            return
        if not self._passes(sender, peer):
            self._at(self.now + 0.2, lambda: self._arrive(sender, peer, data, number))
        elif peer.frozen:
            peer.held.append(lambda: self._arrive(sender, peer, data, number))
        else:
            for message in Reader().feed(data):
                try:
                    peer.node.received(sender.id, message, self.now)
                except WireError as error:
                    self._hang_up(peer, sender.id, str(error))
            peer.node.tick(self.now)
            self._settle(peer)

    def _dial(self, peer: Peer, addresses: tuple[Address, ...]) -> None:
        for other in self.peers.values():
            if other.address in addresses and other is not peer:
                self._at(self.now + HANDSHAKE_S, lambda other=other: self._connect(peer, other, addresses))  # type: ignore[misc]

    def _connect(self, peer: Peer, other: Peer, addresses: tuple[Address, ...]) -> None:
        up = (peer.id, other.id) in self._links
        if up or not (peer.alive and other.alive) or other.frozen or peer.frozen or not self._passes(peer, other):
            return
        number = next(self._numbers)
        self._links[peer.id, other.id] = self._links[other.id, peer.id] = number
        seed = addresses[0] if addresses[0] in peer.node.directory.seeds() else None
        peer.node.link_up(other.id, other.address, seed, self.now)
        other.node.link_up(peer.id, peer.address, None, self.now)
        self._settle(peer)
        self._settle(other)

    def _hang_up(self, peer: Peer, to: PeerId, reason: str) -> None:
        """Closes a connection; the goodbye may not arrive."""
        number = self._links.pop((peer.id, to), None)
        if number is None:
            return
        other = self._by_id(to)
        if self._passes(peer, other) and not other.frozen:
            self._at(self.now + self._latency_s, lambda: self._lost(other, peer, number, reason))
        else:
            self._at(self.now + IDLE_TIMEOUT_S, lambda: self._lost(other, peer, number, "idle"))

    def _lost(self, peer: Peer, gone: Peer, number: int, reason: str) -> None:
        if self._links.get((peer.id, gone.id)) != number or not peer.alive:
            return
        del self._links[peer.id, gone.id]
        peer.node.link_down(gone.id, reason, self.now)
        peer.node.tick(self.now)
        self._settle(peer)
