"""The terminal UI, driven by keys and clicks, over a daemon that plays a part on a real control socket."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from meshchat import config, control
from meshchat.tui import MeshchatApp
from meshchat.view.dialogs import Box, ConfirmBox, CreateBox, InviteBox, UnlockBox
from meshchat.view.help import HelpPage
from meshchat.view.panes import Draft, Members, Rooms
from meshchat.view.signs import DRAWN, PLAIN, Signs
from meshchat.view.welcome import WelcomeBox
from tests.scripted_daemon import BOB, EVE, LINK, Script, came, member, playing, room, said, summary

PATIENCE_S = 60.0


class Viewer:
    """A person in front of the terminal."""

    def __init__(self, app: MeshchatApp, pilot: Pilot[str], daemon: Script) -> None:
        self.app = app
        self.pilot = pilot
        self.daemon = daemon

    async def until(self, is_so: Callable[[], object]) -> None:
        """Wait for something to come true."""
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < deadline, f"never came true; on the screen:\n{self.screen()}"
            await self.pilot.pause(0.02)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def at_bob(self, *keys: str) -> None:
        """The cursor on the first of the others, then these keys."""
        await self.until(lambda: self.app.main.query_one(Members).has_focus)
        await self.press("down", *keys)

    async def write(self, text: str) -> None:
        """Fill in the field of a box, once it is ready to be typed into."""
        await self.until(lambda: isinstance(self.app.focused, Input))
        self.app.screen.query_one(Input).value = text
        await self.press("enter")

    async def sees(self, text: str) -> None:
        await self.until(lambda: text in self.screen())

    async def hears(self, *kinds: type[control.Command]) -> control.Command:
        """The first command of that kind that reaches the daemon."""
        await self.until(lambda: self.daemon.wishes(*kinds))
        return self.daemon.wishes(*kinds)[0]

    def screen(self) -> str:
        """The text on the terminal."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips)

    def bytes(self) -> str:
        """Everything that a full drawing would send to the terminal."""
        update = self.app.screen._compositor.render_full_update()
        return str(update.render_segments(self.app.console))


@asynccontextmanager
async def watching(
    profile: Path,
    change: Callable[[Script], None] = lambda _: None,
    *,
    welcome: bool = False,
    signs: Signs = DRAWN,
    size: tuple[int, int] = (80, 24),
    browse: Callable[[str], bool] | None = None,
    show: Callable[[control.Watching], Awaitable[str]] | None = None,
) -> AsyncIterator[Viewer]:
    async with playing(profile, change) as daemon:
        app = MeshchatApp(profile, welcome=welcome, signs=signs, browse=browse, show=show)
        async with app.run_test(size=size) as pilot:
            viewer = Viewer(app, pilot, daemon)
            await viewer.until(lambda: app.state.link == "live" and app.state.peer_id)
            await viewer.until(lambda: app.main._state is app.state)  # drawn, so that keys mean something
            yield viewer


def with_rooms(script: Script) -> None:
    script.rooms = (summary("kitchen"), summary("board", locked=True))


def in_the_kitchen(script: Script) -> None:
    script.rooms = (summary("kitchen", joined=True),)
    script.room = room(member(BOB, "bob", coordinator=True, rtt_ms=3.0))


async def at_the_lock(me: Viewer) -> None:
    """Before the locked one of `with_rooms`."""
    await me.sees("board")
    await me.press("enter")
    await me.until(lambda: isinstance(me.app.screen, UnlockBox))


async def test_a_room_is_joined_by_one_key(tmp_path: Path) -> None:
    async with watching(tmp_path, with_rooms) as me:
        await me.sees("kitchen")
        await me.press("down", "enter")
        assert await me.hears(control.Join) == control.Join(name="kitchen", id=1)
        await me.sees("kitchen · 2 members")
        await me.sees("bob")


async def test_a_room_is_joined_by_one_click(tmp_path: Path) -> None:
    async with watching(tmp_path, lambda script: setattr(script, "rooms", (summary("kitchen"),))) as me:
        await me.sees("kitchen")
        await me.pilot.click(Rooms, offset=(6, 1))
        await me.hears(control.Join)


async def test_a_locked_room_asks_for_its_link(tmp_path: Path) -> None:
    async with watching(tmp_path, with_rooms) as me:
        await at_the_lock(me)
        await me.sees("board is locked")
        await me.write(LINK)
        assert await me.hears(control.Enter) == control.Enter(link=LINK, id=1)
        await me.until(lambda: not isinstance(me.app.screen, Box))


async def test_a_room_whose_name_looks_like_markup_is_called_that(tmp_path: Path) -> None:
    def prepare(script: Script) -> None:
        script.rooms = (summary("[/den]", locked=True),)

    async with watching(tmp_path, prepare) as me:
        await me.sees("[/den]")
        await me.press("enter")
        await me.sees("[/den] is locked")
        await me.press("escape")
        me.daemon.enter(room(member(BOB, "bob"), name="[/den]"))
        await me.sees("[/den] · 2 members")


async def test_what_is_refused_is_said_in_the_box_and_can_be_mended(tmp_path: Path) -> None:
    async with watching(tmp_path, lambda script: setattr(script, "refusal", "room already exists: den")) as me:
        await me.press("n")
        await me.until(lambda: isinstance(me.app.screen, CreateBox))
        await me.write("den")
        await me.sees("room already exists: den")
        me.daemon.refusal = ""
        await me.write("attic")
        await me.sees("attic · 2 members")


async def test_a_new_locked_room_shows_its_link(tmp_path: Path) -> None:
    async with watching(tmp_path) as me:
        await me.press("n")
        await me.until(lambda: isinstance(me.app.screen, CreateBox) and isinstance(me.app.focused, Input))
        await me.press("tab", "space", "shift+tab")
        await me.write("board")
        assert await me.hears(control.Create) == control.Create(name="board", locked=True, id=1)
        await me.until(lambda: isinstance(me.app.screen, InviteBox))
        await me.sees(LINK)
        await me.press("escape")
        await me.until(lambda: me.app.screen is me.app.main)


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("m", control.Mute),
        ("space", control.Mute),
        ("f2", control.Mute),
        ("d", control.Deafen),
        ("l", control.Leave),
        ("i", control.Invite),
    ],
)
async def test_a_key_is_one_command(tmp_path: Path, key: str, kind: type[control.Command]) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        await me.sees("bob")
        me.daemon.heard.clear()
        await me.press(key)
        await me.hears(kind)


async def test_mute_says_so_and_is_undone_by_the_same_key_or_a_click(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        await me.press("m")
        await me.sees("mic muted")
        await me.pilot.click("#mute")
        await me.hears(control.Unmute)
        await me.sees("mic on")


async def test_one_member_is_turned_up_down_and_off(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        await me.at_bob("plus")
        assert await me.hears(control.Volume) == control.Volume(member=BOB, gain=1.25, id=1)
        await me.press("0")
        await me.until(lambda: len(me.daemon.wishes(control.Volume)) == 2)
        assert me.daemon.wishes(control.Volume)[1] == control.Volume(member=BOB, gain=0.0, id=1)


def moderating(script: Script) -> None:
    in_the_kitchen(script)
    script.room = room(member(BOB, "bob"), moderator=True)


async def test_a_moderator_is_asked_before_somebody_is_sent_out(tmp_path: Path) -> None:
    async with watching(tmp_path, moderating) as me:
        await me.at_bob("x")
        await me.until(lambda: isinstance(me.app.screen, ConfirmBox))
        await me.sees("Send bob out of the room?")
        await me.press("escape")
        await me.until(lambda: me.app.screen is me.app.main)
        await me.press("x")
        await me.until(lambda: isinstance(me.app.screen, ConfirmBox))
        await me.press("y")
        assert await me.hears(control.Kick) == control.Kick(member=BOB, id=1)
        assert len(me.daemon.wishes(control.Kick)) == 1


async def test_who_is_no_moderator_has_no_key_to_send_anybody_out(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        await me.at_bob("x", "f")
        await me.sees("jitter")
        assert me.app.screen is me.app.main


async def test_those_who_come_speak_and_go_are_seen(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        me.daemon.publish(control.MemberJoined(member(EVE, "eve")))
        await me.sees("○ eve")
        me.daemon.publish(control.ChatAdded(came("eve")))
        await me.sees("eve came in.")
        me.daemon.publish(control.Speaking(EVE, True))
        await me.sees("● eve")
        me.daemon.publish(control.MemberLeft(EVE, "eve", "lost"))
        me.daemon.publish(control.ChatAdded(came("eve", "lost", "went")))
        await me.sees("eve is gone: lost.")


async def test_what_is_written_is_said_and_what_others_say_is_read(tmp_path: Path) -> None:
    def talking(script: Script) -> None:
        in_the_kitchen(script)
        script.chat = (said(1, "bob", "was anybody here?"),)

    async with watching(tmp_path, talking) as me:
        await me.sees("bob: was anybody here?")
        await me.press("t", *"hi@bo", "right", "enter")
        assert await me.hears(control.Say) == control.Say(text="hi@bo", id=1)
        await me.sees("ada: hi@bo")
        await me.press("m", "escape")
        assert me.app.main.query_one(Draft).value == "m"
        assert me.app.main.query_one(Members).has_focus


async def test_what_could_not_be_said_is_put_back(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        await me.sees("bob")
        me.daemon.refusal = "that is too fast for the others to read"
        await me.press("t", *"hi", "enter")
        await me.sees("That is too fast")
        assert me.app.main.query_one(Draft).value == "hi"


async def test_in_ascii_nothing_else_is_drawn(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen, signs=PLAIN) as me:
        await me.sees("bob")
        await me.press("f", "n")
        await me.until(lambda: isinstance(me.app.screen, CreateBox))
        await me.pilot.pause(0.1)
        assert [each for each in me.screen() if not each.isascii()] == []


async def test_figures_are_shown_on_demand(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        await me.sees("bob")
        await me.press("f")
        await me.sees("jitter")
        await me.sees("loss")


async def test_a_notice_is_shown_and_taken_away(tmp_path: Path) -> None:
    async with watching(tmp_path) as me:
        me.daemon.publish(control.Notice("warning", "the microphone was unplugged"))
        await me.sees("the microphone was unplugged")
        await me.press("escape")
        await me.until(lambda: me.app.state.notice is None)


async def test_the_first_run_asks_for_a_name_and_keeps_it(tmp_path: Path) -> None:
    async with watching(tmp_path, welcome=True) as me:
        await me.until(lambda: isinstance(me.app.screen, WelcomeBox))
        await me.until(lambda: me.app.screen.query_one(Input).value == "ada")
        await me.press("G")
        assert me.app.screen.query_one(Input).value == "G"
        await me.write("Grete")
        assert await me.hears(control.Alias) == control.Alias(name="Grete", id=1)
        await me.until(lambda: me.app.screen is me.app.main)
    assert config.load({"profile": tmp_path}, {}).alias == "Grete"
    assert not config.is_new({"profile": tmp_path}, {})


async def test_help_lists_the_keys_and_the_palette_finds_them(tmp_path: Path) -> None:
    async with watching(tmp_path) as me:
        await me.press("question_mark")
        await me.until(lambda: isinstance(me.app.screen, HelpPage))
        await me.sees("mute or unmute your microphone")
        await me.press("escape")
        await me.until(lambda: me.app.screen is me.app.main)
        await me.press("ctrl+p")
        await me.sees("stop or start hearing the others")
        await me.press(*"new")
        await me.sees("open a new room")
        assert all(ord(each) < 0x1F000 for each in me.screen()), "no emoji: not every font has them"


async def test_quit_stops_only_a_daemon_that_a_terminal_started(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        await me.press("q")
        await me.until(lambda: me.app.return_value is not None)
        assert "still in kitchen" in str(me.app.return_value)
        assert not me.daemon.wishes(control.Stop)


async def test_a_daemon_that_comes_back_is_found_again(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        await me.sees("bob")
        await me.daemon.server.close()
        await me.sees("The daemon ended.")
        await me.sees("starts it again")
        async with playing(tmp_path, with_rooms):
            await me.sees("board")
            assert me.app.state.link == "live"
