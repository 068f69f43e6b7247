"""A room in virtual time: real control planes, a made-up network between them, one seed for all that is chance.

Stories are told with `Village`: peers are born, crash, freeze, sleep, are cut off from each other and meet again, and
time passes only when `run` says so. Nothing here sleeps; an hour of a room takes seconds. Each peer has a clock of its
own, started at some random time and standing still while it sleeps, so nothing can depend on clocks that agree.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from meshchat.errors import WireError
from meshchat.locks.bind import peer_id_of_key
from meshchat.locks.statements import Statement
from meshchat.peers import effects as out
from meshchat.peers.directory import RoomHint
from meshchat.peers.messages import LENGTH_BYTES, Beat, Message, decode, encode
from meshchat.peers.node import Node
from meshchat.peers.room import open_room
from meshchat.units import Address, PeerId, RoomId, Seconds
from tests.breaths import breathe
from tests.villager import SealingWax, Villager

HANDSHAKE_S = 0.03
"""A QUIC handshake with a Retry on a LAN."""

KNOCKS_S = (0.0, 0.15, 0.45, 1.05, 2.25)
"""When a call sends its first packet and repeats it (RFC 9002 section 6.2.4), before it is given up after 4 s."""

REPEAT_S = 0.2
"""How soon QUIC sends again what a cut swallowed, while both ends hold the connection."""

RENEW_S = 2.0
"""A second link from one that is linked since longer takes the place of the first (as in `mesh.py`)."""


class Village:
    """Peers and the network between them."""

    def __init__(self, seed: int = 1, latency_s: Seconds = 0.002, loss: float = 0.0) -> None:
        self.seed = seed
        self.now: Seconds = 100.0
        self.peers: dict[str, Villager] = {}
        self.rooms: dict[str, tuple[RoomId, bytes]] = {}
        """The founded rooms by name: their ids, and the secrets of their first links."""
        self.loss = loss
        self.latency_s = latency_s
        self.sent: Counter[str] = Counter()
        """Control messages sent, by peer."""
        self.load: Counter[tuple[str, int]] = Counter()
        """Control messages sent and received, by peer and second."""
        self.rng = random.Random(seed)
        self.steps = 0
        self.busy_until: Seconds = 0.0
        """When the last end of a fault is planned."""
        self._agenda: list[tuple[Seconds, int, Callable[[], None]]] = []
        self._numbers = itertools.count(1)
        self._cut: set[tuple[str, str]] = set()
        self._by_id: dict[PeerId, Villager] = {}
        self._links: dict[tuple[PeerId, PeerId], tuple[int, Seconds]] = {}
        """(holder, other) -> number of the connection that the holder has, and since when."""
        self._streams: dict[tuple[PeerId, PeerId, int], Seconds] = {}
        """When the last message on each stream arrives."""
        self._stuck: dict[tuple[PeerId, PeerId, int], list[bytes]] = {}
        """What a cut holds back on each stream, in order."""
        self._calls: set[tuple[str, str]] = set()

    # What happens to peers

    def born(self, name: str, *, alias: str | None = None, mdns: bool = True, host: int = 0) -> Villager:
        """A peer appears; with mDNS it and the others hear of each other at once."""
        key = Ed25519PrivateKey.from_private_bytes(self.rng.randbytes(32))
        peer_id = peer_id_of_key(key.public_key().public_bytes_raw())
        address = Address(f"10.0.{len(self.peers) // 250}.{len(self.peers) % 250 + 1}", 47474)
        node = self._new_node(peer_id, alias or name, host)
        peer = Villager(name, alias or name, peer_id, key, address, host, node)
        peer.offset = self.rng.uniform(-50.0, 1e6)
        peer.begin(self.seed, self.now)
        self.peers[name] = self._by_id[peer_id] = peer
        if mdns:
            for other in list(self.peers.values()):
                self._introduce(other, peer)
                self._introduce(peer, other)
        self._wake(peer)
        return peer

    def enter(
        self,
        names: Iterable[str],
        room: str = "lobby",
        *,
        introduce: bool = True,
        secret: bytes | None = None,
        statement: Statement | None = None,
    ) -> None:
        """Each of the named peers enters a room, and mDNS tells it unless it is not to `introduce` them."""
        room_id, link_secret = self.rooms.get(room, (open_room(room), None))
        for name in names:
            peer = self.peers[name]
            peer.node.enter(room_id, room, self.clock(peer), secret or link_secret, statement)
            peer.note_arrival([each.reading(self.now) for each in self.peers.values() if each is not peer], self.now)
            self._settle(peer)
            for other in list(self.peers.values()) if introduce else ():
                self._introduce(peer, other)

    def leave(self, name: str) -> None:
        """The peer leaves its room."""
        peer = self.peers[name]
        peer.node.leave(self.clock(peer))
        self._settle(peer)

    def crash(self, name: str) -> None:
        """The peer is gone without a word."""
        peer = self.peers[name]
        peer.alive = False
        for holder, other in list(self._links):
            if holder == peer.id:
                del self._links[holder, other]

    def restart(self, name: str, room: str = "lobby") -> None:
        """It starts again with its key and nothing else, and enters the room."""
        peer = self.peers[name]
        if peer.alive:
            self.crash(name)
        peer.born_again(self._new_node(peer.id, peer.alias, peer.host), self.seed, self.now)
        for other in list(self.peers.values()):
            self._introduce(other, peer)
        self.enter([name], room)

    def freeze(self, name: str) -> None:
        """The peer is stopped (SIGSTOP); what comes waits, and its clock goes on."""
        self.peers[name].stop(self.now)

    def thaw(self, name: str) -> None:
        """It goes on, as if no time had passed."""
        peer = self.peers[name]
        peer.go_on(self.now)
        held, peer.held = peer.held, []
        self._tick_now(peer)
        for arrival in held:
            arrival()
        self._tell_all(peer)
        self._wake(peer)

    def sleep(self, name: str) -> None:
        """The machine is suspended: nothing comes in, and its clock stands still."""
        peer = self.peers[name]
        peer.asleep_since = peer.stopped_at = self.now

    def rouse(self, name: str) -> None:
        """It wakes, and notices (the shell compares two clocks)."""
        peer = self.peers[name]
        if peer.asleep_since is None:
            return
        slept = self.now - peer.asleep_since
        peer.go_on(self.now)
        peer.offset -= slept
        peer.tick_at = None
        if slept > 2:
            peer.node.woke(self.clock(peer))
        self._tell_all(peer)
        self._tick_now(peer)

    # What happens to the network

    def cut(self, one: Iterable[str], other: Iterable[str], *, one_way: bool = False) -> None:
        """No packet passes between the two groups, or none from the first to the second."""
        pairs = [(a, b) for a in one for b in other]
        self._cut.update(pairs)
        if not one_way:
            self._cut.update((b, a) for a, b in pairs)

    def heal(self) -> None:
        """All packets pass again, and mDNS tells everybody of everybody."""
        self._cut.clear()
        for peer in list(self.peers.values()):
            self._tell_all(peer)

    def mend(self, a: str, b: str) -> None:
        """Packets pass again between these two."""
        self._cut -= {(a, b), (b, a)}

    @property
    def cut_one_way(self) -> bool:
        """Whether packets pass between some two in one direction only."""
        return any((b, a) not in self._cut for a, b in self._cut)

    def passes(self, a: str, b: str) -> bool:
        """Whether packets pass from `a` to `b`."""
        return (a, b) not in self._cut

    def run(self, seconds: Seconds) -> None:
        """Lets time pass."""
        end = self.now + seconds
        agenda = self._agenda
        while agenda and agenda[0][0] <= end:
            self.now, _, act = heapq.heappop(agenda)
            self.steps += 1
            act()
        self.now = end

    def tell(self, name: str, what: Callable[[Node], object]) -> None:
        """The user of that peer does something."""
        what(self.peers[name].node)
        self._settle(self.peers[name])

    def inject(self, name: str, to: PeerId, message: Message) -> None:
        """That peer says something that its control plane would not."""
        self._send(self.peers[name], to, message)

    def after(self, seconds: Seconds, act: Callable[[], None]) -> None:
        """Plans something for later."""
        self._at(self.now + seconds, act)

    # Inside

    def _new_node(self, peer_id: PeerId, alias: str, host: int) -> Node:
        return Node(peer_id, alias, random.Random(self.rng.random()), self.rng.randbytes, SealingWax(peer_id), host)

    def clock(self, peer: Villager) -> Seconds:
        """What that peer's own clock shows."""
        return peer.clock(self.now)

    def _at(self, when: Seconds, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._numbers), act))

    def _introduce(self, known: Villager, to: Villager) -> None:
        if known is to or not (known.awake and to.awake and self._joined(known, to)):
            return
        room = known.node.room
        hints = (RoomHint(room.id, room.name),) if room else ()
        to.node.directory.learn(known.id, (known.address,), hints, self.clock(to))
        self._wake(to)

    def _tell_all(self, peer: Villager) -> None:
        """mDNS tells how things are: somebody was away when something changed."""
        for other in list(self.peers.values()):
            self._introduce(other, peer)
            self._introduce(peer, other)

    def _joined(self, a: Villager, b: Villager) -> bool:
        return (a.name, b.name) not in self._cut and (b.name, a.name) not in self._cut

    def _wake(self, peer: Villager) -> None:
        self._plan(peer, self.now)

    def _plan(self, peer: Villager, when: Seconds) -> None:
        """One tick at most is planned for a peer; an earlier one replaces it."""
        if peer.tick_at is None or when < peer.tick_at:
            peer.tick_at = when
            self._at(when, lambda: self._tick(peer, when))

    def _tick(self, peer: Villager, planned: Seconds) -> None:
        if peer.tick_at == planned:
            peer.tick_at = None
            if peer.awake:
                self._tick_now(peer)

    def _tick_now(self, peer: Villager) -> None:
        timer = peer.node.tick(self.clock(peer))
        for effect in peer.node.effects():
            self._do(peer, effect)
        self._plan_after(peer, timer)

    def _settle(self, peer: Villager) -> None:
        """Does what the peer wants, and plans its next tick."""
        for effect in peer.node.effects():
            self._do(peer, effect)
        self._plan_after(peer, peer.node.timer())

    def _plan_after(self, peer: Villager, timer: Seconds | None) -> None:
        peer.note_law(self.now)
        if timer is not None:
            self._plan(peer, max(timer - peer.offset, self.now + 0.001))

    def _do(self, peer: Villager, effect: out.Effect) -> None:
        match effect:
            case out.Send(to, message):
                self._send(peer, to, message)
            case out.Breathe(members):
                breathe(self, peer, [self._by_id[member] for member in members])
            case out.Dial(_, addresses):
                self._dial(peer, addresses)
            case out.Punch():
                pass
            case out.Drop(to, reason):
                self._hang_up(peer, to, reason)
            case _:
                peer.events.append((self.now, effect))

    def _send(self, peer: Villager, to: PeerId, message: Message) -> None:
        held = self._links.get((peer.id, to))
        if held is None:
            return
        self.sent[peer.name] += 1
        self.load[peer.name, int(self.now)] += 1
        other, number = self._by_id[to], held[0]
        arrives = self.now + self.latency_s * self.rng.uniform(0.5, 1.5)
        if self.loss and self.rng.random() < self.loss:
            arrives += REPEAT_S  # lost, and sent again
        key = (peer.id, to, number)
        arrives = max(arrives, self._streams.get(key, 0.0))  # a stream keeps its order
        self._streams[key] = arrives
        body = encode(message)[LENGTH_BYTES:]
        self._at(arrives, lambda: self._arrive(peer, other, body, number))

    def _arrive(self, sender: Villager, peer: Villager, body: bytes, number: int) -> None:
        """QUIC repeats what a cut swallowed, until one end gives the connection up."""
        held = self._links.get((peer.id, sender.id))
        if not peer.alive or held is None or held[0] != number:
            return
        key = (sender.id, peer.id, number)
        if key in self._stuck:
            self._stuck[key].append(body)
        elif (sender.name, peer.name) in self._cut or peer.asleep_since is not None:
            self._stuck[key] = [body]
            self._at(self.now + REPEAT_S, lambda: self._repeat(sender, peer, number))
        elif peer.frozen:
            peer.held.append(lambda: self._arrive(sender, peer, body, number))
        else:
            self._deliver(sender, peer, body)

    def _repeat(self, sender: Villager, peer: Villager, number: int) -> None:
        key, held = (sender.id, peer.id, number), self._links.get((peer.id, sender.id))
        if not (sender.alive and peer.alive) or held is None or held[0] != number:
            del self._stuck[key]
        elif (sender.name, peer.name) in self._cut or peer.asleep_since is not None:
            self._at(self.now + REPEAT_S, lambda: self._repeat(sender, peer, number))
        else:
            for body in self._stuck.pop(key):
                self._arrive(sender, peer, body, number)

    def _deliver(self, sender: Villager, peer: Villager, body: bytes) -> None:
        self.load[peer.name, int(self.now)] += 1
        message = decode(body)
        try:
            peer.node.received(sender.id, message, self.clock(peer))
        except WireError as error:
            peer.refused.append(str(error))
            self._hang_up(peer, sender.id, str(error))
            peer.node.link_down(sender.id, str(error), self.clock(peer))
        if not isinstance(message, Beat) or peer.node.has_effects:  # a beat that moves nothing moves no timer
            self._tick_now(peer)

    def _dial(self, peer: Villager, addresses: tuple[Address, ...]) -> None:
        for other in list(self.peers.values()):
            if other.address in addresses and other is not peer and (peer.name, other.name) not in self._calls:
                self._calls.add((peer.name, other.name))
                self._at(self.now + HANDSHAKE_S, lambda other=other: self._knock(peer, other, addresses, 0))  # type: ignore[misc]

    def _knock(self, peer: Villager, other: Villager, addresses: tuple[Address, ...], knock: int) -> None:
        if peer.awake and other.awake and self._joined(peer, other):
            self._calls.discard((peer.name, other.name))
            self._connect(peer, other, addresses)
        elif knock + 1 < len(KNOCKS_S) and peer.alive:
            pause = KNOCKS_S[knock + 1] - KNOCKS_S[knock]
            self._at(self.now + pause, lambda: self._knock(peer, other, addresses, knock + 1))
        else:
            self._at(self.now + 1.75, lambda: self._calls.discard((peer.name, other.name)))

    def _connect(self, peer: Villager, other: Villager, addresses: tuple[Address, ...]) -> None:
        """A handshake is done. An end that still holds an older link gives that up first, or keeps it if it is new."""
        ends = ((peer, other), (other, peer))
        held = [self._links.get((a.id, b.id)) for a, b in ends]
        if any(each and self.now - each[1] < RENEW_S for each in held):
            return
        number = next(self._numbers)
        seed = addresses[0] if addresses[0] in peer.node.directory.seeds() else None
        for (a, b), old in zip(ends, held, strict=True):
            if old:
                a.node.link_down(b.id, "restarted" if b.restarted_at > old[1] else "renewed", self.clock(a))
            self._links[a.id, b.id] = (number, self.now)
        for a, b in ends:
            a.node.link_up(b.id, b.address, seed if a is peer else None, self.clock(a))
        for a, _ in ends:
            self._settle(a)

    def _hang_up(self, peer: Villager, to: PeerId, reason: str) -> None:
        """Closes a connection; the goodbye may not arrive."""
        held = self._links.pop((peer.id, to), None)
        if held is not None:
            other = self._by_id[to]
            self._at(self.now + self.latency_s, lambda: self._hung_up(other, peer, held[0], reason))

    def _hung_up(self, peer: Villager, gone: Villager, number: int, reason: str) -> None:
        held = self._links.get((peer.id, gone.id))
        if held is None or held[0] != number or not peer.alive or peer.asleep_since is not None:
            return
        if peer.frozen:
            peer.held.append(lambda: self._hung_up(peer, gone, number, reason))
        elif (gone.name, peer.name) not in self._cut:
            del self._links[peer.id, gone.id]
            peer.node.link_down(gone.id, reason, self.clock(peer))
            self._tick_now(peer)
