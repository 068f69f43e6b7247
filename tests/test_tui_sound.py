"""Choosing microphone and speaker in the terminal UI."""

from __future__ import annotations

from pathlib import Path

from textual.events import AppBlur

from meshchat import control
from meshchat.view.dialogs import PlayBox
from meshchat.view.drawn import Rows
from meshchat.view.intents import KeysHeld
from meshchat.view.sound import SoundBox
from meshchat.view.strip import Threshold
from meshchat.view.welcome import WelcomeBox
from tests.scripted_daemon import Script
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
        await me.sees("Microphone: Headset")
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


async def test_the_speaker_is_tried_by_a_key_and_a_button(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen, size=(100, 40)) as me:
        await me.press("o")
        await opened(me)
        await me.press("t")
        await me.hears(control.TestSpeaker)
        await me.pilot.click("#test")
        await me.until(lambda: len(me.daemon.wishes(control.TestSpeaker)) == 2)


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


async def test_when_sound_goes_out_is_chosen_and_said(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen, size=(80, 24)) as me:
        await me.sees("mic on")
        await me.press("o")
        await opened(me)
        me.app.screen.query_one("#modes").focus()
        await me.press("down", "enter")
        assert await me.hears(control.Transmit) == control.Transmit(mode="voice", keep=True, id=1)
        await me.sees("▸ by voice")
        await me.press("escape")
        await me.sees("mic waits")
        me.daemon.talking = True
        me.daemon.tell()
        await me.sees("mic open")
        await me.press("p")
        await me.sees("Space talks")
        await me.sees("Space begins to talk, and ends it; while you write, F4")


async def test_the_mark_is_moved_on_the_live_meter_by_keys_and_by_the_mouse(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        await me.press("o")
        await opened(me)
        await me.sees("mark at -45 dB")
        meter = me.app.screen.query_one(Threshold)
        meter.focus()
        await me.press("right")
        assert await me.hears(control.Transmit) == control.Transmit(mode="voice", threshold_db=-43.0, keep=True, id=1)
        await me.sees("mark at -43 dB")
        await me.pilot.click(meter, offset=(30, 0))
        await me.sees("mark at -30 dB")
        assert "┃" in me.screen()


def by_key(script: Script) -> None:
    in_the_kitchen(script)
    script.transmit, script.talking = "push", False


async def test_where_no_release_is_told_space_begins_and_ends(tmp_path: Path) -> None:
    async with watching(tmp_path, by_key) as me:
        await me.sees("Space talks")
        await me.press("space")
        await me.sees("you talk")
        await me.press("space")
        await me.sees("Space talks")
        assert me.daemon.talked() == (None, None)
        assert not me.daemon.wishes(control.Mute)


async def test_the_mouse_can_hold_the_button_in_any_terminal(tmp_path: Path) -> None:
    async with watching(tmp_path, by_key) as me:
        await me.sees("Space talks")
        await me.pilot.mouse_down("#mute")
        await me.sees("you talk")
        await me.pilot.mouse_up("#mute")
        await me.sees("Space talks")
        assert not me.daemon.wishes(control.Mute)


async def test_a_terminal_that_loses_sight_lets_go(tmp_path: Path) -> None:
    async with watching(tmp_path, by_key) as me:
        me.app.post_message(KeysHeld())
        await me.sees("hold Space")
        await me.press("space", "space", "space")
        await me.sees("you talk")
        me.app.post_message(AppBlur())
        await me.sees("hold Space")
        assert me.daemon.talked() == (True, False)


async def test_a_file_is_played_seen_and_ended(tmp_path: Path) -> None:
    async with watching(tmp_path, in_the_kitchen) as me:
        await me.sees("bob")
        await me.press("y")
        await me.until(lambda: isinstance(me.app.screen, PlayBox))
        await me.write("/music/song.flac")
        assert await me.hears(control.Play) == control.Play(file="/music/song.flac", id=1)
        await me.sees("you play: song.flac 0:00 of 2:05")
        me.app.main.action_play_louder()
        assert await me.hears(control.PlayVolume) == control.PlayVolume(volume=1.25, id=1)
        me.app.main.action_pause()
        await me.hears(control.Pause)
        me.app.main.action_play_stop()
        await me.until(lambda: "you play" not in me.screen())
