"""One link to another peer: what it said of itself, when it was last heard, how long a word takes to it and back."""

from __future__ import annotations

from dataclasses import dataclass

from meshchat.peers.messages import Beat, Claim, Presence
from meshchat.units import Address, PeerId, RoomId, Seconds

BEAT_S: Seconds = 1.0
"""Between two signs of life on one link. At 100 members that is 99 sent and 99 received a second, under the bound
of 200."""

BEAT_EARLY_S: Seconds = 0.25
"""How much earlier a beat may go than it is due, to go together with others; soon all of them do."""

LOST_AFTER_S: Seconds = 4.0
"""Silence after which a peer is taken for gone: four missed beats. Any authenticated packet breaks the silence,
media too."""

RTT_WEIGHT = 0.125
"""Share of a new sample in the smoothed round-trip time (RFC 6298 section 2)."""


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
    greeted: bool = False
    """Whether its hello has come."""
    keep: bool = False
    """Whether it asked to keep the link without a common room."""
    addresses: tuple[str, ...] = ()
    presence: Presence | None = None
    claim: Claim | None = None
    hears_leader: bool = False
    rtt_ms: float | None = None
    _their_stamp_ms: int = 0
    _their_stamp_at: Seconds = 0.0

    def in_room(self, room: RoomId | None) -> bool:
        """Whether the peer is in that room."""
        return room is not None and self.presence is not None and self.presence.room == room

    def beat(self, claim: Claim | None, hears_leader: bool, now: Seconds) -> Beat:
        """The next sign of life to send, and when the one after it is due."""
        self.beat_at = now + BEAT_S
        return Beat(
            stamp_ms=int(now * 1000),
            echo_ms=self._their_stamp_ms,
            held_ms=int((now - self._their_stamp_at) * 1000) if self._their_stamp_ms else 0,
            claim=claim,
            hears_leader=hears_leader,
        )

    def heard_beat(self, beat: Beat, now: Seconds) -> None:
        """Takes in a sign of life: its claim, and the round-trip time that its echo tells."""
        self._their_stamp_ms, self._their_stamp_at = beat.stamp_ms, now
        self.claim, self.hears_leader = beat.claim, beat.hears_leader
        sample_ms = now * 1000 - beat.echo_ms - beat.held_ms
        if beat.echo_ms and 0 <= sample_ms < LOST_AFTER_S * 1000:
            old = sample_ms if self.rtt_ms is None else self.rtt_ms
            self.rtt_ms = old + RTT_WEIGHT * (sample_ms - old)
