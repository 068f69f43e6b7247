"""Everything that can be done, once: the keys, the footer, the help page and the palette are made from this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textual.binding import Binding

from meshchat.view.state import State

When = Literal[
    "always", "live", "in a room", "member", "shared", "musical", "moderator", "order", "playing", "lost",
    "noticed",
]  # fmt: skip
"""With what in sight an action has a meaning: a daemon, a room, another member, its screen or music chosen, trouble."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be done; `shown` puts it into the footer."""

    name: str
    keys: str
    label: str
    meaning: str
    when: When = "always"
    shown: bool = False

    @property
    def key(self) -> str:
        """The first key."""
        return self.keys.partition(",")[0]


ACTIONS = (
    Action("start", "r", "Start", "start the daemon again, and go back to the room", "lost", shown=True),
    Action("create", "n", "New", "open a new room, open to all here or locked", "live", shown=True),
    Action("join", "j", "Join", "join a room by its name or invite link, or call an address", "live", shown=True),
    Action("write", "t", "Write", "write to the room; Escape comes back", "in a room", shown=True),
    Action("mute", "m,f2", "Mute", "mute or unmute your microphone", "live", shown=True),
    Action("deafen", "d,f3", "Deafen", "stop or start hearing the others", "live", shown=True),
    Action("talk", "space,f4", "Talk", "mute or unmute; where sound goes out by key, hold it to talk", "live"),
    Action("transmit", "p", "When", "let sound out always, by voice, or by key: the next of these", "live"),
    Action("sound", "o", "Sound", "choose microphone and speaker, and when sound goes out; try them", "live"),
    Action("music", "", "Music", "send what the microphone hears as music, or as a voice again", "live"),
    Action("play", "y", "Play", "play a sound file into the room", "in a room"),
    Action("pause", "", "Pause", "pause what you play into the room, or play on", "playing"),
    Action("play_louder", "", "Play louder", "play it louder for everybody", "playing"),
    Action("play_softer", "", "Play softer", "play it softer for everybody", "playing"),
    Action("play_stop", "", "Stop playing", "play it no more", "playing"),
    Action("leave", "l", "Leave", "leave the room", "in a room", shown=True),
    Action("invite", "i", "Invite", "show the link that lets others into this locked room", "in a room"),
    Action("figures", "f", "Figures", "show or hide how well each member arrives, in numbers", "in a room", shown=True),
    Action("share", "s", "Share", "share your screen with the room, or share it no more", "in a room", shown=True),
    Action("watch", "w", "Watch", "look at the screen that the chosen member shares", "shared", shown=True),
    Action("picture", "g", "Glance", "draw that screen on this terminal; q comes back", "shared"),
    Action("unwatch", "u", "Look away", "have the chosen member's screen sent here no more", "shared"),
    Action("louder", "plus,equals_sign", "Louder", "play the chosen member louder, for you only", "member"),
    Action("softer", "minus", "Softer", "play the chosen member softer, for you only", "member"),
    Action("hush", "0", "Silence", "silence the chosen member for you, or hear it again", "member"),
    Action("verify", "v", "Verify", "compare two words with the chosen member", "member"),
    Action("music_louder", "", "Music louder", "what the chosen member plays, for you only", "musical"),
    Action("music_softer", "", "Music softer", "what the chosen member plays, for you only", "musical"),
    Action("kick", "x", "Kick", "send the chosen member out of the room", "order"),
    Action("ban", "", "Ban", "send the chosen member out of the room for good", "order"),
    Action("quiet", "", "Mute for all", "have the chosen member send no sound, or let it again", "order"),
    Action("appoint", "", "Appoint", "make the chosen member a moderator, or a member again", "order"),
    Action("lock", "", "Lock", "let in only those with a new invite link, or everybody", "moderator"),
    Action("alias", "a", "Name", "change the name that others see", "live"),
    Action("read", "escape", "Read", "take the notice away", "noticed"),
    Action("keys", "question_mark,f1", "Help", "show all keys", shown=True),
    Action("detach", "ctrl+d", "Detach", "close this screen; the call goes on", "live"),
    Action("finish", "q,ctrl+q", "Quit", "end the call and close", shown=True),
)

BY_NAME = {each.name: each for each in ACTIONS}

OWN = ("talk", "mute", "deafen", "sound", "transmit", "music", "share", "play", "pause", "play_stop", "alias", "leave")
"""What a person does about itself."""


def bindings() -> list[Binding]:
    """The keys of the main screen."""
    return [Binding(each.keys, each.name, each.label, show=each.shown) for each in ACTIONS if each.keys]


def possible(state: State, member: str | None) -> frozenset[When]:
    """The kinds of action that have a meaning now; `member` is the id under the cursor."""
    chosen = state.member(member) if member else None
    other = None if chosen is None or chosen.you else chosen
    me = state.member(state.peer_id)
    is_moderator = me is not None and me.moderator
    meant: dict[When, bool] = {
        "always": True,
        "live": state.link == "live",
        "in a room": state.room is not None,
        "member": other is not None,
        "shared": other is not None and other.sharing,
        "musical": other is not None and (other.playing or other.music_volume != 1.0),
        "playing": state.playing is not None,
        "moderator": is_moderator,
        "order": is_moderator and other is not None,
        "lost": state.link == "lost",
        "noticed": state.notice is not None,
    }
    return frozenset(when for when, is_so in meant.items() if is_so)
