"""The terminal UI: which screen is shown, and how what a person wants reaches the daemon.

It is a client of the control socket and nothing else, in a process of its own, so that drawing never makes sound late.
What happens goes through `view.state.reduce`; what is wanted arrives as one of `view.intents`.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import App, SuspendNotSupported, SystemCommand
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.screen import Screen

from meshchat import config, control
from meshchat.attach import Attachment
from meshchat.errors import MeshchatError, NoDaemon, UsageError
from meshchat.units import Seconds, safe_text
from meshchat.view import browser, picture, window
from meshchat.view.actions import ACTIONS, possible
from meshchat.view.intents import (
    Detach,
    Differed,
    Finish,
    KeyReleased,
    KeysHeld,
    LookHere,
    Read,
    Seen,
    Start,
    StateChanged,
    Wish,
)
from meshchat.view.lines import begun
from meshchat.view.main import MainScreen
from meshchat.view.panes import Members
from meshchat.view.reduce import compared, reduce
from meshchat.view.signs import DRAWN, PLAIN, Signs
from meshchat.view.sound import SoundBox
from meshchat.view.state import TICK_S, Equipped, Happening, Looked, NoticeRead, State, Ticked, Told, WordsRead
from meshchat.view.welcome import WelcomeBox

FRAME_S: Seconds = 0.05
"""Shortest time between two drawings: twice as often as the daemon tells levels."""


class MeshchatApp(App[str]):
    """Ends with what is left to say on the terminal, or nothing."""

    CSS_PATH = "view/meshchat.tcss"
    TITLE = "meshchat"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (64, "-usual"), (110, "-wide")]  # noqa: RUF012 - Textual declares it so
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "finish", "Quit", show=False, priority=True)]

    def __init__(
        self, profile: Path, words: Sequence[str] = (), *, welcome: bool = False, signs: Signs = DRAWN,
        browse: Callable[[str], bool] | None = None, show: Callable[[control.Watching], Awaitable[str]] | None = None,
    ) -> None:  # fmt: skip
        """`words` are options for a daemon that has to be started; `welcome` asks for a name first.

        `browse` opens a page, blocks, and tells whether it did; None where there is no display for one. `show` opens a
        window in its place, and tells why it closed unless the person closed it; None where there can be none.
        """
        super().__init__()
        self._profile = profile
        self._welcome = welcome
        self._attachment = Attachment(profile, words, self.observe)
        self._due = False
        self.state = State(wall_ahead_s=time.time() - time.monotonic())
        self.main = MainScreen(self._attachment.ask, signs)
        self._signs = signs
        self._browse = browse
        self._show = show
        self._turn = asyncio.Lock()
        """Held by whoever presses or lets go the key to talk: the latter must not overtake the former."""

    def get_driver_class(self) -> type[Driver]:
        """The way to the terminal; where Textual has its own for Linux and macOS, the one that hears releases too."""
        found = super().get_driver_class()
        if found.__name__ == "LinuxDriver":
            from meshchat.view import holding

            return holding.Driver
        return found

    def on_mount(self) -> None:
        """Show the main screen and look for the daemon."""
        self.set_class(self._signs is PLAIN, "-ascii")
        self.push_screen(self.main)
        if self._welcome:
            self.push_screen(WelcomeBox(self._attachment.ask, self._signs), self._welcomed)
        self.set_interval(TICK_S, lambda: self.observe(Ticked()))
        self._hold_on()

    def observe(self, event: Happening) -> None:
        """Something happened: what is seen follows, at most once a frame."""
        self.state = reduce(self.state, event, time.monotonic())
        if not self._due:
            self._due = True
            self.set_timer(FRAME_S, lambda: self.post_message(StateChanged()))

    @on(StateChanged)
    def draw(self) -> None:
        """Hand the state to whoever shows it."""
        self._due = False
        if self.main.is_attached:
            self.main.show(self.state)
        top = self.screen
        if isinstance(top, WelcomeBox | SoundBox) and top.is_mounted:
            top.show(self.state, self._signs)

    @on(Wish)
    def obey(self, wish: Wish) -> None:
        """Have the daemon do it."""
        self._carry_out(wish.command)

    @on(LookHere)
    def hand_over(self, event: LookHere) -> None:
        """Leave the terminal to another program. What happens meanwhile waits with the daemon."""
        try:
            with self.suspend():
                why = picture.draw(self._profile, event.member)
        except SuspendNotSupported:
            why = "this terminal cannot be left to another program"
        if why:
            self.observe(Told("info", f"The picture is gone. {begun(why)}."))

    @on(Read)
    def forget_notice(self) -> None:
        """It was read."""
        self.observe(NoticeRead())

    @on(KeysHeld)
    def note_keys(self) -> None:
        """Keys can be held here."""
        self.observe(Equipped())

    @on(KeyReleased)
    def release(self, event: KeyReleased) -> None:
        """A key was let go."""
        self.main.released(event.key)

    @on(Seen)
    def forget_words(self) -> None:
        """They were shown."""
        self.observe(WordsRead())

    @on(Differed)
    def warn(self, event: Differed) -> None:
        """Words that differ are the one thing that nobody must overlook."""
        self.observe(
            Told(
                "error", f"The words differ: that is not {event.alias}, or somebody sits between. Trust nothing there."
            )
        )

    @on(Start)
    def revive(self) -> None:
        """A daemon is to be started again."""
        self._attachment.revive()

    @on(Detach)
    def detach(self) -> None:
        """Leave the daemon as it is."""
        self.exit(_left_running(self.state))

    @on(Finish)
    async def finish(self) -> None:
        """End the daemon if a terminal started it; one that somebody runs without a terminal goes on."""
        if self.state.link != "live" or not self.state.own:
            self.exit(_left_running(self.state) if self.state.link == "live" else None)
            return
        try:
            async with asyncio.timeout(2.0):
                await self._attachment.ask(control.Stop())
        except (MeshchatError, TimeoutError):
            self.log("the daemon did not answer the request to stop")
        self.exit(None)

    def on_app_blur(self) -> None:
        """The terminal's window is not in front any more, and whatever is let go now, nobody tells us."""
        self.main.let_go()
        self.observe(Looked(here=False))

    def on_app_focus(self) -> None:
        """It is again."""
        self.observe(Looked(here=True))

    def action_back_to_members(self) -> None:
        """Out of the line of the chat."""
        self.main.query_one(Members).focus()

    def action_finish(self) -> None:
        """Ctrl+Q works everywhere."""
        self.post_message(Finish())

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: everything that has a meaning now, and the themes."""
        meant = possible(self.state, self.main.chosen_member()) if screen is self.main else ()
        for action in ACTIONS:
            if action.when in meant:
                yield SystemCommand(action.label, action.meaning, getattr(self.main, f"action_{action.name}"))
        yield SystemCommand("Theme", "change the colours", self.action_change_theme)

    @work(exclusive=True, group="attachment")
    async def _hold_on(self) -> None:
        await self._attachment.run()

    @work(group="wishes")
    async def _carry_out(self, command: control.Command) -> None:
        try:
            async with self._turn if isinstance(command, control.Talk) else contextlib.nullcontext():
                answer = await self._attachment.ask(command)
        except NoDaemon:
            return  # the line about the daemon says it
        except MeshchatError as error:
            if isinstance(command, control.Say):
                self.main.put_back(command.text)
            self.observe(Told("warning", f"{begun(str(error))}."))
            return
        if isinstance(answer, control.Invited):
            self.main.show_invited(answer.link)
        if isinstance(answer, control.Words):
            self.main.show_words(compared(answer))
        if isinstance(answer, control.Watching) and self._show:
            if why := await self._show(answer):
                self.observe(Told("info", f"The window is closed. {why}."))
        elif isinstance(answer, control.Watching):
            self.main.show_watched(answer, self._browse is not None)
            if self._browse and not await asyncio.to_thread(self._browse, answer.page):
                self.observe(Told("warning", "No browser opened; copy the address and open it yourself."))

    def _welcomed(self, answer: control.Answer | None) -> None:
        """The first run is over: keep the name, so that it is asked for once."""
        try:
            config.remember(self._profile, alias=self.state.alias)
        except MeshchatError as error:
            self.observe(Told("warning", str(error)))


def _left_running(state: State) -> str:
    where = f"You are still in {state.room.name}" if state.room else "The daemon goes on"
    return f"{where}; meshchat opens it again, meshchat stop ends it."


def run(settings: config.Config, words: Sequence[str], *, welcome: bool, display: bool) -> int:
    """Show the UI until the person leaves it; the exit status. `words` are options for a daemon that is started.

    `display`: a window or a browser could show itself to the person.
    """
    is_unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    signs = PLAIN if settings.ascii_signs or not is_unicode else DRAWN
    browse = browser.open_page if display else None
    show = window.show if display and window.is_installed() else None
    app = MeshchatApp(settings.profile, words, welcome=welcome, signs=signs, browse=browse, show=show)
    app.theme = theme_for(app, settings.theme)
    parting = app.run()
    if parting:
        print(parting)
    return app.return_code or 0


def theme_for(app: MeshchatApp, wanted: str) -> str:
    """The theme of that name; without one, the terminal's own colours where it has no more than sixteen."""
    if wanted:
        if wanted not in app.available_themes:
            raise UsageError(f"--theme {safe_text(wanted)}: must be one of {', '.join(sorted(app.available_themes))}")
        return wanted
    return "ansi-dark" if app.console.color_system in ("standard", "windows", None) else app.theme
