"""Frames of one length handed to something that takes another, and as many samples back as went in.

Frames that are whole multiples of the piece are cut up and put together at once. Shorter ones are collected, and what
comes back is late by a piece less a frame: by 7.5 ms for frames of 2.5 ms and pieces of 10.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from meshchat.units import Samples


class Regroup:
    """Stands before something that changes pieces of one length in place."""

    def __init__(self, frame_samples: int, piece_samples: int, change: Callable[[Samples], None]) -> None:
        """`change` is handed float32 of shape (piece_samples,). ValueError where neither is a multiple of the other."""
        if frame_samples % piece_samples and piece_samples % frame_samples:
            raise ValueError(f"neither of {frame_samples} and {piece_samples} is a multiple of the other")
        self.late_samples = max(0, piece_samples - frame_samples)
        """By how much what comes back is late."""
        self._change = change
        self._piece = piece_samples
        self._filling = np.zeros(max(frame_samples, piece_samples), np.float32)
        self._changed = np.zeros_like(self._filling)
        self._place = 0

    def through(self, frame: Samples) -> Samples:
        """The same length of changed sound, valid until the next call."""
        begin = self._place
        self._place += len(frame)
        self._filling[begin : self._place] = frame
        if self._place == len(self._filling):
            for piece in self._filling.reshape(-1, self._piece):
                self._change(piece)
            self._filling, self._changed = self._changed, self._filling
            self._place = 0
        return self._changed[self._place : self._place + len(frame)]
