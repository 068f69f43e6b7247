"""The codec as one speaker's playing sees it: sound always comes out, and guesses fade before they buzz.

A decoder that is asked to go on guessing draws the last pitch period out into a buzz. So guessed sound keeps its
level for 60 ms, where people take it for speech, and is gone at 120 ms; when real sound returns, it comes up
from wherever the fade had got to. Sound that cannot be played (not finite, or louder than anything meant) is made
harmless here, since a damaged stream can decode to anything.

Guesses are made in whole frames and handed out as they are needed: SILK always guesses 10 ms and would throw away what
is not asked for, which is heard as a click. What is left of a guess when real sound returns is faded into it.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from meshchat.channels import along, spread
from meshchat.errors import WireError
from meshchat.units import Samples

GUESS_SAMPLES = 480
"""A guess is made 10 ms at a time, or as long as the speaker's packets are if those are shorter."""

FADE_FROM = 2880
"""Guessed samples in a row from which the sound fades: 60 ms."""

FADE_UNTIL = 5760
"""Guessed samples in a row at which it is silent: 120 ms."""

RISE_SAMPLES = 240
"""How fast real sound comes up again after a fade: 5 ms."""

FADE_SAMPLES = 120
"""The width of a fade between a guess and real sound: 2.5 ms."""

LEVEL_MAX = 8.0
"""Largest sample let through, +18 dB over full scale: codecs overshoot a little, and the limiter sees to the rest."""

_RISE = np.linspace(0.0, 1.0, RISE_SAMPLES, dtype=np.float32)
_FALL = np.linspace(1.0, 0.0, FADE_SAMPLES, dtype=np.float32)


class Decoder(Protocol):
    """One speaker's codec. Results may be written to and are valid until the next call."""

    def set_channels(self, channels: int) -> None:
        """Gives one channel or two from now on, whatever packets have; what came before is forgotten."""

    def packet_channels(self, packet: bytes) -> int:
        """How many channels a packet has: 1 or 2; `WireError` if it is none."""

    def decode(self, packet: bytes) -> Samples:
        """The sound of a packet; `WireError` if it is none."""

    def recover(self, following: bytes, samples: int) -> Samples:
        """The `samples` (a multiple of 120, at most 5760) lost before `following`, from the copy inside it."""

    def conceal(self, samples: int) -> Samples:
        """A guess of the next `samples` (as above)."""

    def packet_samples(self, packet: bytes) -> int:
        """How long a packet lasts; `WireError` if it is none."""

    def has_recovery(self, packet: bytes) -> bool:
        """Whether a packet holds a copy of its predecessor; `WireError` if it is none."""


class Decoding:
    """Turns packets, and the lack of them, into sound that is safe to play."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._guessed = FADE_UNTIL
        self._grain = GUESS_SAMPLES
        self._rest = self._nothing = np.zeros(0, np.float32)
        self.channels = 1
        """How many its sound has."""
        self.damaged = 0
        """Packets that looked right and did not decode."""
        self.recovered = 0
        """Samples read from the copy in a following packet."""

    @property
    def faded(self) -> bool:
        """Whether guessing has gone on until nothing is heard."""
        return self._guessed >= FADE_UNTIL

    def wants(self, payload: bytes) -> int:
        """How many channels a packet has."""
        try:
            return self._decoder.packet_channels(payload)
        except WireError:
            return self.channels

    def set_channels(self, channels: int) -> None:
        """Gives so many from now on."""
        if channels == self.channels:
            return
        self.channels = channels
        self._decoder.set_channels(channels)
        self._nothing = np.zeros((0, 2)[:channels], np.float32)
        self._rest = spread(self._rest) if channels == 2 else self._nothing

    def has_copy(self, payload: bytes) -> bool:
        """Whether a packet can bring back its predecessor."""
        try:
            return self._decoder.has_recovery(payload)
        except WireError:
            return False

    def play(self, payload: bytes, samples: int) -> Samples:
        """The sound of a packet, or a guess of its `samples` if it does not decode."""
        try:
            sound = self._decoder.decode(payload)
        except WireError:
            self.damaged += 1
            return self.guess(samples)
        self._grain = min(GUESS_SAMPLES, samples)
        return self._real(sound)

    def recover(self, following: bytes, following_samples: int, samples: int) -> Samples:
        """The `samples` before the packet `following`, no more than its own length, from its copy."""
        try:
            sound = self._decoder.recover(following, following_samples)
        except WireError:
            return self.guess(samples)
        self.recovered += samples
        return self._real(sound[-samples:])

    def guess(self, samples: int) -> Samples:
        """`samples` of guess, fading as described above."""
        sound = np.empty((samples, 2)[: self.channels], np.float32)
        filled = 0
        while filled < samples:
            if not len(self._rest):
                self._rest = _harmless(self._decoder.conceal(self._grain)).copy()
            piece = self._rest[: samples - filled]
            sound[filled : filled + len(piece)] = piece
            self._rest = self._rest[len(piece) :]
            filled += len(piece)
        if self._guessed + samples > FADE_FROM:
            place = np.arange(self._guessed, self._guessed + samples, dtype=np.float32)
            sound *= along(np.clip((FADE_UNTIL - place) / (FADE_UNTIL - FADE_FROM), 0.0, 1.0), sound)
        self._guessed = min(FADE_UNTIL, self._guessed + samples)
        return sound

    def fade_out(self) -> Samples | None:
        """A last 2.5 ms of guess that falls to silence, or None if there is silence already."""
        if self.faded:
            return None
        sound = self.guess(FADE_SAMPLES)
        sound *= along(_FALL, sound)
        self._guessed = FADE_UNTIL
        self._rest = self._nothing
        return sound

    def _real(self, sound: Samples) -> Samples:
        sound = _harmless(sound)
        level = min(1.0, (FADE_UNTIL - self._guessed) / (FADE_UNTIL - FADE_FROM))
        if level < 1.0:
            rising = sound[:RISE_SAMPLES]
            rising *= along(level + (1.0 - level) * _RISE[: len(rising)], rising)
        width = min(FADE_SAMPLES, len(self._rest), len(sound))
        if width:
            sound[:width] += along(_FALL[:width], sound) * (level * self._rest[:width] - sound[:width])
            self._rest = self._nothing
        self._guessed = 0
        return sound


def _harmless(sound: Samples) -> Samples:
    energy = float(np.vdot(sound, sound))
    # So little energy rules out both a sample over the limit and one that is no number; the rest is looked at.
    if not energy <= LEVEL_MAX**2 and not float(np.abs(sound).max()) <= LEVEL_MAX:
        np.nan_to_num(sound, copy=False, nan=0.0)
        np.clip(sound, -LEVEL_MAX, LEVEL_MAX, out=sound)
    return sound
