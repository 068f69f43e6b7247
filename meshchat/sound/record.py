"""A recording that is a well-formed WAV file at every instant, even when the program is killed in mid-write.

The rule: sound is appended first, then the 44 bytes of the header are written over in one call, naming exactly what
is there. A kill between the two leaves a file that is longer than its header says, which every reader takes; the
header itself lies within one page of the file cache and is never half written, because a kill takes effect between
system calls. (A power cut is another matter; nothing is forced to the disk.) The alternative, stdlib `wave`, seeks to
and patches two fields in two calls, and a kill between those leaves them in disagreement.

Writing happens on a thread of its own: a disk that thinks for a second must not be heard.
"""

from __future__ import annotations

import struct
import threading
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from meshchat.channels import fitted, silence
from meshchat.errors import AudioError
from meshchat.sound.guard import Notify, guarded_notify
from meshchat.units import SAMPLE_RATE, Samples, Seconds
from meshchat.urgency import put_daemon_next

HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
SAMPLE_BYTES = 2

DATA_BYTES_MAX = (0xFFFF_FFFF - HEADER.size) // (2 * SAMPLE_BYTES) * 2 * SAMPLE_BYTES
"""What the 32-bit sizes of a WAV can name: 12.4 hours, 6.2 of two channels. A longer recording ends there, with a
notice."""

FLUSH_EVERY: Seconds = 0.05
"""How long sound waits in memory: what a kill can cost."""

WAITING_SAMPLES_MAX = 10 * SAMPLE_RATE
"""Sound kept for a disk that does not answer, about 2 MB; what comes after it is written as silence of the same
length, so that the recording keeps time."""

CLOSE_MAX: Seconds = 10.0
"""How long the end of a recording waits for its disk; what was written by then is a well-formed file anyway."""

ZEROS = bytes(SAMPLE_RATE * SAMPLE_BYTES)


class WavFile:
    """48 kHz, one channel or two, 16 bits; replaces what was there. AudioError when it cannot be created."""

    def __init__(self, path: Path, channels: int = 1) -> None:
        self._channels = channels
        self._step = SAMPLE_BYTES * channels
        """Bytes of what is heard at one instant."""
        self._data_bytes = 0
        try:
            self._file: BinaryIO = path.open("wb", buffering=0)
            self._write_header()
        except OSError as fault:
            remedy = "name a file in a directory that is there, may be written to and has room"
            raise AudioError(f"{path} cannot be written: {fault.strerror}; {remedy}") from fault

    @property
    def seconds(self) -> Seconds:
        """How much sound the header names."""
        return self._data_bytes / self._step / SAMPLE_RATE

    def append(self, pcm: bytes) -> None:
        """Add whole 16-bit little-endian samples. OSError when the disk takes no more; what it took is kept."""
        room = DATA_BYTES_MAX - self._data_bytes
        try:
            self._write_data(pcm[:room])
        finally:
            self._write_header()
        if len(pcm) > room:
            raise OSError(0, "a WAV file holds no more than 4 GB")

    def close(self) -> None:
        """Finish the file; harmless the second time."""
        self._file.close()

    def _write_data(self, pcm: bytes) -> None:
        self._file.seek(HEADER.size + self._data_bytes)
        left = memoryview(pcm)
        written = 0
        try:
            while written < len(pcm):
                written += self._file.write(left[written:]) or 0
        finally:
            self._data_bytes += written - written % self._step

    def _write_header(self) -> None:
        size = self._data_bytes
        sound = (self._channels, SAMPLE_RATE, SAMPLE_RATE * self._step, self._step, 8 * SAMPLE_BYTES)
        header = HEADER.pack(b"RIFF", size + HEADER.size - 8, b"WAVE", b"fmt ", 16, 1, *sound, b"data", size)
        self._file.seek(0)
        self._file.write(header)


class Recorder:
    """Takes blocks without ever waiting and writes them within `FLUSH_EVERY`; a full disk ends the recording only."""

    def __init__(self, path: Path, block_samples: int, notify: Notify, channels: Literal[1, 2] = 1) -> None:
        self._path = path
        self._channels = channels
        self._block_samples = block_samples
        self._notify = notify
        self._wav = WavFile(path, channels)
        self._lock = threading.Lock()
        self._waiting: list[Samples] = []
        self._waiting_samples = 0
        self._missed_samples = 0
        self._expected = 0
        self._ended = False
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def write(self, index: int, block: Samples) -> None:
        """Block number `index`, range -1..1; numbers left out (see `pace`) become silence, ten seconds at most."""
        gap = min((index - self._expected) * self._block_samples, WAITING_SAMPLES_MAX)
        self._expected = index + 1
        with self._lock:
            if self._ended:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="meshchat-recording", daemon=True)
                self._thread.start()
            if self._missed_samples or self._waiting_samples >= WAITING_SAMPLES_MAX:
                self._missed_samples += gap + len(block)
                return
            if gap > 0:
                self._waiting.append(silence(gap, self._channels))
            self._waiting.append(fitted(block, self._channels).copy())
            self._waiting_samples += gap + len(block)

    def describe(self) -> str:
        """`file call.wav (48000 Hz, 1 channel, 16 bits)`"""
        channels = "1 channel" if self._channels == 1 else "2 channels"
        return f"file {self._path} ({SAMPLE_RATE} Hz, {channels}, 16 bits)"

    def close(self) -> None:
        """Write what waits and finish the file; harmless the second time. Not while `write` runs."""
        self._closing.set()
        if self._thread is None:
            self._wav.close()
        else:
            self._thread.join(CLOSE_MAX)

    def _run(self) -> None:
        put_daemon_next()  # it was started by a sound thread, and must not be as urgent
        try:
            while not self._closing.wait(FLUSH_EVERY):
                self._flush()
            self._flush()
        except OSError as fault:
            self._end(fault)
        finally:
            self._wav.close()

    def _flush(self) -> None:
        with self._lock:
            waiting, self._waiting, self._waiting_samples = self._waiting, [], 0
            missed, self._missed_samples = self._missed_samples, 0
        if waiting:
            self._wav.append(_to_pcm(np.concatenate(waiting)))
        if missed:
            lost = f"{missed / SAMPLE_RATE:.1f} s"
            guarded_notify(self._notify, f"The disk was too slow for {self._path}: {lost} of it are silence.")
        lost_bytes = missed * SAMPLE_BYTES * self._channels
        for start in range(0, lost_bytes, len(ZEROS)):
            self._wav.append(ZEROS[: lost_bytes - start])

    def _end(self, fault: OSError) -> None:
        with self._lock:
            self._ended = True
            self._waiting = []
        kept = f"its first {self._wav.seconds:.1f} s are kept"
        text = f"The recording {self._path} ends here ({fault.strerror or fault}): {kept}, and the call goes on."
        guarded_notify(self._notify, f"{text} To record on, make room and name another file.")


def _to_pcm(sound: Samples) -> bytes:
    """-1..1 to 16-bit little-endian; what is louder is clipped, what is no number is silence."""
    clipped = np.clip(np.nan_to_num(sound), -1.0, 1.0)
    pcm: bytes = np.rint(clipped * 32767.0).astype("<i2").tobytes()
    return pcm
