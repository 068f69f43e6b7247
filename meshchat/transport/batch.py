"""Many datagrams handed to the kernel in one call, which cuts them apart as late as it can (Linux, UDP_SEGMENT).

One call takes as long as one datagram did, 6 µs, whatever it holds. Datagrams of a slice have one size but the last; so
each run of equal ones goes out with the shorter one that follows it. A kernel or an interface that knows nothing of it
says so, and is then given one after the other.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any

UDP_SEGMENT = 103
"""Of linux/udp.h; Python has no name for it."""

RUN_MAX = 48
"""Datagrams in one call: the kernel takes 64, and 64 KB with all headers."""

_SIZE = struct.Struct("=H")


def send_batch(sender: socket.socket, datagrams: Sequence[bytes], to: Any) -> None:
    """Sends them all, in order. Raises `OSError` where a datagram cannot be sent; those before it are sent."""
    for run in runs(datagrams):
        if len(run) == 1 or not _send_run(sender, run, to):
            for datagram in run:
                sender.sendto(datagram, to)


def runs(datagrams: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Consecutive datagrams that one call can take: of one size, the last of them perhaps shorter."""
    first = 0
    for place in range(1, len(datagrams) + 1):
        is_over = place == len(datagrams) or place - first == RUN_MAX
        size, before = len(datagrams[first]), len(datagrams[place - 1])
        if is_over or before < size or len(datagrams[place]) > size:
            yield datagrams[first:place]
            first = place


def _send_run(sender: socket.socket, run: Sequence[bytes], to: Any) -> bool:
    """Whether the kernel took them as one."""
    if not hasattr(sender, "sendmsg"):
        return False
    try:
        sender.sendmsg(run, [(socket.IPPROTO_UDP, UDP_SEGMENT, _SIZE.pack(len(run[0])))], 0, to)
    except OSError as error:
        if isinstance(error, BlockingIOError):
            raise
        return False
    return True
