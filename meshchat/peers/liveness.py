"""Is a member still there? One member's standing in another's eyes, as a table.

Intuition: somebody on the phone falls silent. You do not hang up; you ask the others whether they still hear her. If
they do, the line between you two is bad and she is in the room. Only when nobody hears her is she gone.

The rule: after `MISSES` missed beats a member is suspect and others are asked (`watch.py`). One whom others hear is
unreachable: in the room, but not from here. One whom nobody hears is gone. Alternative not taken: each member judging
by itself, as a ping time-out does; 20 members on poor Wi-Fi then make 153 false reports an hour (SWIM and Lifeguard,
arXiv 1707.00788, ask before they declare for that reason).

Everything that moves the machine stands in `TABLE`; the drawing in docs/election.md is made from it.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """How a member stands, seen from here."""

    GONE = "gone"
    ALIVE = "alive"
    SUSPECT = "suspect"
    UNREACHABLE = "unreachable"


class Input(Enum):
    """What can happen to it."""

    HEARD = "heard it"
    MISSED = "missed its beats"
    CLOSED = "its link closed"
    VOUCHED = "others hear it"
    UNHEARD = "nobody hears it"
    GOODBYE = "it said goodbye"


class Action(Enum):
    """What is done then."""

    NOTHING = "-"
    ADMIT = "count it in"
    ASK = "ask three others"
    SHOW = "show how it is reached"
    LOSE = "count it out"


TABLE: dict[tuple[State, Input], tuple[Action, State]] = {
    (State.GONE, Input.HEARD): (Action.ADMIT, State.ALIVE),
    (State.GONE, Input.VOUCHED): (Action.ADMIT, State.UNREACHABLE),
    (State.ALIVE, Input.MISSED): (Action.ASK, State.SUSPECT),
    (State.ALIVE, Input.CLOSED): (Action.ASK, State.SUSPECT),
    (State.ALIVE, Input.GOODBYE): (Action.LOSE, State.GONE),
    (State.SUSPECT, Input.HEARD): (Action.NOTHING, State.ALIVE),
    (State.SUSPECT, Input.VOUCHED): (Action.SHOW, State.UNREACHABLE),
    (State.SUSPECT, Input.UNHEARD): (Action.LOSE, State.GONE),
    (State.SUSPECT, Input.GOODBYE): (Action.LOSE, State.GONE),
    (State.UNREACHABLE, Input.HEARD): (Action.SHOW, State.ALIVE),
    (State.UNREACHABLE, Input.UNHEARD): (Action.LOSE, State.GONE),
    (State.UNREACHABLE, Input.GOODBYE): (Action.LOSE, State.GONE),
}
"""(state, input) -> (action, next state). A pair that is not here changes nothing."""


def step(state: State, what: Input) -> tuple[Action, State]:
    """What to do, and how the member stands then."""
    return TABLE.get((state, what), (Action.NOTHING, state))


def diagram() -> str:
    """The table as a Mermaid state diagram, for docs/election.md."""
    rows = [
        f"    {state.value} --> {after.value}: {what.value} / {action.value}"
        for (state, what), (action, after) in TABLE.items()
    ]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {State.GONE.value}", *rows])
