"""Who coordinates the room: a stable leader, followed for as long as it lives.

Intuition: in a conversation somebody keeps the list of guests. If she leaves, she hands it to somebody; if she drops
dead, the one next in rank takes it; if two lists turn up, because two rooms became one, the one with the later epoch
wins. Nobody takes the list from a host who is well, and while there is no host people just go on talking.

The rule: a claim names an epoch and a leader. A member follows the best claim it has heard of (`Claim.outranks`).
When the leader is gone, members wait in the order of their rank, each a little longer than the one before, and the
first whose wait ends claims the next epoch. One that is alone claims epoch 0, which yields to every other claim: who
was merely cut off cannot unseat anybody when it comes back. This is an eventual leader election (Omega), not a quorum:
both sides of a split keep a coordinator, because availability matters more than agreement when people talk. Raft was
not taken for that reason: its minority side stops.

Everything that moves the machine stands in `TABLE`; the drawing in ARCHITECTURE.md is made from it.
"""

from __future__ import annotations

from enum import Enum

from meshchat.peers.messages import Claim, epoch_after, is_later
from meshchat.units import PeerId, Seconds

SEEK_ALONE_S: Seconds = 0.5
"""How long a newcomer that knows of nobody in the room listens before it takes the room to be empty."""

SEEK_KNOWN_S: Seconds = 2.5
"""The same where peers announce the room: long enough for a slow handshake with one of them."""

TURN_S: Seconds = 0.3
"""Wait per rank before claiming: more than a claim needs to cross a bad Wi-Fi link once."""


CLAIM_PAUSE_S: Seconds = 1.0
"""Before a coordinator claims anew because of what somebody says of it: a liar says that in every message."""

COME_TO_S: Seconds = 1.0
"""How long a coordinator that was away (asleep, suspended) listens before it claims again."""


class State(Enum):
    """Where a member stands towards coordination."""

    OUTSIDE = "outside"
    SEEKING = "seeking"
    FOLLOWING = "following"
    VACANT = "vacant"
    LEADING = "leading"


class Input(Enum):
    """What can happen to it."""

    ENTERED = "entered a room"
    HEARD_BETTER = "heard a better claim"
    LEADER_LOST = "leader lost"
    LEADER_BACK = "leader back"
    DESERTED = "leader follows another"
    WAIT_ENDED = "own wait ended"
    HANDED = "was handed the list"
    COMPANY = "no longer alone"
    WAS_AWAY = "was away"
    LEFT = "left the room"


class Action(Enum):
    """What it does then."""

    NOTHING = "-"
    WAIT = "wait for its turn"
    RELEASE = "forget the claim, wait for its turn"
    ADOPT = "follow the claim"
    CLAIM = "claim the next epoch"
    LEAD = "claim what it was handed"
    FORGET = "forget the claim"


TABLE: dict[tuple[State, Input], tuple[Action, State]] = {
    (State.OUTSIDE, Input.ENTERED): (Action.WAIT, State.SEEKING),
    (State.SEEKING, Input.HEARD_BETTER): (Action.ADOPT, State.FOLLOWING),
    (State.SEEKING, Input.WAIT_ENDED): (Action.CLAIM, State.LEADING),
    (State.SEEKING, Input.LEFT): (Action.FORGET, State.OUTSIDE),
    (State.FOLLOWING, Input.HEARD_BETTER): (Action.ADOPT, State.FOLLOWING),
    (State.FOLLOWING, Input.HANDED): (Action.LEAD, State.LEADING),
    (State.FOLLOWING, Input.LEADER_LOST): (Action.WAIT, State.VACANT),
    (State.FOLLOWING, Input.DESERTED): (Action.RELEASE, State.VACANT),
    (State.FOLLOWING, Input.LEFT): (Action.FORGET, State.OUTSIDE),
    (State.VACANT, Input.HEARD_BETTER): (Action.ADOPT, State.FOLLOWING),
    (State.VACANT, Input.LEADER_BACK): (Action.NOTHING, State.FOLLOWING),
    (State.VACANT, Input.WAIT_ENDED): (Action.CLAIM, State.LEADING),
    (State.VACANT, Input.LEFT): (Action.FORGET, State.OUTSIDE),
    (State.LEADING, Input.HEARD_BETTER): (Action.ADOPT, State.FOLLOWING),
    (State.LEADING, Input.COMPANY): (Action.CLAIM, State.LEADING),
    (State.LEADING, Input.WAS_AWAY): (Action.WAIT, State.VACANT),
    (State.LEADING, Input.LEFT): (Action.FORGET, State.OUTSIDE),
}
"""(state, input) -> (action, next state). A pair that is not here changes nothing."""


class Election:
    """One member's view of who coordinates its room."""

    def __init__(self, me: PeerId) -> None:
        self.me = me
        self.state = State.OUTSIDE
        self.claim: Claim | None = None
        """The claim followed, our own while leading; None while there is none. A lost leader's claim stays, so
        that its epoch is not used again and its own late messages do not win."""
        self._wait_until: Seconds | None = None
        self._epoch_seen = 0
        self._epoch_used = 0
        """What somebody follows in our name: the claim of a former life of ours, if it is not our present one."""
        self._claimed_at: Seconds = 0.0

    @property
    def leading(self) -> bool:
        """Whether we coordinate."""
        return self.state is State.LEADING

    @property
    def followed(self) -> Claim | None:
        """The claim in force: None while seeking or vacant."""
        return self.claim if self.state in (State.FOLLOWING, State.LEADING) else None

    @property
    def leader(self) -> PeerId | None:
        """Whose claim is in force."""
        return PeerId(self.followed.leader) if self.followed else None

    @property
    def timer(self) -> Seconds | None:
        """When `tick` wants to be called."""
        return self._wait_until

    def is_fresh(self, now: Seconds) -> bool:
        """Whether the claim in force is so new that its leader may not know of it: it was handed over just now."""
        return now - self._claimed_at < CLAIM_PAUSE_S

    def enter(self, now: Seconds, known: int) -> None:
        """We entered a room that `known` other peers are said to be in."""
        self._feed(Input.ENTERED, now, wait=SEEK_KNOWN_S if known else SEEK_ALONE_S)

    def leave(self, now: Seconds) -> None:
        """We left the room."""
        self._feed(Input.LEFT, now)

    def hear(self, claim: Claim, sender: PeerId, now: Seconds) -> bool:
        """`sender`, a member, proved `claim`; returns whether we follow it now and did not before.

        A claim in our own name that we do not hold is from before a restart: its epoch is used up, no more.
        """
        self._use_up(claim.epoch)
        if claim.leader == self.me:
            self._epoch_used = claim.epoch
            return False
        if claim.outranks(self.claim):
            return self._feed(Input.HEARD_BETTER, now, claim=claim)
        if claim == self.claim and sender == claim.leader:
            return self._feed(Input.LEADER_BACK, now)
        return False

    def lose_leader(self, rank: int, now: Seconds, *, deserted: bool = False) -> None:
        """The leader is gone, or (`deserted`) is here and says that it leads no more; `rank` living members stand
        before us."""
        self._feed(Input.DESERTED if deserted else Input.LEADER_LOST, now, wait=rank * TURN_S)

    def give_way(self, now: Seconds) -> None:
        """Somebody before us has not noticed yet that the leader is gone: it gets another turn."""
        if self._wait_until is not None:
            self._wait_until = now + TURN_S

    def take_over(self, claim: Claim, now: Seconds) -> bool:
        """The leader names `claim`, of the next epoch, as it goes; returns whether we follow it, or are it."""
        self._use_up(claim.epoch)
        return self._feed(Input.HANDED if claim.leader == self.me else Input.HEARD_BETTER, now, claim=claim)

    def wake(self, now: Seconds) -> bool:
        """We were away for so long that others may have given us up; returns whether we coordinated."""
        return self._feed(Input.WAS_AWAY, now, wait=COME_TO_S)

    def meet(self, order: int, standing: int, now: Seconds, *, twice: bool = False) -> bool:
        """We coordinate alone and somebody came: from now on our claim counts.

        The same if somebody still follows an older self of ours, whose epoch is beyond the one that we claimed, or
        (`twice`) the same.
        """
        if self.claim is None or not self.leading:
            return False
        outdated = (twice or is_later(self._epoch_used, self.claim.epoch)) and not self.is_fresh(now)
        return (outdated or self.claim.epoch == 0) and self._feed(Input.COMPANY, now, claim=self._next(order, standing))

    def tick(self, order: int, now: Seconds, *, standing: int = 0, alone: bool = False) -> bool:
        """Claims if our wait has ended, as member number `order`; returns whether it did."""
        if self._wait_until is None or now < self._wait_until:
            return False
        claim = Claim(0, order, self.me, standing) if alone else self._next(order, standing)
        return self._feed(Input.WAIT_ENDED, now, claim=claim)

    def _use_up(self, epoch: int) -> None:
        if is_later(epoch, self._epoch_seen):
            self._epoch_seen = epoch

    def _next(self, order: int, standing: int) -> Claim:
        self._epoch_seen = epoch_after(self._epoch_seen)
        return Claim(self._epoch_seen, order, self.me, standing)

    def _feed(self, what: Input, now: Seconds, *, claim: Claim | None = None, wait: Seconds = 0.0) -> bool:
        row = TABLE.get((self.state, what))
        if row is None:
            return False
        if what is Input.ENTERED:
            self._epoch_seen = self._epoch_used = 0
        action, self.state = row
        self._wait_until = now + wait if action in (Action.WAIT, Action.RELEASE) else None
        if action not in (Action.WAIT, Action.NOTHING):
            self.claim, self._claimed_at = claim, now
        return True


def diagram() -> str:
    """The table as a Mermaid state diagram, for ARCHITECTURE.md."""
    rows = [
        f"    {state.value} --> {after.value}: {what.value} / {action.value}"
        for (state, what), (action, after) in TABLE.items()
    ]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {State.OUTSIDE.value}", *rows])
