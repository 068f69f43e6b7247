"""What can be done about one member in the terminal UI: the list that Enter opens, and words to compare."""

from __future__ import annotations

from pathlib import Path

from meshchat import control
from meshchat.view.panes import Members
from meshchat.view.people import PersonBox, VerifyBox
from tests.scripted_daemon import BOB, WORDS, Script, member, room
from tests.test_tui import in_the_kitchen, moderating, watching


async def test_enter_on_a_member_lists_what_can_be_done_and_does_it(tmp_path: Path) -> None:
    async with watching(tmp_path, moderating) as me:
        await me.at_bob("enter")
        await me.until(lambda: isinstance(me.app.screen, PersonBox))
        await me.sees("silence the chosen member for you")
        await me.sees("send the chosen member out of the room for good")
        assert "look at the screen" not in me.screen()
        await me.press("enter")
        assert await me.hears(control.Volume) == control.Volume(member=BOB, gain=1.25, id=1)


async def test_a_click_on_oneself_lists_what_concerns_oneself(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        await me.until(lambda: me.app.main.query_one(Members).has_focus)
        await me.pilot.click(Members, offset=(6, 1))
        await me.until(lambda: isinstance(me.app.screen, PersonBox))
        await me.sees("choose microphone and speaker")
        assert "Kick" not in me.screen()
        await me.press("enter")
        await me.hears(control.Mute)


async def test_words_are_compared_and_what_was_found_is_believed(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        await me.at_bob("v")
        assert await me.hears(control.Verify) == control.Verify(member=BOB, id=1)
        await me.until(lambda: isinstance(me.app.screen, VerifyBox))
        await me.sees(WORDS)
        await me.press("tab", "enter")
        await me.until(lambda: len(me.daemon.wishes(control.Verify)) == 2)
        assert me.daemon.wishes(control.Verify)[1] == control.Verify(member=BOB, agreed=True, id=1)


async def test_whoever_is_asked_sees_the_same_words_and_can_say_that_they_differ(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        await me.at_bob()
        me.daemon.publish(control.WordsShown(BOB, "bob", "brisk cedar"))
        await me.sees("Words to compare with bob")
        await me.press("v")
        await me.until(lambda: isinstance(me.app.screen, VerifyBox))
        await me.sees("brisk cedar")
        await me.press("tab", "tab", "enter")
        await me.sees("The words differ: that is not bob")
        assert not me.daemon.wishes(control.Verify)


def sharing_both_ways(script: Script) -> None:
    script.room = room(member(BOB, "bob", sharing=True))
    watcher = control.WatcherStatus(BOB, 150.0, 2.0, False, 0, 0)
    share = control.ShareStatus("screen", 1280, 720, 9, 12.0, 3.5, (watcher,))
    script.screens = control.ScreenList(
        share, (control.ScreenStatus(BOB, "bob", True, 1, 640, 480, 7, 24.0, 0.5, exact=True),)
    )


async def test_it_is_seen_who_watches_whom_and_how_it_goes(tmp_path: Path) -> None:
    async with watching(tmp_path, sharing_both_ways, size=(110, 30)) as me:
        await me.sees("watched watches you")
        await me.press("f")
        await me.sees("you share 1280x720, 12 fps, 3.5 Mbit/s; 1 watches")
        await me.sees("bob keeps up, 2 ms")
        await me.sees("screen of bob: 640x480, 24 fps, 0.5 Mbit/s, exact")
