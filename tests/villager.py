"""One simulated peer: a control plane, what has happened to it, and a signature that only it can make."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from meshchat.peers import effects as out
from meshchat.peers.node import Node
from meshchat.units import Address, PeerId, Seconds


class SealingWax:
    """Signatures that cost a microsecond: in here nobody computes another's, though anybody could."""

    def __init__(self, me: PeerId) -> None:
        self._me = me

    def sign(self, data: bytes) -> bytes:
        return hashlib.blake2s(data, key=self._me.encode()[:32]).digest()

    def verify(self, peer: PeerId, data: bytes, proof: bytes) -> bool:
        return proof == hashlib.blake2s(data, key=peer.encode()[:32]).digest()


@dataclass
class Villager:
    """One simulated peer."""

    name: str
    alias: str
    id: PeerId
    address: Address
    host: int
    node: Node
    alive: bool = True
    frozen: bool = False
    asleep_since: Seconds | None = None
    offset: Seconds = 0.0
    """What its clock shows beyond the village's."""
    restarted_at: Seconds = -math.inf
    honest: bool = True
    events: list[tuple[Seconds, out.Event]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why it closed links for what came on them."""
    held: list[Callable[[], None]] = field(default_factory=list)
    """What arrived while it was frozen."""
    tick_at: Seconds | None = None
    """When its next tick is planned."""

    @property
    def awake(self) -> bool:
        """Whether it does anything."""
        return self.alive and not self.frozen and self.asleep_since is None

    def born_again(self, node: Node, now: Seconds) -> None:
        """Starts anew: with the same key, and nothing remembered."""
        self.node, self.alive, self.frozen, self.asleep_since = node, True, False, None
        self.held, self.tick_at, self.restarted_at = [], None, now
        node.set_addresses((str(self.address),))

    def seen(self, kind: type[out.Event]) -> list[tuple[Seconds, out.Event]]:
        """The events of one kind, with their times."""
        return [(at, event) for at, event in self.events if isinstance(event, kind)]

    def aliases(self) -> list[str]:
        """Who it shows, itself first."""
        return [member.alias for member in self.node.members()]

    def sees(self) -> set[PeerId]:
        """Who is in the room, by its lights."""
        return {member.peer for member in self.node.members()}

    def coordinator(self) -> PeerId | None:
        """Whom it follows."""
        room = self.node.room
        claim = room.election.followed if room else None
        return PeerId(claim.leader) if claim else None

    def leaders_since(self, at: Seconds) -> list[str]:
        """Whom it followed from then on, one after the other; changes of epoch under one leader do not count."""
        told = [(when, event.claim.leader) for when, event in self.events
                if isinstance(event, out.CoordinatorChanged) and event.claim]  # fmt: skip
        before = [leader for when, leader in told if when < at][-1:]
        followed = before + [leader for when, leader in told if when >= at]
        return [leader for number, leader in enumerate(followed) if number and leader != followed[number - 1]]
