"""GStreamer's receiver of Opus in virtual time, run by the Python that has its bindings, and alone in its process.

    /usr/bin/python3 benchmarks/gstreamer.py LATENCY_MS FEC < PACKETS > SOUND

Packets come as (arrival in seconds, sequence, timestamp, length, bytes), sound goes as (its time stamp, when it came
out, length, 16-bit samples), behind the latency of the pipeline and the seconds of processor that it took. Between
two arrivals the test clock stops at each moment that the jitter buffer waits for.
"""

from __future__ import annotations

import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstCheck", "1.0")
from gi.repository import Gst, GstApp, GstCheck  # noqa: E402, F401

RECORD = struct.Struct("!dHIH")
PIECE = struct.Struct("!ddI")
DONE = struct.Struct("!dd")
LOOK_S = 0.0001
"""Between two looks at whether GStreamer's threads still work."""

PIPELINE = (
    "appsrc name=in is-live=true format=time do-timestamp=false caps=application/x-rtp,media=audio,clock-rate=48000,"
    "encoding-name=OPUS,payload=96 ! rtpjitterbuffer latency={latency} do-lost=true ! rtpopusdepay ! "
    "opusdec plc=true use-inband-fec={fec} ! audio/x-raw,format=S16LE,rate=48000,channels=1 ! "
    "appsink name=out sync=false emit-signals=true max-buffers=0"
)


def main() -> int:
    """Plays what comes in."""
    Gst.init(None)
    clock = GstCheck.TestClock()
    pipeline = Gst.parse_launch(PIPELINE.format(latency=int(sys.argv[1]), fec=bool(int(sys.argv[2]))))
    pipeline.use_clock(clock)
    pipeline.set_base_time(0)
    pipeline.set_start_time(Gst.CLOCK_TIME_NONE)
    pieces: list[bytes] = []
    out = pipeline.get_by_name("out")
    out.connect("new-sample", lambda sink: _came(sink, clock, pieces))
    pipeline.set_state(Gst.State.PLAYING)
    pipeline.get_state(Gst.SECOND)
    source = pipeline.get_by_name("in")
    began = time.process_time()
    packets = sys.stdin.buffer.read()
    at, last = 0, 0
    while at < len(packets):
        arrival, sequence, stamp, size = RECORD.unpack_from(packets, at)
        payload = packets[at + RECORD.size : at + RECORD.size + size]
        at += RECORD.size + size
        last = round(arrival * Gst.SECOND)
        _advance(clock, last)
        source.emit("push-buffer", _buffer(sequence, stamp, payload, last))
        _settle()
    _advance(clock, last + Gst.SECOND // 2)
    query = Gst.Query.new_latency()
    latency = query.parse_latency()[1] if out.get_static_pad("sink").peer_query(query) else 0
    sys.stdout.buffer.write(DONE.pack(latency / Gst.SECOND, time.process_time() - began) + b"".join(pieces))
    pipeline.set_state(Gst.State.NULL)
    return 0


def _buffer(sequence: int, stamp: int, payload: bytes, now: int) -> Any:
    header = struct.pack("!BBHII", 0x80, 96, sequence, stamp, 7)
    buffer = Gst.Buffer.new_wrapped(header + payload)
    buffer.pts = buffer.dts = now
    return buffer


def _advance(clock: Any, until: int) -> None:
    """Lets time pass, and whoever waits for a moment in between have it."""
    while clock.peek_id_count():
        found, pending = clock.peek_next_pending_id()
        if not found or (moment := Gst.Clock.id_get_time(pending)) > until:
            break
        clock.set_time(max(moment, clock.get_time()))
        released = clock.process_next_clock_id()
        if released is None:
            break
        _settle()
    clock.set_time(until)


def _settle() -> None:
    """Waits until every other thread waits: one that only has no processor yet is marked as running, too."""
    mine, quiet = str(threading.get_native_id()), 0
    while quiet < 2:
        time.sleep(LOOK_S)
        states = [_state(each) for each in Path("/proc/self/task").iterdir() if each.name != mine]
        quiet = 0 if "R" in states or "D" in states else quiet + 1


def _state(thread: Path) -> str:
    try:
        return (thread / "stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return "S"


def _came(sink: Any, clock: Any, pieces: list[bytes]) -> Any:
    sample = sink.emit("pull-sample")
    buffer = sample.get_buffer()
    data = bytes(buffer.extract_dup(0, buffer.get_size()))
    pieces.append(PIECE.pack(buffer.pts / Gst.SECOND, clock.get_time() / Gst.SECOND, len(data)) + data)
    return Gst.FlowReturn.OK


if __name__ == "__main__":
    sys.exit(main())
