"""What one peer's rooms and links share: who we are, whom we are linked with, and the effects that collect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from meshchat.peers import effects as out
from meshchat.peers.directory import Chance, Directory
from meshchat.peers.links import Link, beat_interval
from meshchat.peers.load import Load
from meshchat.peers.messages import ADDRESSES_MAX, Beat, Message
from meshchat.units import PeerId, Seconds

HOST_BEST = 7
"""The best mark that a machine can have as a host; 0 is the worst, and what is assumed of all."""


class Notary(Protocol):
    """Signs with our key, and checks what others signed with theirs."""

    def sign(self, data: bytes) -> bytes:
        """A proof, at most `PROOF_BYTES_MAX` long, that we said this."""

    def verify(self, peer: PeerId, data: bytes, proof: bytes) -> bool:
        """Whether `peer` said this."""


def standing(moderator: bool, host: int) -> int:
    """How fit a member is to coordinate, 0 best: moderators before all others, then the better machine."""
    return (0 if moderator else HOST_BEST + 1) + HOST_BEST - min(max(host, 0), HOST_BEST)


Doubts: TypeAlias = Callable[[PeerId, str], bool]
"""Whether a peer that calls itself so pretends to be somebody else, by what its person knows."""


def nobody_pretends(_peer: PeerId, _alias: str) -> bool:
    """For those who know nobody."""
    return False


@dataclass(slots=True)
class Circle:
    """What a room shares with the node that is in it."""

    me: PeerId
    alias: str
    directory: Directory
    notary: Notary
    rng: Chance
    links: dict[PeerId, Link] = field(default_factory=dict)
    now: Seconds = 0.0
    """The time of what is being handled."""
    muted: bool = False
    deafened: bool = False
    sharing: bool = False
    """Whether we share a screen."""
    doubts: Doubts = nobody_pretends
    moderator: bool = False
    """Whether we moderate the room that we are in."""
    book: str = ""
    """Which of its orders we have, as a digest; empty for none."""
    host: int = 0
    """How good a host our machine is, 0..`HOST_BEST`."""
    addresses: tuple[str, ...] = ()
    epoch_ms: int = 0
    """The time of day when our monotonic clock showed 0, in ms since 1970."""
    wishes: list[out.Effect] = field(default_factory=list)
    """Effects collected since they were last drained."""
    load: Load = field(default_factory=Load)
    drops: list[tuple[PeerId, str]] = field(default_factory=list)
    """Links to be closed once what is being handled is done, and why."""

    @property
    def standing(self) -> int:
        """How fit we are to coordinate."""
        return standing(self.moderator, self.host)

    def time_of_day_ms(self, now: Seconds) -> int:
        """The time of day in ms since 1970, by our machine's clock; shown to people, and relied on by nothing."""
        return max(0, self.epoch_ms + int(now * 1000))

    @property
    def every(self) -> Seconds:
        """Our beat interval on every link: it grows with their number."""
        return beat_interval(len(self.links))

    @property
    def beats_per_s(self) -> float:
        """How many signs of life we hear each second, and give, if others have as many links as we."""
        return len(self.links) / self.every

    def count(self, messages: int) -> None:
        """So many were said or heard just now, other than signs of life that we hear."""
        self.load.add(messages, self.now, self.beats_per_s)

    def beat(self, link: Link, beat: Beat) -> None:
        """Wishes that a beat be sent."""
        self.count(1)
        link.beaten(beat, self.every, self.now)
        self.wishes.append(out.Send(link.peer, beat))

    def send(self, peer: PeerId, message: Message) -> None:
        """Wishes that a message be sent, other than a beat. It is a sign of life too: a beat can wait for once."""
        self.count(1)
        self.wishes.append(out.Send(peer, message))
        link = self.links.get(peer)
        if link:
            link.postpone_beat(self.now, self.every)


def told_addresses(link: Link) -> tuple[str, ...]:
    """Where others can reach that peer: as we see it, then as it says; no scoped address, which is ours alone."""
    seen = [str(link.address), *link.addresses]
    return tuple(dict.fromkeys(text for text in seen if "%" not in text))[:ADDRESSES_MAX]
