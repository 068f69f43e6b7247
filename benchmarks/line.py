"""meshchat from a microphone to a loudspeaker in virtual time: the objects of a call, with a trace in between.

Nothing here plays or codes by itself. `Outgoing`, `Incoming`, `Reports` and `Voice` are what the daemon runs; here
their clocks are numbers, and what goes back (reports, and requests for lost packets) passes the same bad network.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.traces import Scenario, Trace
from meshchat.calling.incoming import Incoming
from meshchat.calling.outgoing import PAYLOAD_BYTES_MAX, Outgoing
from meshchat.calling.reports import ASK_APART_S, REPORT_S, Reports
from meshchat.codec import OpusDecoder, OpusEncoder
from meshchat.media.mixer import Mixer
from meshchat.media.nack import encode_nack
from meshchat.media.voice import Voice
from meshchat.units import SAMPLE_RATE, PeerId, Samples, Seconds
from meshchat.wire import HEADER_BYTES

SPEAKER, LISTENER = PeerId("a" * 64), PeerId("b" * 64)
KEY = b"k" * 32
SSRC = 7
HANDLING_S: Seconds = 0.001
"""What the event loop of a peer takes for a datagram of QUIC, either way."""

SEALING_BYTES = HEADER_BYTES + 16 + 4


@dataclass(frozen=True, slots=True)
class Played:
    """What came out of a loudspeaker, and what it took."""

    sound: Samples
    """From the instant at which the speaker's microphone opened."""
    concealed_ms: float = float("nan")
    """By the player's own account."""
    kbit: float = float("nan")
    """Of coded sound a second, with all that was sent again."""
    sending_percent: float = float("nan")
    """Of a core."""
    receiving_percent: float = float("nan")


class Line:
    """One who speaks, one who listens."""

    def __init__(self, scenario: Scenario, seed: int, sound: Samples, frame_ms: float, bitrate: int) -> None:
        self.frame = round(frame_ms * SAMPLE_RATE / 1000)
        self.block = min(self.frame, 480)
        self.sound = sound
        self.trace = Trace(scenario, seed, len(sound) // self.frame, self.frame / SAMPLE_RATE)
        encoder = OpusEncoder(frame_ms=frame_ms, bitrate=bitrate, packet_bytes_max=PAYLOAD_BYTES_MAX)
        self.outgoing = Outgoing(encoder, self._send)
        self.outgoing.use_key(SSRC, 1, KEY)
        self.incoming = Incoming(Mixer(), lambda: Voice(OpusDecoder()), self._ask)
        self.incoming.join(SPEAKER)
        self.incoming.use_key(SPEAKER, SSRC, 1, KEY)
        flow = self.incoming.inflow(SPEAKER)
        assert flow is not None
        self.voice = flow.voice
        silent = Outgoing(encoder, lambda _: None)  # what the listener says, and what both play
        self.speaker = Reports(_everybody(), self.outgoing, silent, frame_ms)
        self.listener = Reports(self.incoming, silent, silent, frame_ms)
        self.bytes_sent = 0
        self.sending = self.receiving = 0.0
        self.blocks: list[Samples] = []
        self._speed = 1 + scenario.drift_ppm / 1e6
        self._phase = (seed * 0.618_034 % 1) * self.block / SAMPLE_RATE
        self._events: list[tuple[Seconds, int, Callable[[Seconds], None]]] = []
        self._order = itertools.count()
        self._frames = 0
        self._now: Seconds = 0.0

    def run(self) -> Played:
        """Lets all of the sound be said."""
        seconds = len(self.sound) / SAMPLE_RATE
        self._at(self.frame / SAMPLE_RATE, self._speak)
        self._at(self._phase, self._listen)
        self._at(REPORT_S, self._report)
        while self._events and self._events[0][0] <= seconds:
            at, _, act = heapq.heappop(self._events)
            act(at)
        lead = np.zeros(round(self._phase * SAMPLE_RATE), np.float32)
        return Played(
            np.concatenate((lead, *self.blocks)),
            self.voice.stats().concealed_ms,
            self.bytes_sent * 8 / seconds / 1000,
            100 * self.sending / seconds,
            100 * self.receiving / seconds,
        )

    def _at(self, at: Seconds, act: Callable[[Seconds], None]) -> None:
        heapq.heappush(self._events, (at, next(self._order), act))

    def _speak(self, now: Seconds) -> None:
        frame = self.sound[self._frames * self.frame :][: self.frame]
        began = time.thread_time()
        self.outgoing.frame(frame, now)
        self.sending += time.thread_time() - began
        self._frames += 1
        if (self._frames + 1) * self.frame <= len(self.sound):
            self._at((self._frames + 1) * self.frame / SAMPLE_RATE, self._speak)

    def _send(self, datagram: bytes) -> None:
        self.bytes_sent += len(datagram) - SEALING_BYTES
        for at in self.trace.arrivals[self._frames]:
            self._at(at, lambda now: self._receive(datagram, now))

    def _receive(self, datagram: bytes, now: Seconds) -> None:
        self._now = now
        began = time.thread_time()
        self.incoming.datagram(datagram, now * self._speed)
        self.receiving += time.thread_time() - began

    def _ask(self, _peer: PeerId, ssrc: int, sequences: tuple[int, ...], times: int) -> None:
        data = encode_nack(SSRC + 1, ssrc, sequences)
        for number in range(times):
            at = self._now + number * ASK_APART_S
            self._back(at, lambda now: self._send_again(self.speaker.asked(LISTENER, SSRC, data), now))

    def _send_again(self, datagrams: list[bytes], now: Seconds) -> None:
        for datagram in datagrams:
            self.bytes_sent += len(datagram) - SEALING_BYTES
            at = self.trace.extra(now)
            if at is not None:
                self._at(at, lambda now, datagram=datagram: self._receive(datagram, now))  # type: ignore[misc]

    def _listen(self, now: Seconds) -> None:
        began = time.thread_time()
        block = self.voice.pull(self.block, now * self._speed)
        self.receiving += time.thread_time() - began
        self.blocks.append(np.zeros(self.block, np.float32) if block is None else block.copy())
        self._at(self._phase + len(self.blocks) * self.block / SAMPLE_RATE / self._speed, self._listen)

    def _report(self, now: Seconds) -> None:
        for _, data in self.listener.due(SSRC + 1):
            self._back(now, lambda now, data=data: self.speaker.came(LISTENER, SSRC, data, now))  # type: ignore[misc]
        self._at(now + REPORT_S, self._report)

    def _back(self, now: Seconds, arrive: Callable[[Seconds], None]) -> None:
        """A datagram of QUIC from the listener to the speaker."""
        at = self.trace.extra(now + HANDLING_S)
        if at is not None:
            self._at(at + HANDLING_S, arrive)


def _everybody() -> Incoming:
    """The speaker's own room, in which the listener is."""
    incoming = Incoming(Mixer(), lambda: Voice(OpusDecoder()), lambda *_: None)
    incoming.join(LISTENER)
    return incoming
