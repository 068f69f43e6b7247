"""A piece of memory that this process and an X11 display share, so that pictures are written where they are read.

System V's kind (shmget(2)), because MIT-SHM names its memory by that number; Python's own `SharedMemory` is POSIX's.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

PRIVATE, CREATE, REMOVE = 0, 0o1000, 0
"""Of shmget(2) and shmctl(2), on Linux."""

OURS_ALONE = 0o600
FAILED = ctypes.c_void_p(-1).value


class SharedMemory:
    """So many bytes; given back when the last one who is attached is gone."""

    def __init__(self, size: int) -> None:
        """Raises `OSError` where there is no such memory."""
        libc: Any = ctypes.CDLL(None, use_errno=True)
        try:
            libc.shmat.restype = ctypes.c_void_p
            libc.shmdt.argtypes = [ctypes.c_void_p]
            self.number: int = libc.shmget(PRIVATE, ctypes.c_size_t(size), CREATE | OURS_ALONE)
        except AttributeError as error:
            raise OSError(f"this system shares no memory that way: {error}") from None
        at: Any = libc.shmat(self.number, None, 0) if self.number >= 0 else FAILED
        if at == FAILED:
            raise OSError(ctypes.get_errno(), "no memory to share")
        self._libc, self._at = libc, at
        block: Any = (ctypes.c_uint8 * size).from_address(at)
        self.bytes: npt.NDArray[np.uint8] = np.frombuffer(block, np.uint8)

    def leave_to_those_attached(self) -> None:
        """Nobody can attach from now on, and nothing is left when all have gone, however they end."""
        self._libc.shmctl(self.number, REMOVE, None)

    def detach(self) -> None:
        """`bytes` must not be touched any more."""
        self.bytes = np.zeros(0, np.uint8)
        self._libc.shmdt(self._at)
