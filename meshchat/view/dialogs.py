"""Questions in a box: a name for a room, the way into one, one's own name. What is refused is said in the box.

A box stays until the daemon has agreed or the person gives up, so that nothing typed is lost to a typing error.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ClassVar, TypeAlias

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Checkbox, Input, Label

from meshchat import control
from meshchat.errors import MeshchatError
from meshchat.locks import qr
from meshchat.locks.invite import LINK_CHARACTERS_MAX, is_link
from meshchat.units import NAME_CHARACTERS_MAX, safe_text
from meshchat.view.sentences import forward_sentence

ADDRESS = re.compile(r"\S+[.:]\S*:[0-9]{1,5}")
"""Surely an address, and no name of a room; the daemon knows better what is a good one."""

Ask: TypeAlias = Callable[[control.Command], Awaitable[control.Answer]]
"""Has the daemon do something; raises `MeshchatError` with its words."""


class Box(ModalScreen[control.Answer | None]):
    """One line to fill in, and what was wrong with it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", "Back")]

    heading = ""
    prompt = ""
    agree = "OK"
    characters_max = NAME_CHARACTERS_MAX

    def __init__(self, ask: Ask, value: str = "") -> None:
        super().__init__()
        self._ask = ask
        self._value = value
        self._is_asking = False

    def compose(self) -> ComposeResult:
        """A heading, a line, what is wrong with it, buttons."""
        with Vertical(id="box") as box:
            box.border_title = Text(self.heading)  # a str would be read as markup
            yield Label(self.prompt, markup=False)
            yield Input(self._value, id="answer", max_length=self.characters_max)
            yield from self.more()
            yield Label("", id="note", markup=False)
            with Horizontal(id="buttons"):
                yield Button(self.agree, variant="primary", id="agree")
                yield from self.way_out()

    def more(self) -> ComposeResult:
        """What stands between the line and the buttons."""
        yield from ()

    def way_out(self) -> ComposeResult:
        """The button that changes nothing."""
        yield Button("Back", id="back")

    @abstractmethod
    def command(self, text: str) -> control.Command:
        """What to ask of the daemon."""

    def on_mount(self) -> None:
        """The keys go to the line."""
        self.query_one("#answer", Input).focus()

    async def on_input_submitted(self) -> None:
        """Enter means yes."""
        await self._try()

    async def on_button_pressed(self, event: Button.Pressed) -> None:
        """A button was pressed."""
        if event.button.id == "agree":
            await self._try()
        elif event.button.id == "back":
            self.action_give_up()

    def action_give_up(self) -> None:
        """Close the box; nothing was changed."""
        self.dismiss(None)

    async def _try(self) -> None:
        if self._is_asking:
            return
        field = self.query_one("#answer", Input)
        text = safe_text(field.value, self.characters_max, 4 * self.characters_max)
        if not text:
            self._say("write something first")
            return
        self._say("one moment ...")
        self._is_asking = True
        try:
            answer = await self._ask(self.command(text))
        except MeshchatError as error:
            self._say(str(error))
            field.focus()
            return
        finally:
            self._is_asking = False
        if self.is_attached:
            self.dismiss(answer)

    def _say(self, text: str) -> None:
        self.query_one("#note", Label).update(safe_text(text, 300, 1200))


class Tick(Checkbox):
    """A box to tick that says in letters, not in colour alone, whether it is ticked."""

    BUTTON_LEFT, BUTTON_RIGHT = "[", "]"
    BUTTON_INNER = " "

    def watch_value(self) -> None:
        """Draw the tick."""
        self.BUTTON_INNER = "x" if self.value else " "
        super().watch_value()


class CreateBox(Box):
    """A new room."""

    heading = "New room"
    prompt = "What shall it be called?"
    agree = "Open it"

    def more(self) -> ComposeResult:
        """Open or locked."""
        yield Tick("Locked: only those with its invite link can come in", id="locked")
        yield Input(placeholder="a passphrase that opens it too (or leave this empty)", id="passphrase", password=True)

    def command(self, text: str) -> control.Command:
        """Create it."""
        passphrase = self.query_one("#passphrase", Input).value.strip()
        return control.Create(name=text, locked=self.query_one(Tick).value or bool(passphrase), passphrase=passphrase)


class JoinBox(Box):
    """The way into a room that is not on the list, or is locked."""

    heading = "Join a room"
    prompt = "Its name, or its invite link (meshchat://...).\nOr the address of somebody there: 10.8.0.5:47474"
    agree = "Join"
    characters_max = LINK_CHARACTERS_MAX

    def command(self, text: str) -> control.Command:
        """Join by name, enter by link, call an address."""
        if is_link(text):
            return control.Enter(link=text)
        if ADDRESS.fullmatch(text):
            return control.Peer(address=text)
        return control.Join(name=safe_text(text))


class UnlockBox(Box):
    """The way into a locked room that is on the list."""

    prompt = "Its invite link (meshchat://...) or its passphrase"
    agree = "Go in"
    characters_max = LINK_CHARACTERS_MAX

    def __init__(self, ask: Ask, room: str) -> None:
        super().__init__(ask)
        self._room = room
        self.heading = f"{room} is locked"

    def command(self, text: str) -> control.Command:
        """Enter by the link, or knock with the passphrase, which takes some seconds."""
        if is_link(text):
            return control.Enter(link=text)
        return control.Join(name=self._room, passphrase=self.query_one("#answer", Input).value.strip())


class ConfirmBox(ModalScreen[bool]):
    """Yes or no, asked only where something is lost."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "dismiss(False)", "No"),
        Binding("y", "dismiss(True)", "Yes"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """The question and two buttons; the harmless one has the keys."""
        with Vertical(id="box"):
            yield Label(self._question, markup=False)
            with Horizontal(id="buttons"):
                yield Button("No", id="no")
                yield Button("Yes", variant="error", id="yes")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """A button was pressed."""
        self.dismiss(event.button.id == "yes")


class PlayBox(Box):
    """A sound file for the room."""

    heading = "Play into the room"
    prompt = "Which sound file of this machine?"
    agree = "Play"
    characters_max = control.SPEC_CHARACTERS_MAX

    def command(self, text: str) -> control.Command:
        """Play it; the daemon has another working folder."""
        return control.Play(file=str(Path(self.query_one("#answer", Input).value.strip()).expanduser().absolute()))


class AliasBox(Box):
    """One's own name."""

    heading = "Your name"
    prompt = "What shall others see?"
    agree = "Use it"

    def command(self, text: str) -> control.Command:
        """Be called that."""
        return control.Alias(name=text)


class LinkBox(ModalScreen[None]):
    """An address to take away."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss", "Back"),
        Binding("c", "copy", "Copy"),
    ]

    def __init__(self, link: str) -> None:
        super().__init__()
        self._link = safe_text(link, LINK_CHARACTERS_MAX, LINK_CHARACTERS_MAX)

    def action_copy(self) -> None:
        """Put it on the clipboard, by the terminal (OSC 52), which works over SSH too."""
        self.app.copy_to_clipboard(self._link)
        self.app.notify("copied, if this terminal allows it", timeout=2, markup=False)


class InviteBox(LinkBox):
    """The link to a locked room, as text and as a picture for a telephone."""

    def compose(self) -> ComposeResult:
        """The link, and the picture where there is space for it."""
        code = qr.qr(self._link)
        with VerticalScroll(id="box") as box:
            box.border_title = "Invite link"
            yield Label("Whoever has this link can come in. Give it only to those who may.")
            yield Label(self._link, id="link", markup=False)
            yield Label("c copies it    Escape goes back", classes="dim")
            if code.fits(self.app.size.width - 6, self.app.size.height - 9):
                yield Label(Text.from_ansi(code.text), id="code")


class WatchBox(LinkBox):
    """Where to look at a member's screen: a page on this machine, which a port forward brings to another one."""

    def __init__(self, watched: control.Watching, opens: bool) -> None:
        """`opens`: a browser is on its way there."""
        super().__init__(watched.page)
        self._alias = safe_text(watched.alias)
        self._opens = opens

    def compose(self) -> ComposeResult:
        """The address, and how to get there."""
        with VerticalScroll(id="box") as box:
            box.border_title = "Watch"
            opening = "opens in your browser. Should it not, open this address there:"
            way = opening if self._opens else "is to be seen in a browser on this machine, at this address:"
            yield Label(f"The screen of {self._alias} {way}", markup=False)
            yield Label(self._link, id="link", markup=False)
            yield Label(forward_sentence(self._link), markup=False)
            yield Label("The address opens once; w makes a new one, u has the screen sent no more.", classes="above")
            yield Label("c copies it    Escape goes back", classes="dim")
