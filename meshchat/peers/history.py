"""The lines of the chat that we keep, in the order that is the same everywhere.

It is a set of signed lines with an order of its own: two members who hold the same lines show the same chat, by
whatever way the lines came. So all that a split, a lost link or a dead coordinator can do is to leave somebody without
some lines, and comparing digests of what two hold between two readings of the clock tells who lacks what.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, insort

from meshchat.peers.fields import DIGEST_DIGITS
from meshchat.peers.lines import HELD_MAX, Key, Line, LineId, size_of
from meshchat.units import bound

BYTES_MAX = 1 << 20
"""Most bytes kept: 512 lines of usual length take a tenth of it."""

KEPT_OF_FULL = 0.75
"""How much is left when it was full: the floor rises seldom then, and two members agree on it."""

DIGEST_OF_NOTHING = "0" * DIGEST_DIGITS

DIGESTS_MAX = 256
"""Digests remembered: one for each member, with whom we have different lines in common; beyond, a liar asks."""


class History:
    """Lines by their place."""

    def __init__(self) -> None:
        self.floor = 0
        """Lines up to this reading of the clock were dropped, for it was full."""
        self._keys: list[Key] = []
        self._lines: dict[LineId, Line] = {}
        self._bytes = 0
        self._digests: dict[tuple[int, int], str] = {}
        """Worked out since the last line came: every beat tells one, and hears one."""

    def __contains__(self, line_id: LineId) -> bool:
        return line_id in self._lines

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, line_id: LineId, line: Line) -> None:
        """Keeps a line at its place; drops the oldest ones if there are too many."""
        self._digests.clear()
        insort(self._keys, (line.clock, line.author, line_id))
        self._lines[line_id] = line
        self._bytes += size_of(line)
        if len(self._keys) > HELD_MAX or self._bytes > BYTES_MAX:
            self._prune()

    def held(self, floor: int, upto: int) -> list[LineId]:
        """The ids of all lines after `floor` and not after `upto`, in order."""
        begin, end = self._span(floor, upto)
        return [line_id for _, _, line_id in self._keys[begin:end]]

    def digest(self, floor: int, upto: int) -> str:
        """Tells whether two members hold the same lines there."""
        span = begin, end = self._span(floor, upto)
        if begin >= end:
            return DIGEST_OF_NOTHING
        if span not in self._digests:
            ids = "".join(line_id for _, _, line_id in self._keys[begin:end])
            self._digests[span] = hashlib.sha256(ids.encode()).hexdigest()[:DIGEST_DIGITS]
            bound(self._digests, DIGESTS_MAX)
        return self._digests[span]

    def lines(self, ids: list[LineId]) -> list[Line]:
        """The lines of those ids, all of which are held."""
        return [self._lines[line_id] for line_id in ids]

    def _span(self, floor: int, upto: int) -> tuple[int, int]:
        """Where in the order the lines after `floor` begin, and where those after `upto`."""
        return bisect_left(self._keys, (floor + 1,)), bisect_left(self._keys, (upto + 1,))

    def _prune(self) -> None:
        while len(self._keys) > KEPT_OF_FULL * HELD_MAX or self._bytes > KEPT_OF_FULL * BYTES_MAX:
            self.floor, _, line_id = self._keys.pop(0)
            self._bytes -= size_of(self._lines.pop(line_id))
