"""Sound and pictures in and out: frames become packets of Opus and come back, parts of a screen JPEG or exact bytes.

Of sound, a lost packet is guessed or read from the next. This is the only room that knows libopus and libjpeg-turbo;
`meshchat.opus` and `meshchat.stills` are its inside.
"""

from __future__ import annotations

import ctypes

import numpy as np

from meshchat.channels import silence
from meshchat.errors import WireError
from meshchat.opus.library import Library, created, freed_with, library
from meshchat.opus.packets import PACKET_BYTES_MAX, PACKET_SAMPLES_MAX, has_recovery, packet_channels, packet_samples
from meshchat.stills.exact import decode_exact, encode_exact, png
from meshchat.stills.jpeg import decode_jpeg, encode_jpeg
from meshchat.units import SAMPLE_RATE, Samples

__all__ = [
    "OpusDecoder",
    "OpusEncoder",
    "decode_exact",
    "decode_jpeg",
    "encode_exact",
    "encode_jpeg",
    "has_recovery",
    "packet_channels",
    "packet_samples",
    "png",
]

FRAME_LENGTHS_MS = (2.5, 5, 10, 20, 40, 60)
"""What one Opus packet may hold as one frame (RFC 6716 section 2.1.4)."""

SHORTEST_FRAME_SAMPLES = 120
"""2.5 ms: libopus conceals and recovers only whole multiples of it."""

DTX_PACKET_BYTES_MAX = 2
"""A packet this short holds no sound: the encoder asks not to be sent (`opus_encode` in opus.h)."""

RECOVERY_FROM_LOSS_PERCENT = 2.0
"""From this loss on the encoder repeats each frame in the next packet. (Measured, 10 ms at 48 kb/s, PESQ without and
with copies: no loss 4.0 and 3.6, 2 % 3.2 and 3.4, 5 % 2.3 and 3.2, 10 % 1.7 and 2.9.)"""

RECOVERY_HINT_SHARE = 4
"""While repeating, the encoder is told this fraction of the loss, up to a limit: the copies grow with the loss it
believes in, at the cost of the sound itself. (At 5 % loss: told 1 % 3.2, told 10 % 2.9.)"""

RECOVERY_HINT_PERCENT_MAX = 10

RECOVERY_THRIFTY_BITRATE = 40_000
"""Under this rate libopus makes no copies at 10 ms unless it is told at least `RECOVERY_HINT_PERCENT_MAX`."""

LOW_DELAY_BITRATE_MIN = 64_000
"""From this rate on speech needs no SILK. (Measured, 10 ms, PESQ of VOIP and low delay: 48 kb/s 3.8 and 3.7, 64 kb/s
4.15 and 4.0; low delay at 80 kb/s 4.3.)"""

LOW_DELAY_HINT_PERCENT = 20
"""The least loss told to the low-delay encoder while sound is lost for good: CELT then leans less on earlier frames and
conceals better (measured at 5 ms and 32 kb/s: 4.7 dB instead of 0.7 dB after a loss). Not while nothing is, since it
costs the sound itself: at 80 kb/s PESQ 4.1 instead of 4.3."""

LOW_DELAY_COMPLEXITY_MIN = 7
"""Under this the low-delay encoder runs no analysis of the signal, and without it DTX only knows digital silence."""

LOUDNESS = 0.05
"""Peak of what a new low-delay encoder hears first, about -31 dB: by that, what is under -56 dB is a room. At 0.5 the
soft ends of a voice at -40 dB were taken for one as well, and cut: holes of up to 56 ms where there are 8."""

LOUD_SAMPLES = 4800
"""How much of it is heard."""

_APPLICATION_VOIP = 2048
_APPLICATION_AUDIO = 2049
_APPLICATION_LOW_DELAY = 2051
_SET_BITRATE = 4002
_SET_MAX_BANDWIDTH = 4004
_SET_COMPLEXITY = 4010
_SET_INBAND_FEC = 4012
_SET_PACKET_LOSS_PERCENT = 4014
_SET_DTX = 4016
_GET_LOOKAHEAD = 4027
_RESET = 4028
_BANDWIDTHS = {8_000: 1101, 12_000: 1102, 16_000: 1103, 24_000: 1104, 48_000: 1105}


class OpusEncoder:
    """Frames of one microphone to packets.

    From `LOW_DELAY_BITRATE_MIN` on, and for 2.5 and 5 ms frames, which can only be CELT, it is RESTRICTED_LOWDELAY:
    2.5 ms of look-ahead and about 30 µs of work. At lower rates 10 ms and longer frames use the application VOIP:
    speech runs through SILK (hybrid at 48 kb/s), the only mode that can carry a copy of the previous frame (in-band
    FEC), at 6.5 ms of look-ahead and, at 10 ms, some 110 µs of work.

    Music uses the application AUDIO, which tries to keep what it hears instead of making speech plain; it has no FEC.

    Not for two threads at once.
    """

    frame_samples: int
    """How many samples `encode` takes, at 48 kHz."""

    channels: int
    """How many channels `encode` takes: 1 or 2."""

    look_ahead_samples: int
    """How late the coded sound is, at 48 kHz, besides the frame itself."""

    def __init__(
        self,
        *,
        frame_ms: float = 10,
        bitrate: int = 48_000,
        complexity: int = 5,
        rate: int = SAMPLE_RATE,
        dtx: bool = True,
        packet_bytes_max: int = PACKET_BYTES_MAX,
        music: bool = False,
        channels: int = 1,
    ) -> None:
        """`rate` in Hz limits the band that is coded to the narrowest of Opus' five that carries it; input is 48 kHz.

        `bitrate` is 6000..510000 bits a second, `complexity` 0..10; a packet that would be longer than
        `packet_bytes_max` is coded with fewer bits. Raises `AudioError` without libopus and `ValueError` for a length
        that Opus does not have or a rate above 48000. `channels` is 1 or 2.
        """
        if frame_ms not in FRAME_LENGTHS_MS or rate > SAMPLE_RATE:
            raise ValueError(f"Opus has no frames of {frame_ms} ms or no band of {rate} Hz")
        self._library = library()
        self._low_delay = (frame_ms < 10 or bitrate >= LOW_DELAY_BITRATE_MIN) and not music
        self._music = music
        self._bitrate = bitrate
        self._repeating = False
        self.frame_samples = round(frame_ms * SAMPLE_RATE / 1000)
        self.channels = channels
        self._frame = silence(self.frame_samples, channels)
        self._frame_at = self._frame.ctypes.data
        self._packet = ctypes.create_string_buffer(packet_bytes_max)
        speech = _APPLICATION_LOW_DELAY if self._low_delay else _APPLICATION_VOIP
        application = _APPLICATION_AUDIO if music else speech
        self._state = created(self._library.encoder_create, SAMPLE_RATE, channels, application)
        freed_with(self, self._library.encoder_destroy, self._state)
        self._set(_SET_BITRATE, bitrate)
        self._set(_SET_COMPLEXITY, max(complexity, LOW_DELAY_COMPLEXITY_MIN) if self._low_delay else complexity)
        self._set(_SET_MAX_BANDWIDTH, _BANDWIDTHS[min(each for each in _BANDWIDTHS if each >= rate)])
        self._set(_SET_DTX, int(dtx))
        self.set_expected_loss(0)
        self.look_ahead_samples = self._get(_GET_LOOKAHEAD)
        self._hear_something_loud()

    def encode(self, frame: Samples) -> bytes:
        """One packet for one frame of shape (frame_samples,), or b"" when silence makes sending needless (DTX).

        With two channels of shape (frame_samples, 2).
        """
        if frame.shape != self._frame.shape:
            raise ValueError(f"a frame of shape {self._frame.shape} was promised, not of shape {frame.shape}")
        self._frame[:] = frame
        size = self._library.encode(self._state, self._frame_at, self.frame_samples, self._packet, len(self._packet))
        if size < 0:
            raise RuntimeError(f"libopus refused to encode: {self._library.reason(size)}")
        return bytes(memoryview(self._packet)[:size]) if size > DTX_PACKET_BYTES_MAX else b""

    def begin_anew(self) -> None:
        """Forgets what was coded: who decodes has heard another encoder since, and CELT builds on what came before."""
        self._set(_RESET, 0)
        self._hear_something_loud()

    def _hear_something_loud(self) -> None:
        """Lets the low-delay encoder hear what is louder than a room, and forgets the packets.

        Its DTX takes noise for silence only where it is 25 dB under the loudest that it has heard: the noise of a room
        in which nobody has spoken yet was sent like a song, with 80 kbit/s.
        """
        if not self._low_delay:
            return
        loud = np.random.default_rng(1).uniform(-LOUDNESS, LOUDNESS, self._frame.shape).astype(np.float32)
        for _ in range(round(LOUD_SAMPLES / self.frame_samples)):
            self.encode(loud)

    def set_expected_loss(self, percent: float) -> None:
        """Tells the encoder what the worst receiver loses, 0..100: copies (FEC) from 2 % on, none again under 0.5 %."""
        if percent >= RECOVERY_FROM_LOSS_PERCENT or percent < RECOVERY_FROM_LOSS_PERCENT / 4:
            self._repeating = percent >= RECOVERY_FROM_LOSS_PERCENT
        self._set(_SET_INBAND_FEC, int(self._repeating and not self._low_delay and not self._music))
        self._set(_SET_PACKET_LOSS_PERCENT, self._hint(percent))

    def _hint(self, percent: float) -> int:
        """The loss that the encoder is told for the loss there is."""
        if self._low_delay:
            return max(LOW_DELAY_HINT_PERCENT, min(100, round(percent))) if percent > 0 else 0
        if self._music:
            return min(100, round(percent))
        if not self._repeating:
            return 0
        floor = 1 if self._bitrate >= RECOVERY_THRIFTY_BITRATE else RECOVERY_HINT_PERCENT_MAX
        return max(floor, min(RECOVERY_HINT_PERCENT_MAX, round(percent / RECOVERY_HINT_SHARE)))

    def _set(self, request: int, value: int) -> None:
        code = self._library.encoder_ctl(self._state, request, ctypes.c_int32(value))
        if code < 0:
            raise ValueError(f"libopus refused setting {request} = {value}: {self._library.reason(code)}")

    def _get(self, request: int) -> int:
        value = ctypes.c_int32()
        self._library.encoder_ctl(self._state, request, ctypes.byref(value))
        return value.value


class OpusDecoder:
    """Packets of one speaker to 48 kHz sound, of one channel or two whatever the packets have.

    A packet of two comes out mixed to one, and one of one as two alike, of shape (n, 2). It begins with one channel.

    Every result is a view of one buffer: valid, and free to be written to, until the next call. Not for two threads
    at once.
    """

    def __init__(self) -> None:
        """Raises `AudioError` without libopus."""
        self._library = library()
        self.set_channels(1)

    def set_channels(self, channels: int) -> None:
        """Gives one channel or two from now on, and forgets what came before. `AudioError` where memory is short."""
        self._sound = silence(PACKET_SAMPLES_MAX, channels)
        self._sound_at = self._sound.ctypes.data
        self._state = _DecoderState(self._library, channels)

    def decode(self, packet: bytes) -> Samples:
        """The sound of one packet; `WireError` if it is none."""
        if not 0 < len(packet) <= PACKET_BYTES_MAX:
            raise WireError(f"an Opus packet of {len(packet)} bytes")
        return self._decoded(packet, PACKET_SAMPLES_MAX, 0)

    def recover(self, following: bytes, samples: int) -> Samples:
        """The `samples` lost just before `following`, from the copy inside it; concealed where it has none.

        `samples` is a multiple of 120, at most 5760. `WireError` if `following` is no packet.
        """
        if not 0 < len(following) <= PACKET_BYTES_MAX:
            raise WireError(f"an Opus packet of {len(following)} bytes")
        return self._decoded(following, _whole(samples), 1)

    def conceal(self, samples: int) -> Samples:
        """What the speaker probably went on to sound like: `samples` (a multiple of 120, at most 5760) of guess."""
        return self._decoded(None, _whole(samples), 0)

    def packet_samples(self, packet: bytes) -> int:
        """See `packet_samples`."""
        return packet_samples(packet)

    def packet_channels(self, packet: bytes) -> int:
        """See `packet_channels`."""
        return packet_channels(packet)

    def has_recovery(self, packet: bytes) -> bool:
        """See `has_recovery`."""
        return has_recovery(packet)

    def _decoded(self, packet: bytes | None, samples: int, recovering: int) -> Samples:
        size = len(packet) if packet is not None else 0
        count = self._library.decode(self._state.at, packet, size, self._sound_at, samples, recovering)
        if count < 0:
            raise WireError(f"libopus refused a packet of {size} bytes: {self._library.reason(count)}")
        return self._sound[:count]


class _DecoderState:
    """What libopus keeps for one decoder; given back when nobody holds this any more."""

    def __init__(self, opus: Library, channels: int) -> None:
        self.at = created(opus.decoder_create, SAMPLE_RATE, channels)
        freed_with(self, opus.decoder_destroy, self.at)


def _whole(samples: int) -> int:
    if samples % SHORTEST_FRAME_SAMPLES or not 0 < samples <= PACKET_SAMPLES_MAX:
        raise ValueError(f"Opus conceals multiples of 120 samples up to 5760, not {samples}")
    return samples
