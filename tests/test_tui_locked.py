"""Locked rooms in the terminal UI: passphrases as they are typed, and locking and unlocking by one action."""

from __future__ import annotations

from pathlib import Path

from meshchat import control
from tests.scripted_daemon import summary
from tests.test_tui import at_the_lock, in_the_kitchen, watching, with_rooms


async def test_a_passphrase_opens_a_locked_room(tmp_path: Path) -> None:
    async with watching(tmp_path, with_rooms) as me:
        await at_the_lock(me)
        await me.write("acid yo-yo zoom")
        assert await me.hears(control.Join) == control.Join(name="board", passphrase="acid yo-yo zoom", id=1)


async def test_a_passphrase_goes_to_the_daemon_as_it_was_typed(tmp_path: Path) -> None:
    family = "\N{MAN}\N{ZERO WIDTH JOINER}\N{GIRL}"  # the joiner would be taken out of a name
    async with watching(tmp_path, with_rooms) as me:
        await at_the_lock(me)
        await me.write(family)
        assert await me.hears(control.Join) == control.Join(name="board", passphrase=family, id=1)


async def test_a_room_that_somebody_locked_is_unlocked_by_the_same_action(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        me.app.main.action_lock()
        await me.hears(control.Lock)
        me.daemon.publish(control.RoomsChanged((summary("kitchen", locked=True, joined=True),)))
        await me.until(lambda: me.app.main._state.rooms and me.app.main._state.rooms[0].locked)
        me.app.main.action_lock()
        await me.hears(control.Unlock)
