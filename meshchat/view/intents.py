"""What a person wants: a key, a click and the palette post the same messages, and the app obeys them in one place.

What the daemon is to do is already a word of the control socket, so `Wish` carries that and nothing is said twice.
"""

from __future__ import annotations

from textual.message import Message

from meshchat import control


class Wish(Message):
    """Have the daemon do this; what it refuses is said where one looks."""

    def __init__(self, command: control.Command) -> None:
        super().__init__()
        self.command = command


class LookHere(Message):
    """Draw that member's screen on this terminal."""

    def __init__(self, member: str) -> None:
        super().__init__()
        self.member = member


class Read(Message):
    """Take the notice away, it was read."""


class Seen(Message):
    """The words to compare are shown."""


class Differed(Message):
    """The words that were compared with somebody of that name are not the same."""

    def __init__(self, alias: str) -> None:
        super().__init__()
        self.alias = alias


class Start(Message):
    """Start a daemon in place of the one that died."""


class Detach(Message):
    """Close the terminal's part; the call goes on."""


class Finish(Message):
    """End the call and close."""


class KeyReleased(Message):
    """A key was let go."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key


class KeysHeld(Message):
    """The terminal says when keys are let go."""


class StateChanged(Message):
    """There is something new to show; a burst of them is one."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, StateChanged)
