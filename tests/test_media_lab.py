"""A laboratory in virtual time: speakers, networks and loudspeakers for the tests of media, and its own proof."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from meshchat.errors import WireError
from meshchat.media.arrivals import Arrival
from meshchat.media.voice import Voice
from meshchat.units import SAMPLE_RATE, Samples, Seconds

WRAP = 1 << 32
RAMP_START = 4_000_000
"""The first sample number of a ramp: loud enough not to be taken for quiet, whose length is nobody's concern."""


def speech(seconds: float, pitch_hz: float = 130.0, seed: int = 1) -> Samples:
    """Speech-like sound: harmonics of a gliding pitch under syllables of 4 Hz, with a pause after each sentence."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = pitch_hz * (1 + 0.15 * np.sin(2 * np.pi * 0.6 * t))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    voiced = sum(np.sin(k * phase) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 4 * t) + 0.8, 0.05, 1.0)
    sentences = (t % 4.0) < 3.2
    sound = 0.15 * voiced * syllables * sentences + 2e-4 * rng.standard_normal(len(t))
    return sound.astype(np.float32)


class RampDecoder:
    """A codec whose sound says where it comes from: each sample is its own timestamp, scaled; guesses are zero.

    The payload is the timestamp in samples (8 bytes) and the length (2 bytes), with a first byte of zero for garbage
    that fails at decoding and an empty payload for garbage that fails before; a copy flag makes it recoverable.
    """

    SCALE = 2.0**-24  # exact in float32 for the first 16 million samples

    def __init__(self) -> None:
        self.recovered = 0

    @staticmethod
    def payload(timestamp: int, samples: int, copy: bool = False, good: bool = True) -> bytes:
        return bytes([good, copy]) + timestamp.to_bytes(8, "big") + samples.to_bytes(2, "big")

    def packet_channels(self, packet: bytes) -> int:
        return 1

    def set_channels(self, channels: int) -> None:
        assert channels == 1

    def packet_samples(self, packet: bytes) -> int:
        if len(packet) != 12:
            raise WireError("not a ramp")
        return int.from_bytes(packet[10:12], "big")

    def has_recovery(self, packet: bytes) -> bool:
        return bool(packet[1])

    def decode(self, packet: bytes) -> Samples:
        if not packet[0]:
            raise WireError("garbage")
        return self._ramp(int.from_bytes(packet[2:10], "big"), self.packet_samples(packet))

    def recover(self, following: bytes, samples: int) -> Samples:
        self.recovered += 1
        return self._ramp(int.from_bytes(following[2:10], "big") - samples, samples)

    def conceal(self, samples: int) -> Samples:
        assert samples % 120 == 0
        assert 0 < samples <= 5760
        return np.zeros(samples, np.float32)

    def _ramp(self, timestamp: int, samples: int) -> Samples:
        return ((np.arange(samples) + timestamp % (1 << 40)) * self.SCALE).astype(np.float32)


@dataclass
class Network:
    """Delay, loss and disorder; every field may be changed while time runs."""

    rng: random.Random
    delay: Seconds = 0.0003
    jitter: Callable[[random.Random], Seconds] = lambda rng: 0.0
    loss: float = 0.0
    duplicate: float = 0.0

    def carry(self, sent_at: Seconds) -> list[Seconds]:
        """When the copies of a packet arrive."""
        if self.rng.random() < self.loss:
            return []
        copies = 2 if self.rng.random() < self.duplicate else 1
        return [sent_at + self.delay + self.jitter(self.rng) for _ in range(copies)]


@dataclass
class Sender:
    """Makes packets of a signal: `encode(first_sample, samples)` gives the payload, or b"" to send nothing."""

    encode: Callable[[int, int], bytes]
    frame: int = 480
    sequence: int = 100
    timestamp: int = 1000
    clock: float = 1.0
    """Its speed: 1.0002 sends 200 parts in a million too fast."""
    position: int = 0
    silent: bool = True

    def packets(self, until: Seconds) -> Iterator[tuple[Seconds, Arrival]]:
        """What is sent up to `until`: the instant (when the frame is complete) and the packet."""
        while (at := (self.position + self.frame) / SAMPLE_RATE / self.clock) <= until:
            payload = self.encode(self.position, self.frame)
            if payload:
                stamp = (self.timestamp + self.position) % WRAP
                yield at, Arrival(self.sequence, stamp, self.silent, payload, 0.0)
                self.sequence = (self.sequence + 1) & 0xFFFF
            self.silent = not payload
            self.position += self.frame


@dataclass
class Lab:
    """One speaker, one network, one loudspeaker that asks for blocks of `block` samples."""

    voice: Voice
    sender: Sender
    network: Network
    block: int = 480
    phase: Seconds = 0.0
    """When the loudspeaker asks first."""
    now: Seconds = 0.0
    blocks: list[Samples | None] = field(default_factory=list)
    delays: list[tuple[Seconds, float]] = field(default_factory=list)
    """Instant and playout delay in ms at each pull."""
    round_trip: Seconds = 0.002
    """What an answer takes to a question for a packet."""
    _flying: list[tuple[Seconds, int, Arrival]] = field(default_factory=list)
    _sent: dict[int, Arrival] = field(default_factory=dict)
    _came: dict[int, bool] = field(default_factory=dict)
    """By timestamp, whether what came last was an answer."""
    _pulls: int = 0

    def run(self, seconds: Seconds) -> Lab:
        """Lets time pass."""
        until = self.now + seconds
        while (now := self.phase + self._pulls * self.block / SAMPLE_RATE) < until:
            self._deliver(now)
            block = self.voice.pull(self.block, now)
            self.blocks.append(None if block is None else block.copy())
            if block is not None:
                self.delays.append((now, self.voice._delay / 48))
            self._pulls += 1
        self.now = until
        return self

    def _deliver(self, now: Seconds) -> None:
        for sent_at, packet in self.sender.packets(now):
            self._sent[packet.sequence] = packet
            self._fly(packet, sent_at, 0)
        self._flying.sort(key=lambda entry: entry[:2])
        while self._flying and self._flying[0][0] <= now:
            at, answer, packet = self._flying.pop(0)
            if packet.timestamp in self._came and (answer or self._came[packet.timestamp]):
                self.voice.came_again(packet.sequence)  # the same bytes, which do not open twice
                continue
            self._came[packet.timestamp] = bool(answer)
            missing = self.voice.put(replace(packet, at=at))
            for number in range(self.voice.asking_times if missing else 0):
                for sequence in missing:
                    self._fly(self._sent[sequence], at + self.round_trip + number / 1000, 1)
            self._flying.sort(key=lambda entry: entry[:2])

    def _fly(self, packet: Arrival, sent_at: Seconds, answer: int) -> None:
        self._flying += [(at, answer, packet) for at in self.network.carry(sent_at)]

    @property
    def sound(self) -> Samples:
        """Everything the loudspeaker played."""
        silence = np.zeros(self.block, np.float32)
        return np.concatenate([silence if block is None else block for block in self.blocks])

    @property
    def heard_after_ms(self) -> float:
        """When the first sound left, counted from the arrival of the first packet."""
        first = int(np.flatnonzero(self.sound)[0]) / SAMPLE_RATE
        return 1000 * (self.phase + first - self.sender.frame / SAMPLE_RATE - self.network.delay)


def ramp_lab(seed: int = 1, copies: bool = False, block: int = 480) -> Lab:
    """A speaker who counts samples, on a still network."""
    sender = Sender(lambda position, samples: RampDecoder.payload(RAMP_START + position, samples, copies))
    return Lab(Voice(RampDecoder()), sender, Network(random.Random(seed)), block)


def counted(lab: Lab) -> npt.NDArray[np.int64]:
    """The sample numbers heard, without the guesses."""
    numbers = np.rint(lab.sound.astype(np.float64) / RampDecoder.SCALE).astype(np.int64)
    return numbers[numbers > RAMP_START]


def test_an_untouched_network_brings_the_ramp_through_unharmed() -> None:
    lab = ramp_lab()
    lab.run(0.6)  # before the delay settles, so nothing is cut
    assert (np.diff(counted(lab)[240:]) == 1).all()  # the first 5 ms come up from silence


def test_the_speech_of_the_laboratory_is_speech_like() -> None:
    sound = speech(8)
    assert 0.2 < np.abs(sound).max() < 1
    assert np.abs(sound[round(3.3 * SAMPLE_RATE) : round(3.9 * SAMPLE_RATE)]).max() < 0.01
