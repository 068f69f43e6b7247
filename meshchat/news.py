"""News: what happens in the control plane, brought to the parts that have to follow it and to the clients.

Sound follows first, since it does not wait; then whoever looks is told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from meshchat import control
from meshchat.parts import Parts
from meshchat.peers import effects
from meshchat.units import short

log = logging.getLogger(__name__)

_SEEN_FROM_OUTSIDE = (
    effects.MemberJoined, effects.MemberLeft, effects.RoomEntered, effects.RoomLeft, effects.Ordered,
    effects.MemberChanged,
)  # fmt: skip
"""What changes the room as it is announced."""


class News:
    """Tells each event of the control plane on."""

    def __init__(self, parts: Parts, announce: Callable[[], None]) -> None:
        """`announce` says the room anew to those outside it."""
        self._parts = parts
        self._announce = announce
        self._mesh, self._call, self._herald = parts.mesh, parts.call, parts.herald

    def came(self, event: effects.Event) -> None:
        """Something happened in the control plane."""
        self._parts.chronicle.on_event(event)
        self._parts.screens.on_event(event)
        self._parts.playing.on_event(event)
        match event:
            case effects.SendKeyChanged(ssrc, key_id, base_key):
                self._call.send_key(ssrc, key_id, base_key)
            case effects.KeyReceived(peer, ssrc, key_id, base_key):
                self._call.incoming.use_key(peer, ssrc, key_id, base_key)
            case effects.MemberJoined(peer, alias):
                self._call.member_joined(peer)
                self._parts.moderation.hush(peer)
                self._parts.trust.met(peer, alias)
                log.info("%s (%s) joined", alias, short(peer))
                self._herald.member(self._parts.answers, peer, control.MemberJoined)
            case effects.MemberLeft(peer, alias, reason):
                self._call.member_left(peer)
                self._parts.moderation.left(peer, alias)
                self._parts.trust.left(peer)
                log.info("%s (%s) left: %s", alias, short(peer), reason)
                self._herald.left(peer, alias, reason)
            case effects.MemberChanged(peer):
                self._parts.moderation.hush(peer)
                self._herald.member(self._parts.answers, peer, control.MemberChanged)
            case effects.KeyInUse(peer):
                self._herald.notice(
                    "error",
                    f"{short(peer)} turned us away: another running meshchat shows our key; "
                    "a copied profile needs a key of its own: stop one, and move its identity.pem away",
                )
            case _:
                self._on_room_event(event)
        if isinstance(event, _SEEN_FROM_OUTSIDE):
            self._announce()
            self._herald.rooms(self._parts.answers)

    def _on_room_event(self, event: effects.Event) -> None:
        match event:
            case effects.RoomEntered(_, name):
                log.info("entered %s", name)
                room = self._parts.answers.room()
                if room:
                    self._herald.publish(control.RoomEntered(room))
            case effects.RoomLeft(room_id, name, reason):
                log.info("left %s: %s", name, reason)
                self._call.room_left()
                self._herald.publish(control.RoomLeft(name, room_id, reason))
            case effects.DoorOpened() | effects.DoorShut():
                self._parts.entrance.answered(event)
            case effects.CoordinatorChanged(claim):
                log.info("coordinator: %s", short(claim.leader) if claim else "none yet")
                told = (claim.epoch, claim.leader) if claim else (0, None)
                self._herald.publish(control.CoordinatorChanged(*told))
            case _:
                self._on_order(event)

    def _on_order(self, event: effects.Event) -> None:
        match event:
            case effects.Ordered():
                self._parts.moderation.ordered(event)
            case effects.SecretChanged(secret, words):
                self._parts.entrance.renew(secret, words)
            case effects.Silenced():
                self._call.set_silence(True, self._mesh.node.deafened)
                self._herald.myself(self._parts.answers)
            case effects.ImpostorCame():
                self._parts.trust.impostor_came(event)
            case effects.WordsShown(peer, words):
                self._parts.trust.words_shown(event)
                self._herald.publish(control.WordsShown(*self._parts.answers.named(peer), words))
