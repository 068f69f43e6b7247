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

    def __init__(
        self, secret: bytes, room: RoomId, me: PeerId, peer: PeerId, draw: Draw, older: tuple[bytes, ...] = ()
    ) -> None:
        """`older` are secrets that held before: we show that we know them too, and take none of them for an answer."""
        if any(len(each) != SECRET_BYTES for each in (secret, *older)) or me == peer:
            raise ValueError("an entry takes secrets of 16 bytes and two different peers")
        self._secrets = (secret, *older)
        self._room = room
        self._me = me
        self._peer = peer
        self.challenge = draw(CHALLENGE_BYTES)
        """What the other side has to answer."""

    def answers(self, their_challenge: bytes) -> tuple[bytes, ...]:
        """The proofs that we know each of our secrets, for this peer and this challenge; `WireError` if it is none."""
        if len(their_challenge) != CHALLENGE_BYTES:
            raise WireError(f"a challenge of {len(their_challenge)} bytes")
        told = self._told(self._me, self._peer, their_challenge, self.challenge)
        return tuple(hmac.digest(secret, told, "sha256") for secret in self._secrets)

    def check(self, their_challenge: bytes, their_answers: tuple[bytes, ...]) -> bool:
        """Whether the peer has proven that it knows the secret. Takes as long for a wrong answer as for a right one."""
        told = self._told(self._peer, self._me, self.challenge, their_challenge)
        expected = hmac.digest(self._secrets[0], told, "sha256")
        return sum(hmac.compare_digest(expected, each) for each in their_answers) > 0

    def _told(self, prover: PeerId, judge: PeerId, judges: bytes, provers: bytes) -> bytes:
        return bind("entry by secret", self._room, prover, judge, judges, provers)
