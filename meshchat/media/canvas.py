"""A watcher's picture: the operations carried out, whoever decodes the parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from meshchat.media.operations import Copy, Operation, Put, Size
from meshchat.units import Pixels

Decode = Callable[[bytes, int, int], Pixels]
"""Bytes, width and height to a part of a picture; raises `WireError` for what does not decode."""


class Canvas:
    """The picture of one shared screen."""

    def __init__(self, lossy: Decode, exact: Decode) -> None:
        self.picture: Pixels = np.zeros((0, 0), np.uint32)
        self._lossy = lossy
        self._exact = exact

    def carry_out(self, operations: Iterable[Operation]) -> None:
        """Changes the picture; the operations fit it, since `parse_operations` let them pass. May raise `WireError`."""
        for operation in operations:
            match operation:
                case Size(width, height):
                    if self.picture.shape != (height, width):
                        self.picture = np.zeros((height, width), np.uint32)
                case Copy(to, _, _):
                    to.of(self.picture)[:] = operation.source.of(self.picture).copy()
                case Put(where, data, exact):
                    decode = self._exact if exact else self._lossy
                    where.of(self.picture)[:] = decode(data, where.width, where.height)
