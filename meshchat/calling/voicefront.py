"""What the microphone hears on its way to being sent: measured, and let out or not.

It runs on the microphone's thread. The event loop replaces the rule and asks how loud it is and whether it is open.
"""

from __future__ import annotations

from meshchat.calling.outgoing import Outgoing
from meshchat.media.gate import Rule
from meshchat.media.level import Meter
from meshchat.media.preroll import Preroll
from meshchat.units import Samples, Seconds


class VoiceFront:
    """Stands between one microphone and `Outgoing`."""

    def __init__(self, outgoing: Outgoing, rule: Rule) -> None:
        self.rule = rule
        """When sound goes out, from the next frame on."""
        self._outgoing = outgoing
        self._meter = Meter()
        self._preroll = Preroll()

    @property
    def level_db(self) -> float:
        """How loud it is at the microphone, whether that goes out or not: -127..0."""
        return self._meter.level_db

    @property
    def talking(self) -> bool:
        """Whether what is heard goes out, but for the mute: always, while somebody speaks, or while a key is held."""
        return self.rule.pressed if self.rule.mode == "push" else self.rule.mode == "continuous" or self._preroll.open

    def begin_anew(self) -> None:
        """Another microphone is in use, which may never call: what the last one heard is over."""
        self._meter = Meter()
        self._preroll = Preroll()
        self._outgoing.begin_anew()

    def frame(self, samples: Samples, at: Seconds) -> None:
        """One frame from the microphone, on its thread."""
        self._meter.hear(samples, len(samples))
        sound = self._preroll.hear(samples, self.rule)
        if sound is None:
            self._outgoing.withhold(len(samples))
        else:
            self._outgoing.frame(sound, at)
