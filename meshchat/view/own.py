"""What the main screen does about oneself: mute, talk by key, the way sound goes out, what is played into the room."""

from __future__ import annotations

from typing import get_args

from meshchat import control
from meshchat.units import TransmitMode
from meshchat.view.about import VOLUME_STEP, MemberActions, turned
from meshchat.view.actions import BY_NAME
from meshchat.view.dialogs import Ask, PlayBox
from meshchat.view.intents import Wish
from meshchat.view.signs import Signs
from meshchat.view.sound import SoundBox


class OwnActions(MemberActions):
    """The part of the main screen that is about one's own sound."""

    def __init__(self, ask: Ask, signs: Signs) -> None:
        super().__init__()
        self._ask = ask
        self._signs = signs
        self._holding = False

    def action_talk(self) -> None:
        """Until the key is let go, where the terminal tells of that; else until it is pressed again."""
        if self._state.transmit != "push":
            self.action_mute()
        elif not self._state.holds:
            self.post_message(Wish(control.Talk()))
        elif not self._holding:
            self._holding = True
            self.post_message(Wish(control.Talk(on=True)))

    def released(self, key: str) -> None:
        """That key was let go, whatever was held besides it."""
        if key.rpartition("+")[2] in BY_NAME["talk"].keys.split(","):
            self.let_go()

    def let_go(self) -> None:
        """The key is not held any more, or nobody would hear of it if it were not."""
        if self._holding:
            self._holding = False
            self.post_message(Wish(control.Talk(on=False)))

    def action_mute(self) -> None:
        """The other way round."""
        self.post_message(Wish(control.Unmute() if self._state.muted else control.Mute()))

    def action_deafen(self) -> None:
        """The other way round."""
        self.post_message(Wish(control.Undeafen() if self._state.deafened else control.Deafen()))

    def action_transmit(self) -> None:
        """The next way in which sound goes out."""
        modes: tuple[TransmitMode, ...] = get_args(TransmitMode)
        after = modes[(modes.index(self._state.transmit) + 1) % len(modes)]
        self.post_message(Wish(control.Transmit(mode=after, keep=True)))

    def action_music(self) -> None:
        """The other way round."""
        self.post_message(Wish(control.Music(on=not self._state.music, keep=True)))

    def action_sound(self) -> None:
        """Microphone and speaker, which ones there are, and when sound goes out."""
        self.app.push_screen(SoundBox(self._ask, self._signs))

    def action_share(self) -> None:
        """The whole screen, or no screen any more."""
        self.post_message(Wish(control.ShareStop() if self._state.sharing else control.ShareStart()))

    def action_play(self) -> None:
        """Ask for a file."""
        self.app.push_screen(PlayBox(self._ask))

    def action_pause(self) -> None:
        """The other way round."""
        playing = self._state.playing
        self.post_message(Wish(control.Resume() if playing and playing.paused else control.Pause()))

    def action_play_louder(self) -> None:
        """For everybody."""
        self._turn_play(VOLUME_STEP)

    def action_play_softer(self) -> None:
        """For everybody."""
        self._turn_play(-VOLUME_STEP)

    def action_play_stop(self) -> None:
        """No more of it."""
        self.post_message(Wish(control.PlayStop()))

    def _turn_play(self, by: float) -> None:
        if self._state.playing:
            self.post_message(Wish(control.PlayVolume(volume=turned(self._state.playing.volume, by))))
