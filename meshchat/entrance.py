"""Going into rooms: open ones by their name, locked ones by their invite link or their passphrase.

An open room is its name, so whether it "exists" is a question of who is around. A locked room is its founder's key and
a nonce; its link carries the secret that opens it, and whoever has the link can hand it on. Whoever has the passphrase
asks a member for what the link says (`peers/visit.py`), and so must find one first.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from meshchat import control
from meshchat.answers import Answers
from meshchat.discovery import RoomNotice
from meshchat.errors import Refused, UsageError
from meshchat.knobs import Peer
from meshchat.locks.bind import NONCE_BYTES, SECRET_BYTES, locked_room
from meshchat.locks.invite import ADDRESSES_MAX, Invite, link, read_link
from meshchat.locks.passphrase import normalise, stretch
from meshchat.locks.statements import found
from meshchat.mesh import Mesh
from meshchat.peers.effects import DoorOpened, DoorShut
from meshchat.peers.room import open_room
from meshchat.units import RoomId, Seconds, safe_text

SETTLE_S: Seconds = 1.5
"""How long after the start `join` and `create` wait for word of a room before they say that there is none."""

LOOK_S: Seconds = 0.1

ID_DIGITS_MIN = 4
"""With so many digits of its id a locked room that shows no name can be joined."""


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
        self._answer: asyncio.Future[DoorOpened | DoorShut] | None = None
        """What comes of the passphrase that is being tried."""

    async def act(self, command: control.Command) -> control.Answer | None:
        """Does a command that is about coming in; None for one about anything else. Raises `MeshchatError`."""
        match command:
            case control.Create(name=name, shown=shown, passphrase=words) if command.locked or words:
                return control.Invited(await self.create_locked(cleaned(name), safe_text(shown), words))
            case control.Create(name=name):
                await self.create(cleaned(name))
            case control.Join(name=name, passphrase=""):
                await self.join(cleaned(name))
            case control.Join(name=name, passphrase=words):
                await self.join_by_passphrase(cleaned(name), words)
            case control.Enter(link=link_text):
                self.join_by_link(link_text)
            case control.Peer(address=address):
                self.call(address)
            case control.Invite():
                return control.Invited(self.link())
            case control.Passphrase(passphrase=words):
                await self.change_passphrase(words)
                return control.Invited(self.link())
            case _:
                return None
        return control.Done()

    async def create(self, name: str) -> None:
        """Opens a room of that name and enters it. Raises `Refused` if there is one."""
        room = self._not_here(open_room(name), name)
        if await self._is_there(room) or self._unlocked(name):
            raise Refused(f"room already exists: {name}")
        self._mesh.enter(room, name)

    async def create_locked(self, name: str, shown: str, passphrase: str) -> str:
        """Founds a locked room and enters it; the invite link. Strangers see it as `shown`, or without a name.

        Unless it is empty the `passphrase` opens it too.
        """
        nonce = os.urandom(NONCE_BYTES)
        invite = Invite(
            locked_room(self._public_key, nonce), name, os.urandom(SECRET_BYTES), (), self._public_key, nonce
        )
        self._enter(invite, shown, await _key(passphrase, invite.room) if passphrase else None)
        return self.link()

    async def join(self, name: str) -> None:
        """Enters the open room of that name, or the unlocked one that shows it. Raises `Refused` if there is none."""
        room = self._not_here(open_room(name), name)
        if not await self._is_there(room):
            room = self._not_here(self._unlocked(name) or room, name)
        if not await self._is_there(room):
            locked = any(each.locked and each.name.casefold() == name.casefold() for each in self._answers.rooms())
            raise Refused(
                f"room is locked: {name}; join it with its invite link, or with --passphrase if it has one"
                if locked
                else f"room not found: {name}"
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

    def call(self, text: str) -> None:
        """Calls the peer at an address that a person gave, for networks that carry no mDNS. Raises `UsageError`."""
        kind = Peer()
        try:
            address = kind.of_text(text.strip())
        except ValueError:
            raise UsageError(f"{safe_text(text, 300, 300)} is no address; write {kind.allowed}") from None
        self._mesh.add_seed(address)

    async def join_by_passphrase(self, wanted: str, passphrase: str) -> None:
        """Enters the locked room that shows this name, or whose id begins so.

        Raises `Refused` if there is none, if the passphrase is wrong, if too many wrong ones have been tried lately, or
        if no member answers.
        """
        room, shown = await self._locked(wanted)
        self._not_here(room, wanted)
        key = await _key(passphrase, room)
        self._mesh.ring(room, key)
        self._answer = asyncio.get_running_loop().create_future()
        answer = await self._answer
        if isinstance(answer, DoorShut):
            raise Refused(_why(answer, wanted))
        self._enter(answer.invite, shown, answer.key)

    async def change_passphrase(self, passphrase: str) -> None:
        """Lets another passphrase open the room that we are in, and a new secret with it, so another link as well.

        Raises `Refused` if we are in none, if it is open, or if we do not moderate it.
        """
        room = self._mesh.node.room
        if room is None or not room.gate.locked:
            raise Refused("not in a room" if room is None else f"room is open: {room.name}; `meshchat lock` it first")
        key = await _key(passphrase, room.id)
        if self._mesh.node.room is not room:
            raise Refused(f"not in {room.name} any more")
        self._mesh.order("secret", value=key.hex())

    def answered(self, answer: DoorOpened | DoorShut) -> None:
        """The door that we stood at opened, or did not."""
        if self._answer and not self._answer.done():
            self._answer.set_result(answer)

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
        law = room.court.law
        shown = law.public_name if law else self._shown  # who came by a link may not have seen what it shows
        sharing = not locked and self._answers.sharing()
        return (RoomNotice(room.id, shown if locked else room.name, locked, 1 + len(room.members()), sharing),)

    def renew(self, secret: bytes, key: bytes) -> None:
        """Another secret opens the room that we are in, with the key of another passphrase, or none if that is empty.

        Links made from now on carry it, and newcomers with the passphrase are handed it. One who came in
        while the room was not locked can make a link from now on too.
        """
        room = self._mesh.node.room
        if room and room.court.law:
            founding = room.court.law.founding
            nonce = bytes.fromhex(founding.value[: 2 * NONCE_BYTES])
            self._invite = Invite(room.id, room.name, secret, (), founding.author_key, nonce)
            self._mesh.keep_door(self._invite, key or None)

    def _enter(self, invite: Invite, shown: str, key: bytes | None = None) -> None:
        """Whoever comes back to a room of its own founds it again, lest nobody is there who knows that it did."""
        own = invite.founder == self._public_key
        statement = found(self._private_key, invite.nonce, shown) if own else None
        self._invite, self._shown = invite, shown
        self._mesh.enter(invite.room, invite.name, invite.secret, statement)
        self._mesh.keep_door(invite, key)

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
        return bool(await self._around(lambda each: each.id == room))

    async def _locked(self, wanted: str) -> tuple[RoomId, str]:
        """The locked room that is meant, and what it is shown as. Raises `Refused` if there is none, or several."""
        name, digits = wanted.casefold(), wanted.lower() if len(wanted) >= ID_DIGITS_MIN else " "
        found = await self._around(
            lambda each: each.locked and (each.name.casefold() == name or each.id.startswith(digits))
        )
        if not found:
            raise Refused(
                f"no locked room shows the name {wanted}; one that shows none is joined by the first digits of its id, "
                "which `meshchat rooms` lists"
            )
        if len(found) > 1:
            raise Refused(f"several locked rooms are shown as {wanted}; join one by the first digits of its id")
        return RoomId(found[0].id), found[0].name

    async def _around(self, wanted: Callable[[control.RoomSummary], bool]) -> list[control.RoomSummary]:
        """The rooms around that are wanted; right after the start, waits until word of one could have come."""
        while True:
            found = [each for each in self._answers.rooms() if wanted(each)]
            if found or time.monotonic() - self._started_at > SETTLE_S:
                return found
            await asyncio.sleep(LOOK_S)


def cleaned(name: str) -> str:
    """A name as it will be shown. Raises `UsageError` if nothing of it is left."""
    kept = safe_text(name)
    if not kept:
        raise UsageError("a name needs at least one character that can be shown")
    return kept


async def _key(passphrase: str, room: RoomId) -> bytes:
    """What the passphrase makes for that room, made on another thread: it takes 0.1 s."""
    return await asyncio.to_thread(stretch, normalise(passphrase), room)


def _why(shut: DoorShut, room: str) -> str:
    """Why the door stayed shut, and what can be done about it."""
    later = f"the next may be tried in {math.ceil(shut.wait_s)} s" if shut.wait_s else "try again"
    return {
        "wrong": f"wrong passphrase for {room}; {later}",
        "wait": f"too many wrong passphrases were tried at {room}: {later}; an invite link opens it at any time",
        "closed": f"no passphrase opens {room} now; join it with its invite link",
        "barred": f"you were sent out of {room}; a moderator there can pardon you",
        "silent": f"nobody in {room} answered; its members have gone, or cannot be reached from here",
    }[shut.reason]
