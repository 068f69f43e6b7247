"""An echo canceller that waits until there is an echo: it has been made, and is let in when one is found."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from meshchat.cleaning import Cleaner
from meshchat.media.echofinder import EchoFinder
from meshchat.units import Samples

BLOCKS_MAX = 40
"""What was played and no turn of the microphone has taken yet: 0.1 s and more. Full: the oldest goes."""


class EchoWatch:
    """`hear` belongs to the microphone's thread, `played` to the speaker's."""

    def __init__(self, cleaner: Cleaner, tell: Callable[[], None]) -> None:
        """`tell` is called on the microphone's thread when an echo is found, once; it must not wait."""
        self.cleaner = cleaner
        """The one to be let in."""
        self._finder = EchoFinder()
        self._tell = tell
        self._played: deque[Samples] = deque(maxlen=BLOCKS_MAX)

    def played(self, sound: Samples) -> None:
        """What the speaker plays now; kept, so not to be changed."""
        self._played.append(sound)

    def hear(self, frame: Samples) -> bool:
        """Whether an echo was found, now that this is heard."""
        while self._played:
            self._finder.play(self._played.popleft())
        self._finder.hear(frame)
        if self._finder.found:
            self._tell()
        return self._finder.found
