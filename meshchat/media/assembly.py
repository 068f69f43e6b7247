"""Parts of a screen put together again: slices in the order of their chain, and a list of what has to be sent again.

Slices are applied in order, since a copy needs the picture as it was. What is late holds up what comes after it, so a
missing part is asked for as soon as a later one shows that it is missing, and again until it comes. A chain that begins
anew makes everything before it pointless. When even asking does not help for a while, the whole is given up and the
sender is asked to begin anew: it then sends the newest state, once, and not what was missed on the way to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from meshchat.media.parts import Part, Slice
from meshchat.units import Seconds

PENDING_MAX = 1024
"""Slices in the making: three seconds of a full screen in motion. Beyond that everything is given up and asked anew."""

PENDING_BYTES_MAX = 32 << 20
"""Bytes in the making, likewise."""

AHEAD_MAX = 1 << 16
"""How far ahead of what is known a slice may be numbered: more is a sender that makes things up."""

TAIL_S: Seconds = 0.012
"""A slice that began and does not go on for so long has lost its end: pacing never pauses for that long."""

ASK_AGAIN_S: Seconds = 0.015
"""Between two requests for the same part, if the round trip is shorter."""

STUCK_S: Seconds = 0.4
"""Whoever waited so long for one part is better off with the newest state."""

ASKED_MAX = 64
"""Gaps named in one request; the others are named in the next."""

ALL_PARTS = 0xFFFF
"""As a count: every part from the first on."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Parts that are missing of one slice."""

    number: int
    first: int
    count: int


@dataclass(slots=True)
class _Pending:
    after: int
    becomes: int
    flags: int
    parts: list[bytes | None]
    touched_at: Seconds
    left: int
    highest: int = -1


@dataclass(slots=True)
class Assembly:
    """What arrives of one member's screen."""

    position: int = 0
    """What our picture stands at: a slice of the shared chain, or 0 for nothing yet."""
    applied: int = 0
    """The slice that was applied last, of whatever chain; they only grow."""
    newest: int = 0
    """The highest slice that became whole; all it needed may not have."""
    newest_at: Seconds = 0.0
    given_up: int = 0
    """How often the sender had to begin anew."""
    anew: int = 0
    """Every slice up to this one is given up, and the sender is to begin a chain anew; 0: all goes well."""
    is_empty: bool = True
    """Whether our picture is not to be relied on: the whole of it is wanted."""
    _bytes: int = 0
    _pending: dict[int, _Pending] = field(default_factory=dict)
    _asked: dict[tuple[int, int], Seconds] = field(default_factory=dict)
    _progress_at: Seconds = 0.0

    def put(self, part: Part, now: Seconds) -> list[Slice]:
        """Takes in a part; the slices that can be applied now, in order."""
        if (
            part.number <= max(self.applied, self.anew)
            or part.number > max(self.applied, self.newest) + AHEAD_MAX > AHEAD_MAX
        ):
            return []
        pending = self._pending.get(part.number)
        if pending is None:
            if len(self._pending) >= PENDING_MAX or self._bytes >= PENDING_BYTES_MAX:
                self.give_up()
                return []
            pending = _Pending(part.after, part.becomes, part.flags, [None] * part.count, now, part.count)
            self._pending[part.number] = pending
        if part.count != len(pending.parts) or pending.parts[part.index] is not None:
            return []
        pending.parts[part.index] = part.data
        pending.left -= 1
        pending.touched_at = now
        pending.highest = max(pending.highest, part.index)
        self._bytes += len(part.data)
        if pending.left:
            return []
        if part.number > self.newest:
            self.newest, self.newest_at = part.number, now
        return self._ready(now)

    def gaps(self, rtt: Seconds, now: Seconds) -> list[Gap]:
        """What is to be asked for now."""
        wanted = self._missing(now)
        if not wanted:
            self._asked.clear()
            return []
        again = max(ASK_AGAIN_S, 1.5 * rtt)
        due = [gap for gap in wanted if now - self._asked.get((gap.number, gap.first), -again) >= again][:ASKED_MAX]
        for gap in due:
            self._asked[gap.number, gap.first] = now
        return due

    def check(self, now: Seconds) -> None:
        """Gives up what has been missing for too long."""
        if self._pending:
            first = self._pending[self._newest_beginning() or min(self._pending)]
            if now - max(first.touched_at, self._progress_at) > STUCK_S:
                self.give_up()

    def give_up(self) -> None:
        """Forgets all that is in the making; the sender is to begin anew."""
        self.anew = max([self.anew, self.applied, self.newest, *self._pending])
        self._pending.clear()
        self._asked.clear()
        self._bytes = 0
        self.given_up += 1

    def start_over(self) -> None:
        """Wants the whole picture, whatever is here already."""
        self.give_up()
        self.given_up -= 1
        self.is_empty = True

    @property
    def waits(self) -> bool:
        """Whether something is in the making."""
        return bool(self._pending)

    def _ready(self, now: Seconds) -> list[Slice]:
        found = []
        while (number := self._next()) is not None:
            found.append(self._take(number))
        if found:
            self._progress_at = now
        return found

    def _next(self) -> int | None:
        """The slice that comes next and is whole: the latest beginning of a chain, or what follows our position."""
        begins = [number for number, each in self._pending.items() if each.after == 0 and not each.left]
        if begins:
            return max(begins)
        for number, each in self._pending.items():
            if each.after == self.position and each.after and not each.left:
                return number
        return None

    def _take(self, number: int) -> Slice:
        pending = self._pending.pop(number)
        self._bytes -= sum(len(each) for each in pending.parts if each is not None)
        if pending.after == 0:
            self._drop_below(number)
            self.anew = 0
            self.is_empty = False
        self.applied, self.position = number, pending.becomes
        data = b"".join(each for each in pending.parts if each is not None)
        return Slice(number, pending.after, pending.becomes, pending.flags, data)

    def _drop_below(self, number: int) -> None:
        for old in [each for each in self._pending if each < number]:
            self._bytes -= sum(len(part) for part in self._pending.pop(old).parts if part is not None)

    def _needed(self) -> list[int]:
        """The slices in the making in order, without those before the beginning of a newer chain."""
        begin = self._newest_beginning()
        return sorted(number for number in self._pending if number >= begin)

    def _newest_beginning(self) -> int:
        """The last slice in the making that begins a chain; 0 for none."""
        return max((number for number, each in self._pending.items() if each.after == 0), default=0)

    def _missing(self, now: Seconds) -> list[Gap]:
        """Parts that should be here: overtaken by later ones, or the end of a slice that does not go on."""
        if not self._pending:
            return []
        numbers = self._needed()
        wanted: list[Gap] = []
        if self._pending[numbers[0]].after not in (0, self.position):
            # Some of these may have been for other watchers; the sender knows.
            wanted += _unseen(self.applied + 1, numbers[0])
        for number, following in zip(numbers, [*numbers[1:], None], strict=True):
            pending = self._pending[number]
            is_over = following is not None or now - pending.touched_at >= TAIL_S
            if pending.left:
                wanted += _holes(number, pending, len(pending.parts) if is_over else pending.highest)
            if following is not None and self._pending[following].after not in (number, pending.becomes):
                wanted += _unseen(number + 1, following)
        return wanted


def _unseen(first: int, end: int) -> list[Gap]:
    return [Gap(number, 0, ALL_PARTS) for number in range(max(first, end - ASKED_MAX), end)]


def _holes(number: int, pending: _Pending, end: int) -> list[Gap]:
    holes: list[Gap] = []
    for index in range(end):
        if pending.parts[index] is not None:
            continue
        if holes and holes[-1].first + holes[-1].count == index:
            last = holes.pop()
            holes.append(Gap(number, last.first, last.count + 1))
        else:
            holes.append(Gap(number, index, 1))
    return holes
