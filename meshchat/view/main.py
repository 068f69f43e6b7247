"""The main screen: rooms on the left, the room on the right, one's own sound below, and the keys."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer, Input

from meshchat import control
from meshchat.units import safe_lines, short
from meshchat.view.actions import BY_NAME, When, bindings, possible
from meshchat.view.dialogs import AliasBox, Ask, CreateBox, InviteBox, JoinBox, UnlockBox, WatchBox
from meshchat.view.drawn import Rows
from meshchat.view.help import HelpPage
from meshchat.view.intents import Detach, Finish, Read, Start, Wish
from meshchat.view.lines import own_sound
from meshchat.view.own import OwnActions
from meshchat.view.panes import Chat, Draft, Figures, Heading, Members, NoticeBar, Rooms
from meshchat.view.signs import Signs
from meshchat.view.state import State
from meshchat.view.strip import OwnLevel, Played, Press, Talk


class MainScreen(OwnActions):
    """Shows the state and turns keys and clicks into intents."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings()]

    def __init__(self, ask: Ask, signs: Signs) -> None:
        super().__init__(ask, signs)
        self._possible: frozenset[When] = frozenset()

    def compose(self) -> ComposeResult:
        """All parts; which are in sight, the style sheet and the state say."""
        yield Heading(id="heading")
        with Horizontal(id="middle"):
            yield Rooms("rooms")
            with Vertical(id="room"):
                yield Members("members")
                yield Figures("figures")
                yield Chat("chat", follow=True)
                yield Draft()
        with Horizontal(id="own"):
            yield Press("sharing", "share")
            yield Talk("mute", "mute")
            yield OwnLevel(id="level")
            yield Press("deafen", "deafen")
        yield Played(id="played")
        yield NoticeBar(id="notice")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """The keys go to the list of rooms."""
        self.query_one("#figures").display = False
        self.query_one(Rooms).focus()

    def on_resize(self) -> None:
        """Lines are made for a width."""
        self.call_after_refresh(lambda: self.show(self._state))

    def show(self, state: State) -> None:
        """Draw this state."""
        entered = state.room is not None and (self._state.room is None or self._state.room.id != state.room.id)
        self._state = state
        self.query_one(Heading).show(state, self._signs)
        self.query_one(Rooms).show(state, self._signs)
        self.query_one(Members).show(state, self._signs)
        self.query_one(Chat).show(state, self._signs)
        self.query_one(Draft).show(state)
        if self.query_one(Figures).display:
            self.query_one(Figures).show(state, self._signs)
        self.query_one("#level", OwnLevel).show(state, self._signs)
        self.query_one("#mute", Press).show(*own_sound(state, microphone=True))
        self.query_one("#deafen", Press).show(*own_sound(state, microphone=False))
        self.query_one(Talk).by_key = state.transmit == "push" and not state.muted
        self.query_one(Played).show(state, self._signs)
        self.query_one("#sharing", Press).show("sharing", "warn")
        self.set_class(state.sharing, "-sharing")
        self.query_one(NoticeBar).show(state, self._signs)
        self.set_class(state.room is not None, "-inside")
        if entered:
            self.query_one(Members).focus()
        elif state.room is None and self.focused in (self.query_one(Draft), self.query_one(Members)):
            self.query_one(Rooms).focus()
        self._renew_keys()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that mean nothing now are not drawn and do nothing."""
        return action not in BY_NAME or BY_NAME[action].when in possible(self._state, self.chosen_member())

    @on(Rows.Chosen, "#rooms")
    def enter_room(self, event: Rows.Chosen) -> None:
        """Enter or a click on a room: go in, ask for the link of a locked one, or look at one's own."""
        room = next((each for each in self._state.rooms if each.id == event.key), None)
        if room is None:
            return
        if room.joined:
            self.query_one(Members).focus()
        elif room.locked:
            self.app.push_screen(UnlockBox(self._ask, room.name or short(room.id)))
        else:
            self.post_message(Wish(control.Join(name=room.name)))

    @on(Input.Submitted, "#draft")
    def say(self, event: Input.Submitted) -> None:
        """Say it to the room; what could not be said is put back."""
        text = safe_lines(event.value)
        if text:
            self.query_one(Draft).value = ""
            self.post_message(Wish(control.Say(text=text)))

    def put_back(self, text: str) -> None:
        """Give back what was not said, unless something else was begun."""
        draft = self.query_one(Draft)
        draft.value = draft.value or text

    def action_write(self) -> None:
        """The keys go to the line of the chat."""
        self.query_one(Draft).focus()

    def action_create(self) -> None:
        """Ask for a name; of a locked room show the link at once."""
        self.app.push_screen(CreateBox(self._ask), self._show_invited)

    def action_join(self) -> None:
        """Ask for a name or a link."""
        self.app.push_screen(JoinBox(self._ask))

    def action_alias(self) -> None:
        """Ask for a name."""
        self.app.push_screen(AliasBox(self._ask, self._state.alias))

    def action_leave(self) -> None:
        """Out of the room."""
        self.post_message(Wish(control.Leave()))

    def action_invite(self) -> None:
        """The link of the locked room."""
        self.post_message(Wish(control.Invite()))

    def action_figures(self) -> None:
        """Show or hide the figures."""
        pane = self.query_one(Figures)
        pane.display = not pane.display
        self.call_after_refresh(lambda: self.show(self._state))

    def action_lock(self) -> None:
        """Locked if it was open, open if it was locked."""
        is_locked = any(room.joined and room.locked for room in self._state.rooms)
        self.post_message(Wish(control.Unlock() if is_locked else control.Lock()))

    def action_read(self) -> None:
        """Take the notice away."""
        self.post_message(Read())

    def action_keys(self) -> None:
        """All keys."""
        self.app.push_screen(HelpPage(self._signs))

    def action_start(self) -> None:
        """A new daemon in place of the one that died."""
        self.post_message(Start())

    def action_detach(self) -> None:
        """Close the terminal's part only."""
        self.post_message(Detach())

    def action_finish(self) -> None:
        """End the call."""
        self.post_message(Finish())

    def show_invited(self, link: str) -> None:
        """The link of the locked room that one is in."""
        self.app.push_screen(InviteBox(link))

    def show_watched(self, watched: control.Watching, opens: bool) -> None:
        """Where a screen is to be seen; `opens`: a browser is on its way there."""
        self.app.push_screen(WatchBox(watched, opens))

    def _show_invited(self, answer: control.Answer | None) -> None:
        if isinstance(answer, control.Invited):
            self.show_invited(answer.link)

    def _renew_keys(self) -> None:
        meant = possible(self._state, self.chosen_member())
        if meant != self._possible:
            self._possible = meant
            self.refresh_bindings()
