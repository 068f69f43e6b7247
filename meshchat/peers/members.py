"""The members of a room as they are shown: who they are, and whether we hear them ourselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from meshchat.peers.circle import Circle
from meshchat.peers.liveness import State
from meshchat.peers.room import Room
from meshchat.units import PeerId


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the room shows it."""

    peer: PeerId
    alias: str
    you: bool
    coordinator: bool
    muted: bool
    deafened: bool
    rtt_ms: float | None
    addresses: tuple[str, ...]
    reachable: bool = True
    """Whether we hear it ourselves; if not, others do."""
    moderator: bool = False
    """Whether it gives orders here."""
    muted_by: PeerId | None = None
    """The moderator that muted it."""
    silenced: bool = False
    """Whether it is not played here because of that, or because it pretends."""
    sharing: bool = False
    """Whether it shares a screen."""
    impostor: bool = False
    """Whether it calls itself what somebody else does whom we verified."""


def members(circle: Circle, room: Room) -> Iterator[Member]:
    """Everybody in the room, ourselves first, then in order of admission."""
    leader = room.election.leader
    silence = (circle.muted, circle.deafened)
    here, sharing = leader == circle.me, circle.sharing
    us = Member(circle.me, room.own_alias, True, here, *silence, None, circle.addresses, sharing=sharing)
    yield _by_law(us, room)
    for peer in room.members():
        yield _by_law(_member(circle, room, peer, leader == peer), room)


def _by_law(member: Member, room: Room) -> Member:
    """The same with what the room's orders say of it."""
    law, discipline, impostor = room.court.law, room.discipline, member.peer in room.caution.withheld
    return replace(
        member,
        moderator=law is not None and member.peer in law.ranks,
        muted_by=discipline.muted_by(member.peer),
        silenced=room.silences(member.peer),
        impostor=impostor,
    )


def _member(circle: Circle, room: Room, peer: PeerId, coordinator: bool) -> Member:
    link, entry, alias = circle.links.get(peer), room.entry(peer), room.alias_of(peer)
    if link is None or link.presence is None or not link.admitted:
        addresses = entry.addresses if entry else ()
        return Member(peer, alias, False, coordinator, False, False, None, addresses, reachable=False)
    heard = room.watch.state(peer) is not State.UNREACHABLE
    silence = (link.presence.muted, link.presence.deafened)
    addresses, sharing = (str(link.address),), link.presence.sharing
    return Member(peer, alias, False, coordinator, *silence, link.rtt_ms, addresses, heard, sharing=sharing)
