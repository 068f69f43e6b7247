"""One link to another peer: what it said of itself, when it was last heard, how long a word takes to it and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

from meshchat.peers.lines import Tally
from meshchat.peers.messages import BEAT_MS_MAX, Beat, Claim, Knock, Mark, Presence
from meshchat.units import Address, PeerId, RoomId, Seconds

BEAT_S: Seconds = 0.17
"""Between two signs of life on one link, to which more is added for each link.
Any authenticated packet is one, media too."""

BEAT_PER_LINK_S: Seconds = 0.028
"""How much the interval grows with each link: 35 beats a second at the most, however many links there are."""

BEAT_S_MAX: Seconds = 1.09
"""The interval from 33 links on, so that four missed beats and an answer still take less than 5 s. In a room of 100
a member's 99 beats sent and 99 received make 182 a second, which leaves some for others under the bound of 200."""


def beat_interval(links: int) -> Seconds:
    """Between two beats on each of so many links: 0.28 s in a room of 5, 0.59 s in one of 16."""
    return min(BEAT_S + BEAT_PER_LINK_S * links, BEAT_S_MAX)


MISSES = 4
"""A member is suspected after so many missed beats."""

BREATHS = 2.5
"""For so many intervals after a beat that told nothing new, a breath will do: two of them, then a beat again. That is
less than `MISSES`, so a member is not suspected where QUIC passes and breaths do not."""

BREATHS_HEARD = 8.5
"""The same towards one that says that our breaths come: eight of them, then a beat, to tell the round trip and keep
the connection from its idle time-out."""

CLOCKS_APART_MS_MAX = 2000
"""Two room clocks that are further apart are still on their way to each other."""

LINK_LOST_S: Seconds = 4.0
"""Silence after which a link is closed, though its peer may still be heard by others, and called anew."""

GREETING_S: Seconds = 3.0
"""How long a link may stay without a hello."""

STRANGER_S: Seconds = 30.0
"""How long a link without a common room is kept, unless either side asked for it by `--peer`."""

FAREWELL_S: Seconds = 0.5
"""How long one who was kicked keeps the link, to be told why; it is no member meanwhile."""

RTT_WEIGHT = 0.125
"""Share of a new sample in the smoothed round-trip time (RFC 6298 section 2)."""

RTT_S_MAX: Seconds = 4.0
"""A sample longer than this is nonsense: the link would be lost by then."""


@dataclass(slots=True)
class Link:
    """What we know of one linked peer."""

    peer: PeerId
    address: Address
    """Where its packets come from."""
    up_at: Seconds
    heard_at: Seconds
    seed: Address | None = None
    """The `--peer` address that this link answers, if it does."""
    beat_at: Seconds = 0.0
    """When the next beat to it is due."""
    beaten_at: Seconds = 0.0
    """When the last one went out."""
    spoken_at: Seconds = 0.0
    """When the last sign of life of any kind went out."""
    said: Beat | None = None
    """That one, if nothing else was said since."""
    planned_at: Seconds = 0.0
    """When we shall look whether one is due."""
    greeted: bool = False
    """Whether its hello has come."""
    keep: bool = False
    """Whether it asked to keep the link without a common room."""
    shown: bool = False
    """Whether it was told who we are in our room."""
    admitted: bool = False
    """Whether it counts as a member of our room."""
    addresses: tuple[str, ...] = ()
    presence: Presence | None = None
    claim: Claim | None = None
    hears_leader: bool = False
    roster: Mark | None = None
    tally: Tally | None = None
    aloud_at: Seconds = -math.inf
    """When sound or a breath of it last came."""
    is_deaf: bool = True
    """Whether it has not told yet, in its last beat, that our sound or our breaths come."""
    every: Seconds = 0.0
    """The interval that it promised between its beats."""
    roster_sent_at: Seconds = 0.0
    book: str = ""
    """Which orders it has, as a digest."""
    orders_asked_at: Seconds = 0.0
    orders_pause: Seconds = 0.0
    """How long to wait before it is asked for them again."""
    orders_told_at: Seconds = 0.0
    shunned: str = ""
    """Why it is sent away, once it is: it was kicked or banned."""
    shunned_at: Seconds = 0.0
    knock: Knock | None = None
    """What it wants answered, from whoever is in that room or comes into it."""
    rang_at: Seconds = -math.inf
    """When one of us was last at the other's door."""
    rtt_ms: float | None = None
    _their_stamp_ms: int = 0
    _their_stamp_at: Seconds = 0.0

    @property
    def breathed_last(self) -> bool:
        """Whether its last sign of life was sound or a breath."""
        return self.aloud_at >= self.heard_at

    def in_room(self, room: RoomId | None) -> bool:
        """Whether the peer says that it is in that room."""
        return room is not None and self.presence is not None and self.presence.room == room

    def why_close(self, every: Seconds, now: Seconds) -> str | None:
        """Why this link should be closed, if it should; `every` is our own beat interval."""
        age, apart = now - self.up_at, now - max(self.up_at, self.rang_at)
        if self.shunned and now - self.shunned_at >= FAREWELL_S:
            return self.shunned
        if now - self.heard_at >= max(LINK_LOST_S, (MISSES + 1) * max(self.every, every)):
            return "lost"
        if not self.greeted and age > GREETING_S:
            return "no hello"
        return "no common room" if apart > STRANGER_S and not (self.keep or self.admitted) else None

    def beat(
        self,
        claim: Claim | None,
        hears_leader: bool,
        roster: Mark | None,
        every: Seconds,
        now: Seconds,
        book: str = "",
        tally: Tally | None = None,
    ) -> Beat:
        """The next sign of life to send."""
        return Beat(
            stamp_ms=int(now * 1000),
            echo_ms=self._their_stamp_ms,
            held_ms=int((now - self._their_stamp_at) * 1000) if self._their_stamp_ms else 0,
            claim=claim,
            hears_leader=hears_leader,
            roster=roster,
            every_ms=min(int(every * 1000), BEAT_MS_MAX),
            book=book,
            tally=tally,
            hears_breaths=self.aloud_at > self.beaten_at,
        )

    def beaten(self, beat: Beat, every: Seconds, now: Seconds) -> None:
        """That beat goes out: when the one after it is due."""
        self.said, self.spoken_at = beat, now
        self.beaten_at, self.beat_at = now, max(self.beat_at, now + every)

    def will_do_with_a_breath(self, beat: Beat, every: Seconds, now: Seconds) -> bool:
        """Whether `beat` would tell nothing: the last one told the same, and so did theirs, not too long ago."""
        said, enough = self.said, (BREATHS if self.is_deaf else BREATHS_HEARD) * every
        if said is None or now - self.beaten_at >= enough or not beat.hears_leader:
            return False
        return (
            _news(beat) == _news(said) == _news(self)
            and beat.every_ms == said.every_ms
            and self._shows_our_clock(beat.tally, now)
        )

    def _shows_our_clock(self, ours: Tally | None, now: Seconds) -> bool:
        """Whether its room clock, by what it last told, shows what ours does; if not, beats bring them together."""
        if ours is None or self.tally is None:
            return ours is self.tally
        passed_ms = 1000 * (now - self._their_stamp_at)
        return abs(self.tally.upto + passed_ms - ours.upto) < CLOCKS_APART_MS_MAX

    def postpone_beat(self, now: Seconds, every: Seconds) -> None:
        """Something else went out, which is a sign of life; but a beat is not put off twice, for it tells more."""
        self.said, self.spoken_at = None, now
        self.beat_at = max(self.beat_at, min(now + every, self.beaten_at + 2 * every))

    def heard(self, at: Seconds, *, aloud: bool) -> bool:
        """A packet of its came then, `aloud` if it was sound or a breath; whether it is the newest sign of life."""
        if aloud:
            self.aloud_at = max(at, self.aloud_at)
        return at > self.heard_at

    def heard_beat(self, beat: Beat, now: Seconds) -> None:
        """Takes in a sign of life: its claim, and the round-trip time that its echo tells."""
        self._their_stamp_ms, self._their_stamp_at = beat.stamp_ms, now
        self.claim, self.hears_leader, self.roster = beat.claim, beat.hears_leader, beat.roster
        self.every, self.book, self.tally = beat.every_ms / 1000, beat.book, beat.tally
        self.is_deaf = not beat.hears_breaths
        sample_ms = now * 1000 - beat.echo_ms - beat.held_ms
        if beat.echo_ms and 0 <= sample_ms < RTT_S_MAX * 1000:
            old = sample_ms if self.rtt_ms is None else self.rtt_ms
            self.rtt_ms = old + RTT_WEIGHT * (sample_ms - old)


def _news(told: Beat | Link) -> tuple[object, ...]:
    """What either side says of the room, whenever it was told."""
    tally = told.tally
    lines = (tally.floor, tally.digest, tally.early) if tally else ()
    return (told.hears_leader, told.claim, told.roster, told.book, lines)
