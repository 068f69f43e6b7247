"""Whom the person at this keyboard knows: who was met before, with whom words were compared, and who only pretends.

Words are compared aloud, so nothing here can say that they agree: the person does, with `verify MEMBER --agreed`.
"""

from __future__ import annotations

import asyncio
import datetime

from meshchat import control
from meshchat.errors import Refused
from meshchat.locks.trust import KnownPeers, Verdict
from meshchat.mesh import Mesh
from meshchat.peers import effects
from meshchat.units import PeerId, Seconds, bound, safe_text, short

WORDS_S_MAX: Seconds = 5.0
"""How long `verify` waits for the other side: its program answers by itself, so only a bad link takes long."""

SHOWN_MAX = 256
"""Members whose words are remembered until they are said to agree; the oldest are forgotten first."""


class Trust:
    """The known peers of this profile, and words that are being compared."""

    def __init__(self, known: KnownPeers, mesh: Mesh, notice: control.Tell) -> None:
        """`notice` tells people something."""
        self._known = known
        self._mesh = mesh
        self._notice = notice
        self._shown: dict[PeerId, str] = {}
        self._waiting: dict[PeerId, asyncio.Future[str]] = {}
        mesh.node.doubt(known.pretends)

    def verified(self, peer: PeerId) -> bool:
        """Whether somebody compared words with it."""
        return self._known.verified(peer)

    def met(self, peer: PeerId, alias: str) -> None:
        """A member is here under that alias."""
        known, alias = self._known.known(peer), self._own_alias(peer, alias)
        if alias == short(peer):  # it has not said yet what it is called
            return
        if self._known.meet(peer, alias, _today()) is Verdict.ALIAS_CHANGED and known:
            self._notice("info", f"{alias} ({short(peer)}) was {known.alias} when you last met")

    def impostor_came(self, event: effects.ImpostorCame) -> None:
        """Somebody pretends: a person must hear of it."""
        self._notice(
            "error",
            f"STOP: {short(event.peer)} calls itself {safe_text(event.alias)}, whom you verified, and has another key. "
            "It hears nothing from you and you hear nothing from it. If it is a new device of theirs, compare words: "
            f"meshchat verify {short(event.peer)}",
        )

    def words_shown(self, event: effects.WordsShown) -> None:
        """There are words to compare, whoever asked."""
        self._shown.pop(event.peer, None)
        self._shown[event.peer] = event.words
        bound(self._shown, SHOWN_MAX)
        waiting = self._waiting.pop(event.peer, None)
        if waiting and not waiting.done():
            waiting.set_result(event.words)

    def left(self, peer: PeerId) -> None:
        """A member is gone: words that were shown are of no use any more."""
        self._shown.pop(peer, None)

    async def verify(self, peer: PeerId, alias: str, *, agreed: bool) -> control.Answer:
        """The words to compare with a member; or, once the person has found that they agreed, its key is known.

        Raises `Refused` if it does not answer, or nothing has been compared.
        """
        if agreed:
            self._agree(peer, alias)
            return control.Done()
        return control.Words(peer, alias, await self._compare(peer, alias))

    async def _compare(self, peer: PeerId, alias: str) -> str:
        room = self._mesh.node.room
        assert room is not None
        room.caution.compare(peer)
        waiting = self._waiting[peer] = asyncio.get_running_loop().create_future()
        self._mesh.pump()
        try:
            return await asyncio.wait_for(waiting, WORDS_S_MAX)
        except TimeoutError:
            raise Refused(f"{alias} does not answer; it answers once in a few seconds, so try again") from None
        finally:
            self._waiting.pop(peer, None)

    def _agree(self, peer: PeerId, alias: str) -> None:
        """From now on what that member calls itself is its own."""
        if peer not in self._shown:
            raise Refused(f"no words have been compared with {alias}; run: meshchat verify {short(peer)}")
        self._known.mark_verified(peer, self._own_alias(peer, alias), _today())
        del self._shown[peer]
        room = self._mesh.node.room
        if room:
            room.caution.look_again()
        self._mesh.pump()

    def _own_alias(self, peer: PeerId, called: str) -> str:
        """What a member calls itself; the room may have put a number behind it."""
        link = self._mesh.node.links.get(peer)
        return safe_text(link.presence.alias) if link and link.presence else called

    def close(self) -> None:
        """Writes down whom we met."""
        self._known.save()


def _today() -> str:
    return datetime.date.today().isoformat()
