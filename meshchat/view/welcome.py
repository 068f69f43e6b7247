"""The first thing that anybody sees: who are you, and does your microphone work?"""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.widgets import Button, Input, Label

from meshchat.view.dialogs import AliasBox, Ask
from meshchat.view.drawn import Said
from meshchat.view.lines import device_line
from meshchat.view.signs import Signs
from meshchat.view.sound import SoundBox
from meshchat.view.state import State
from meshchat.view.strip import OwnLevel


class WelcomeBox(AliasBox):
    """A name is proposed and a microphone chosen already, so Enter is enough."""

    heading = "Welcome to meshchat"
    prompt = "Rooms of voices on this network, with no server.\n\nWhat shall others call you?"
    agree = "Start"

    def __init__(self, ask: Ask, signs: Signs) -> None:
        super().__init__(ask)
        self._signs = signs
        self._proposed = False

    def more(self) -> ComposeResult:
        """The microphone's level, live."""
        yield Label("Say something: this is your microphone", classes="above")
        yield OwnLevel(id="level")
        yield Said("devices")

    def way_out(self) -> ComposeResult:
        """There is a name already, so nothing has to be chosen; but one can choose who listens and who plays."""
        yield Button("Other devices", id="sound")

    @on(Button.Pressed, "#sound")
    def choose_devices(self) -> None:
        """On top of this box, which waits."""
        self.app.push_screen(SoundBox(self._ask, self._signs))

    def show(self, state: State, signs: Signs) -> None:
        """The level, and which devices are in use."""
        self.query_one("#level", OwnLevel).show(state, signs)
        devices = device_line("microphone", state.microphone), device_line("speaker", state.speaker)
        self.query_one("#devices", Said).say("\n".join(devices))
        field = self.query_one("#answer", Input)
        if not field.value and state.alias and not self._proposed:
            self._proposed, field.value = True, state.alias
            field.action_select_all()  # whoever types another name types it instead, not behind
