"""What members say to each other about the orders of their room, and about the secret that opens it.

An order proves itself (`locks/statements.py`), so it is taken from whoever brings it. The secret is told to members
only, and taken only where it fits the hash that a moderator signed.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from meshchat.locks.bind import SECRET_BYTES
from meshchat.locks.book import BATCH
from meshchat.locks.passphrase import KEY_BYTES
from meshchat.locks.statements import Statement
from meshchat.peers.fields import Hex32


class Orders(Struct, frozen=True, tag_field="type", tag="orders", forbid_unknown_fields=True):
    """Orders that are new, that were asked for, or that tell a peer why it is sent away."""

    statements: Annotated[tuple[Statement, ...], Meta(max_length=BATCH)]


class OrdersWanted(Struct, frozen=True, tag_field="type", tag="orders_wanted", forbid_unknown_fields=True):
    """Asks for all orders that the receiver has, because it has others than the sender."""

    room: Hex32


class Secret(Struct, frozen=True, tag_field="type", tag="secret", forbid_unknown_fields=True):
    """What opens the room from now on."""

    room: Hex32
    secret: Annotated[bytes, Meta(min_length=SECRET_BYTES, max_length=SECRET_BYTES)]
    words: Annotated[bytes, Meta(max_length=KEY_BYTES)] = b""
    """The key that the passphrase makes (`locks/passphrase.py`); empty where none opens the room."""


class SecretWanted(Struct, frozen=True, tag_field="type", tag="secret_wanted", forbid_unknown_fields=True):
    """Asks for it: the sender knows that there is a new one, and has not been told."""

    room: Hex32
