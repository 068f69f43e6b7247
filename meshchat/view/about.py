"""What the main screen does about one member: volume, screens, words to compare, and a moderator's orders."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.screen import Screen

from meshchat import control
from meshchat.control import MemberStatus
from meshchat.view.actions import ACTIONS, OWN, possible
from meshchat.view.dialogs import ConfirmBox
from meshchat.view.drawn import Rows
from meshchat.view.intents import Differed, LookHere, Seen, Wish
from meshchat.view.panes import Members
from meshchat.view.people import PersonBox, VerifyBox
from meshchat.view.state import Compared, State

VOLUME_STEP = 0.25
"""One press: quiet enough to meet the right loudness, coarse enough to get there."""

ABOUT_MEMBERS = ("member", "shared", "musical", "order")
"""When an action is about the member under the cursor."""


class MemberActions(Screen[None]):
    """The part of the main screen that is about the member under the cursor."""

    def __init__(self) -> None:
        super().__init__()
        self._state = State()
        self._loudness: dict[str, float] = {}
        """How loud those were who are silenced."""

    def chosen_member(self) -> str | None:
        """The id of the member under the cursor, while the keys go to the members."""
        members = self.query_one(Members)
        return members.chosen if self.focused is members else None

    @property
    def _chosen(self) -> MemberStatus | None:
        return self._state.member(self.chosen_member() or "")

    @on(Rows.Chosen, "#members")
    def open_person(self) -> None:
        """Enter or a click on a member: everything that can be done about it."""
        member = self._chosen
        if member is None:
            return
        meant = possible(self._state, member.id)
        about = (each for each in ACTIONS if (each.name in OWN if member.you else each.when in ABOUT_MEMBERS))
        found = [each for each in about if each.when in meant]
        self.app.push_screen(PersonBox(member.alias, found), self._do)

    def _do(self, name: str | None) -> None:
        if name is not None:
            getattr(self, f"action_{name}")()

    def action_louder(self) -> None:
        """The member under the cursor."""
        self._turn(VOLUME_STEP)

    def action_softer(self) -> None:
        """The member under the cursor."""
        self._turn(-VOLUME_STEP)

    def action_hush(self) -> None:
        """Silence the member under the cursor, or hear it again as loud as before."""
        member = self._chosen
        if member is None:
            return
        if member.volume > 0.0:
            self._loudness[member.id] = member.volume
        gain = 0.0 if member.volume > 0.0 else self._loudness.pop(member.id, 1.0)
        self.post_message(Wish(control.Volume(member=member.id, gain=gain)))

    def action_music_louder(self) -> None:
        """What the member under the cursor plays."""
        self._turn_music(VOLUME_STEP)

    def action_music_softer(self) -> None:
        """What the member under the cursor plays."""
        self._turn_music(-VOLUME_STEP)

    def action_watch(self) -> None:
        """The screen of the member under the cursor."""
        self._wish(lambda member: control.Watch(member=member.id))

    def action_picture(self) -> None:
        """That screen, in the place of this one."""
        if (member := self._chosen) is not None:
            self.post_message(LookHere(member.id))

    def action_unwatch(self) -> None:
        """That screen no more."""
        self._wish(lambda member: control.Unwatch(member=member.id))

    def action_verify(self) -> None:
        """Words to compare with the member under the cursor: those it has shown already, or new ones."""
        member, compared = self._chosen, self._state.compared
        if compared is not None and member is not None and compared.id == member.id:
            self.show_words(compared)
        else:
            self._wish(lambda member: control.Verify(member=member.id))

    def show_words(self, compared: Compared) -> None:
        """Have the person compare them, and believe what it says."""

        def judge(is_same: bool | None) -> None:
            if is_same:
                self.post_message(Wish(control.Verify(member=compared.id, agreed=True)))
            elif is_same is False:
                self.post_message(Differed(compared.alias))

        self.post_message(Seen())
        self.app.push_screen(VerifyBox(compared), judge)

    def action_kick(self) -> None:
        """Out of the room, after a question: whoever is out has to be pardoned."""
        self._order("Send {} out of the room?", lambda member: control.Kick(member=member))

    def action_ban(self) -> None:
        """Out of the room for good, after a question."""
        self._order("Send {} out of the room for good?", lambda member: control.Ban(member=member))

    def action_quiet(self) -> None:
        """No sound from this member to anybody, or sound again."""
        self._wish(lambda member: (control.Unmute if member.muted_by else control.Mute)(member=member.id))

    def action_appoint(self) -> None:
        """A moderator, or not one any more."""
        self._wish(lambda member: (control.Dismiss if member.moderator else control.Appoint)(member=member.id))

    def _wish(self, command: Callable[[MemberStatus], control.Command]) -> None:
        if (member := self._chosen) is not None:
            self.post_message(Wish(command(member)))

    def _order(self, question: str, order: Callable[[str], control.Command]) -> None:
        if (member := self._chosen) is not None:
            self.app.push_screen(ConfirmBox(question.format(member.alias)), self._if_sure(Wish(order(member.id))))

    def _if_sure(self, wish: Wish) -> Callable[[bool | None], None]:
        def obey(is_sure: bool | None) -> None:
            if is_sure:
                self.post_message(wish)

        return obey

    def _turn(self, by: float) -> None:
        self._wish(lambda member: control.Volume(member=member.id, gain=turned(member.volume, by)))

    def _turn_music(self, by: float) -> None:
        self._wish(lambda member: control.Volume(member=member.id, gain=turned(member.music_volume, by), music=True))


def turned(gain: float, by: float) -> float:
    """A gain that much louder, as far as it goes."""
    return min(max(gain + by, 0.0), control.GAIN_MAX)
