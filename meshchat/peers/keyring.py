"""Our media key: drawn fresh for each room, handed to each member, drawn anew when somebody leaves.

A new key is told first and used a moment later, so that no packet arrives under a key that its receiver does not have
yet; several departures in that moment cost one key.
"""

from __future__ import annotations

from collections.abc import Callable

from meshchat.peers.messages import KEY_BYTES, Key
from meshchat.units import RoomId, Seconds

SETTLE_S: Seconds = 0.5
"""From telling a new key to sealing with it: some retransmissions on a bad link, and still within a second of the
departure that asked for it."""


AGE_S_MAX: Seconds = 3600.0
"""A key is replaced after this even if nobody leaves: a daemon talks for months, and a nonce must never come twice
(a key of ours is good for 2^28 packets, a month of them at 100 a second)."""


class Keyring:
    """For one stay in one room: the key that we seal with, and the newer one that is told but not in use yet."""

    def __init__(self, draw: Callable[[int], bytes], now: Seconds) -> None:
        """`draw(n)` gives n secret random bytes: `os.urandom` in a daemon, a seeded source in a simulation."""
        self._draw = draw
        self._ssrc = int.from_bytes(draw(4), "big")
        self._key_id = 0
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
        return Key(room=room, ssrc=self._ssrc, key_id=self._key_id, base_key=self._latest)

    def is_old(self, now: Seconds) -> bool:
        """Whether it is time to `rotate` though nobody left."""
        return now >= self._renew_at

    def rotate(self, now: Seconds) -> None:
        """Somebody left, or the key is old: draws a new one, which the caller then tells to those who stay."""
        self._renew_at = now + AGE_S_MAX
        self._key_id += 1
        self._latest = self._draw(KEY_BYTES)
        if self._use_at is None:
            self._use_by = now + 2 * SETTLE_S
        self._use_at = min(now + SETTLE_S, self._use_by)

    def tick(self, now: Seconds) -> bool:
        """Whether the newest key comes into use now."""
        if self._use_at is None or now < self._use_at:
            return False
        self._use_at = None
        return True
