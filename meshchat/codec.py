"""Opus in and out: 48 kHz frames become packets and come back, and a lost packet is guessed or read from the next.

This is the only room that knows libopus. The library is the one that opuslib finds and loads; opuslib's own
wrapper is passed by, because it forbids in-band FEC, does not know DTX, allocates on every call, and calls the
variadic `opus_encoder_ctl` without declaring its fixed arguments, which on Apple arm64 puts the value where the
library does not look. Each function here is a fresh object taken from that handle (`library["name"]`), so that
argument types declared here change nothing for others.

What a packet says about itself, its duration and whether it carries a copy of its predecessor, is read in plain
Python (RFC 6716 sections 3 and 4.2): it is needed before anybody decodes, and works without the library.
"""

from __future__ import annotations

import ctypes
import sys
import warnings
import weakref
from dataclasses import dataclass
from functools import cache

import numpy as np

from meshchat.errors import AudioError, WireError
from meshchat.units import SAMPLE_RATE, Samples

FRAME_LENGTHS_MS = (2.5, 5, 10, 20, 40, 60)
"""What one Opus packet may hold as one frame (RFC 6716 section 2.1.4)."""

SHORTEST_FRAME_SAMPLES = 120
"""2.5 ms: libopus conceals and recovers only whole multiples of it."""

PACKET_SAMPLES_MAX = 5760
"""120 ms, the longest packet (RFC 6716 section 3.4, rule R5)."""

FRAME_BYTES_MAX = 1275
"""The longest frame (RFC 6716 section 3.4, rule R2)."""

PACKET_BYTES_MAX = 6 * FRAME_BYTES_MAX + 7
"""Six full 20 ms frames and their lengths: 120 ms at the highest rate of the format. Longer packets are refused."""

DTX_PACKET_BYTES_MAX = 2
"""A packet this short holds no sound: the encoder asks not to be sent (`opus_encode` in opus.h)."""

RECOVERY_FROM_LOSS_PERCENT = 1.0
"""From this loss on the encoder repeats each frame in the next packet."""

RECOVERY_HINT_PERCENT_MIN = 10
"""The least loss told to the encoder while it repeats: under 5 % it may decide that the copy is not worth its bits."""

LOW_DELAY_HINT_PERCENT = 20
"""The least loss told to the low-delay encoder, always: CELT then leans less on earlier frames and conceals better
(measured at 5 ms and 32 kb/s: 4.7 dB instead of 0.7 dB after a loss)."""

LOW_DELAY_COMPLEXITY_MIN = 7
"""Under this the low-delay encoder runs no analysis of the signal, and without it DTX only knows digital silence."""

_APPLICATION_VOIP = 2048
_APPLICATION_LOW_DELAY = 2051
_SET_BITRATE = 4002
_SET_MAX_BANDWIDTH = 4004
_SET_COMPLEXITY = 4010
_SET_INBAND_FEC = 4012
_SET_PACKET_LOSS_PERCENT = 4014
_SET_DTX = 4016
_GET_LOOKAHEAD = 4027
_BANDWIDTHS = {8_000: 1101, 12_000: 1102, 16_000: 1103, 24_000: 1104, 48_000: 1105}

_REMEDIES = {
    "linux": "`sudo apt install libopus0` on Debian or Ubuntu, `sudo dnf install opus` on Fedora, "
    "`sudo pacman -S opus` on Arch",
    "darwin": "`brew install opus`, and where Python still does not find it, "
    "`export DYLD_FALLBACK_LIBRARY_PATH=$(brew --prefix)/lib`",
    "win32": "put `opus.dll` (the package `opus` of vcpkg or MSYS2) in a folder that is on PATH",
}


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the head of a packet says: samples in each frame at 48 kHz, how many frames, where the first lies."""

    frame_samples: int
    frames: int
    first_offset: int
    first_bytes: int


class OpusEncoder:
    """Frames of one microphone to packets.

    10 ms and longer frames use the application VOIP: speech runs through SILK (hybrid at 48 kb/s), the only mode
    that can carry a copy of the previous frame (in-band FEC), at 6.5 ms of look-ahead and, at 10 ms, some 110 µs
    of work. 2.5 and 5 ms frames can only be CELT, where VOIP would add 4 ms and bring no FEC: they use
    RESTRICTED_LOWDELAY with 2.5 ms of look-ahead and about 30 µs of work, and rely on concealment alone.

    Not for two threads at once.
    """

    frame_samples: int
    """How many samples `encode` takes, at 48 kHz."""

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
    ) -> None:
        """`rate` in Hz limits the band that is coded (8000 a telephone's, 48000 all of it); input is 48 kHz always.

        `bitrate` is 6000..510000 bits a second, `complexity` 0..10. Raises `AudioError` without libopus and
        `ValueError` for a length or rate that Opus does not have.
        """
        if frame_ms not in FRAME_LENGTHS_MS or rate not in _BANDWIDTHS:
            raise ValueError(f"Opus has no frames of {frame_ms} ms or no band of {rate} Hz")
        self._library = _library()
        self._low_delay = frame_ms < 10
        self._repeating = False
        self.frame_samples = round(frame_ms * SAMPLE_RATE / 1000)
        self._frame = np.zeros(self.frame_samples, np.float32)
        self._frame_at = self._frame.ctypes.data
        self._packet = ctypes.create_string_buffer(PACKET_BYTES_MAX)
        application = _APPLICATION_LOW_DELAY if self._low_delay else _APPLICATION_VOIP
        self._state = _created(self._library.encoder_create, SAMPLE_RATE, 1, application)
        _freed_with(self, self._library.encoder_destroy, self._state)
        self._set(_SET_BITRATE, bitrate)
        self._set(_SET_COMPLEXITY, max(complexity, LOW_DELAY_COMPLEXITY_MIN) if self._low_delay else complexity)
        self._set(_SET_MAX_BANDWIDTH, _BANDWIDTHS[rate])
        self._set(_SET_DTX, int(dtx))
        self.set_expected_loss(0)
        self.look_ahead_samples = self._get(_GET_LOOKAHEAD)

    def encode(self, frame: Samples) -> bytes:
        """One packet for one frame of shape (frame_samples,), or b"" when silence makes sending needless (DTX)."""
        if frame.shape != self._frame.shape:
            raise ValueError(f"a frame of {self.frame_samples} samples was promised, not of shape {frame.shape}")
        self._frame[:] = frame
        size = self._library.encode(self._state, self._frame_at, self.frame_samples, self._packet, PACKET_BYTES_MAX)
        if size < 0:
            raise RuntimeError(f"libopus refused to encode: {self._library.reason(size)}")
        return bytes(memoryview(self._packet)[:size]) if size > DTX_PACKET_BYTES_MAX else b""

    def set_expected_loss(self, percent: float) -> None:
        """Tells the encoder what the worst receiver loses, 0..100: copies (FEC) from 1 % on, none again near 0 %."""
        if percent >= RECOVERY_FROM_LOSS_PERCENT or percent < RECOVERY_FROM_LOSS_PERCENT / 4:
            self._repeating = percent >= RECOVERY_FROM_LOSS_PERCENT
        floor = LOW_DELAY_HINT_PERCENT if self._low_delay else RECOVERY_HINT_PERCENT_MIN * self._repeating
        self._set(_SET_INBAND_FEC, int(self._repeating and not self._low_delay))
        self._set(_SET_PACKET_LOSS_PERCENT, min(100, max(floor, round(percent))))

    def _set(self, request: int, value: int) -> None:
        code = self._library.encoder_ctl(self._state, request, ctypes.c_int32(value))
        if code < 0:
            raise ValueError(f"libopus refused setting {request} = {value}: {self._library.reason(code)}")

    def _get(self, request: int) -> int:
        value = ctypes.c_int32()
        self._library.encoder_ctl(self._state, request, ctypes.byref(value))
        return value.value


class OpusDecoder:
    """Packets of one speaker to 48 kHz sound, one channel; a stereo packet comes out mixed down.

    Every result is a view of one buffer: valid, and free to be written to, until the next call. Not for two threads
    at once.
    """

    def __init__(self) -> None:
        """Raises `AudioError` without libopus."""
        self._library = _library()
        self._sound = np.zeros(PACKET_SAMPLES_MAX, np.float32)
        self._sound_at = self._sound.ctypes.data
        self._state = _created(self._library.decoder_create, SAMPLE_RATE, 1)
        _freed_with(self, self._library.decoder_destroy, self._state)

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

    def has_recovery(self, packet: bytes) -> bool:
        """See `has_recovery`."""
        return has_recovery(packet)

    def _decoded(self, packet: bytes | None, samples: int, recovering: int) -> Samples:
        size = len(packet) if packet is not None else 0
        count = self._library.decode(self._state, packet, size, self._sound_at, samples, recovering)
        if count < 0:
            raise WireError(f"libopus refused a packet of {size} bytes: {self._library.reason(count)}")
        return self._sound[:count]


def packet_samples(packet: bytes) -> int:
    """How long a packet lasts, in samples at 48 kHz: 120..5760; `WireError` if it breaks RFC 6716 section 3.4."""
    layout = _layout(packet)
    return layout.frame_samples * layout.frames


def has_recovery(packet: bytes) -> bool:
    """Whether a packet holds a copy of the frame before it (low bit-rate redundancy, RFC 6716 section 4.2.4).

    Only SILK and hybrid frames can. Their range-coded data opens with flags of even odds, which therefore lie there
    as plain bits: one voice-activity flag for each 20 ms, then the one asked for; a stereo frame follows with the
    same for its side channel. `WireError` if it is no packet.
    """
    layout = _layout(packet)
    if packet[0] & 0x80 or layout.first_bytes == 0:
        return False
    flags = packet[layout.first_offset]
    spans = max(1, layout.frame_samples // 960)
    middle = flags >> (7 - spans) & 1
    side = flags >> (6 - 2 * spans) & 1 if packet[0] & 4 and spans < 3 else 0
    return bool(middle or side)


def _layout(packet: bytes) -> _Layout:
    """Reads the table-of-contents byte and the frame lengths (RFC 6716 sections 3.1 and 3.2), checking R1 to R7."""
    if not 0 < len(packet) <= PACKET_BYTES_MAX:
        raise WireError(f"an Opus packet of {len(packet)} bytes")
    frame_samples = _frame_samples(packet[0])
    body = len(packet) - 1
    match packet[0] & 3:
        case 0:
            frames, offset, first, last = 1, 1, body, body
        case 1:
            if body % 2:
                raise WireError("two Opus frames of equal length in an odd number of bytes")
            frames, offset, first, last = 2, 1, body // 2, body // 2
        case 2:
            first, used = _length(packet, 1)
            frames, offset, last = 2, 1 + used, body - used - first
        case _:
            frames, offset, first, last = _many(packet)
    if not 0 <= last <= FRAME_BYTES_MAX or first > FRAME_BYTES_MAX:
        raise WireError("an Opus frame longer than the packet or than 1275 bytes")
    if frame_samples * frames > PACKET_SAMPLES_MAX:
        raise WireError("an Opus packet of more than 120 ms")
    return _Layout(frame_samples, frames, offset, first)


def _frame_samples(contents: int) -> int:
    """The length of each frame (RFC 6716 section 3.1, table 2): CELT, hybrid, then SILK configurations."""
    configuration = contents >> 3
    if configuration >= 16:
        return 120 << (configuration & 3)
    if configuration >= 12:
        return 480 << (configuration & 1)
    return (480, 960, 1920, 2880)[configuration & 3]


def _many(packet: bytes) -> tuple[int, int, int, int]:
    """Frames, offset of the first, its length, length of the last, of a code 3 packet (RFC 6716 section 3.2.5)."""
    if len(packet) < 2:
        raise WireError("an Opus packet that ends before its frame count")
    frames, offset, end = packet[1] & 0x3F, 2, len(packet)
    if frames == 0 or frames * _frame_samples(packet[0]) > PACKET_SAMPLES_MAX:
        raise WireError(f"an Opus packet of {frames} frames")
    if packet[1] & 0x40:
        offset, end = _without_padding(packet)
    if not packet[1] & 0x80:
        each, rest = divmod(end - offset, frames)
        if rest or each < 0:
            raise WireError("equal Opus frames that do not fill their packet")
        return frames, offset, each, each
    lengths = []
    for _ in range(frames - 1):
        length, used = _length(packet, offset)
        lengths.append(length)
        offset += used
    last = end - offset - sum(lengths)
    return frames, offset, lengths[0] if lengths else last, last


def _without_padding(packet: bytes) -> tuple[int, int]:
    """Where the frame lengths start and where the padding does (each 255 stands for 254 bytes and goes on)."""
    offset, padding = 2, 0
    while True:
        if offset >= len(packet):
            raise WireError("an Opus packet that ends inside its padding length")
        size = packet[offset]
        offset += 1
        padding += min(size, 254)
        if size < 255:
            break
    if offset + padding > len(packet):
        raise WireError("an Opus packet with more padding than bytes")
    return offset, len(packet) - padding


def _length(packet: bytes, offset: int) -> tuple[int, int]:
    """A frame's length in one or two bytes (RFC 6716 section 3.2.1), and how many it took."""
    if offset < len(packet) and packet[offset] < 252:
        return packet[offset], 1
    if offset + 1 < len(packet):
        return packet[offset] + 4 * packet[offset + 1], 2
    raise WireError("an Opus packet that ends inside a frame length")


def _whole(samples: int) -> int:
    if samples % SHORTEST_FRAME_SAMPLES or not 0 < samples <= PACKET_SAMPLES_MAX:
        raise ValueError(f"Opus conceals multiples of 120 samples up to 5760, not {samples}")
    return samples


class _Library:
    """The functions of libopus that are used, with their fixed arguments declared.

    Declaring them is what makes the variadic `opus_encoder_ctl` right on every platform: ctypes then knows which
    arguments are the variable ones.
    """

    def __init__(self, handle: ctypes.CDLL) -> None:
        address, number = ctypes.c_void_p, ctypes.c_int32
        self.encoder_create = _function(handle, "opus_encoder_create", address, number, number, number, address)
        self.encoder_destroy = _function(handle, "opus_encoder_destroy", None, address)
        self.encoder_ctl = _function(handle, "opus_encoder_ctl", number, address, number)
        self.encode = _function(handle, "opus_encode_float", number, address, address, number, address, number)
        self.decoder_create = _function(handle, "opus_decoder_create", address, number, number, address)
        self.decoder_destroy = _function(handle, "opus_decoder_destroy", None, address)
        self.decode = _function(
            handle, "opus_decode_float", number, address, ctypes.c_char_p, number, address, number, number
        )
        self.strerror = _function(handle, "opus_strerror", ctypes.c_char_p, number)

    def reason(self, code: int) -> str:
        """What a negative result means, in libopus's words."""
        return bytes(self.strerror(code)).decode()


def _function(handle: ctypes.CDLL, name: str, result: type | None, *arguments: type) -> ctypes._NamedFuncPointer:
    function = handle[name]
    function.restype = result
    function.argtypes = arguments
    return function


@cache
def _library() -> _Library:
    """The one loaded libopus; `AudioError` says how to get it where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # opuslib compares integers by identity, which Python remarks on
            from opuslib.api import libopus
    except Exception as error:  # opuslib raises a bare Exception where it finds no library
        remedy = _REMEDIES.get(sys.platform, "install the package that brings `libopus`")
        raise AudioError(f"sound needs the Opus library, which cannot be loaded ({error}): {remedy}") from error
    return _Library(libopus)


def _created(create: ctypes._NamedFuncPointer, *arguments: int) -> int:
    code = ctypes.c_int32()
    state = create(*arguments, ctypes.byref(code))
    if not state:
        raise AudioError(f"Opus cannot start (code {code.value}): free some memory and try again")
    return int(state)


def _freed_with(owner: object, destroy: ctypes._NamedFuncPointer, state: int) -> None:
    """Gives the state back when its owner goes, but not at exit, where a sound thread may still be inside it."""
    weakref.finalize(owner, destroy, state).atexit = False
