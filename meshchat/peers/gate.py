"""The gate of a room: an open one lets everybody through, a locked one whoever shows that it knows the secret.

Both ends of a link knock with a challenge and prove to each other that they know the secret (`locks/proof.py` says why
that tells nobody anything). Until then neither says who it is in the room, who else is there, or where they are. A new
link proves anew, but for one whose key was a member's before: it may have been away when the secret was changed.
Whoever was kicked or banned is let in by no secret and no memory.
"""

from __future__ import annotations

from collections.abc import Callable

from meshchat.locks.bind import Draw
from meshchat.locks.law import Law
from meshchat.locks.proof import SecretEntry
from meshchat.peers.circle import Circle
from meshchat.peers.links import Link
from meshchat.peers.messages import ANSWERS_MAX, Knock, Proven
from meshchat.units import PeerId, RoomId, bound

REMEMBERED_MAX = 1024
"""Keys that were a member's during this stay; beyond, the one longest here is forgotten and needs the newest secret."""


class Gate:
    """Who may come in, for one stay in one room."""

    def __init__(
        self, circle: Circle, room: RoomId, secret: bytes | None, draw: Draw, law: Callable[[], Law | None]
    ) -> None:
        """`secret` is the locked room's, 16 bytes; None for whoever came into an open room. `law` is what holds there,
        as far as is known."""
        self.opened = False
        """Whether some whom we did not trust may be trusted now."""
        self._circle = circle
        self._room = room
        self.secrets: tuple[bytes, ...] = (secret,) if secret else ()
        """What opens the room, then what opened it before; newest first."""
        self._draw = draw
        self._law = law
        self._entries: dict[PeerId, SecretEntry] = {}
        self._challenges: dict[PeerId, bytes] = {}
        """What each peer wants answered."""
        self._proven: set[PeerId] = set()
        self.remembered: dict[PeerId, None] = {}
        """Whose keys were a member's, oldest first."""

    @property
    def locked(self) -> bool:
        """Whether only those who know the secret come in."""
        law = self._law()
        return law.locked if law else bool(self.secrets)

    @property
    def secret(self) -> bytes | None:
        """What opens the room; None if we came in without and have not been told."""
        return self.secrets[0] if self.secrets else None

    def trusts(self, link: Link) -> bool:
        """Whether the peer at that link may be a member."""
        law = self._law()
        if law and link.peer in law.excluded:
            return False
        return link.peer in self._proven or link.peer in self.remembered or not self.locked

    def remember(self, peer: PeerId) -> None:
        """It is a member: its key is enough from now on, as long as nobody excludes it."""
        self.remembered[peer] = None
        bound(self.remembered, REMEMBERED_MAX)

    def renew(self, secret: bytes) -> None:
        """Another secret opens the room: all who are not in it are asked for it, and told that we know it.

        Those whom we trust too: they may not trust us yet. Members hear of it when they knock again.
        """
        self.secrets = (secret, *(each for each in self.secrets if each != secret))[:ANSWERS_MAX]
        self._proven.clear()
        self._entries.clear()
        for link in self._circle.links.values():
            if not link.admitted:
                self.greet(link)

    def greet(self, link: Link) -> None:
        """Knocks at a link that has said hello."""
        if self.secrets and link.greeted and link.peer not in self._entries:
            newest, *older = self.secrets
            entry = SecretEntry(newest, self._room, self._circle.me, link.peer, self._draw, tuple(older))
            self._entries[link.peer] = entry
            self._circle.send(link.peer, Knock(self._room, entry.challenge))
            if link.knock and link.knock.room == self._room:  # it was here before us
                self._challenges[link.peer] = link.knock.challenge
                self._answer(link)

    def heard(self, link: Link, message: Knock | Proven) -> bool:
        """Takes in the other side's part; whether the peer is trusted from now on, and was not before."""
        if message.room != self._room or not self.secrets:
            return False
        self.greet(link)
        if isinstance(message, Knock):
            if message.challenge != self._challenges.get(link.peer):
                self._challenges[link.peer] = message.challenge
                self._answer(link)
            return False
        challenge = self._challenges.get(link.peer)
        if challenge is None or not self._entries[link.peer].check(challenge, message.answers):
            return False  # it may know of a newer secret, or we: `renew` tries again
        before = self.trusts(link)
        self._proven.add(link.peer)
        return not before and self.trusts(link)

    def forget(self, peer: PeerId) -> None:
        """The link is gone."""
        self._entries.pop(peer, None)
        self._challenges.pop(peer, None)
        self._proven.discard(peer)

    def _answer(self, link: Link) -> None:
        challenge = self._challenges.get(link.peer)
        if challenge is not None and link.peer in self._entries:
            self._circle.send(link.peer, Proven(self._room, self._entries[link.peer].answers(challenge)))
