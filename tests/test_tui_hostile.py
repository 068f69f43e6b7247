"""Whatever other people call themselves, write or plug in: in every widget it is text, and nothing that is obeyed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from textual.screen import ModalScreen

from meshchat import control
from meshchat.view import state
from meshchat.view.dialogs import JoinBox, WatchBox
from meshchat.view.panes import Members
from meshchat.view.people import PersonBox, VerifyBox
from meshchat.view.sound import SoundBox
from tests.scripted_daemon import BOB, EVE, Script, came, member, room, said, summary
from tests.test_tui import Viewer, watching

OTHER = "0c" * 32

HOSTILE = st.text(
    st.sampled_from("[red]b\x1b]52;c;QQ==\x07\x9b2J\u202e\u2066\u200d\u0301\ufffd猫[@click=app.quit]x[/]\r\n\t ")
    | st.characters(),
    min_size=1,
    max_size=60,
)


@given(name=HOSTILE, text=HOSTILE)
@settings(
    max_examples=3,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_other_peoples_text_is_only_text(tmp_path_factory: pytest.TempPathFactory, name: str, text: str) -> None:
    def prepare(script: Script) -> None:
        script.rooms = (summary(name, joined=True), summary(name, locked=True))
        bob = member(BOB, name, rtt_ms=1.0, sharing=True, hears_you=False, lost_there_percent=50.0)
        script.room = room(bob, member(OTHER, name, reachable=False), name=name)
        share = control.ShareStatus(text, 640, 480, 1, 1.0, 1.0, (control.WatcherStatus(BOB, 1.0, 1.0, True, 0, 0),))
        script.screens = control.ScreenList(share, (control.ScreenStatus(BOB, name, True),))
        device = control.DeviceStatus(0, name, text, 1, 48000.0, True, True)
        script.playing = control.PlayStatus(text, 1.0, 2.0, False, 0.5)
        script.transmit = "voice"
        script.listed = control.DeviceList((device,), (device,), name, text)

    async with watching(tmp_path_factory.mktemp("h"), prepare, size=(80, 30)) as me:
        me.daemon.publish(control.MemberJoined(member(EVE, name)))
        me.daemon.publish(control.MemberLeft(EVE, name, text))
        me.daemon.publish(control.ChatAdded(said(1, name, text)))
        me.daemon.publish(control.ChatAdded(came(name, text, "went")))
        me.daemon.publish(control.Notice("warning", text))
        await me.until(lambda: me.app.state.notice is not None)
        me.daemon.publish(control.SelfChanged(name, False, False, f"microphone {name} (not there: silence)", text))
        await me.until(lambda: "not there" in me.app.state.microphone)
        await me.press("f")
        await me.until(lambda: me.app.state.screens and me.app.state.share)
        await me.pilot.pause()
        only_looks(me.bytes())
        await draws(me, me.app.main.action_sound, SoundBox)
        me.app.observe(state.Told("info", text))
        await draws(me, lambda: me.app.main.show_words(state.Compared(BOB, me.app.state.alias, "acid zoom")), VerifyBox)
        me.app.main.query_one(Members).focus()
        await me.press("down")
        await draws(me, me.app.main.open_person, PersonBox)
        await draws(
            me, lambda: me.app.main.show_watched(control.Watching(BOB, name, text, text, False), True), WatchBox
        )
        await me.press("j")
        await me.until(lambda: isinstance(me.app.screen, JoinBox))
        me.daemon.refusal = text
        await me.write("x")
        await me.hears(control.Join)
        await me.pilot.pause()
        only_looks(me.bytes())
        assert not me.app._exit


async def draws(me: Viewer, show: Callable[[], object], box: type[ModalScreen[Any]]) -> None:
    """Open a box, look at what reaches the terminal, and close it again."""
    show()
    await me.until(lambda: isinstance(me.app.screen, box))
    await me.pilot.pause()
    only_looks(me.bytes())
    await me.press("escape")
    await me.until(lambda: me.app.screen is me.app.main)


def only_looks(drawn: str) -> None:
    """Nothing but printable characters, moves of the cursor and colours reaches the terminal."""
    rest = re.sub(r"\x1b\[[0-9;]*[mH]", "", drawn)
    bad = [each for each in rest if not (each.isprintable() or each == "\n")]
    assert bad == []
