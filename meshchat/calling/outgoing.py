"""A frame that is to go out: measured, coded, put into RTP, sealed once, sent to everybody.

Whoever loses it may ask for it again (`media.resending`); while receivers report loss for which they do not ask,
earlier frames go along with it once more (`media.copies`).

All of it runs on the source's own thread. The event loop only replaces what the next frame will use: the stream
with its key, the encoder, the mute, the loss that receivers report.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from meshchat.media.arrivals import Arrival
from meshchat.media.copies import Copier, depth
from meshchat.media.level import Meter, audio_level
from meshchat.media.resending import Kept
from meshchat.sframe import OVERHEAD_BYTES_MAX, SendKey
from meshchat.units import PeerId, Samples, Seconds
from meshchat.wire import PAYLOAD_TYPE_COPIES, PAYLOAD_TYPE_OPUS, SEALED_BYTES_MAX, media_header

PAYLOAD_BYTES_MAX = SEALED_BYTES_MAX - OVERHEAD_BYTES_MAX
"""What one datagram holds; only 60 ms at more than 150 kbit/s would need more, and is coded with less instead."""


class Encoder(Protocol):
    """What turns a frame into a packet."""

    frame_samples: int

    def encode(self, frame: Samples) -> bytes:
        """One packet, or nothing where silence needs none."""

    def begin_anew(self) -> None:
        """What was coded so far is not what is heard before the next frame."""

    def set_expected_loss(self, percent: float) -> None:
        """How much the worst receiver loses."""


class Stream:
    """One run of sequence numbers under one SSRC (RFC 3550 section 5.1), beginning at random."""

    def __init__(self, ssrc: int, key: SendKey, frame_samples: int) -> None:
        self.ssrc = ssrc
        self.key = key
        self.copier = Copier(frame_samples, PAYLOAD_BYTES_MAX)
        self.kept = Kept()
        self.sequence = random.getrandbits(16)
        self.timestamp = random.getrandbits(32)
        self.packets_sent = 0


class Outgoing:
    """What we say, or play."""

    def __init__(
        self,
        encoder: Encoder,
        send: Callable[[bytes], object],
        listen: Callable[[Arrival], object] = lambda _arrival: None,
    ) -> None:
        """On the source's thread `send` takes a datagram to every member, and `listen` each packet unsealed."""
        self.muted = False
        self.copies = 0
        """Earlier frames that the next packet is to carry again, as far as the rate allows."""
        self._encoder = encoder
        self._send = send
        self._listen = listen
        self._stream: Stream | None = None
        self._meter = Meter()
        self._loss = 0.0
        self._loss_set: float | None = None
        """What the encoder was told of it; None: perhaps something of before."""
        self._carried = False
        self._gap = True

    @property
    def speaking(self) -> bool:
        """Whether somebody speaks here and is sent."""
        return self._meter.speaking and not self.muted

    @property
    def packets_sent(self) -> int:
        """Packets of the present stream."""
        return self._stream.packets_sent if self._stream else 0

    def use_key(self, ssrc: int, key_id: int, base_key: bytes) -> None:
        """Seals with this key from the next frame on; another SSRC is another stream.

        A key that is in use stays as it is: begun again it would count its nonces from zero (RFC 9605 section 9.1).
        """
        if self._stream is None or self._stream.ssrc != ssrc:
            self._stream = Stream(ssrc, SendKey(key_id, base_key), self._encoder.frame_samples)
        elif self._stream.key.key_id != key_id:
            self._stream.key = SendKey(key_id, base_key)

    def use_encoder(self, encoder: Encoder) -> None:
        """Codes with another one from the next frame on, of the same length."""
        if encoder is not self._encoder:
            encoder.begin_anew()
            self._encoder, self._loss_set = encoder, None

    def again(self, peer: PeerId, ssrc: int, sequences: Iterable[int]) -> list[bytes]:
        """The packets of a stream that a member asks for, as they were sent; on the event loop."""
        stream = self._stream
        return stream.kept.again(peer, sequences) if stream is not None and stream.ssrc == ssrc else []

    def forget(self, peer: PeerId) -> None:
        """A member went."""
        if self._stream is not None:
            self._stream.kept.forget(peer)

    def protect(self, loss_percent: float, longest_run: int) -> None:
        """What the worst receiver loses, 0..100, and how many packets at once: repaired from the next frame on."""
        self._loss = loss_percent
        self.copies = depth(loss_percent, longest_run)

    def stop_stream(self) -> None:
        """We are in no room."""
        self._stream = None

    def begin_anew(self) -> None:
        """Another microphone is in use, which may never call: what the last one heard is over."""
        self._meter = Meter()

    def withhold(self, samples: int) -> None:
        """So much time passes in which nothing is to be heard of us; called in place of `frame`, on the same thread."""
        self._meter.hear(None, samples)
        self._gap = True
        if self._stream is not None:
            self._stream.timestamp = (self._stream.timestamp + samples) & 0xFFFF_FFFF

    def frame(self, samples: Samples, _at: Seconds) -> None:
        """One frame that is to be heard, on its source's thread."""
        self._meter.hear(samples, len(samples))
        stream = self._stream
        if stream is None:
            return
        timestamp = stream.timestamp
        stream.timestamp = (timestamp + len(samples)) & 0xFFFF_FFFF
        # What is silent to the last bit is not even coded: Opus would send a packet of it every 0.2 s, after each of
        # which every listener guesses for 120 ms how it goes on. That was most of the work of a room with few speakers.
        packet = b"" if self.muted or self._meter.at_rest else self._encode(samples)
        if not packet:
            self._gap = True
            return
        key = stream.key  # the event loop may replace it meanwhile
        with_copies = stream.copier.add(timestamp, self._gap, packet, key.key_id, self.copies)
        if not self._gap:
            self._carried = with_copies is not None
        header = media_header(
            PAYLOAD_TYPE_COPIES if with_copies else PAYLOAD_TYPE_OPUS,
            self._gap,
            stream.sequence,
            timestamp,
            stream.ssrc,
            audio_level(samples),
            self._meter.speaking,
        )
        self._listen(Arrival(stream.sequence, timestamp, self._gap, packet, time.monotonic()))
        datagram = header + key.seal(header, with_copies or packet)
        stream.kept.add(stream.sequence, datagram)
        stream.sequence = (stream.sequence + 1) & 0xFFFF
        stream.packets_sent += 1
        self._gap = False
        self._send(datagram)

    def _encode(self, samples: Samples) -> bytes:
        # Whole copies repair what the encoder's own thin ones would, and those cost the sound itself: PESQ with both
        # 3.0 and 2.6 at 10 and 20 % loss, with whole ones alone 3.4 and 2.8. So they are for rates that leave no room.
        loss = 0.0 if self._carried and self.copies else self._loss
        if self._loss_set != loss:
            self._loss_set = loss
            self._encoder.set_expected_loss(loss)
        return self._encoder.encode(samples)
