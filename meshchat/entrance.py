"""Going into rooms: open ones by their name, locked ones by their invite link.

An open room is its name, so whether it "exists" is a question of who is around. A locked room is its founder's key and
a nonce; its link carries the secret that opens it, and whoever has the link can hand it on.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from meshchat.answers import Answers
from meshchat.discovery import RoomNotice
from meshchat.errors import Refused, UsageError
from meshchat.locks.bind import NONCE_BYTES, SECRET_BYTES, locked_room
from meshchat.locks.invite import ADDRESSES_MAX, Invite, link, read_link
from meshchat.locks.statements import found
from meshchat.mesh import Mesh
from meshchat.peers.room import open_room
from meshchat.units import RoomId, Seconds, safe_text

SETTLE_S: Seconds = 1.5
"""How long after the start `join` and `create` wait for word of a room before they say that there is none."""

LOOK_S: Seconds = 0.1


class Entrance:
    """How this peer gets into rooms, and the invite of the locked one that it is in."""

    def __init__(self, mesh: Mesh, answers: Answers, private_key: Ed25519PrivateKey, started_at: Seconds) -> None:
        self._mesh = mesh
        self._answers = answers
        self._private_key = private_key
        self._public_key = private_key.public_key().public_bytes_raw()
        self._started_at = started_at
        self._invite: Invite | None = None
        self._shown = ""

    async def create(self, name: str) -> None:
        """Opens a room of that name and enters it. Raises `Refused` if there is one."""
        room = self._not_here(open_room(name), name)
        if await self._is_there(room) or self._unlocked(name):
            raise Refused(f"room already exists: {name}")
        self._mesh.enter(room, name)

    def create_locked(self, name: str, shown: str) -> str:
        """Founds a locked room and enters it; the invite link. Strangers see it as `shown`, or without a name."""
        nonce = os.urandom(NONCE_BYTES)
        invite = Invite(
            locked_room(self._public_key, nonce), name, os.urandom(SECRET_BYTES), (), self._public_key, nonce
        )
        self._enter(invite, shown)
        return self.link()

    async def join(self, name: str) -> None:
        """Enters the open room of that name, or the unlocked one that shows it. Raises `Refused` if there is none."""
        room = self._not_here(open_room(name), name)
        if not await self._is_there(room):
            room = self._not_here(self._unlocked(name) or room, name)
        if not await self._is_there(room):
            locked = any(each.locked and each.name.casefold() == name.casefold() for each in self._answers.rooms())
            raise Refused(
                f"room is locked: {name}; join it with its invite link" if locked else f"room not found: {name}"
            )
        self._mesh.enter(room, name)

    def join_by_link(self, text: str) -> None:
        """Enters the locked room that an invite link leads to, and calls whoever it names."""
        invite = read_link(text)
        self._not_here(invite.room, invite.name)
        shown = next((each.name for each in self._answers.rooms() if each.id == invite.room), "")
        self._enter(invite, shown)
        for address in invite.addresses:
            self._mesh.add_seed(address)

    def link(self) -> str:
        """The invite link to the locked room that we are in. Raises `Refused` if we are in none."""
        room = self._mesh.node.room
        if room is None:
            raise Refused("not in a room")
        if self._invite is None or room.id != self._invite.room:
            raise Refused(f"room is open: {room.name}; whoever knows its name can join it")
        addresses = tuple(each for each in self._mesh.addresses if "%" not in each.host)[:ADDRESSES_MAX]
        return link(replace(self._invite, addresses=addresses))

    def notices(self) -> tuple[RoomNotice, ...]:
        """What everybody on the network may know of the room that we are in."""
        room = self._mesh.node.room
        if room is None:
            return ()
        locked = room.gate.locked
        return (RoomNotice(room.id, self._shown if locked else room.name, locked, 1 + len(room.members())),)

    def renew(self, secret: bytes) -> None:
        """Another secret opens the room that we are in: links made from now on carry it.

        One who came in while the room was not locked can make a link from now on too.
        """
        room = self._mesh.node.room
        if room and room.court.law:
            founding = room.court.law.founding
            nonce = bytes.fromhex(founding.value[: 2 * NONCE_BYTES])
            self._invite = Invite(room.id, room.name, secret, (), founding.author_key, nonce)
            self._shown = room.court.law.public_name

    def _enter(self, invite: Invite, shown: str) -> None:
        """Whoever comes back to a room of its own founds it again, lest nobody is there who knows that it did."""
        own = invite.founder == self._public_key
        statement = found(self._private_key, invite.nonce, shown) if own else None
        self._invite, self._shown = invite, shown
        self._mesh.enter(invite.room, invite.name, invite.secret, statement)

    def _not_here(self, room: RoomId, name: str) -> RoomId:
        joined = self._mesh.node.room
        if joined and joined.id == room:
            raise Refused(f"room already joined: {name}")
        return room

    def _unlocked(self, name: str) -> RoomId | None:
        """The room of that name that somebody founded and nobody has locked, if there is one around."""
        shown = (each for each in self._answers.rooms() if each.name.casefold() == name.casefold() and not each.locked)
        return next((RoomId(each.id) for each in shown), None)

    async def _is_there(self, room: RoomId) -> bool:
        """Whether the room is around; right after the start, waits until word of it could have come."""
        while True:
            if any(each.id == room for each in self._answers.rooms()):
                return True
            if time.monotonic() - self._started_at > SETTLE_S:
                return False
            await asyncio.sleep(LOOK_S)


def cleaned(name: str) -> str:
    """A name as it will be shown. Raises `UsageError` if nothing of it is left."""
    kept = safe_text(name)
    if not kept:
        raise UsageError("a name needs at least one character that can be shown")
    return kept
