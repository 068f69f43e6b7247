"""A bad network in a process: passes datagrams between two peers, losing some and delaying the others.

    python -m benchmarks.relay LISTEN TARGET --loss 5 --jitter 20 [--reorder] [--seed 1]

The peers know only this relay. Whoever sends to LISTEN from elsewhere than TARGET is answered from there, so the peer
at TARGET needs to be told nothing: it sees a caller. Losses and delays are drawn from a seed, one stream of chance
for each direction. The extra delay of a datagram is the size of a normal deviate times `--jitter` (as other network
emulators have it: 20 ms then means 16 ms on average, and one datagram in a hundred over 52 ms). Without `--reorder`
nobody overtakes: a datagram leaves no sooner than the one before it, as on one wire.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import random
import selectors
import socket
import sys
import time

from meshchat.units import Address, Seconds, parse_address
from meshchat.urgency import put_sound_first

DATAGRAM_BYTES_MAX = 65_536
WAITING_MAX = 10_000
"""Datagrams on their way; beyond it, as in a full router, they are dropped."""

BUFFER_BYTES = 1 << 20

SockAddr = tuple[str, int]


class Way:
    """One direction: what happens to a datagram on it."""

    def __init__(self, loss_percent: float, jitter_ms: float, reorder: bool, seed: str) -> None:
        self._loss = loss_percent / 100
        self._jitter: Seconds = jitter_ms / 1000
        self._reorder = reorder
        self._chance = random.Random(seed)
        self._last: Seconds = 0.0

    def due(self, now: Seconds) -> Seconds | None:
        """When a datagram that comes now goes on; None for never."""
        lost = self._chance.random() < self._loss
        at = now + abs(self._chance.gauss(0.0, 1.0)) * self._jitter
        if lost:
            return None
        if not self._reorder:
            at = self._last = max(at, self._last)
        return at


class Relay:
    """Between the peer that calls and the peer that is called."""

    def __init__(self, listen: Address, target: Address, there: Way, back: Way) -> None:
        self._near = _bound(listen)
        self._far = _bound(Address(listen.host, 0))
        self._target: SockAddr = (target.host, target.port)
        self._caller: SockAddr | None = None
        self._there, self._back = there, back
        self._waiting: list[tuple[Seconds, int, bytes, bool]] = []
        self._order = itertools.count()

    def run(self) -> None:
        """Works until the process is ended."""
        selector = selectors.DefaultSelector()
        selector.register(self._near, selectors.EVENT_READ, True)
        selector.register(self._far, selectors.EVENT_READ, False)
        while True:
            pause = self._waiting[0][0] - time.monotonic() if self._waiting else None
            for key, _ in selector.select(pause if pause is None else max(0.0, pause)):
                self._take(bool(key.data))
            self._release(time.monotonic())

    def _take(self, outward: bool) -> None:
        data, sender = (self._near if outward else self._far).recvfrom(DATAGRAM_BYTES_MAX)
        if outward:
            self._caller = sender
        due = (self._there if outward else self._back).due(time.monotonic())
        if due is not None and len(self._waiting) < WAITING_MAX:
            heapq.heappush(self._waiting, (due, next(self._order), data, outward))

    def _release(self, now: Seconds) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            _, _, data, outward = heapq.heappop(self._waiting)
            if outward:
                self._far.sendto(data, self._target)
            elif self._caller:
                self._near.sendto(data, self._caller)


def _bound(address: Address) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    made.bind((address.host, address.port))
    return made


def main() -> int:
    """Relays until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("listen", type=parse_address, help="where to listen, as in 127.0.0.1:47001")
    parser.add_argument("target", type=parse_address, help="the peer that is to be reached through it")
    parser.add_argument("--loss", type=float, default=0.0, help="percent of the datagrams, each way")
    parser.add_argument("--jitter", type=float, default=0.0, help="ms, each way")
    parser.add_argument("--reorder", action="store_true", help="let a datagram overtake another")
    parser.add_argument("--seed", type=int, default=1)
    words = parser.parse_args()
    ways = [Way(words.loss, words.jitter, words.reorder, f"{words.seed} {name}") for name in ("there", "back")]
    relay = Relay(words.listen, words.target, *ways)
    put_sound_first()
    print("ready", flush=True)
    relay.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
