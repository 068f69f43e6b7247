"""What one subscriber has yet to be told: changes accumulate here, however slowly it reads.

The intuition: nobody needs yesterday's level meter, but everybody needs to know who left. So what describes a
state is kept once for each thing that has that state, the latest wins; and what happened is kept in order, up to
a limit. MPD does the first with a set of flags for each client, which loses what happened.

The rule when what happened outgrows its limit: the oldest goes, the client is told how many (`Missed`), then what
was kept, then a `Snapshot`, so that its picture is whole again. The alternative, to cut a slow client off, would
punish a terminal that was only suspended. No I/O here, and no clock.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from meshchat.remote.events import (
    Event,
    Levels,
    MemberChanged,
    Missed,
    PlayChanged,
    RoomsChanged,
    SelfChanged,
    Snapshot,
    Speaking,
)

HAPPENED_MAX = 512
"""Events kept in order for one client: minutes of a busy room. The oldest is dropped, counted and told."""

STATES_MAX = 2048
"""Things whose latest state is kept for one client, two for each member of a room of 1000. More: a snapshot."""

_Key = tuple[str | int, ...]
_SNAPSHOT: _Key = ("Snapshot",)


class Backlog:
    """The events that wait for one subscriber; a new one starts with a snapshot."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot
        self._waiting: OrderedDict[_Key, Event] = OrderedDict({_SNAPSHOT: snapshot()})
        self._happened: deque[_Key] = deque()
        self._serial = 0
        self._missed = 0
        self._snapshot_due = False

    def __len__(self) -> int:
        """How many events wait; at most HAPPENED_MAX + STATES_MAX, the snapshot among them."""
        return len(self._waiting)

    def push(self, event: Event) -> None:
        """Keep `event`, in place of an older one about the same state."""
        key = _state_key(event)
        if key is None:
            key = self._next_key()
        elif key not in self._waiting and len(self._waiting) - len(self._happened) >= STATES_MAX:
            self._forget_states()
        self._waiting.pop(key, None)
        self._waiting[key] = event

    def take(self) -> Event | None:
        """The next event to tell, or None when there is nothing new."""
        if self._snapshot_due:
            self._snapshot_due = False
            self._drop_states()
            self._waiting[_SNAPSHOT] = self._snapshot()
            if self._missed:
                missed, self._missed = self._missed, 0
                return Missed(missed)
        if not self._waiting:
            return None
        key, event = self._waiting.popitem(last=False)
        if self._happened and self._happened[0] == key:
            self._happened.popleft()
        return event

    def _next_key(self) -> _Key:
        if len(self._happened) == HAPPENED_MAX:
            del self._waiting[self._happened.popleft()]
            self._missed += 1
            self._snapshot_due = True
        self._serial += 1
        self._happened.append((self._serial,))
        return self._happened[-1]

    def _forget_states(self) -> None:
        self._missed += len(self._waiting) - len(self._happened)
        self._snapshot_due = True
        self._drop_states()

    def _drop_states(self) -> None:
        """A snapshot says it all again, and newer."""
        self._waiting = OrderedDict((key, self._waiting[key]) for key in self._happened)


def _state_key(event: Event) -> _Key | None:
    """What `event` is the latest state of; None for something that happened, which must be told."""
    match event:
        case MemberChanged(member):
            return ("member", member.id)
        case Speaking(member_id):
            return ("speaking", member_id)
        case Levels() | RoomsChanged() | SelfChanged() | PlayChanged() | Snapshot():
            return (type(event).__name__,)
        case _:
            return None
