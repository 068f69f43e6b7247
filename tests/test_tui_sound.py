"""Choosing microphone and speaker in the terminal UI."""

from __future__ import annotations

from pathlib import Path

from meshchat import control
from meshchat.view.drawn import Rows
from meshchat.view.sound import SoundBox
from meshchat.view.welcome import WelcomeBox
from tests.test_tui import Viewer, in_the_kitchen, watching


async def opened(me: Viewer) -> None:
    await me.until(lambda: isinstance(me.app.screen, SoundBox))
    await me.sees("Headset ALSA")


async def test_a_microphone_is_chosen_by_one_key_and_kept(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        await me.sees("bob")
        await me.press("o")
        await opened(me)
        await me.sees("the system's choice (Built-in)")
        await me.press("down", "down", "enter")
        assert await me.hears(control.UseMicrophone) == control.UseMicrophone(source="Headset, ALSA", keep=True, id=1)
        await me.sees("▸ Headset")
        await me.sees("microphone: Headset")
        await me.press("escape")
        await me.until(lambda: me.app.screen is me.app.main)


async def test_a_speaker_is_chosen_by_a_click(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen, size=(100, 40)) as me:
        await me.sees("bob")
        await me.press("o")
        await opened(me)
        rows = me.app.screen.query_one("#speakers", Rows)
        await me.pilot.click(rows, offset=(5, 3))
        assert await me.hears(control.UseSpeaker) == control.UseSpeaker(sink="null", keep=True, id=1)


async def test_what_cannot_be_had_is_said_in_the_box(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        await me.sees("bob")
        me.daemon.refusal = "Headset is busy; default stays in use"
        await me.press("o")
        await opened(me)
        await me.press("down", "enter")
        await me.sees("Headset is busy")


async def test_the_first_run_leads_to_the_devices_and_back(tmp_path: Path) -> None:
    async with watching(tmp_path, welcome=True) as me:
        await me.until(lambda: isinstance(me.app.screen, WelcomeBox) and me.app.screen.focused)
        await me.press("tab", "tab", "enter")
        await opened(me)
        await me.press("escape")
        await me.until(lambda: isinstance(me.app.screen, WelcomeBox))
