"""Pictures of the terminal UI at a fixed size, as text: what a person sees, whole, so that no change comes unseen.

After a change that is meant: `MESHCHAT_TAKE_PICTURES=yes pytest tests/test_view_pictures.py`, and look at what changed.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from meshchat import control
from meshchat.view.signs import DRAWN, PLAIN, Signs
from tests.scripted_daemon import ADA, BOB, EVE, Script, member, room, said, summary
from tests.test_tui import Viewer, watching, with_rooms

PICTURES = Path(__file__).parent / "pictures"


def kitchen(script: Script) -> None:
    script.rooms = (summary("kitchen", joined=True, sharing=True), summary("board", locked=True))
    bob = member(BOB, "bob", coordinator=True, rtt_ms=3.0, loss_percent=0.0, jitter_ms=0.4, playout_delay_ms=12.0)
    eve = member(EVE, "Ève 猫", muted=True, sharing=True, rtt_ms=120.0, loss_percent=2.5, hears_you=False)
    script.room = room(bob, eve)
    script.chat = (said(1, "bob", "was anybody here? https://example.org/a"), said(2, "ada", "I was.", you=True))


async def settled(me: Viewer) -> None:
    """With levels as they always are in these pictures."""
    me.daemon.publish(control.Levels({ADA: -20.0, BOB: -35.0, EVE: None}))
    await me.until(lambda: me.app.state.levels.get(ADA) == -20.0)


async def the_room(me: Viewer) -> None:
    await me.sees("I was.")
    await settled(me)
    await me.sees("██████▋")


async def the_room_in_ascii(me: Viewer) -> None:
    await me.sees("I was.")
    await settled(me)
    await me.sees("#######")


async def the_rooms(me: Viewer) -> None:
    await me.sees("board")


async def the_person(me: Viewer) -> None:
    await the_room(me)
    await me.at_bob("enter")
    await me.sees("compare two words")


async def the_sound(me: Viewer) -> None:
    await the_room(me)
    await me.press("o")
    await me.sees("Headset ALSA")


@pytest.mark.parametrize(
    ("name", "size", "signs", "prepare", "show"),
    [
        ("rooms", (80, 24), DRAWN, with_rooms, the_rooms),
        ("room", (80, 24), DRAWN, kitchen, the_room),
        ("room-narrow", (50, 20), DRAWN, kitchen, the_room),
        ("room-wide", (130, 30), DRAWN, kitchen, the_room),
        ("room-ascii", (80, 24), PLAIN, kitchen, the_room_in_ascii),
        ("person", (80, 24), DRAWN, kitchen, the_person),
        ("sound", (80, 24), DRAWN, kitchen, the_sound),
    ],
)
async def test_the_picture_is_the_one_that_was_looked_at(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    size: tuple[int, int],
    signs: Signs,
    prepare: Callable[[Script], None],
    show: Callable[[Viewer], Awaitable[None]],
) -> None:
    monkeypatch.setattr("meshchat.view.lines.time.strftime", lambda *_: "12:34")
    path = PICTURES / f"{name}.txt"
    async with watching(tmp_path, prepare, size=size, signs=signs) as me:
        await show(me)
        if os.environ.get("MESHCHAT_TAKE_PICTURES"):
            await me.pilot.pause(0.5)
            path.write_text(drawn(me), encoding="utf-8")
        await me.until(lambda: drawn(me) == path.read_text(encoding="utf-8"))


def drawn(me: Viewer) -> str:
    """What is on the terminal, without blanks at the ends of lines, which editors take away."""
    return "\n".join(line.rstrip() for line in me.screen().split("\n")) + "\n"
