"""What must hold in a simulated room once the network has been quiet for a while: the promises, as code.

`broken` returns each promise that is not kept, in words; an empty list is what everybody hopes for.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from meshchat.peers import effects as out
from meshchat.sframe import STEP_BITS, ratchet
from meshchat.units import PeerId, Seconds, short
from tests.chatting import unread
from tests.simulation import Village
from tests.villager import Villager

QUIET_S: Seconds = 5.0
"""After so long without a change everything has settled."""

MESSAGES_PER_S_MAX = 200
"""Most control messages that a member sends and receives a second, in a room of up to 100."""

ROTATED_S: Seconds = 1.0
"""After the news of a kick nobody seals with a key of before for longer than this."""

HOPS_MAX = 3
"""Members further apart than this, with nobody to hear both, are not promised one room."""


Told: TypeAlias = tuple[int, int, bytes]
"""SSRC, key id and base key, as a sender told them."""


def key_of(event: out.KeyReceived | out.SendKeyChanged) -> Told:
    """The key that an event is about."""
    return (event.ssrc, event.key_id, event.base_key)


def joined(village: Village, a: Villager, b: Villager) -> bool:
    """Whether packets pass both ways, and each would let the other in: who missed a change of the secret, and is a
    stranger to those who did not, is outside."""
    passes = village.passes(a.name, b.name) and village.passes(b.name, a.name)
    return passes and admits(a, b) and admits(b, a)


def admits(host: Villager, guest: Villager) -> bool:
    """Whether the one would let the other into its room, if both are in it."""
    ours, theirs = host.node.room, guest.node.room
    if ours is None or theirs is None or not ours.gate.locked:
        return True
    return guest.id in ours.gate.remembered or ours.gate.secret in theirs.gate.secrets


def parts(village: Village) -> list[list[Villager]]:
    """The honest members, grouped by who can reach whom, through others if need be."""
    left = [peer for peer in village.peers.values() if peer.awake and peer.honest and peer.node.room]
    found = []
    while left:
        part, edge = [], [left.pop()]
        while edge:
            peer = edge.pop()
            part.append(peer)
            near = [other for other in left if joined(village, peer, other)]
            left = [other for other in left if other not in near]
            edge += near
        found.append(sorted(part, key=lambda peer: peer.name))
    return found


def is_close(village: Village, part: list[Villager]) -> bool:
    """Whether nobody in the part is further than `HOPS_MAX` from anybody."""
    return all(_reach(village, part, peer) for peer in part)


def _reach(village: Village, part: list[Villager], start: Villager) -> bool:
    reached, edge = [start], [start]
    for _ in range(HOPS_MAX):
        edge = [other for other in part if other not in reached and any(joined(village, other, peer) for peer in edge)]
        reached += edge
    return len(reached) == len(part)


def broken(village: Village, *, liars: bool = False) -> list[str]:
    """Every promise that is not kept now."""
    return [fault for part in parts(village) if is_close(village, part) for fault in _broken_in(village, part, liars)]


def _broken_in(village: Village, part: list[Villager], liars: bool) -> Iterator[str]:
    names = {peer.id: peer.name for peer in village.peers.values()}
    members = {peer.id for peer in part}
    leaders = {peer.coordinator() for peer in part}
    who = "".join(f" {peer.name}->{names.get(peer.coordinator() or PeerId(''), '-')}" for peer in part)
    if liars:
        for peer in part:
            lost = {other.id for other in part if joined(village, peer, other)} - peer.sees() - {peer.id}
            if lost:
                yield f"3: {peer.name} lost sight of {sorted(names[each] for each in lost)} because of a liar"
        return
    law = part[0].law()
    # One whose program does as it likes is no worse than others once its ban has fallen with the moderator's office.
    odd = {peer.id for peer in village.peers.values() if not peer.honest} - (law.excluded if law else frozenset())
    if len(leaders) != 1 or not leaders <= members | odd:
        yield f"1: no single coordinator:{who}"
    claims = {peer.node.room.election.followed for peer in part if peer.node.room}
    if len(claims) != 1:
        yield f"2: several claims: {[(claim.epoch, short(claim.leader)) if claim else None for claim in claims]}"
    for peer in part:
        if peer.sees() - odd != members:
            missing = sorted(names[each] for each in members - peer.sees())
            extra = sorted(names.get(each, short(each)) for each in peer.sees() - odd - members)
            yield f"3: {peer.name} lacks {missing} and shows {extra}"
    if len({_names(peer, members) for peer in part}) > 1:
        yield "3: different names"
    yield from _keys(village, part)
    yield from unread(village, part)
    if any(peer.law() != part[0].law() for peer in part):
        yield "8: different laws"


def _names(peer: Villager, members: set[PeerId]) -> tuple[str, ...]:
    """What that peer calls everybody, in the order of their ids."""
    room = peer.node.room
    assert room is not None
    return tuple(room.own_alias if each == peer.id else room.alias_of(each) for each in sorted(members))


def _keys(village: Village, part: list[Villager]) -> Iterator[str]:
    """5: everybody has the key that everybody whom it hears seals with."""
    for peer in part:
        for other in part:
            if other is peer or not joined(village, peer, other):
                continue
            sealed = other.seen(out.SendKeyChanged)[-1][1]
            assert isinstance(sealed, out.SendKeyChanged)
            if not opens(_keys_of(peer, other.id), (sealed.ssrc, sealed.key_id, sealed.base_key)):
                yield f"5: {peer.name} cannot open what {other.name} says"


def opens(told: Iterable[Told], sealed: Told) -> bool:
    """Whether one of these keys is that one, or an earlier step of it."""
    ssrc, key_id, base_key = sealed
    return any(
        other == ssrc and older >> STEP_BITS == key_id >> STEP_BITS and older <= key_id
        and stepped(key, key_id - older) == base_key
        for other, older, key in told
    )  # fmt: skip


@functools.lru_cache(maxsize=65536)
def stepped(base_key: bytes, steps: int) -> bytes:
    """The base key so many steps of the ratchet later."""
    return base_key if steps == 0 else ratchet(stepped(base_key, steps - 1))


def _keys_of(peer: Villager, sender: PeerId) -> set[Told]:
    """The keys that the call would hold: all that came since that member last came in."""
    keys: set[Told] = set()
    for _, event in peer.events:
        if isinstance(event, out.MemberLeft) and event.peer == sender:
            keys = set()
        elif isinstance(event, out.KeyReceived) and event.peer == sender:
            keys.add((event.ssrc, event.key_id, event.base_key))
    return keys


def overheard(village: Village) -> list[str]:
    """4: keys that an honest member sealed with a second after it knew of a kick, and that the kicked one was told."""
    told = {
        peer.id: {key_of(event) for _, event in peer.seen(out.KeyReceived) if isinstance(event, out.KeyReceived)}
        for peer in village.peers.values()
    }
    names = {peer.id: peer.name for peer in village.peers.values()}
    return [
        f"4: {names[gone]}, sent away, can hear {peer.name}"
        for peer in village.peers.values()
        for gone, since in (peer.excluded_at.items() if peer.honest and peer.alive else ())
        if any(until > since + ROTATED_S and opens(told[gone], key) for key, until in _sealed_with(peer))
    ]


def _sealed_with(peer: Villager) -> Iterator[tuple[Told, Seconds]]:
    """Each key that it sealed with, and until when."""
    changes = [
        (at, key_of(event)) for at, event in peer.seen(out.SendKeyChanged) if isinstance(event, out.SendKeyChanged)
    ]
    ends = [at for at, _ in changes[1:]] + [math.inf]
    return ((key, until) for (_, key), until in zip(changes, ends, strict=True))


def overloaded(village: Village, over_s: int = 5) -> list[str]:
    """6: who sent and received more than the bound, averaged over any few seconds, its own entering left out."""
    spans: Counter[tuple[str, int]] = Counter()
    for (name, second), count in village.load.items():
        if not 0 <= second + 1 - village.peers[name].entered_at <= over_s:
            spans.update({(name, second - back): count for back in range(over_s)})
    worst = max(spans.items(), key=lambda item: item[1], default=None)
    if worst is None or worst[1] <= MESSAGES_PER_S_MAX * over_s:
        return []
    return [f"6: {worst[0][0]} sent and received {worst[1] / over_s:.0f} messages a second"]
