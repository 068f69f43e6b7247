"""The sharer's end of everybody's chain: what is compressed becomes datagrams once, and goes to those who keep up.

Pictures come compressed, slice by slice; each slice is numbered, cut and sealed once, kept for a while in case a
watcher lost a part, and handed to the backlog of everybody who keeps up. Who does not is noted, and asked for together:
all who lack something at the same moment share one more compression of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from meshchat.media.backlog import Backlog
from meshchat.media.feedback import Feedback
from meshchat.media.parts import PRESENT, SETTLED, Slice, cut
from meshchat.media.rate import Rate
from meshchat.media.tiles import Mask
from meshchat.units import PeerId, Seconds

KEPT_BYTES_MAX = 24 << 20
"""Datagrams kept for who lost them: two seconds of full motion at 80 Mbit/s. Older ones are out of date anyway."""

WATCHERS_MAX = 127
"""Everybody in a full room but us."""

Seal = Callable[[bytes, bool], bytes]
"""A payload, and whether it is the last of a picture, to a datagram."""


@dataclass(frozen=True, slots=True)
class Lack:
    """Cells that watchers lack, to be compressed once more."""

    mask: Mask
    quality: float
    """What share of the wanted quality the slowest of their links takes, 0..1."""


class Chain:
    """One shared screen, seen from its sharer."""

    def __init__(self, seal: Seal, bits_max: float) -> None:
        """`bits_max` bounds the bits a second to each watcher."""
        self.backlogs: dict[PeerId, Backlog] = {}
        self.bytes_made = 0
        self._seal = seal
        self._bits_max = bits_max
        self._everything: Mask = 0
        # The shared chain stands at a slice that nobody was sent, so that a first catching up has something to reach.
        self._number = 1
        self._stands_at = 1
        self._kept: OrderedDict[int, list[bytes]] = OrderedDict()
        self._kept_bytes = 0
        self._takers: list[Backlog] = []
        self._mask: Mask = 0
        self._asking: list[Backlog] = []

    def set_bits_max(self, bits_max: float) -> None:
        """Bounds the bits a second to each watcher from now on."""
        self._bits_max = bits_max
        for each in self.backlogs.values():
            each.rate = Rate(bits_max)

    def screen_is(self, everything: Mask) -> None:
        """The screen has these cells now, and everybody lacks all of them."""
        self._everything = everything
        for each in self.backlogs.values():
            each.everything = everything
            each.begin_anew()
        self._takers, self._asking = [], []

    def add(self, peer: PeerId) -> bool:
        """Somebody watches from now on, or anew; False if there are too many."""
        if peer not in self.backlogs and len(self.backlogs) >= WATCHERS_MAX:
            return False
        self.remove(peer)
        self.backlogs[peer] = Backlog(self._everything, Rate(self._bits_max))
        return True

    def remove(self, peer: PeerId) -> None:
        """Somebody watches no more."""
        gone = self.backlogs.pop(peer, None)
        self._takers = [each for each in self._takers if each is not gone]
        self._asking = [each for each in self._asking if each is not gone]

    @property
    def is_followed(self) -> bool:
        """Whether anybody keeps up, or is about to: else nothing need be compressed for all."""
        return any(each.follows for each in self.backlogs.values())

    @property
    def quality(self) -> float:
        """What share of the wanted quality the best link of those who keep up takes, 0..1."""
        return max((each.rate.quality for each in self.backlogs.values() if each.follows), default=1.0)

    def lack(self, now: Seconds) -> Lack | None:
        """What is to be compressed for those who fell behind and are free again; one question at a time."""
        if self._asking:
            return None
        mask, share = 0, 1.0
        for each in self.backlogs.values():
            wanted = each.wants(now)
            if wanted is not None:
                mask |= wanted
                share = min(share, each.rate.quality)
                self._asking.append(each)
        return Lack(mask, share) if self._asking else None

    def begin(self, mask: Mask, now: Seconds) -> None:
        """A shared picture begins that changes these cells."""
        self._mask = mask
        self._takers = [each for each in self.backlogs.values() if each.takes(mask, now)]

    def missed(self, mask: Mask) -> None:
        """A picture was not compressed: everybody lacks its cells."""
        for each in self.backlogs.values():
            if not each.behind:
                each.fall_behind()
            each.dirty |= mask

    def shared(self, operations: bytes, *, last: bool, settled: bool) -> None:
        """The next slice of the shared picture."""
        if not self._takers:
            return
        self._number += 1
        whole = Slice(self._number, self._stands_at, self._number, _flags(last, settled), operations)
        self._stands_at = self._number
        self._push(whole, self._takers, last=last)
        if last:
            for each in self._takers:
                each.ended(whole.number, self._mask)

    def caught_up(self, slices: list[bytes], *, settled: bool) -> None:
        """The whole answer to `lack`: those who asked are back in the shared chain after it."""
        asking, self._asking = self._asking, []
        lacked = [(each, each.caught_up(self._number + 1)) for each in asking if each.asked]
        after = 0
        for place, operations in enumerate(slices):
            last = place == len(slices) - 1
            self._number += 1
            becomes = self._stands_at if last else self._number
            whole = Slice(self._number, after, becomes, _flags(last, settled), operations)
            after = self._number
            self._push(whole, [each for each, _ in lacked], last=last)
        for each, mask in lacked:
            each.ended(self._number, mask)

    def heard(self, peer: PeerId, told: Feedback, now: Seconds) -> None:
        """A watcher told how it goes."""
        backlog = self.backlogs.get(peer)
        if backlog is None:
            return
        backlog.heard(told, now)
        for gap in told.gaps:
            kept = self._kept.get(gap.number)
            if kept:
                backlog.again(gap, kept, now)

    def bursts(self, now: Seconds) -> Iterator[tuple[PeerId, list[bytes]]]:
        """What is to be sent to whom now."""
        for peer, each in self.backlogs.items():
            due = each.due(now)
            if due is not None and due <= now:
                yield peer, each.burst(now)

    def due(self, now: Seconds) -> Seconds | None:
        """When the next datagram is to be sent; None while there is none."""
        times = [due for each in self.backlogs.values() if (due := each.due(now)) is not None]
        return min(times, default=None)

    def _push(self, whole: Slice, takers: list[Backlog], *, last: bool) -> None:
        payloads = cut(whole)
        datagrams = [self._seal(payload, last and payload is payloads[-1]) for payload in payloads]
        size = sum(map(len, datagrams))
        self.bytes_made += size
        self._kept[whole.number] = datagrams
        self._kept_bytes += size
        while self._kept_bytes > KEPT_BYTES_MAX:
            _, old = self._kept.popitem(last=False)
            self._kept_bytes -= sum(map(len, old))
        for each in takers:
            each.push(whole.number, datagrams)


def _flags(last: bool, settled: bool) -> int:
    return (PRESENT if last else 0) | (SETTLED if last and settled else 0)
