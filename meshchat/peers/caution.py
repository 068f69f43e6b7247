"""Caution towards members: one that calls itself what a verified peer does is not trusted, and two can compare words.

Intuition: a familiar name with a strange key is either a friend with a new telephone or somebody who pretends. Until
the person at the keyboard has found out, nothing is said to it and nothing it says is played; it stays in sight, so
that words can be compared with it (`locks/phrase.py`).
"""

from __future__ import annotations

from collections.abc import Callable

from meshchat.errors import Refused, WireError
from meshchat.locks.bind import Draw
from meshchat.locks.phrase import Commit, Reveal, State, Verification, asks
from meshchat.peers import effects as out
from meshchat.peers.circle import Circle
from meshchat.peers.links import Link
from meshchat.peers.messages import Message
from meshchat.units import PeerId, Seconds, bound, short

ASKED_MAX = 1024
"""Members whose last question is remembered; the oldest is forgotten first, and may ask again at once."""

ASKED_PAUSE_S: Seconds = 3.0
"""Between two comparisons that one member begins: each shows words to a person, who is not to be worn down by them."""


class Caution:
    """Whom we do not trust, and which words are being compared, for one stay in one room."""

    def __init__(
        self, circle: Circle, draw: Draw, renew_key: Callable[[], None], tell_key: Callable[[Link], None]
    ) -> None:
        """`renew_key` seals with another key soon, `tell_key` hands ours to a member."""
        self.withheld: set[PeerId] = set()
        """Members that call themselves what somebody else is called who was verified."""
        self._circle = circle
        self._draw = draw
        self._renew_key = renew_key
        self._tell_key = tell_key
        self._comparing: dict[PeerId, Verification] = {}
        """One for each member at most."""
        self._asked_at: dict[PeerId, Seconds] = {}

    def look(self, link: Link) -> None:
        """A member says, or has just said, what it is called; or we have learnt more about those we know."""
        alias = link.presence.alias if link.presence else ""
        pretends, circle = self._circle.doubts(link.peer, alias), self._circle
        if pretends and link.peer not in self.withheld:
            self.withheld.add(link.peer)
            circle.wishes += [out.ImpostorCame(link.peer, alias), out.MemberChanged(link.peer)]
            if link.admitted:
                self._renew_key()
        elif not pretends and link.peer in self.withheld:
            self.withheld.discard(link.peer)
            circle.wishes.append(out.MemberChanged(link.peer))
            if link.admitted:
                self._tell_key(link)

    def look_again(self) -> None:
        """The person at the keyboard has verified somebody."""
        for link in self._circle.links.values():
            if link.admitted:
                self.look(link)

    def compare(self, peer: PeerId) -> None:
        """Begins to compare words; ends in `WordsShown`. Raises `Refused` without a link to that member."""
        link = self._circle.links.get(peer)
        if link is None or not link.admitted:
            raise Refused(f"{short(peer)} cannot be reached from here, so there are no words to compare")
        self._comparing[peer] = Verification(self._circle.me, peer, self._draw, initiator=True)
        self._circle.send(peer, self._comparing[peer].commit)

    def overhear(self, link: Link, message: Message) -> None:
        """Takes in a member's part of a comparison. Raises `WireError` where it does not keep to the rules."""
        if not isinstance(message, Commit | Reveal) or (isinstance(message, Commit) and not self._is_asked(link.peer)):
            return
        comparison = self._comparing.get(link.peer)
        if comparison is None:
            raise WireError("a nonce that nobody asked for")
        reply = comparison.hear(message)
        if reply:
            self._circle.send(link.peer, reply)
        if comparison.phrase:
            del self._comparing[link.peer]
            self._circle.wishes.append(out.WordsShown(link.peer, comparison.phrase))

    def forget(self, peer: PeerId) -> None:
        """The link is gone."""
        self._comparing.pop(peer, None)
        self.withheld.discard(peer)

    def _is_asked(self, peer: PeerId) -> bool:
        """Whether we answer a member that asks: not if it is for us to ask, nor if it did so just now."""
        now, ours = self._circle.now, self._comparing.get(peer)
        if ours and ours.state is State.COMMITTED and asks(self._circle.me, peer):
            return False
        if now - self._asked_at.get(peer, now - ASKED_PAUSE_S) < ASKED_PAUSE_S:
            return False
        self._asked_at[peer] = now
        bound(self._asked_at, ASKED_MAX)
        self._comparing[peer] = Verification(self._circle.me, peer, self._draw, initiator=False)
        return True
