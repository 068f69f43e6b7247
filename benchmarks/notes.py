"""What an observed peer writes down: a line for each event while it runs, and a log of its sound when it ends.

Times are instants of time.monotonic, so those of several peers on one machine can be subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from meshchat.units import Samples, Seconds

Rows = npt.NDArray[np.float64]


class Note(msgspec.Struct, frozen=True):
    """One line on stdout."""

    what: str
    """`ready`, `joined`, `left`, `coordinator`, `sound` (the first that is heard of a member)."""
    at: Seconds
    who: str = ""
    """The id of the peer that it is about; of `coordinator`, empty while there is none."""
    alias: str = ""


PLAYING_COLUMNS = ("at", "playout_delay_ms", "concealed_ms", "waits", "packets_lost")
"""What is noted of a voice after each pull."""


@dataclass(slots=True)
class Playing:
    """What the listener's own jitter buffer gave of one member."""

    peer: str
    sound: list[Samples] = field(default_factory=list)
    rows: list[tuple[float, ...]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Voiced:
    """One member's sound as a log holds it."""

    sound: Samples
    """float32, shape (n,): what went into the mix, zeros where there was nothing."""
    rows: Rows
    """Shape (pulls, len(PLAYING_COLUMNS))."""

    def column(self, name: str) -> Rows:
        """One of `PLAYING_COLUMNS`."""
        column: Rows = self.rows[:, PLAYING_COLUMNS.index(name)]
        return column


@dataclass(frozen=True, slots=True)
class Log:
    """What passed through one peer."""

    captured_at: Rows
    """Of each frame, when its first sample was heard."""
    captured: Samples
    """float32, shape (frames, samples)."""
    played_at: Rows
    """Of each block, when the speaker asked for it."""
    played: Samples
    """float32, shape (blocks, samples)."""
    sent: Rows
    """Shape (packets, 2): RTP timestamp and when the packet was handed to the sockets."""
    arrived: Rows
    """Shape (packets, 2): RTP timestamp and when the datagram was read."""
    voices: dict[str, Voiced]
    """By peer id."""


class Recording:
    """The log in the making, filled from the sound threads by appending alone."""

    def __init__(self) -> None:
        self.captured: list[tuple[Seconds, Samples]] = []
        self.played: list[tuple[Seconds, Samples]] = []
        self.sent: list[tuple[float, Seconds]] = []
        self.arrived: list[tuple[float, Seconds]] = []
        self.voices: list[Playing] = []

    def save(self, path: Path) -> None:
        """Writes it as an npz file."""
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "captured_at": np.array([at for at, _ in self.captured]),
            "captured": _stacked([frame for _, frame in self.captured]),
            "played_at": np.array([at for at, _ in self.played]),
            "played": _stacked([block for _, block in self.played]),
            "sent": np.array(self.sent).reshape(-1, 2),
            "arrived": np.array(self.arrived).reshape(-1, 2),
            "voices": np.array([voice.peer for voice in self.voices]),
        }
        for number, voice in enumerate(self.voices):
            arrays[f"sound{number}"] = _stacked(voice.sound).reshape(-1)
            arrays[f"rows{number}"] = np.array(voice.rows).reshape(-1, len(PLAYING_COLUMNS))
        np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's own parameter allow_pickle stands in the way


def load(path: Path) -> Log:
    """Reads what `Recording.save` wrote. A member that came twice is known by its last stay."""
    with np.load(path) as saved:
        voices = {
            str(peer): Voiced(saved[f"sound{number}"], saved[f"rows{number}"])
            for number, peer in enumerate(saved["voices"])
        }
        names = ("captured_at", "captured", "played_at", "played", "sent", "arrived")
        return Log(**{name: saved[name] for name in names}, voices=voices)


def _stacked(pieces: list[Samples]) -> Samples:
    """All pieces under each other, each as long as the first."""
    size = len(pieces[0]) if pieces else 0
    stacked = np.zeros((len(pieces), size), np.float32)
    for number, piece in enumerate(pieces):
        stacked[number, : len(piece)] = piece[:size]
    return stacked
