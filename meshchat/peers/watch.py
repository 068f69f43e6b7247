"""Watches over the members of a room: who was heard when, whom to ask, and when somebody counts as gone.

A member is judged by evidence: its own packets, or what others say about when they last heard it. Three doubts about
ourselves come before any doubt about others. One who hears nobody holds its judgement back, for it is probably the one
that is cut off. One whose own clock was late (it was suspended, or starved of processor time) does not hold that time
against others, and waits longer for a while (the local health of Lifeguard, arXiv 1707.00788 section IV.A). And the
roster of a living coordinator counts: as long as it lists a member, that member is in the room.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from meshchat.peers.circle import Circle
from meshchat.peers.links import MISSES, Link
from meshchat.peers.liveness import Action, Input, State, step
from meshchat.peers.messages import ASKED_MAX, Ask, Heard, Tell
from meshchat.units import PeerId, Seconds

ASKED_MEMBERS = 3
"""How many others are asked: with independent outages on each link, three make false reports vanish."""

ANSWER_S: Seconds = 0.3
"""How long answers are waited for: a packet and its repetition on a bad link."""

ISOLATED_S: Seconds = 3.7
"""How long one that hears nobody waits before it takes the room for empty: an access point's hiccup is over by then,
and a lone survivor still knows within 5 s."""

DISTRUST_S: Seconds = 1.5
"""For this long one whom we found gone is not brought back by a roster alone: the coordinator may not know it yet."""

FRESH_BEATS = 2
"""Somebody whom others heard within so many of its beats is alive for certain."""

STRETCH_MAX = 4.0
"""Most that our time-outs grow by while our own clock is late."""

STRETCH_FADES_PER_S = 0.1

LOOK_S: Seconds = 0.05
"""Shortest pause between two looks at everybody."""


@dataclass(slots=True)
class Record:
    """What is known of one member's life."""

    peer: PeerId
    link: Link | None = None
    state: State = State.GONE
    heard_at: Seconds = -math.inf
    """When we heard it ourselves, on a link that is no more."""
    vouched_at: Seconds = -math.inf
    """When others heard it, by what they say."""
    voucher: PeerId | None = None
    """Who said so: whoever heard it once is the first to ask again."""
    asked_at: Seconds = math.inf
    ask_at: Seconds = -math.inf
    """When to ask next."""
    gone_at: Seconds = -math.inf
    alias: str = ""
    """What it called itself, on a link that is no more."""

    @property
    def own_evidence(self) -> Seconds:
        """When we last heard it ourselves."""
        return max(self.heard_at, self.link.heard_at) if self.link else self.heard_at

    @property
    def evidence(self) -> Seconds:
        """When it was last heard by anybody, as far as we know."""
        return max(self.own_evidence, self.vouched_at)


class Watch:
    """The lives of a room's members."""

    def __init__(self, circle: Circle, listed: Callable[[PeerId], bool], barred: Callable[[PeerId], bool]) -> None:
        """`listed` tells whether a coordinator whom we take for alive has that member in its roster; `barred`, whom
        nobody's word brings back."""
        self.records: dict[PeerId, Record] = {}
        self.due: Seconds = math.inf
        """When `tick` wants to be called."""
        self.stretch = 1.0
        """By how much our time-outs are longer, because our own clock was late."""
        self._stretch_at: Seconds = 0.0
        self._circle = circle
        self._listed = listed
        self._barred = barred

    def state(self, peer: PeerId) -> State:
        """How that peer stands."""
        record = self.records.get(peer)
        return record.state if record else State.GONE

    def present(self) -> list[Record]:
        """Everybody in the room but us."""
        return [record for record in self.records.values() if record.state is not State.GONE]

    def suspect_after(self, record: Record) -> Seconds:
        """How long that member may be silent."""
        every = max(self._circle.every, record.link.every if record.link else 0.0)
        return MISSES * every * self.stretch

    def attach(self, link: Link) -> Action:
        """That member is linked with us and was heard."""
        record = self.records.setdefault(link.peer, Record(link.peer))
        record.link = link
        self.due = min(self.due, self._circle.now + self.suspect_after(record))
        return self._feed(record, Input.HEARD)

    def detach(self, peer: PeerId, *, goodbye: bool) -> Action:
        """Its link is gone; with `goodbye`, so is the member."""
        record = self.records.get(peer)
        if record is None:
            return Action.NOTHING
        record.heard_at, record.link = record.own_evidence, None
        return self._feed(record, Input.GOODBYE if goodbye else Input.CLOSED)

    def vouch(self, peer: PeerId, at: Seconds = -math.inf, voucher: PeerId | None = None) -> Action:
        """The coordinator lists that member, or `voucher`, who is in touch with it, says that it was there then.

        A list is no evidence to be handed on: two who each believe the other would keep a dead one in it for ever.
        """
        if self._barred(peer):
            return Action.NOTHING
        record = self.records.setdefault(peer, Record(peer))
        if record.state is not State.GONE:
            return Action.NOTHING
        if self.distrusts(peer) and not (voucher and at > record.gone_at):
            return Action.NOTHING
        record.vouched_at, record.voucher = max(record.vouched_at, at), voucher
        later = 0.0 if voucher else FRESH_BEATS * self._circle.every  # by then most are linked, and need no question
        record.ask_at, record.asked_at = self._circle.now + later, math.inf
        return self._feed(record, Input.VOUCHED)

    def vouch_for_leader(self, peer: PeerId, voucher: PeerId) -> Action:
        """`voucher` handed on the claim of that member and takes it for alive: others are asked at once.

        Until they answer it counts as heard so long ago that we do not vouch for it ourselves: members that believe one
        another in turn would keep a dead coordinator for as long as there are members.
        """
        record = self.records.setdefault(peer, Record(peer))
        return self.vouch(peer, self._circle.now - self._patience(record), voucher)

    def distrusts(self, peer: PeerId) -> bool:
        """Whether we found that member gone just now, or it was sent away."""
        record = self.records.get(peer)
        if self._barred(peer):
            return True
        return record is not None and record.state is State.GONE and self._circle.now - record.gone_at < DISTRUST_S

    def hears(self, peer: PeerId) -> bool:
        """Whether that member is heard by us, or was lately by others."""
        record = self.records.get(peer)
        if record is None or record.state in (State.GONE, State.SUSPECT):
            return False
        return record.state is State.ALIVE or self._circle.now - record.evidence < self._patience(record)

    def unlist(self, peer: PeerId) -> Action:
        """The coordinator does not list that member (any more): it is gone, unless we hear it, or did just now."""
        record = self.records.get(peer)
        if record is None or record.state is not State.UNREACHABLE:
            return Action.NOTHING
        action = self._feed(record, Input.UNHEARD)
        record.gone_at = -math.inf  # the coordinator said so, and may list it again at once
        return action

    def heard(self, link: Link) -> Action:
        """A packet came on that member's link."""
        record = self.records.get(link.peer)
        if record is None or record.state is State.ALIVE or record.link is not link:
            return Action.NOTHING
        return self._feed(record, Input.HEARD)

    def answer(self, link: Link, ask: Ask) -> None:
        """Says when we last heard those members, by our own ears or by what others said."""
        now = self._circle.now
        known = [(peer, self.records.get(PeerId(peer))) for peer in ask.about]
        heard = [
            Heard(peer, max(0, int((now - record.evidence) * 1000)))
            for peer, record in known
            if record and record.state is not State.GONE and record.evidence > -math.inf
        ]
        self._circle.send(link.peer, Tell(ask.stamp_ms, tuple(heard)))

    def told(self, link: Link, tell: Tell) -> list[tuple[PeerId, Action]]:
        """Takes in an answer. An age is counted from our question, which came before: it never makes news newer."""
        changes = []
        for each in tell.heard:
            record = self.records.get(PeerId(each.peer))
            if record is None or record.state not in (State.SUSPECT, State.UNREACHABLE):
                continue
            at = (min(tell.stamp_ms / 1000, self._circle.now)) - each.ago_ms / 1000
            if at >= record.vouched_at:
                record.vouched_at, record.voucher = at, link.peer
            fresh = FRESH_BEATS * self.suspect_after(record) / MISSES + ANSWER_S
            if record.state is State.SUSPECT and self._circle.now - record.vouched_at < fresh:
                changes.append((record.peer, self._feed(record, Input.VOUCHED)))
        return changes

    def tick(self, now: Seconds) -> list[tuple[PeerId, Action]]:
        """Looks at everybody if it is time; returns who is lost, or shown differently."""
        if now < self.due:
            return []
        self._fade(now)
        ears = self._ears(now)
        changes = [(record.peer, self._judge(record, now, ears)) for record in list(self.records.values())]
        self._forget(now)
        self._ask_about(now)
        self.due = max(now + LOOK_S, min(map(self._deadline, self.records.values()), default=math.inf))
        return [(peer, action) for peer, action in changes if action is not Action.NOTHING]

    def forgive(self, late: Seconds) -> None:
        """We were away for so long: that silence was our own."""
        for record in self.records.values():
            record.heard_at += late
            record.vouched_at += late
            record.asked_at += late
        self.due += late

    def doubt(self, late: Seconds, now: Seconds) -> None:
        """Our own clock was late: be slower to judge for a while."""
        self._stretch_at = now
        self.stretch = min(STRETCH_MAX, max(self.stretch, 1 + late / self._circle.every))

    def hears_somebody(self) -> bool:
        """Whether any member is heard by us."""
        return any(record.state is State.ALIVE for record in self.records.values())

    # Inside

    def _feed(self, record: Record, what: Input) -> Action:
        action, record.state = step(record.state, what)
        now = self._circle.now
        if action is Action.LOSE:
            record.gone_at = now
        if action is Action.ASK:
            record.ask_at = now
            record.asked_at = math.inf
        if record.state in (State.SUSPECT, State.UNREACHABLE):
            self.due = min(self.due, now)
        return action

    def _forget(self, now: Seconds) -> None:
        """Lets go of those long gone: a liar can invent members without end."""
        for record in list(self.records.values()):
            if record.state is State.GONE and record.link is None and now - record.gone_at >= DISTRUST_S:
                del self.records[record.peer]

    def _fade(self, now: Seconds) -> None:
        if self.stretch > 1.0:
            self.stretch = max(1.0, self.stretch - STRETCH_FADES_PER_S * (now - self._stretch_at))
            self._stretch_at = now

    def _ears(self, now: Seconds) -> Seconds:
        """Until when judgement is held back: never, unless we hear nobody."""
        if not self.records or self.hears_somebody():
            return -math.inf
        last = max((record.own_evidence for record in self.records.values()), default=now)
        return last + max(ISOLATED_S, self._circle.every * MISSES * self.stretch)

    def _judge(self, record: Record, now: Seconds, hold_until: Seconds) -> Action:
        if record.state is State.ALIVE and now - record.own_evidence >= self.suspect_after(record):
            return self._feed(record, Input.MISSED)
        if record.state is State.SUSPECT:
            return self._judge_suspect(record, now, hold_until)
        if record.state is State.UNREACHABLE and self._expired(record, now) and now >= hold_until:
            return self._feed(record, Input.UNHEARD)
        return Action.NOTHING

    def _judge_suspect(self, record: Record, now: Seconds, hold_until: Seconds) -> Action:
        answered_by = max(record.asked_at + ANSWER_S * self.stretch, record.evidence + self.suspect_after(record))
        if now < max(answered_by, hold_until):
            return Action.NOTHING
        return self._feed(record, Input.VOUCHED if self._listed(record.peer) else Input.UNHEARD)

    def _expired(self, record: Record, now: Seconds) -> bool:
        if self._listed(record.peer):
            return False
        return now - record.evidence > self._patience(record) and now - record.asked_at > ANSWER_S

    def _patience(self, record: Record) -> Seconds:
        """How old the last news of a member may be that others hear: it comes through several, each asking in turn."""
        return self.suspect_after(record) + MISSES * self._circle.every * self.stretch

    def _deadline(self, record: Record) -> Seconds:
        if record.state is State.ALIVE:
            return record.own_evidence + self.suspect_after(record)
        if record.state is State.GONE:
            return math.inf
        if record.state is State.UNREACHABLE:
            return record.ask_at
        answered_by = max(record.asked_at + ANSWER_S * self.stretch, record.evidence + self.suspect_after(record))
        return min(record.ask_at, answered_by)

    def _ask_about(self, now: Seconds) -> None:
        """Asks about everybody in doubt as soon as it is one's turn, so that many take no more questions than one."""
        about = [record for record in self.records.values() if record.state in (State.SUSPECT, State.UNREACHABLE)]
        if all(now < record.ask_at for record in about):
            return
        for record in about:
            record.ask_at = now + FRESH_BEATS * self._circle.every
            if record.state is State.SUSPECT and record.link and record.link.breathed_last:
                self._circle.send(record.peer, Ask(int(now * 1000), ()))  # any answer shows that only breaths are lost
            if record.asked_at == math.inf or record.state is State.UNREACHABLE:
                record.asked_at = now
        for first in range(0, len(about), ASKED_MAX):
            ask = Ask(int(now * 1000), tuple(record.peer for record in about[first : first + ASKED_MAX]))
            for peer in self._asked({record.voucher for record in about}):
                self._circle.send(peer, ask)

    def _asked(self, vouchers: set[PeerId | None]) -> Iterable[PeerId]:
        """Whoever the lot falls on, and some who knew an answer before.

        Not the coordinator before others: its answer is its list, and in a full room everybody would ask it at once.
        """
        heard = [record.peer for record in self.records.values() if record.state is State.ALIVE and record.link]
        drawn = sorted(heard, key=lambda _: self._circle.rng.uniform(0, 1))
        knew = [peer for peer in drawn[ASKED_MEMBERS:] if peer in vouchers]
        return drawn[:ASKED_MEMBERS] + knew[:ASKED_MEMBERS]
