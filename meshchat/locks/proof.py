"""Entry with the room's secret: each side shows that it knows it, and neither says it.

Two peers are linked already and know each other's ids, which their keys have proven. Each sends a challenge, sixteen
fresh random bytes, and answers the other's with an HMAC under the secret (FIPS 198-1) over everything that makes
this entry different from any other: the room, who proves, to whom, and both challenges.

    newcomer                                  member
        | challenge N ------------------------> |
        | <------------------------ challenge M |
        | answer HMAC(room, N -> M, M, N) ----> |   the member checks, then answers
        | <---- answer HMAC(room, M -> N, N, M) |   the newcomer checks: no impostor's room

An answer is good for nobody else: whoever relays a challenge gets an answer that names the relay, and an answer
sent back to its author names the wrong side. The secret has 128 bits, so an answer cannot be guessed backwards either,
and nothing needs to be slowed down. Not taken: TLS with a pre-shared key, because a link outlives its room.
"""

from __future__ import annotations

import hmac

from meshchat.errors import WireError
from meshchat.locks.bind import SECRET_BYTES, Draw, bind
from meshchat.units import PeerId, RoomId

CHALLENGE_BYTES = 16
"""Drawn anew for each entry: as long as the secret."""

ANSWER_BYTES = 32
"""A whole HMAC-SHA-256; nothing is gained by cutting it."""


class SecretEntry:
    """One side of one entry; both sides are alike. Make a new one for each link and each try."""

    def __init__(self, secret: bytes, room: RoomId, me: PeerId, peer: PeerId, draw: Draw) -> None:
        if len(secret) != SECRET_BYTES or me == peer:
            raise ValueError("an entry takes a secret of 16 bytes and two different peers")
        self._secret = secret
        self._room = room
        self._me = me
        self._peer = peer
        self.challenge = draw(CHALLENGE_BYTES)
        """What the other side has to answer."""

    def answer(self, their_challenge: bytes) -> bytes:
        """The proof that we know the secret, for this peer and this challenge; `WireError` if it is no challenge."""
        if len(their_challenge) != CHALLENGE_BYTES:
            raise WireError(f"a challenge of {len(their_challenge)} bytes")
        return self._proof(self._me, self._peer, their_challenge, self.challenge)

    def check(self, their_challenge: bytes, their_answer: bytes) -> bool:
        """Whether the peer has proven that it knows the secret. Takes as long for a wrong answer as for a right one."""
        expected = self._proof(self._peer, self._me, self.challenge, their_challenge)
        return hmac.compare_digest(expected, their_answer)

    def _proof(self, prover: PeerId, judge: PeerId, judges: bytes, provers: bytes) -> bytes:
        told = bind("entry by secret", self._room, prover, judge, judges, provers)
        return hmac.digest(self._secret, told, "sha256")
