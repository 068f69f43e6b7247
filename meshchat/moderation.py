"""Orders in the room: what a moderator's words come to, and what is told to people when somebody gave one."""

from __future__ import annotations

from meshchat import control
from meshchat.answers import Answers
from meshchat.call import Call
from meshchat.errors import UsageError
from meshchat.locks.statements import Kind
from meshchat.mesh import Mesh
from meshchat.peers import effects
from meshchat.units import PeerId, bound, short

NAMES_MAX = 256
"""Names of those who were here that are remembered, so that they can be pardoned by name; the oldest go first."""

_KINDS: dict[type[control.Command], Kind] = {
    control.Kick: "kick",
    control.Ban: "ban",
    control.Pardon: "pardon",
    control.Appoint: "appoint",
    control.Dismiss: "dismiss",
    control.Mute: "mute",
    control.Unmute: "unmute",
    control.Rule: "settings",
    control.Lock: "lock",
    control.Unlock: "unlock",
}

_TOLD: dict[Kind, str] = {
    "kick": "{author} sent {subject} out",
    "ban": "{author} sent {subject} out for good",
    "pardon": "{subject} may come in again",
    "appoint": "{author} made {subject} a moderator",
    "dismiss": "{subject} is no moderator any more",
    "mute": "{author} muted {subject}",
    "unmute": "{subject} may speak again",
    "settings": "{author} changed whether the muted may unmute themselves",
    "lock": "{author} locked the room: only a new invite link opens it",
    "unlock": "{author} unlocked the room: everybody can come in",
}
"""What people are told of each kind of order."""


class Moderation:
    """Who orders what in the room that we are in."""

    def __init__(
        self,
        mesh: Mesh,
        call: Call,
        answers: Answers,
        notice: control.Tell,
    ) -> None:
        """`notice` tells people something."""
        self._mesh = mesh
        self._call = call
        self._answers = answers
        self._notice = notice
        self._names: dict[PeerId, str] = {}

    def obey(self, command: control.Command) -> bool:
        """Gives the order that a command asks for; False if it asks for none. Raises `Refused` and `UsageError`."""
        kind = _KINDS.get(type(command))
        if kind is None:
            return False
        match command:
            case control.Pardon(member=member):
                self._mesh.order(kind, self._outside(member))
            case control.Mute(member="") | control.Unmute(member=""):
                return False
            case control.Rule(mutes_hold=mutes_hold):
                self._mesh.order(kind, value=f"mutes_hold={'yes' if mutes_hold else 'no'}")
            case (
                control.Mute()
                | control.Unmute()
                | control.Kick()
                | control.Ban()
                | control.Appoint()
                | control.Dismiss()
            ):
                self._mesh.order(kind, self._answers.find_member(command.member))
            case _:
                self._mesh.order(kind)
        return True

    def set_silence(self, command: control.Command) -> None:
        """Mutes or deafens us, or takes that back. Raises `Refused` where a moderator's mute holds."""
        node = self._mesh.node
        muted, deafened = node.muted, node.deafened
        match command:
            case control.Mute():
                muted = True
            case control.Unmute():
                muted = False
            case control.Deafen():
                deafened = True
            case control.Undeafen():
                deafened = False
        self._mesh.set_silence(muted, deafened)
        self._call.set_silence(muted, deafened)

    def hush(self, peer: PeerId) -> None:
        """Something about a member has changed: it is played, or not, as the room's orders have it."""
        room = self._mesh.node.room
        silent = room is not None and room.silences(peer)
        self._call.hush(peer, silent)

    def left(self, peer: PeerId, alias: str) -> None:
        """Somebody is not here any more; its name is remembered."""
        self._names.pop(peer, None)
        self._names[peer] = alias
        bound(self._names, NAMES_MAX)

    def ordered(self, order: effects.Ordered) -> None:
        """An order has come into force: people are told."""
        if order.kind in _TOLD:
            author, subject = (self._called(peer) if peer else "somebody" for peer in (order.author, order.subject))
            self._notice("info", _TOLD[order.kind].format(author=author, subject=subject))

    def _called(self, peer: PeerId) -> str:
        node = self._mesh.node
        if peer == node.me:
            return "you"
        called = node.room.alias_of(peer) if node.room else short(peer)
        return self._names.get(peer, called) if called == short(peer) else called

    def _outside(self, wanted: str) -> PeerId:
        """The one of that name, id or beginning of an id who is kicked or banned."""
        room = self._mesh.node.room
        excluded = room.court.excluded if room else frozenset()
        named = [each for each in excluded if self._names.get(each, "").casefold() == wanted.casefold()]
        found = named or [each for each in excluded if each.startswith(wanted)]
        if len(found) != 1:
            raise UsageError(f"{'several' if found else 'nobody'} who was sent out of this room is called {wanted}")
        return found[0]
