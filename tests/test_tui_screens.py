"""Sharing and watching screens from the terminal UI: keys, marks, and what is said where it cannot be done."""

from __future__ import annotations

import asyncio
from pathlib import Path

from meshchat import control
from meshchat.view.dialogs import WatchBox
from tests.scripted_daemon import BOB, PAGE, Script, member, room
from tests.test_tui import in_the_kitchen, watching


async def test_ones_screen_is_shared_by_one_key_and_that_is_always_seen(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen, size=(50, 24)) as me:
        await me.sees("bob")
        assert "sharing" not in me.screen()
        await me.press("s")
        await me.sees("sharing   mic on")
        await me.sees("▣")
        assert "sound on" in me.screen()
        await me.press("s")
        await me.until(lambda: "sharing" not in me.screen())
        assert [type(each) for each in me.daemon.wishes(control.ShareStart, control.ShareStop)] == [
            control.ShareStart, control.ShareStop
        ]  # fmt: skip
        await me.press("s")
        await me.sees("sharing   mic on")
        await me.pilot.click("#sharing")
        await me.until(lambda: len(me.daemon.wishes(control.ShareStop)) == 2)


async def test_a_screen_that_cannot_be_shared_is_said_where_one_looks(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        await me.sees("bob")
        me.daemon.refusal = "cannot look at the screen: no display. On Linux a display is needed (the variable DISPLAY)"
        await me.press("s")
        await me.sees("Cannot look at the screen: no display.")
        me.daemon.publish(control.Notice("warning", "screen: the screen is black. Wayland shows its screen to nobody"))
        await me.sees("the screen is black.")
        await me.sees("DISPLAY).")
        assert "sharing" not in me.screen()


def bob_shares(script: Script) -> None:
    in_the_kitchen(script)
    script.room = room(member(BOB, "bob", sharing=True))


async def test_a_screen_is_watched_in_the_browser_or_by_its_address(tmp_path: Path) -> None:
    opened: list[str] = []

    def browse(address: str) -> bool:
        opened.append(address)
        return False

    async with watching(tmp_path, bob_shares, browse=browse) as me:
        await me.at_bob("w")
        assert await me.hears(control.Watch) == control.Watch(member=BOB, id=1)
        await me.until(lambda: isinstance(me.app.screen, WatchBox))
        await me.sees(PAGE)
        await me.sees("The screen of bob opens in your browser")
        assert opened == [PAGE]
        await me.press("escape")
        await me.sees("No browser opened")
        await me.press("u")
        assert await me.hears(control.Unwatch) == control.Unwatch(member=BOB, id=1)


async def test_where_there_can_be_a_window_it_opens_and_says_why_it_closed(tmp_path: Path) -> None:
    shown: list[control.Watching] = []
    closed = asyncio.Event()

    async def show(watched: control.Watching) -> str:
        shown.append(watched)
        await closed.wait()
        return "bob: it is shared no more"

    async with watching(tmp_path, bob_shares, show=show) as me:
        await me.at_bob("w")
        await me.until(lambda: shown)
        assert (shown[0].page, shown[0].alias) == (PAGE, "bob")
        await me.press("m")
        await me.hears(control.Mute)  # nothing waits for the window
        closed.set()
        await me.sees("The window is closed. bob: it is shared no more.")


async def test_without_a_display_the_address_is_given_with_the_way_over_ssh(tmp_path: Path) -> None:
    async with watching(tmp_path, bob_shares) as me:
        await me.at_bob("w")
        await me.sees("is to be seen in a browser")
        await me.sees(PAGE)
        await me.sees("ssh -L 40123:127.0.0.1:40123 HOST")
        await me.press("c")
        await me.until(lambda: me.app.clipboard == PAGE)


async def test_who_shares_nothing_cannot_be_watched(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        await me.at_bob("w", "f")
        await me.sees("jitter")
        assert not me.daemon.wishes(control.Watch)


async def test_a_terminal_that_cannot_be_left_says_so(tmp_path: Path) -> None:
    async with watching(tmp_path, bob_shares) as me:
        await me.at_bob("g")
        await me.sees("This terminal cannot be left to another program.")
