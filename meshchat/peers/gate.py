"""The gate of a room: an open one lets everybody through, a locked one whoever shows that it knows the secret.

Both ends of a link knock with a challenge and prove to each other that they know the secret (`locks/proof.py` says why
that tells nobody anything). Until then neither says who it is in the room, who else is there, or where they are. A new
link proves anew: what counts is who is at its other end now.
"""

from __future__ import annotations

from meshchat.errors import WireError
from meshchat.locks.bind import Draw
from meshchat.locks.proof import SecretEntry
from meshchat.peers.circle import Circle
from meshchat.peers.links import Link
from meshchat.peers.messages import Knock, Proven
from meshchat.units import PeerId, RoomId


class Gate:
    """Who may come in, for one stay in one room."""

    def __init__(self, circle: Circle, room: RoomId, secret: bytes | None, draw: Draw) -> None:
        """`secret` is the locked room's, 16 bytes; None for an open room."""
        self._circle = circle
        self._room = room
        self._secret = secret
        self._draw = draw
        self._entries: dict[PeerId, SecretEntry] = {}
        self._challenges: dict[PeerId, bytes] = {}
        """What each peer wants answered."""
        self._proven: set[PeerId] = set()

    @property
    def locked(self) -> bool:
        """Whether only those who know the secret come in."""
        return self._secret is not None

    def trusts(self, link: Link) -> bool:
        """Whether the peer at that link may be a member."""
        return self._secret is None or link.peer in self._proven

    def greet(self, link: Link) -> None:
        """Knocks at a link that has said hello."""
        if self._secret is not None and link.greeted and link.peer not in self._entries:
            entry = SecretEntry(self._secret, self._room, self._circle.me, link.peer, self._draw)
            self._entries[link.peer] = entry
            self._circle.send(link.peer, Knock(self._room, entry.challenge))

    def heard(self, link: Link, message: Knock | Proven) -> bool:
        """Takes in the other side's part; whether the peer is trusted from now on. `WireError` for a wrong proof."""
        if message.room != self._room or self._secret is None:
            return False
        self.greet(link)
        entry = self._entries[link.peer]
        if isinstance(message, Knock):
            self._challenges[link.peer] = message.challenge
            self._circle.send(link.peer, Proven(self._room, entry.answer(message.challenge)))
            return False
        challenge = self._challenges.get(link.peer)
        if challenge is None or not entry.check(challenge, message.answer):
            raise WireError("that is not this room's secret")
        self._proven.add(link.peer)
        return True

    def forget(self, peer: PeerId) -> None:
        """The link is gone."""
        self._entries.pop(peer, None)
        self._challenges.pop(peer, None)
        self._proven.discard(peer)
