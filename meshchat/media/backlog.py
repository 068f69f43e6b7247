"""What one watcher of our screen has, what is on its way to it, and what it still lacks: always the newest state.

Intuition: a queue of pictures grows without end for a watcher with a slow link, and shows it the past. So there is no
queue of pictures. A watcher that keeps up is sent every slice of the shared chain. One that does not keep up is sent
nothing for a moment; what it misses is only remembered as a set of cells. When its link is free again, those cells are
compressed once more as they look then, and it is back in the shared chain. Somebody who comes late lacks all cells and
is served by the same few lines.

The alternative not taken, one stream for each watcher, would compress everything once for each of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from meshchat.media.assembly import Gap
from meshchat.media.feedback import Feedback
from meshchat.media.rate import Rate
from meshchat.media.tiles import Mask
from meshchat.units import Seconds
from meshchat.wire import DATAGRAM_BYTES_MAX

BURST = 16
"""Datagrams sent at once at most: at 1 Gbit/s sound waits 0.2 ms behind them. A slow link is sent fewer, see below."""

BURST_SAVED_S: Seconds = 0.001
"""What was not sent in a pause may be made up for, but only that much of it: so long sound may wait behind it."""

QUEUED_S_MAX: Seconds = 0.08
"""A watcher for whom more than this waits to be sent does not keep up."""

UNHEARD_S_MAX: Seconds = 0.25
"""Nor does one that told nothing of what it was sent so long ago."""

PROBE_S: Seconds = 0.02
"""A watcher that tells nothing is sent the last datagram once more after this, and again after twice as long."""

PROBE_S_MAX: Seconds = 1.0

NO_CHAIN = 1 << 32
"""Beyond every slice."""

RESENT_MAX = 2048
"""Datagrams waiting to be sent again: more were asked for than the link can carry in time."""


@dataclass(slots=True)
class _Sent:
    at: Seconds
    size: int


@dataclass(slots=True)
class Backlog:
    """The way to one watcher."""

    everything: Mask
    """All cells of the screen."""
    rate: Rate
    dirty: Mask = 0
    """Cells that differ there, or may: what it lacks while it is behind."""
    behind: bool = True
    asked: bool = False
    """Whether what it lacks is being compressed."""
    resent: int = 0
    """Datagrams that were sent again."""
    merged: int = 0
    """How often it fell behind."""
    delay: Seconds | None = None
    """From sending a slice to hearing that it came, smoothed."""
    _queue: deque[tuple[int, Sequence[bytes]]] = field(default_factory=deque)
    _at: int = 0
    _queued: int = 0
    _again: dict[tuple[int, int], bytes] = field(default_factory=dict)
    _sent: dict[int, _Sent] = field(default_factory=dict)
    _frames: deque[tuple[int, Mask]] = field(default_factory=deque)
    _chain: int = NO_CHAIN
    """The slice with which what it is sent began."""
    _last: bytes | None = None
    _sent_at: Seconds = 0.0
    _unheard_since: Seconds | None = None
    _probes: int = 0
    _saved: float = 0.0
    _saved_at: Seconds = 0.0

    def __post_init__(self) -> None:
        self.dirty = self.everything

    @property
    def follows(self) -> bool:
        """Whether it keeps up, or is about to."""
        return not self.behind or self.asked

    @property
    def in_flight(self) -> int:
        """Bytes sent of which nothing was heard yet."""
        return sum(each.size for each in self._sent.values())

    def takes(self, mask: Mask, now: Seconds) -> bool:
        """Whether it is to get the shared picture that begins, in which the cells of `mask` change."""
        if not self.behind and self._keeps_up(now):
            return True
        if not self.behind:
            self.fall_behind()
        self.dirty |= mask
        return False

    def fall_behind(self) -> None:
        """It is sent what waits already, which is little, and nothing further until that is through."""
        if not self.behind:
            self.merged += 1
        self.behind, self.asked = True, False

    def begin_anew(self) -> None:
        """It lacks everything, and what waits for it is out of date."""
        self.fall_behind()
        self._queue.clear()
        self._again.clear()
        self._sent.clear()
        self._frames.clear()
        self._chain = NO_CHAIN
        self._at = self._queued = 0
        self.dirty = self.everything

    def push(self, number: int, datagrams: Sequence[bytes]) -> None:
        """A slice that is to be sent."""
        self._queue.append((number, datagrams))
        self._queued += sum(map(len, datagrams))

    def ended(self, number: int, mask: Mask) -> None:
        """The last slice of a picture was pushed."""
        self._frames.append((number, mask))

    def wants(self, now: Seconds) -> Mask | None:
        """The cells that are to be compressed for it, now that its link is free; None if there is nothing to do."""
        if not self.behind or self.asked or not self.everything or not self._is_free(now):
            return None
        self.asked = True
        self.dirty |= self._unsure()
        self._frames.clear()
        return self.dirty

    def _unsure(self) -> Mask:
        """The cells of pictures of which nobody knows whether they came."""
        unsure = 0
        for _, mask in self._frames:
            unsure |= mask
        return unsure

    def caught_up(self, number: int) -> Mask:
        """What it lacked is about to be pushed, from slice `number` on; the cells of it."""
        self._chain = number
        lacked, self.dirty = self.dirty, 0
        self.behind = self.asked = False
        self._sent.clear()
        return lacked

    def heard(self, told: Feedback, now: Seconds) -> None:
        """The watcher told how it goes."""
        newest = self._sent.get(told.newest)
        came = [number for number in self._sent if number <= told.applied or number == told.newest]
        size = sum(self._sent.pop(number).size for number in came)
        if newest:
            delay = now - newest.at
            self.delay = delay if self.delay is None else self.delay + 0.1 * (delay - self.delay)
            self.rate.arrived(told.newest_at, newest.at, size, now)
        self._unheard_since, self._probes = None, 0
        while self._frames and self._frames[0][0] <= told.applied:
            self._frames.popleft()
        if told.anew >= self._chain and not self.asked:
            self.rate.overrun()
            lacked = self.everything if told.applied == 0 else self.dirty | self._unsure()
            self.begin_anew()
            self.dirty = lacked
        elif self._sent:
            self._unheard_since = now

    def again(self, gap: Gap, datagrams: Sequence[bytes], now: Seconds) -> None:
        """Parts of a slice are missing there."""
        if gap.number not in self._sent:
            return
        for index in range(gap.first, min(gap.first + gap.count, len(datagrams))):
            if (gap.number, index) not in self._again and len(self._again) < RESENT_MAX:
                self._again[gap.number, index] = datagrams[index]
                self.resent += 1
                self.rate.lost(now)

    def burst(self, now: Seconds) -> list[bytes]:
        """Datagrams that are to be sent now."""
        saved_max = max(self.rate.bits * BURST_SAVED_S / 8, DATAGRAM_BYTES_MAX)
        self._saved = min(self._saved + (now - self._saved_at) * self.rate.bits / 8, saved_max)
        self._saved_at = now
        found: list[bytes] = []
        while len(found) < BURST and self._saved > 0 and (datagram := self._next(now)) is not None:
            found.append(datagram)
            self._saved -= len(datagram)
            self._sent_at = now  # at once, for a probe is due by it
        if found:
            self._unheard_since = self._unheard_since or now
        return found

    def due(self, now: Seconds) -> Seconds | None:
        """When `burst` has something to send; None while there is nothing."""
        if self._queue or self._again:
            return now if self._saved > 0 else self._saved_at - self._saved * 8 / self.rate.bits
        if self._sent and self._last is not None:
            return self._sent_at + self._probe_after
        return None

    def _next(self, now: Seconds) -> bytes | None:
        if self._again:
            return self._again.pop(next(iter(self._again)))
        if self._queue:
            number, datagrams = self._queue[0]
            datagram = datagrams[self._at]
            self._queued -= len(datagram)
            self._at += 1
            if self._at == len(datagrams):
                self._queue.popleft()
                self._at = 0
                self._last = datagram
                self._sent[number] = _Sent(now, sum(map(len, datagrams)))
            return datagram
        if self._sent and self._last is not None and now - self._sent_at >= self._probe_after:
            self._probes += 1
            return self._last
        return None

    @property
    def _probe_after(self) -> Seconds:
        base = max(PROBE_S, 2 * self.delay if self.delay else PROBE_S)
        return min(base * 2.0 ** min(self._probes, 10), PROBE_S_MAX)

    def _keeps_up(self, now: Seconds) -> bool:
        if self._queued * 8 > self.rate.bits * QUEUED_S_MAX:
            return False
        if self._unheard_since is not None and now - self._unheard_since > UNHEARD_S_MAX:
            return False
        return self.in_flight <= self.rate.window

    def _is_free(self, now: Seconds) -> bool:
        if self._queue or self._again:
            return False
        if self.in_flight <= self.rate.window / 2:
            return True
        # What is still missing by now is lost; it would be out of date as well.
        return now - self._sent_at > self.in_flight * 8 / self.rate.bits + 2 * (self.delay or PROBE_S)
