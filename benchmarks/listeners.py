"""Other programs' receivers, given the same packets: GStreamer's and aiortc's, in virtual time as well.

GStreamer runs in a process of its own, with the Python that has its bindings (`benchmarks.gstreamer`), under its own
test clock. aiortc's jitter buffer and decoder are called directly, and what they give is played as it comes, by a
loudspeaker that plays silence where there is nothing. Both get packets that `codec.OpusEncoder` made; where in-band
FEC is to be had, at a rate just under the one from which meshchat prefers the mode without it.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.line import Played
from benchmarks.traces import Scenario, Trace
from meshchat.codec import OpusEncoder
from meshchat.units import SAMPLE_RATE, Samples, Seconds

FRAME_MS = 10.0
FRAME = 480
FEC_BITRATE = 62_000

_RECORD = struct.Struct("!dHIH")
_PIECE = struct.Struct("!ddI")
_DONE = struct.Struct("!dd")
_SYSTEM_PYTHON = "/usr/bin/python3"
_LOOKING = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstCheck", "1.0")
from gi.repository import Gst, GstCheck
Gst.init(None)
assert Gst.ElementFactory.find("opusdec") and Gst.ElementFactory.find("rtpjitterbuffer")
"""

Packet = tuple[Seconds, int, int, bytes]
"""When it arrives by the listener's clock, its sequence number, its timestamp, its payload."""


def packets(scenario: Scenario, seed: int, sound: Samples, bitrate: int, fec: bool) -> list[Packet]:
    """What arrives of that sound, in order of arrival."""
    encoder = OpusEncoder(frame_ms=FRAME_MS, bitrate=min(bitrate, FEC_BITRATE) if fec else bitrate, dtx=False)
    encoder.set_expected_loss(100 * scenario.loss if fec else 0)
    trace = Trace(scenario, seed, len(sound) // FRAME, FRAME / SAMPLE_RATE)
    speed = 1 + scenario.drift_ppm / 1e6
    found = []
    for number, arrivals in enumerate(trace.arrivals):
        payload = encoder.encode(sound[number * FRAME :][:FRAME])
        found += [(at * speed, number & 0xFFFF, number * FRAME, payload) for at in arrivals]
    return sorted(found)


def aiortc(came: list[Packet], samples: int) -> Played:
    """aiortc 1.x as its receiver uses its parts."""
    from aiortc.codecs.opus import OpusDecoder
    from aiortc.jitterbuffer import JitterBuffer
    from aiortc.rtp import RtpPacket
    from av import AudioFrame

    buffer, decoder = JitterBuffer(capacity=16, prefetch=4), OpusDecoder()
    sound, free = np.zeros(samples, np.float32), 0
    for at, sequence, timestamp, payload in came:
        packet: Any = RtpPacket(payload_type=96, sequence_number=sequence, timestamp=timestamp)
        packet._data = payload
        _, frame = buffer.add(packet)
        if frame is None:
            continue
        for piece in decoder.decode(frame):
            assert isinstance(piece, AudioFrame)
            mono = piece.to_ndarray().reshape(-1, 2).mean(axis=1) / 32768
            begin = max(free, -(-round(at * SAMPLE_RATE) // FRAME) * FRAME)
            free = min(begin + len(mono), samples)
            sound[begin:free] = mono[: max(0, free - begin)]
    return Played(sound)


def has_aiortc() -> bool:
    """Whether it is installed."""
    try:
        import aiortc  # noqa: F401
    except ImportError:
        return False
    return True


def has_gstreamer() -> bool:
    """Whether the system's Python has GStreamer, its bindings and its test clock."""
    if shutil.which(_SYSTEM_PYTHON) is None:
        return False
    return subprocess.run([_SYSTEM_PYTHON, "-c", _LOOKING], capture_output=True, check=False).returncode == 0


def gstreamer(came: list[Packet], samples: int, latency_ms: int, fec: bool) -> Played:
    """rtpjitterbuffer, rtpopusdepay and opusdec of GStreamer 1.x."""
    script = Path(__file__).with_name("gstreamer.py")
    records = b"".join(_RECORD.pack(at, sequence, stamp, len(data)) + data for at, sequence, stamp, data in came)
    words = [_SYSTEM_PYTHON, str(script), str(latency_ms), str(int(fec))]
    done = subprocess.run(words, input=records, stdout=subprocess.PIPE, check=True, timeout=120)
    latency, busy = _DONE.unpack_from(done.stdout)
    sound = np.zeros(samples, np.float32)
    for stamp, out_at, pcm in _pieces(done.stdout):
        begin = round((stamp + latency) * SAMPLE_RATE)
        late = max(0, round(out_at * SAMPLE_RATE) - begin)  # what a loudspeaker leaves out, since its moment is over
        fits = pcm[late : max(late, samples - begin)]
        sound[begin + late : begin + late + len(fits)] = fits
    return Played(sound, receiving_percent=100 * busy * SAMPLE_RATE / samples)


def _pieces(data: bytes) -> Iterator[tuple[Seconds, Seconds, Samples]]:
    at = _DONE.size
    while at < len(data):
        stamp, out_at, size = _PIECE.unpack_from(data, at)
        at += _PIECE.size
        yield stamp, out_at, _samples(data, at, size)
        at += size


def _samples(data: bytes, at: int, size: int) -> Samples:
    whole = np.frombuffer(data, "<i2", size // 2, at)
    return whole.astype(np.float32) / np.float32(32768)
