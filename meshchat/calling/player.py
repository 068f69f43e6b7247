"""A sound file on its way into the room: read ahead, weighed, coded, sent as a second stream beside our voice.

Intuition: a microphone that hears a file. A clock of its own takes a frame every 20 ms and hands it to an `Outgoing`,
which codes, seals and sends it as it does with what the microphone hears, and does not while we are muted.

Who plays hears it as well, through a voice of the mix that is given the same packets: the mix keeps the time of the
sound card and the player that of the system, and a voice knows how to live with two clocks. Not taken: to send what
the speaker pulls, which would end the music of everybody when one's speaker is pulled out.

Pause, resume and the end are reached along one frame, so that nothing clicks. While it is paused nothing is sent, and
the stream's time goes on: what comes then stands where a listener's voice expects it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meshchat.calling.musicencoder import MusicEncoder
from meshchat.calling.outgoing import Outgoing
from meshchat.channels import along, silence
from meshchat.codec import OpusDecoder
from meshchat.media.arrivals import Arrival
from meshchat.media.limiter import Limiter
from meshchat.media.mixer import Mixer
from meshchat.media.voice import Voice
from meshchat.sframe import music_key
from meshchat.sound.ahead import ReadAhead
from meshchat.sound.files import FileSource
from meshchat.sound.pace import Pacer
from meshchat.units import SAMPLE_RATE, Samples, Seconds
from meshchat.wire import music_ssrc

FRAME_MS = 20.0
"""Longer than speech has it: half the packets, better sound for the bits, and nobody answers a song."""

FRAME_SAMPLES = round(FRAME_MS * SAMPLE_RATE / 1000)

TAIL_FRAMES = 4
"""Frames of silence after the end: what a listener's decoder goes on with when nothing comes any more, and as far as it
looks back for that."""

STOP_MAX: Seconds = 1.0
"""How long `stop` waits for the last frames."""


@dataclass(frozen=True, slots=True)
class Playing:
    """What is played, and where it is."""

    path: Path
    position: Seconds
    length: Seconds
    paused: bool
    volume: float


class Player:
    """Plays one file at a time. Its methods are called by one thread at a time, which is none of its own."""

    def __init__(self, bitrate: int, complexity: int, send: Callable[[bytes], object], mixer: Mixer) -> None:
        """`send` takes a datagram to every member, on the player's own thread."""
        self._mixer = mixer
        self._heard = Voice(OpusDecoder())
        self.outgoing = Outgoing(MusicEncoder(FRAME_MS, bitrate, complexity), send, self._listen)
        self._track: _Track | None = None
        self._ended_at: Seconds | None = None

    @property
    def playing(self) -> Playing | None:
        """What is played now."""
        return self._track.playing if self._track else None

    def use_key(self, ssrc: int, key_id: int, base_key: bytes) -> None:
        """Sends as the second stream of whoever talks as `ssrc`, sealed with what comes of the key of that."""
        self.outgoing.use_key(music_ssrc(ssrc), key_id, music_key(base_key))

    def play(self, path: Path, volume: float, over: Callable[[str], None]) -> None:
        """Begins a file, and ends another one that is played. Blocks; raises `AudioError` for what cannot be read.

        When it has come to an end by itself, `over` is told why that was too soon, if it was, on a sound thread.
        """
        source = FileSource(path, False, FRAME_SAMPLES, lambda _text: None, channels=2)
        self.stop()
        if self._ended_at is not None:
            self.outgoing.withhold(round((time.monotonic() - self._ended_at) * SAMPLE_RATE))
        self._heard = Voice(OpusDecoder())
        self._mixer.add("music", self._heard)
        self._track = _Track(path, source, volume, self.outgoing, lambda: over(source.fault))
        self._track.start()

    def pause(self, paused: bool) -> None:
        """Pauses, or goes on."""
        if self._track:
            self._track.paused = paused

    def set_volume(self, volume: float) -> None:
        """Plays it louder or softer for everybody: a factor, 0 or more; 1 is as it is in the file."""
        if self._track:
            self._track.volume = volume

    def stop(self) -> None:
        """Ends it, softly; blocks for a moment. Harmless when nothing is played."""
        track, self._track = self._track, None
        if track:
            track.stop()
            self._ended_at = time.monotonic()
            self._mixer.remove("music")

    def _listen(self, arrival: Arrival) -> None:
        self._heard.put(arrival)


class _Track:
    """One file while it is played: its reader, its clock, and the gain on its way."""

    def __init__(
        self, path: Path, source: FileSource, volume: float, outgoing: Outgoing, over: Callable[[], None]
    ) -> None:
        self.volume = volume
        self.paused = False
        self._path = path
        self._length = source.length
        self._channels = source.channels
        self._outgoing = outgoing
        self._over = over
        self._ahead = ReadAhead(source)
        self._limiter = Limiter()
        self._gain = 0.0
        self._stopping = False
        self._ended = threading.Event()
        self._taken = self._expected = 0
        self._still = TAIL_FRAMES
        self._pacer = Pacer("meshchat-play", FRAME_SAMPLES, self._turn)

    @property
    def playing(self) -> Playing:
        position = min(self._length, self._taken * FRAME_SAMPLES / SAMPLE_RATE)
        return Playing(self._path, position, self._length, self.paused, self.volume)

    def start(self) -> None:
        self._ahead.start()
        self._pacer.start()

    def stop(self) -> None:
        self._stopping = True
        self._ended.wait(STOP_MAX)
        self._pacer.stop()
        self._ahead.close()

    def _turn(self, index: int, due: Seconds) -> None:
        if index > self._expected:  # the machine stood still
            self._outgoing.withhold((index - self._expected) * FRAME_SAMPLES)
        self._expected = index + 1
        frame = None if self._ended.is_set() else self._next()
        if frame is not None:
            self._still = 0
        elif self._still < TAIL_FRAMES:
            self._still += 1
            frame = silence(FRAME_SAMPLES, self._channels)
        if frame is None:
            self._outgoing.withhold(FRAME_SAMPLES)
            self._look_for_the_end()
        else:
            self._outgoing.frame(frame, due)

    def _next(self) -> Samples | None:
        """The next frame of the file, on its way to the gain that is wanted; None while nothing is to be heard."""
        goes_on = not (self.paused or self._stopping)
        before, self._gain = self._gain, self.volume if goes_on else 0.0
        frame = self._ahead.take() if goes_on or before else None
        if frame is None:
            self._gain = 0.0  # begins softly when the disk has caught up
            return None
        self._taken += 1
        slope = np.linspace(before, self._gain, FRAME_SAMPLES, dtype=np.float32)
        weighed = np.multiply(frame, along(slope, frame), dtype=np.float32)
        self._limiter.limit(weighed)
        if self._outgoing.muted:
            self._gain = 0.0  # what is not sent is not heard here either, and comes back softly
        return weighed

    def _look_for_the_end(self) -> None:
        if not self._ended.is_set() and (self._ahead.is_over or self._stopping):
            self._ended.set()
            if not self._stopping:
                self._over()
