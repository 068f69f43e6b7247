"""What stories of moderated rooms begin with: a room that somebody founded, and orders given in it."""

from __future__ import annotations

from collections.abc import Iterable

from meshchat.locks.bind import NONCE_BYTES, SECRET_BYTES
from meshchat.locks.statements import Kind, found
from meshchat.units import RoomId
from tests.simulation import Village


def found_room(village: Village, name: str, others: Iterable[str] = (), *, room: str = "board") -> None:
    """The peer founds a locked room, and the others come in with its link."""
    statement = found(village.peers[name].key, village.rng.randbytes(NONCE_BYTES))
    village.rooms[room] = (RoomId(statement.room), village.rng.randbytes(SECRET_BYTES))
    village.enter([name], room, statement=statement)
    village.enter(others, room)


def order(village: Village, name: str, kind: Kind, subject: str = "", value: str = "") -> None:
    """A moderator gives an order, about the peer of that name if about any."""
    peer, about = village.peers[name], village.peers[subject].id if subject else ""
    village.tell(name, lambda node: node.order(peer.key, kind, village.clock(peer), about, value))
