"""What the microphone hears on its way to being sent: cleaned, measured, and let out or not.

In music mode it goes out as it is, with two channels where it has two; only a key that is let go still holds it back.

It runs on the microphone's thread. The event loop replaces the rule, the cleaner and the watch, and asks how loud it is
and whether it is open; the speaker's thread tells what is played, for that is what comes back as an echo.
"""

from __future__ import annotations

import numpy as np

from meshchat.calling.echowatch import EchoWatch
from meshchat.calling.outgoing import Outgoing
from meshchat.channels import along, folded
from meshchat.cleaning import Cleaner
from meshchat.media.gate import Rule
from meshchat.media.level import Meter
from meshchat.media.preroll import Preroll
from meshchat.units import Samples, Seconds


class VoiceFront:
    """Stands between one microphone and `Outgoing`."""

    def __init__(self, outgoing: Outgoing, rule: Rule) -> None:
        self.rule = rule
        """When sound goes out, from the next frame on."""
        self.cleaner: Cleaner | None = None
        """What cleans the sound, from the next frame but one on; none: it stays as it is."""
        self.watch: EchoWatch | None = None
        """Brings another in as soon as there is an echo."""
        self.music = False
        """Whether what is heard goes out as it is, from the next frame on."""
        self._gain = 0.0
        self._used: Cleaner | None = None
        self._is_new = False
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
        if self.rule.mode == "push":
            return self.rule.pressed
        return self.music or self.rule.mode == "continuous" or self._preroll.open

    def begin_anew(self) -> None:
        """Another microphone is in use, which may never call: what the last one heard is over."""
        self._meter = Meter()
        self._preroll = Preroll()
        self._outgoing.begin_anew()

    def played(self, sound: Samples) -> None:
        """What the speaker plays now, on its thread; of one channel or two, and kept, so not to be changed."""
        cleaner, watch = self.cleaner, self.watch
        if cleaner is None and watch is None:
            return
        heard = folded(sound)
        if cleaner is not None:
            cleaner.played(heard)
        if watch is not None:
            watch.played(heard)

    def frame(self, samples: Samples, at: Seconds) -> None:
        """One frame from the microphone, on its thread."""
        if self.music:
            self._music(samples, at)
            return
        self._gain = 0.0
        heard, watch = folded(samples), self.watch
        if watch is not None and watch.hear(heard) and self.watch is watch:
            self.watch, self.cleaner = None, watch.cleaner
        cleaned = self._cleaned(heard)
        self._meter.hear(cleaned, len(cleaned))
        sound = self._preroll.hear(cleaned, self.rule)
        if sound is None:
            self._outgoing.withhold(len(samples))
        else:
            self._outgoing.frame(sound, at)

    def _music(self, samples: Samples, at: Seconds) -> None:
        """One frame in music mode, which begins and ends along a frame."""
        self._used, self._is_new = None, True
        self._meter.hear(samples, len(samples))
        before, self._gain = self._gain, float(self.talking)
        if not before and not self._gain:
            self._outgoing.withhold(len(samples))
        elif before == self._gain:
            self._outgoing.frame(samples, at)
        else:
            slope = np.linspace(before, self._gain, len(samples), dtype=np.float32)
            self._outgoing.frame(samples * along(slope, samples), at)

    def _cleaned(self, samples: Samples) -> Samples:
        """From one cleaner to another it fades out and in: their sound is late by unlike times."""
        cleaner, following = self._used, self.cleaner
        sound = cleaner.clean(samples) if cleaner else samples
        if cleaner is following and not self._is_new:
            return sound
        if self._is_new:
            sound = sound * np.linspace(0.0, 1.0, len(sound), dtype=np.float32)
        if cleaner is not following:
            sound = sound * np.linspace(1.0, 0.0, len(sound), dtype=np.float32)
        self._used, self._is_new = following, cleaner is not following
        return sound
