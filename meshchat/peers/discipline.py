"""What the orders of a room do to it: who is sent away, whom the room opens to, and the secret that is new after that.

Intuition: somebody is put out of the door. She is told why, the others turn their backs at once, and the lock is
changed so that the key she has opens nothing. The keys under which everybody speaks are changed too (`keyring.py`).

A patched program that takes no notice is no better off: nothing here needs the one who was sent away to agree.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from meshchat.locks.bind import SECRET_BYTES, Draw
from meshchat.locks.law import Law
from meshchat.locks.news import news
from meshchat.locks.statements import REMOVALS, Kind, commitment
from meshchat.peers import effects as out
from meshchat.peers.circle import Circle
from meshchat.peers.court import Court
from meshchat.peers.gate import Gate
from meshchat.peers.links import Link
from meshchat.peers.orders import Orders, OrdersWanted, Secret, SecretWanted
from meshchat.units import PeerId, RoomId, short


class Discipline:
    """Carries the law out, for one stay in one room."""

    def __init__(
        self,
        circle: Circle,
        room: RoomId,
        court: Court,
        gate: Gate,
        draw: Draw,
        members: Callable[[], list[Link]],
        expel: Callable[[PeerId, str], None],
        called: Callable[[PeerId], str],
    ) -> None:
        """`members` are the links of those in the room, `expel` sends one away for a reason, `called` names one."""
        self.expelled = ""
        """Why we are sent away, once we are."""
        self.promoted = False
        """Whether our own rank has changed, which the others are to hear."""
        self._circle = circle
        self._room = room
        self._court = court
        self._gate = gate
        self._draw = draw
        self._members = members
        self._expel = expel
        self._called = called
        self._obeyed = court.law
        self._circle.moderator = self._moderates(court.law)

    def order(self, key: Ed25519PrivateKey, kind: Kind, subject: str, value: str, undo: bool) -> None:
        """Gives an order; with a new secret where somebody knows the present one who shall not.

        Raises `Refused` where we have no right to it, or it changes nothing.
        """
        self._court.spread(self._court.order(key, kind, subject, value, undo), self._members())
        law = self._court.law
        assert law is not None
        self.obey()
        if law.locked and kind in (*REMOVALS, "lock"):
            secret = Secret(self._room, self._draw(SECRET_BYTES))
            stated = commitment(self._room, secret.secret)
            self._court.spread(self._court.order(key, "secret", "", stated, False), self._members())
            self.obey()
            self._adopt(secret)
            for link in self._members():
                self._circle.send(link.peer, secret)

    def orders_came(self, link: Link, message: Orders) -> None:
        """Somebody brings orders. Raises `WireError` for a forged one."""
        try:
            self._court.take(link, message, self._members())
        finally:
            self.obey()

    def obey(self) -> None:
        """Does what the law asks for, if it has changed."""
        law, before = self._court.law, self._obeyed
        if law is None or law is before:
            return
        self._obeyed = law
        moderates = self._moderates(law)
        self.promoted = self.promoted or moderates != self._circle.moderator
        self._circle.moderator = moderates
        if self._circle.me in law.excluded:
            self.expelled = self.why(self._circle.me)
            return
        for peer in sorted(law.excluded - (before.excluded if before else frozenset())):
            self._expel(peer, self.why(peer))
        self._gate.opened = self._gate.opened or not law.locked
        if before:
            self._circle.wishes += [out.Ordered(each.kind, each.author, each.subject) for each in news(before, law)]

    def why(self, peer: PeerId) -> str:
        """Why that peer is not let in: `kicked by ann`; empty if it may be."""
        law = self._court.law
        if law is None or peer not in law.excluded:
            return ""
        orders = [order.statement for order in law.standing if order.statement.subject == peer]
        said = max(
            (each for each in orders if each.kind in REMOVALS), key=lambda each: (each.kind == "kick", each.number)
        )
        return f"{'banned' if peer in law.banned else 'kicked'} by {self._called(said.author)}"

    def turn_away(self, link: Link) -> None:
        """One that was sent away is back: it is told why, and nothing else."""
        link.shunned, link.shunned_at = self.why(link.peer) or short(link.peer), self._circle.now
        self._circle.send(link.peer, self._court.evidence(link.peer))

    def ask_for_secret(self) -> None:
        """Asks some member for the secret in force, if it is not ours."""
        links = self._members()
        if links and not self._knows_secret():
            link = min(links, key=lambda _: self._circle.rng.uniform(0, 1))
            self._circle.send(link.peer, SecretWanted(self._room))

    def heard(self, link: Link, message: OrdersWanted | SecretWanted | Secret) -> None:
        """A member asks for what it lacks, or tells the secret."""
        match message:
            case OrdersWanted():
                self._court.wanted(link)
            case SecretWanted():
                if self._gate.secret and self._knows_secret():
                    self._circle.send(link.peer, Secret(self._room, self._gate.secret))
            case Secret():
                self._secret_came(message)

    def _secret_came(self, message: Secret) -> None:
        """It counts if a moderator signed that it does."""
        law = self._court.law
        stated = commitment(self._room, message.secret)
        if law and law.secret == stated and message.room == self._room and message.secret != self._gate.secret:
            self._adopt(message)

    def _adopt(self, message: Secret) -> None:
        self._gate.renew(message.secret)
        self._gate.opened = True
        self._circle.wishes.append(out.SecretChanged(message.secret))

    def _knows_secret(self) -> bool:
        law, secret = self._court.law, self._gate.secret
        if law is None or not law.secret:
            return True
        return secret is not None and commitment(self._room, secret) == law.secret

    def _moderates(self, law: Law | None) -> bool:
        return law is not None and self._circle.me in law.ranks
