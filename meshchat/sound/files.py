"""A sound file as a source: decoded, mixed to as many channels as are wanted and resampled, one frame at a time.

Frame n is where the file is after n frames of real time. As long as frames are asked for in order the file is read
straight on; after a gap (see `pace`) it is sought, so that a stalled peer goes on where a listener expects it to be.
Only a little is decoded ahead, so that an hour of sound costs no memory.

The package soundfile seeks after every read, which costs nothing but for MP3: there libsndfile (1.2.2, measured) gives
up to 90 ms of garbage after each seek that does not go to the beginning, so a file read in pieces would be garbage
throughout. A file that says it cannot seek is spared; `seek` itself works all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import soxr

from meshchat.channels import silence
from meshchat.errors import AudioError
from meshchat.sound.guard import Notify, guarded_notify
from meshchat.units import SAMPLE_RATE, Samples, Seconds

READ_FRAMES = 2048
"""How much is decoded at a time: about 40 ms of sound, which is well under a millisecond of work."""


class SoundFile(Protocol):
    """What is used of `soundfile.SoundFile`, which comes without types."""

    samplerate: int
    channels: int
    frames: int
    seekable: Callable[[], bool]

    def seek(self, frames: int) -> int:
        """Go to that frame, counted from the beginning."""
        ...

    def read(self, frames: int, dtype: str, always_2d: bool) -> npt.NDArray[np.float32]:
        """The next frames, shape (n, channels), n <= frames; n is 0 at the end."""
        ...

    def close(self) -> None:
        """Let go of the file; harmless the second time."""
        ...


class FileSource:
    """The frames of one file; AudioError from the constructor says why it cannot be one."""

    def __init__(self, path: Path, loop: bool, frame_samples: int, notify: Notify, channels: Literal[1, 2] = 1) -> None:
        """Gives at most so many `channels`: of a file with more the first two, of one with less what it has."""
        self._path = path
        self._loop = loop
        self._samples = frame_samples
        self._notify = notify
        self._file = _open(path)
        self._can_seek = self._file.seekable()
        self._file.seekable = _never
        self._rate = self._file.samplerate
        self.channels: Literal[1, 2] = 2 if channels == 2 and self._file.channels > 1 else 1
        """How many its frames have."""
        resampled = self._rate != SAMPLE_RATE
        self._resampler = soxr.ResampleStream(self._rate, SAMPLE_RATE, self.channels) if resampled else None
        self._ready = silence(0, self.channels)
        self._expected = 0
        self._ended = False
        self.fault = ""
        """Why it ended too soon, if it did."""

    @property
    def length(self) -> Seconds:
        """How long it lasts."""
        return self._file.frames / self._rate

    @property
    def is_over(self) -> bool:
        """Whether every further frame is silence."""
        return self._ended and len(self._ready) == 0

    def frame(self, index: int) -> Samples:
        """Frame `index` (48 kHz, exactly `frame_samples`); silence once the file has ended."""
        if index != self._expected:
            self._seek(index)
        self._expected = index + 1
        while len(self._ready) < self._samples and not self._ended:
            self._read_on()
        frame, self._ready = self._ready[: self._samples], self._ready[self._samples :]
        return np.concatenate([frame, silence(self._samples - len(frame), self.channels)])

    def describe(self) -> str:
        """`file speech.wav (44100 Hz, 2 channels, 12.3 s, in a loop)`"""
        length = f"{self.length:.1f} s"
        channels = f"{self._file.channels} channel{'s' if self._file.channels > 1 else ''}"
        return f"file {self._path} ({self._rate} Hz, {channels}, {length}{', in a loop' if self._loop else ''})"

    def close(self) -> None:
        """Let go of the file; harmless the second time."""
        self._file.close()

    def _read_on(self) -> None:
        try:
            read = self._read_frames()
        except (RuntimeError, OSError) as fault:
            self.fault = f"{self._path} cannot be read any further ({fault})"
            self._end(f"{self.fault}; from here on it is silent")
            return
        if read.size == 0:
            self._end(f"{self._path} has been played to its end; from here on it is silent")
        self._keep(read, last=self._ended)

    def _read_frames(self) -> Samples:
        read = self._file.read(READ_FRAMES, dtype="float32", always_2d=True)
        if read.shape[0] == 0 and self._loop:
            self._file.seek(0)
            read = self._file.read(READ_FRAMES, dtype="float32", always_2d=True)
        mixed = read[:, :2] if self.channels == 2 else read.mean(axis=1, dtype=np.float32)
        sound: Samples = np.nan_to_num(mixed)
        return sound

    def _keep(self, read: Samples, last: bool) -> None:
        made = read if self._resampler is None else self._resampler.resample_chunk(read, last=last)
        self._ready = np.concatenate([self._ready, made])

    def _end(self, text: str) -> None:
        self._ended = True
        guarded_notify(self._notify, text)

    def _seek(self, index: int) -> None:
        if self._ended or not self._can_seek:
            return
        position = index * self._samples * self._rate // SAMPLE_RATE
        self._ready = silence(0, self.channels)
        if self._resampler is not None:
            self._resampler.clear()
        self._file.seek(position % self._file.frames if self._loop else min(position, self._file.frames))


def _never() -> bool:
    return False


def _open(path: Path) -> SoundFile:
    try:
        path.open("rb").close()
    except FileNotFoundError as fault:
        raise AudioError(f"there is no file {path}: check the name and the directory") from fault
    except OSError as fault:
        raise AudioError(f"{path} cannot be read: {fault.strerror}") from fault
    file = _decode(path)
    if file.frames == 0:
        file.close()
        raise AudioError(f"{path} holds no sound: its length is zero")
    return file


def _decode(path: Path) -> SoundFile:
    try:
        import soundfile
    except OSError as fault:
        remedy = "reinstall the Python package soundfile, which brings it along"
        raise AudioError(f"{path} cannot be read: the libsndfile library is missing ({fault}); {remedy}") from fault
    try:
        file: SoundFile = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, TypeError) as fault:
        known = "WAV, FLAC, Ogg, Opus, MP3, AIFF and what else libsndfile knows are read"
        raise AudioError(f"{path} is not a sound file that can be read ({fault}); {known}") from fault
    return file
