"""Microphone and speaker: what the one hears, when that goes out, which others there are, one key to take another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Label

from meshchat import control
from meshchat.errors import MeshchatError
from meshchat.units import TransmitMode, safe_text
from meshchat.view.dialogs import Ask
from meshchat.view.drawn import Rows, Said
from meshchat.view.lines import Pieces, begun, device_line, fitted
from meshchat.view.signs import Signs
from meshchat.view.state import State
from meshchat.view.strip import Threshold

NAME_CHARACTERS_MAX = 80
"""Longest name of a device that is shown; none in use is as long."""

TITLE_COLUMNS = 56
"""What fits into the frame of a list, where it says what is in use."""

DEVICES_MAX = 64
"""Most devices of a kind that are listed; a machine has a handful, a sound system with many virtual ones dozens."""


MODES: dict[TransmitMode, str] = {
    "continuous": "always",
    "voice": "by voice: while it is louder than the mark",
    "push": "by key: while Space is held",
}
"""When sound goes out."""


class SoundBox(ModalScreen[None]):
    """The level with its mark, when sound goes out, and the devices; whatever is chosen holds at once, and is kept."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,o", "dismiss", "Back"),
        Binding("r", "look", "Look again"),
        Binding("t", "test", "Test tone"),
    ]

    def __init__(self, ask: Ask, signs: Signs) -> None:
        super().__init__()
        self._ask = ask
        self._signs = signs
        self._state = State()

    def compose(self) -> ComposeResult:
        """The level, three lists, what went wrong."""
        with VerticalScroll(id="box", can_focus=False) as box:
            box.border_title = "Sound"
            yield Said("hint")
            yield Threshold(id="level")
            yield Rows("modes")
            yield Rows("microphones")
            yield Rows("speakers")
            yield Label("", id="note", markup=False)
            with Horizontal(id="buttons"):
                yield Button("Test tone", id="test", compact=True)
                yield Button("Done", variant="primary", id="done", compact=True)

    def on_mount(self) -> None:
        """Ask which there are."""
        self.query_one("#modes", Rows).entitle("Sound goes out")
        for name in ("microphones", "speakers"):
            self.query_one(f"#{name}", Rows).show_rows((), [(("one moment ...", "dim"),)])
        self.query_one("#microphones").focus()
        self.show(self._state, self._signs)
        self.action_look()

    def show(self, state: State, signs: Signs) -> None:
        """The level, and what is in use."""
        self._state = state
        self.query_one(Threshold).show(state, signs)
        hint = f"Say something. The mark at {state.threshold_db:.0f} dB moves by arrows or a click."
        self.query_one("#hint", Said).say(hint)
        modes = [(mode, _row(said, "", signs, used=mode == state.transmit)) for mode, said in MODES.items()]
        self.query_one("#modes", Rows).show_rows(modes)
        for word, device in (("microphone", state.microphone), ("speaker", state.speaker)):
            title = fitted(begun(device_line(word, device)), TITLE_COLUMNS, signs).rstrip()
            self.query_one(f"#{word}s", Rows).entitle(title)

    @work(exclusive=True)
    async def action_look(self) -> None:
        """Which devices are there, and which are in use?"""
        try:
            answer = await self._ask(control.Devices())
        except MeshchatError as error:
            self._say(str(error))
            answer = control.DeviceList((), (), None, None)
        if isinstance(answer, control.DeviceList) and self.is_attached:
            self.query_one("#microphones", Rows).show_rows(
                [*device_rows(answer.microphones, self._signs), ("silence", _row("none: only listen", "", self._signs))]
            )
            self.query_one("#speakers", Rows).show_rows(
                [*device_rows(answer.speakers, self._signs), ("null", _row("none: hear nobody", "", self._signs))]
            )

    @on(Rows.Chosen, "#microphones")
    def take_microphone(self, event: Rows.Chosen) -> None:
        """Enter or a click."""
        self._use(control.UseMicrophone(source=event.key, keep=True))

    @on(Rows.Chosen, "#speakers")
    def take_speaker(self, event: Rows.Chosen) -> None:
        """Enter or a click."""
        self._use(control.UseSpeaker(sink=event.key, keep=True))

    @on(Rows.Chosen, "#modes")
    def take_mode(self, event: Rows.Chosen) -> None:
        """Enter or a click."""
        self._use(control.Transmit(mode=event.key, keep=True))  # type: ignore[arg-type]  # the keys are those of MODES

    @on(Threshold.Moved)
    def take_threshold(self, event: Threshold.Moved) -> None:
        """Whoever moves the mark wants it to count."""
        self._use(control.Transmit(mode="voice", threshold_db=event.threshold_db, keep=True))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """A button was pressed."""
        if event.button.id == "test":
            self.action_test()
        else:
            self.dismiss()

    def action_test(self) -> None:
        """Three notes through the speaker."""
        self._use(control.TestSpeaker())

    @work(group="use")
    async def _use(self, command: control.Command) -> None:
        is_device = isinstance(command, control.UseMicrophone | control.UseSpeaker)
        self._say("one moment ..." if is_device else "")
        try:
            await self._ask(command)
        except MeshchatError as error:
            self._say(str(error))
        else:
            self._say("")
            if is_device:
                self.action_look()

    def _say(self, text: str) -> None:
        if self.is_attached:
            self.query_one("#note", Label).update(safe_text(text, 300, 1200))


def device_rows(devices: Iterable[control.DeviceStatus], signs: Signs) -> list[tuple[str, Pieces]]:
    """A line for each device, under the words that choose it; the system's own choice first."""
    listed = list(devices)[:DEVICES_MAX]
    own = next((each.name for each in listed if each.default), "")
    rows = [("default", _row("the system's choice", f" ({_name(own)})" if own else "", signs))] if listed else []
    return rows + [
        (f"{each.name}, {each.host}", _row(_name(each.name), f" {_name(each.host)}", signs, used=each.used))
        for each in listed
    ]


def _row(name: str, more: str, signs: Signs, used: bool = False) -> Pieces:
    return (f"{signs.here if used else ' '} ", "accent"), (name, "own" if used else "text"), (more, "dim")


def _name(text: str) -> str:
    return safe_text(text, NAME_CHARACTERS_MAX, 4 * NAME_CHARACTERS_MAX)
