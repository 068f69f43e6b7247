"""The chat as it is shown: bounded, cleaned, under names that nobody can borrow, and forgotten with the room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from meshchat import chronicle as chronicles
from meshchat.chronicle import Chronicle
from meshchat.control import ChatAdded, ChatLine, Event, Notice
from meshchat.errors import Refused
from meshchat.identity import load_identity
from meshchat.interfaces import LocalAddress
from meshchat.mesh import Mesh
from meshchat.peers import effects
from meshchat.peers.lines import Line, LineId
from meshchat.peers.room import open_room
from meshchat.remote.protocol import ANSWER_BYTES_MAX
from meshchat.units import TEXT_CHARACTERS_MAX, PeerId, RoomId

STRANGER = PeerId("ab" * 32)


@dataclass
class Desk:
    """A peer alone in a room, and its chronicle."""

    mesh: Mesh
    chronicle: Chronicle
    told: list[Event]

    def comes(self, number: int, text: str, alias: str = "zoe") -> ChatLine:
        """A line from somebody who is not here."""
        line = Line(STRANGER, number, (1 << 53) - 1, alias, text)
        self.chronicle.on_event(effects.LineAdded(LineId(f"{number:032x}"), line))
        event = self.told[-1]
        assert isinstance(event, ChatAdded)
        return event.line


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    told: list[Event] = []
    events: list[effects.Event] = []
    ann = load_identity(tmp_path / "ann")
    mesh = Mesh(ann, "ann", on_event=events.append, on_media=lambda *_: None, on_report=lambda *_: None)
    mesh.open((LocalAddress("127.0.0.1", "lo", 1),), None)
    made = Desk(mesh, Chronicle(mesh, told.append), told)
    mesh.enter(open_room("lobby"), "lobby")
    for event in events:
        made.chronicle.on_event(event)
    yield made
    mesh.close()


async def test_a_line_is_cleaned_and_told_whether_it_names_us(desk: Desk) -> None:
    line = desk.comes(1, "@ANN\x1b[2J \u202elook\n\nhere")
    assert (line.text, line.mention, line.you, line.alias) == ("@ANN[2J look\n\nhere", True, False, "zoe")
    assert not desk.comes(2, "@anna").mention


async def test_one_who_is_gone_is_not_shown_under_the_name_of_one_who_is_here(desk: Desk) -> None:
    assert desk.comes(1, "I am ann, believe me", alias="Ann").alias == STRANGER[:8]
    assert desk.comes(2, "and I have no name", alias="\x00").alias == STRANGER[:8]


async def test_late_lines_take_their_place(desk: Desk) -> None:
    for number in (3, 1, 2):
        desk.comes(number, str(number))
    assert [line.text for line in desk.chronicle.told().lines] == ["1", "2", "3"]


async def test_it_keeps_so_many_lines_and_so_many_bytes(desk: Desk) -> None:
    for number in range(chronicles.LINES_MAX + 10):
        desk.comes(number + 1, str(number))
    kept = desk.chronicle.told().lines
    assert (len(kept), kept[0].text) == (chronicles.LINES_MAX, "10")
    for number in range(2 * chronicles.BYTES_MAX // (4 * TEXT_CHARACTERS_MAX)):
        desk.comes(10_000 + number, "\U0001d11e" * (TEXT_CHARACTERS_MAX - 1) + '"')
    answer = msgspec.json.encode(desk.chronicle.told())
    assert len(answer) < ANSWER_BYTES_MAX, "a client takes it in one line"
    for number in range(chronicles.BYTES_MAX // TEXT_CHARACTERS_MAX + 10):
        desk.comes(20_000 + number, '"' * TEXT_CHARACTERS_MAX)
    assert len(msgspec.json.encode(desk.chronicle.told())) < ANSWER_BYTES_MAX


async def test_comings_and_goings_stand_between_the_lines(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.chronicle.on_event(effects.MemberJoined(STRANGER, "zoe"))
    assert desk.chronicle.told().lines == (), "who is there when we come is no news"
    monkeypatch.setattr(chronicles, "SETTLE_S", -1.0)
    room = desk.mesh.node.room
    assert room is not None
    desk.comes(room.chat.clock.stamp(asyncio.get_running_loop().time()), "before")
    desk.chronicle.on_event(effects.MemberJoined(STRANGER, "zoe"))
    desk.chronicle.on_event(effects.MemberLeft(STRANGER, "zoe", "lo\x1bst"))
    lines = desk.chronicle.told().lines
    assert [(line.kind, line.alias, line.text) for line in lines] == [
        ("said", "zoe", "before"),
        ("came", "zoe", ""),
        ("went", "zoe", "lost"),
    ]
    assert len({line.id for line in lines}) == 3


async def test_leaving_forgets_and_what_comes_of_the_old_room_is_not_noted(desk: Desk) -> None:
    desk.comes(1, "old")
    old = open_room("lobby")
    desk.mesh.leave()
    with pytest.raises(Refused, match="not in a room"):
        desk.chronicle.told()
    desk.mesh.enter(open_room("den"), "den")
    desk.chronicle.on_event(effects.MemberLeft(STRANGER, "zoe", "you left"))
    desk.chronicle.on_event(effects.RoomLeft(RoomId(old), "lobby"))
    desk.chronicle.on_event(effects.RoomEntered(open_room("den"), "den"))
    assert desk.chronicle.told().lines == ()


async def test_a_flood_is_said(desk: Desk) -> None:
    desk.chronicle.on_event(effects.Flooded(STRANGER))
    assert desk.told == [Notice("warning", "abababab writes faster than anybody can read; some of it is left out")]


async def test_what_is_said_alone_waits_a_moment_for_somebody_and_reaches_nobody(desk: Desk) -> None:
    said = await desk.chronicle.say("hello?")
    assert said.reached == 0
