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
from meshchat.units import PeerId, RoomId


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
        self._changed_self = False
        """Whether something about us has changed that the others are to hear: our rank, our mute."""
        self._circle = circle
        self._room = room
        self._court = court
        self._gate = gate
        self._draw = draw
        self._members = members
        self._expel = expel
        self._called = called
        self._obeyed = court.law
        self._words = b""
        """The key of the passphrase that was told with the secret in force."""
        self._hushed: dict[PeerId, bool] = {}
        """Who was muted while we were here, and whether it has said since that it is mute."""
        self._circle.moderator = self._moderates(court.law)

    def order(self, key: Ed25519PrivateKey, kind: Kind, subject: str, value: str) -> None:
        """Gives an order; with a new secret where somebody knows the present one who shall not.

        The order `secret` has as its value the key that another passphrase makes, in hex digits.
        Raises `Refused` where we have no right to it, or it changes nothing.
        """
        if kind == "secret":
            self._change_secret(key, bytes.fromhex(value))
            return
        self._court.spread(self._court.order(key, kind, subject, value), self._members())
        law = self._court.law
        assert law is not None
        self.obey()
        if law.locked and kind in (*REMOVALS, "lock"):
            self._change_secret(key, b"")

    def orders_came(self, link: Link, message: Orders) -> None:
        """Somebody brings orders. Raises `WireError` for a forged one."""
        try:
            self._court.take(link, message, self._members())
        finally:
            self.obey()

    def take_change(self) -> bool:
        """Whether something about us has changed since the last question."""
        changed, self._changed_self = self._changed_self, False
        return changed

    def obey(self) -> None:
        """Does what the law asks for, if it has changed."""
        law, before = self._court.law, self._obeyed
        if law is None or law is before:
            return
        self._obeyed = law
        moderates = self._moderates(law)
        self._changed_self = self._changed_self or moderates != self._circle.moderator
        self._circle.moderator = moderates
        if self._circle.me in law.excluded:
            self.expelled = self.why(self._circle.me)
            return
        for peer in sorted(law.excluded - (before.excluded if before else frozenset())):
            self._expel(peer, self.why(peer))
        self._gate.opened = self._gate.opened or not law.locked
        self._mute(law, before)
        if before:
            self._circle.wishes += [out.Ordered(each.kind, each.author, each.subject) for each in news(before, law)]

    def silences(self, peer: PeerId) -> bool:
        """Whether we do not play that member: a moderator muted it, and it may not unmute itself, or has not."""
        law, link = self._court.law, self._circle.links.get(peer)
        if law is None or peer not in law.muted:
            return False
        return law.mutes_hold or peer in self._hushed or bool(link and link.presence and link.presence.muted)

    def muted_by(self, peer: PeerId) -> PeerId | None:
        """The moderator that muted it, if one did."""
        orders = (order.statement for order in self._court.law.standing) if self._court.law else ()
        return next((each.author for each in orders if each.kind == "mute" and each.subject == peer), None)

    @property
    def holds_our_mute(self) -> bool:
        """Whether we may not unmute ourselves."""
        law = self._court.law
        return law is not None and law.mutes_hold and self._circle.me in law.muted

    def said(self, link: Link) -> None:
        """A member told how it is: one that was muted, said so, and then unmuted itself is heard again."""
        if link.peer in self._hushed and link.presence:
            if link.presence.muted:
                self._hushed[link.peer] = True
            elif self._hushed[link.peer]:
                del self._hushed[link.peer]

    def why(self, peer: PeerId) -> str:
        """Why that peer is not let in: `kicked by ann`; empty if it may be."""
        law = self._court.law
        if law is None or peer not in law.excluded:
            return ""
        orders = [order.statement for order in law.standing if order.statement.subject == peer]
        said = max(
            (each for each in orders if each.kind in REMOVALS), key=lambda each: (each.kind == "ban", each.number)
        )
        return f"{'banned' if said.kind == 'ban' else 'kicked'} by {self._called(said.author)}"

    def turn_away(self, link: Link) -> None:
        """One that was sent away is back: it is told why, and nothing else."""
        link.shunned, link.shunned_at = self.why(link.peer), self._circle.now
        self._circle.send(link.peer, self._court.evidence(link.peer))

    def ask_for_secret(self) -> None:
        """Asks some member for the secret in force, if it is not ours."""
        links = self._members()
        if links and not self.knows_secret:
            link = min(links, key=lambda _: self._circle.rng.uniform(0, 1))
            self._circle.send(link.peer, SecretWanted(self._room))

    def heard(self, link: Link, message: OrdersWanted | SecretWanted | Secret) -> None:
        """A member asks for what it lacks, or tells the secret."""
        match message:
            case OrdersWanted():
                self._court.wanted(link)
            case SecretWanted():
                if self._gate.secret and self.knows_secret:
                    self._circle.send(link.peer, Secret(self._room, self._gate.secret, self._words))
            case Secret():
                self._secret_came(message)

    def _mute(self, law: Law, before: Law | None) -> None:
        """Mutes us if a moderator says so, and minds whom else it was said of.

        One whom we met muted, or not, is taken at its word: it may have unmuted itself before we came.
        """
        was = before.muted if before else frozenset()
        if self._circle.me in law.muted - was or (self.holds_our_mute and not self._circle.muted):
            self._circle.muted = self._changed_self = True
            self._circle.wishes.append(out.Silenced())
        for peer in law.muted - was if before else ():
            link = self._circle.links.get(peer)
            self._hushed[peer] = bool(link and link.presence and link.presence.muted)
        for peer in was - law.muted:
            self._hushed.pop(peer, None)
        changed = law.muted ^ was if before and law.mutes_hold == before.mutes_hold else law.muted | was
        self._circle.wishes += [out.MemberChanged(peer) for peer in sorted(changed)]

    def _secret_came(self, message: Secret) -> None:
        """It counts if a moderator signed that it does."""
        law = self._court.law
        stated = commitment(self._room, message.secret, message.words.hex())
        news = (message.secret, message.words) != (self._gate.secret, self._words)
        if law and law.secret == stated and message.room == self._room and news:
            self._adopt(message)

    def _change_secret(self, key: Ed25519PrivateKey, words: bytes) -> None:
        """Draws another secret and hands it to everybody here, with the key of the passphrase that goes with it."""
        secret = Secret(self._room, self._draw(SECRET_BYTES), words)
        stated = commitment(self._room, secret.secret, words.hex())
        self._court.spread(self._court.order(key, "secret", "", stated), self._members())
        self.obey()
        self._adopt(secret)
        for link in self._members():
            self._circle.send(link.peer, secret)

    def _adopt(self, message: Secret) -> None:
        self._words = message.words
        if message.secret != self._gate.secret:
            self._gate.renew(message.secret)
            self._gate.opened = True
        self._circle.wishes.append(out.SecretChanged(message.secret, message.words))

    def fits(self, words: bytes) -> bool:
        """Whether that key of a passphrase goes with the secret in force, as far as a moderator said anything of it."""
        law, secret = self._court.law, self._gate.secret
        if law is None or not law.secret:
            return True
        return secret is not None and commitment(self._room, secret, words.hex()) == law.secret

    @property
    def knows_secret(self) -> bool:
        """Whether what we know opens the room, as far as we know its orders."""
        return self.fits(self._words)

    def _moderates(self, law: Law | None) -> bool:
        return law is not None and self._circle.me in law.ranks
