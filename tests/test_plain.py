"""The linear mode: what is typed, what is asked of the daemon, and what is printed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from meshchat import config, control
from meshchat.errors import UsageError
from meshchat.plain import Conversation
from meshchat.view import worries
from meshchat.view.commands import Wanted, wanted
from tests.scripted_daemon import BOB, LINK, PAGE, Script, came, member, playing, room, said, summary

PATIENCE_S = 60.0


@pytest.mark.parametrize(
    ("line", "wish"),
    [
        ("hello, all", control.Say(text="hello, all")),
        ("", None),
        ("/rooms", "rooms"),
        ("/quit", "quit"),
        ("/mute", control.Mute()),
        ("/join kitchen", control.Join(name="kitchen")),
        (f"/join {LINK}", control.Enter(link=LINK)),
        ("/new den", control.Create(name="den")),
        ("/locked den", control.Create(name="den", locked=True)),
        ("/name Grete", control.Alias(name="Grete")),
        ("/volume bob smith 0.5", control.Volume(member="bob smith", gain=0.5)),
        (f"/volume {'b' * 30} 0.5", control.Volume(member="b" * 30, gain=0.5)),
        ("/join MESHCHAT://abc", control.Enter(link="MESHCHAT://abc")),
        ("/share", control.ShareStart()),
        ("/unshare", control.ShareStop()),
        ("/watch bob smith", control.Watch(member="bob smith")),
        ("/unwatch bob", control.Unwatch(member="bob")),
        ("/kick bob", control.Kick(member="bob")),
        ("/peer 10.8.0.5:47474", control.Peer(address="10.8.0.5:47474")),
        ("/devices", control.Devices()),
        ("/mic Headset, ALSA", control.UseMicrophone(source="Headset, ALSA", keep=True)),
        ("/speaker null", control.UseSpeaker(sink="null", keep=True)),
        ("/transmit push", control.Transmit(mode="push", keep=True)),
        ("/transmit voice -40", control.Transmit(mode="voice", threshold_db=-40.0, keep=True)),
        ("/talk", control.Talk()),
        ("/test", control.TestSpeaker()),
        ("/play /music/my song.flac", control.Play(file="/music/my song.flac")),
        ("/stop", control.PlayStop()),
        ("/verify bob", control.Verify(member="bob")),
        ("/agreed bob", control.Verify(member="bob", agreed=True)),
        ("/trouble", "trouble"),
    ],
)
def test_a_line_is_a_wish(line: str, wish: Wanted) -> None:
    assert wanted(line) == wish


@pytest.mark.parametrize(
    "line",
    ["/dance", "/dance now", "/join", "/volume bob", "/volume bob 99", "/", "/transmit loud", "/transmit voice 9"],
)
def test_a_line_that_makes_no_sense_is_refused_in_words(line: str) -> None:
    with pytest.raises(UsageError, match="/"):
        wanted(line)


class Listener:
    """A person at a linear terminal."""

    def __init__(self, daemon: Script, lines: asyncio.Queue[str | None]) -> None:
        self.daemon = daemon
        self.printed: list[str] = []
        self._lines = lines

    def types(self, line: str) -> None:
        self._lines.put_nowait(line)

    async def until(self, is_so: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < deadline, self.printed
            await asyncio.sleep(0.01)

    async def reads(self, text: str) -> None:
        await self.until(lambda: text in "\n".join(self.printed))


@asynccontextmanager
async def listening(
    profile: Path, change: Callable[[Script], None], *, welcome: bool = False
) -> AsyncIterator[Listener]:
    async with playing(profile, change) as daemon:
        lines: asyncio.Queue[str | None] = asyncio.Queue()
        listener = Listener(daemon, lines)
        talking = asyncio.create_task(Conversation(profile, (), listener.printed.append, welcome=welcome).run(lines))
        try:
            yield listener
        finally:
            lines.put_nowait(None)
            await talking


def with_a_room(script: Script) -> None:
    script.rooms = (summary("kitchen"),)


async def test_a_person_joins_talks_and_hears_what_happens(tmp_path: Path) -> None:
    async with listening(tmp_path, with_a_room) as me:
        await me.reads("There is a room: kitchen: 2 in it.")
        me.types("hello")
        await me.reads("You are in no room.")
        me.types("/join kitchen")
        await me.reads("In kitchen: bob.")
        me.types("hello")
        await me.reads("ada: hello")
        me.daemon.publish(control.ChatAdded(came("eve")))
        await me.reads("eve came in.")
        me.types("/mute")
        await me.reads("Your microphone is muted.")
        me.types("/who")
        await me.reads("ada: you")


async def test_a_screen_is_told_of_and_its_address_given(tmp_path: Path) -> None:
    def with_bob(script: Script) -> None:
        script.room = room(member(BOB, "bob"))

    async with listening(tmp_path, with_bob) as me:
        await me.reads("In kitchen: bob.")
        me.daemon.publish(control.MemberChanged(member(BOB, "bob", sharing=True)))
        await me.reads("bob shares a screen.")
        me.types("/watch bob")
        await me.reads(PAGE)
        await me.reads("ssh -L 40123:127.0.0.1:40123")
        me.daemon.publish(control.MemberChanged(member(BOB, "bob")))
        await me.reads("bob shares no screen any more.")


async def test_what_is_refused_is_said(tmp_path: Path) -> None:
    def refusing(script: Script) -> None:
        with_a_room(script)
        script.refusal = "room not found: den"

    async with listening(tmp_path, refusing) as me:
        await me.reads("kitchen")
        me.types("/join den")
        await me.reads("No: room not found: den.")


async def test_nothing_that_others_choose_is_more_than_text(tmp_path: Path) -> None:
    evil = "bob\x1b[2J\u202e\x9b\x07"

    def hostile(script: Script) -> None:
        script.room, script.rooms = room(member(BOB, evil), name=evil), (summary(evil),)
        script.chat = (said(1, evil, f"one\n{evil}"),)

    async with listening(tmp_path, hostile) as me:
        me.daemon.publish(control.Notice("warning", evil))
        await me.reads("one")
        me.types("/who")
        me.types("/rooms")
        await me.until(lambda: len(me.printed) >= 7)
        assert all(each.isprintable() or each == "\n" for each in "".join(me.printed))


async def test_the_first_line_is_a_name_and_it_is_kept(tmp_path: Path) -> None:
    async with listening(tmp_path, with_a_room, welcome=True) as me:
        await me.reads("What shall others call you? An empty line keeps ada.")
        me.types("Grete")
        await me.reads("You are Grete.")
    assert config.load({"profile": tmp_path}, {}).alias == "Grete"


async def test_an_empty_line_talks_where_sound_goes_out_by_key(tmp_path: Path) -> None:
    async with listening(tmp_path, with_a_room) as me:
        await me.reads("kitchen")
        me.types("")
        me.types("/transmit push")
        await me.reads("Your sound goes out from one empty line, or /talk, to the next.")
        me.types("")
        await me.reads("You talk.")
        me.types("")
        await me.reads("You talk no more.")
        me.types("/devices")
        await me.reads("Headset")


async def test_trouble_is_told_with_the_commands_of_this_mode(tmp_path: Path) -> None:
    def deaf(script: Script) -> None:
        script.room, script.microphone = room(member(BOB, "bob")), "microphone default (not there: silence)"

    async with listening(tmp_path, deaf) as me:
        await me.reads("Your microphone is not there, so nobody hears you. Plug one in. /devices lists others")
        me.daemon.publish(control.WordsShown(BOB, "bob", "acid zoom"))
        await me.reads("acid zoom. The same on both sides? /agreed bob.")
        assert "v on bob" not in "\n".join(me.printed)
        me.printed.clear()
        me.types("/trouble")
        await me.reads("/mic or /speaker takes one.")


async def test_a_microphone_that_hears_nothing_is_told_once_it_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worries, "SILENT_S", 0.1)

    def with_a_dead_microphone(script: Script) -> None:
        script.rooms, script.microphone = (summary("kitchen"),), "microphone Headset (48000 Hz)"

    async with listening(tmp_path, with_a_dead_microphone) as me:
        await me.reads("kitchen")
        me.types("/join kitchen")
        await me.reads("In kitchen")
        assert not any("hears nothing" in line for line in me.printed)
        await me.reads("Your microphone hears nothing.")


async def test_a_call_that_one_comes_back_to_is_not_judged_before_it_was_heard(tmp_path: Path) -> None:
    def in_a_call(script: Script) -> None:
        script.room, script.microphone = room(member(BOB, "bob")), "microphone Headset (48000 Hz)"

    async with listening(tmp_path, in_a_call) as me:
        me.types("/trouble")
        await me.reads("Nothing is wrong")
        assert not any("hears nothing" in line for line in me.printed)
