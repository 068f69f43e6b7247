"""What villagers wrote, and what each of them has to show of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from meshchat.errors import Refused
from meshchat.peers.roomclock import FREE_MAX, STEP_MS
from meshchat.units import Seconds
from tests.simulation import Village
from tests.villager import Villager

BEFORE_S: Seconds = 2.0
"""Somebody who comes may see what was on its way just then."""


@dataclass(frozen=True)
class Written:
    """A text that its author saw accepted."""

    text: str
    at: Seconds
    readers: dict[str, Seconds]
    """Whom the author had known for a while, itself included: names, and since when each was in the room."""
    clock: int
    """What the room's clock showed its author."""
    behind: bool
    """Whether its clock had not met the room's: then it is dated too early, and sorts as something old."""


_written: WeakKeyDictionary[Village, list[Written]] = WeakKeyDictionary()


_serials: WeakKeyDictionary[Village, int] = WeakKeyDictionary()


def next_serial(village: Village) -> int:
    """A number that no text of that village bears yet."""
    _serials[village] = _serials.get(village, 0) + 1
    return _serials[village]


def say(village: Village, name: str, text: str) -> None:
    """The user of that peer writes to the room, if it was not too much of late."""
    peer, now = village.peers[name], village.now
    room = peer.node.room
    assert room is not None
    try:
        village.tell(name, lambda _: room.chat.say(text, village.clock(peer)))
    except Refused:
        return
    readers = {each.name: each.entered_at for each in village.peers.values() if each is peer or peer.knew(each, now)}
    _written.setdefault(village, []).append(
        Written(text, now, readers, peer.reading(now) or 0, _is_behind(village, peer))
    )


def _is_behind(village: Village, peer: Villager) -> bool:
    """Whether somebody's room clock is far ahead of that peer's."""
    own, now = peer.reading(village.now), village.now
    shown = [each.reading(now) for each in village.peers.values()]
    return own is not None and any(each is not None and each > own + STEP_MS for each in shown)


def unread(village: Village, part: list[Villager]) -> Iterator[str]:
    """9: whoever was there shows what its neighbours show, in the same order, and nothing from before it came.

    Neighbours are whom packets reach: old lines do not pass through one who came after they were said. When something
    was said is what its author's clock showed, and clocks meet when people do. So what is dated by a clock that had met
    nobody's is promised to nobody, and who comes while some are apart may be handed something from before. A liar may
    say its own words again.
    """
    chats = {peer.name: peer.chat() for peer in part}
    retold = {text for peer in village.peers.values() for text in peer.retold}
    for written in _written.get(village, []):
        holders = [peer for peer in part if written.text in chats[peer.name]]
        for peer in part:
            if peer in holders:
                early = written.at < peer.entered_at - BEFORE_S and not peer.entered_apart
                if early and written.text not in retold:
                    yield f"9: {peer.name} shows {written.text!r}, from before it came"
            elif written.readers.get(peer.name) == peer.entered_at and not written.behind:
                ahead = written.clock > max(FREE_MAX, (peer.reading(village.now) or 0) + STEP_MS)
                if ahead:  # a liar pushed its author alone, and this one has not caught up yet
                    continue
                tellers = [each.name for each in holders if _tells(village, each, peer, written.at)]
                if tellers:
                    yield f"9: {peer.name} lacks {written.text!r}, which {tellers} have"
    yield from _disorder(chats)


def _tells(village: Village, holder: Villager, peer: Villager, at: Seconds) -> bool:
    passes = village.passes(holder.name, peer.name) and village.passes(peer.name, holder.name)
    return passes and holder.knew(peer, at)


def _disorder(chats: dict[str, list[str]]) -> Iterator[str]:
    for name, chat in chats.items():
        for other, theirs in chats.items():
            both = set(chat) & set(theirs)
            if [text for text in chat if text in both] != [text for text in theirs if text in both]:
                yield f"9: {name} and {other} show another order"
