"""Our media key: drawn fresh for each room, told to each member, new when somebody leaves, stepped on when one comes.

Who leaves must not hear what comes: a new key is drawn. It is told first and used a moment later, so that no packet
arrives under a key that its receiver does not have yet; several departures in that moment cost one key.

Who comes must not hear what was: the key in use goes one step forward, by a function that nobody can turn back (the
ratchet of RFC 9605 section 5.1), and the newcomer is told the result. Members who have the step before compute the
same, so they need no message: when a hundred come at once, each is told one key, and that is all. Not taken: a fresh
key for each newcomer, which a hundred members would have to tell a hundred others a hundred times.
"""

from __future__ import annotations

from collections.abc import Callable

from meshchat.peers.messages import KEY_BYTES, Key
from meshchat.sframe import STEP_BITS, STEPS_MAX, ratchet
from meshchat.units import RoomId, Seconds

SETTLE_S: Seconds = 0.5
"""From telling a new key to sealing with it: some retransmissions on a bad link, and still within a second of the
departure that asked for it."""

USE_S_MAX: Seconds = 0.75
"""However many leave one after the other, the first of them hears nothing after this (and the pause before it)."""

AGE_S_MAX: Seconds = 3600.0
"""A key is replaced after this even if nobody leaves: a daemon talks for months, and a nonce must never come twice
(a key of ours is good for 2^28 packets, a month of them at 100 a second)."""


class Keyring:
    """For one stay in one room: the key that we seal with, and the newer one that is told but not in use yet."""

    def __init__(self, draw: Callable[[int], bytes], now: Seconds) -> None:
        """`draw(n)` gives n secret random bytes: `os.urandom` in a daemon, a seeded source in a simulation."""
        self._draw = draw
        self._ssrc = int.from_bytes(draw(4), "big")
        self._generation = self._step = 0
        self._latest = draw(KEY_BYTES)
        self._use_at: Seconds | None = None
        self._use_by: Seconds = 0.0
        self._renew_at = now + AGE_S_MAX

    @property
    def timer(self) -> Seconds | None:
        """When something is due."""
        return self._renew_at if self._use_at is None else min(self._use_at, self._renew_at)

    def told(self, room: RoomId) -> Key:
        """The newest key, as the message that hands it over."""
        return Key(room=room, ssrc=self._ssrc, key_id=self._generation << STEP_BITS | self._step, base_key=self._latest)

    def is_old(self, now: Seconds) -> bool:
        """Whether it is time to `rotate` though nobody left."""
        return now >= self._renew_at

    def rotate(self, now: Seconds) -> None:
        """Somebody left, or the key is old: draws a new one, which the caller then tells to those who stay."""
        self._renew_at = now + AGE_S_MAX
        self._generation, self._step = self._generation + 1, 0
        self._latest = self._draw(KEY_BYTES)
        if self._use_at is None:
            self._use_by = now + USE_S_MAX
        self._use_at = min(now + SETTLE_S, self._use_by)

    @property
    def is_spent(self) -> bool:
        """Whether it has gone all its steps: time to `rotate` before the next one comes."""
        return self._step == STEPS_MAX

    def admit(self) -> bool:
        """Somebody comes in, who is told the newest key after this; returns whether the key in use is another now.

        A key that is told and not in use yet has sealed nothing.
        """
        if self._use_at is not None:
            return False
        self._step, self._latest = self._step + 1, ratchet(self._latest)
        return True

    def tick(self, now: Seconds) -> bool:
        """Whether the newest key comes into use now."""
        if self._use_at is None or now < self._use_at:
            return False
        self._use_at = None
        return True
