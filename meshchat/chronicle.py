"""The chat as people see it: what was written while we are in the room, and who came and went, line by line.

The control plane holds the signed lines and puts them in order (`peers/chat.py`); here each gets what only its reader
can say of it: what its author is called, whether it names us, when it arrived. Comings and goings are what we saw
ourselves; they take the place in the order that the room's clock shows, and are told to nobody else.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from bisect import insort
from collections.abc import Callable
from typing import Literal

from meshchat.control import ChatAdded, ChatHistory, ChatLine, Event, Notice, Said
from meshchat.errors import Refused
from meshchat.mesh import Mesh
from meshchat.peers import effects
from meshchat.peers.lines import HELD_MAX, Line, LineId
from meshchat.peers.mentions import mentions
from meshchat.units import PeerId, RoomId, Seconds, safe_lines, safe_text, short

LINES_MAX = 2 * HELD_MAX
"""Lines kept: all that the control plane keeps, and as many comings and goings. The oldest go first."""

BYTES_MAX = 1 << 20
"""Most bytes of text kept: all of it in one answer, each byte escaped, is less than a client takes in one line."""

SETTLE_S: Seconds = 1.5
"""So long after we entered, whoever appears was here before us, and a line waits until it can reach somebody."""

LOOK_S: Seconds = 0.05


class Chronicle:
    """The chat of the room that we are in."""

    def __init__(self, mesh: Mesh, publish: Callable[[Event], None]) -> None:
        """`publish` tells every client."""
        self._mesh = mesh
        self._publish = publish
        self._lines: list[ChatLine] = []
        self._bytes = 0
        self._numbers = itertools.count(1)
        self._room: RoomId | None = None
        self._entered_at: Seconds = 0.0

    def on_event(self, event: effects.Event) -> None:
        """Something happened in the control plane."""
        match event:
            case effects.RoomEntered(room):
                self._room, self._entered_at = room, time.monotonic()
            case effects.RoomLeft():
                self._room = None
                self._lines.clear()
                self._bytes = 0
            case effects.Flooded(peer):
                text = f"{short(peer)} writes faster than anybody can read; some of it is left out"
                self._publish(Notice("warning", text))
            case _ if self._is_here():
                self._on_news(event)

    def _on_news(self, event: effects.Event) -> None:
        match event:
            case effects.LineAdded(line_id, line):
                self._add(self._written(line_id, line))
            case effects.MemberJoined(peer, alias) if time.monotonic() - self._entered_at > SETTLE_S:
                self._note("came", peer, alias, "")
            case effects.MemberLeft(peer, alias, reason):
                self._note("went", peer, alias, reason)

    async def say(self, text: str) -> Said:
        """Writes to the room; right after entering, as soon as somebody is found there, or nobody is."""
        while (room := self._mesh.node.room) and not room.linked():
            if time.monotonic() - self._entered_at > SETTLE_S:
                break
            await asyncio.sleep(LOOK_S)
        line_id, reached = self._mesh.say(text)
        return Said(line_id, reached)

    def told(self) -> ChatHistory:
        """Every line that is kept. Raises `Refused` outside a room."""
        if self._mesh.node.room is None:
            raise Refused("not in a room")
        return ChatHistory(tuple(self._lines))

    # Inside

    def _is_here(self) -> bool:
        """Whether what is told concerns the room that we are in, and not the one that we are leaving."""
        room = self._mesh.node.room
        return room is not None and room.id == self._room

    def _add(self, line: ChatLine) -> None:
        insort(self._lines, line, key=lambda each: (each.order, each.author, each.id))
        self._bytes += len(line.text.encode())
        while len(self._lines) > LINES_MAX or self._bytes > BYTES_MAX:
            self._bytes -= len(self._lines.pop(0).text.encode())
        self._publish(ChatAdded(line))

    def _note(self, kind: Literal["came", "went"], peer: PeerId, alias: str, reason: str) -> None:
        room = self._mesh.node.room
        assert room is not None
        now_ms = time.time_ns() // 1_000_000
        line_id = f"{kind}-{next(self._numbers)}"
        order = room.chat.clock.read(asyncio.get_running_loop().time())
        self._add(ChatLine(line_id, kind, order, peer, alias, False, safe_text(reason), now_ms, now_ms))

    def _written(self, line_id: LineId, line: Line) -> ChatLine:
        node = self._mesh.node
        room = node.room
        assert room is not None
        aliases = {node.me: room.own_alias} | {peer: room.alias_of(peer) for peer in room.members()}
        author, text, you = PeerId(line.author), safe_lines(line.text), line.author == node.me
        others = [alias for peer, alias in aliases.items() if peer != node.me]
        return ChatLine(
            id=line_id,
            kind="said",
            order=line.clock,
            author=author,
            alias=aliases.get(author) or _alias_of_one_gone(line, aliases),
            you=you,
            text=text,
            said_ms=line.said_ms,
            received_ms=time.time_ns() // 1_000_000,
            mention=not you and mentions(text, aliases[node.me], others),
        )


def _alias_of_one_gone(line: Line, aliases: dict[PeerId, str]) -> str:
    """What an author who is not here calls itself, unless somebody here is called so."""
    alias = safe_text(line.alias)
    taken = {each.casefold() for each in aliases.values()}
    return alias if alias and alias.casefold() not in taken else short(line.author)
