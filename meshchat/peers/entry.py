"""What is said at the door of a locked room by somebody who has its passphrase, and among those who keep the door.

    newcomer                                 doorkeeper
        | ring (the knock of `locks/pake.py`) ----> |
        | <------------------------- reply, or shut |
        | confirm --------------------------------> |   wrong: `tried` to all members, then shut
        | <------------------------ opened, or shut |

The exchange itself is told in `locks/pake.py`, who answers and how often in `door`.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from meshchat.locks.attempts import FAILURES_MAX, WAIT_S_MAX
from meshchat.locks.pake import CONFIRMATION_BYTES, HANDOVER_BYTES_MAX, KNOCK_BYTES, REPLY_BYTES
from meshchat.locks.passphrase import KEY_BYTES
from meshchat.peers.fields import Hex32, Hex64, HostAndPort

WAIT_MS_MAX = int(WAIT_S_MAX * 1000)
"""No doorkeeper may ask a newcomer to wait longer."""

DOOR_ADDRESSES_MAX = 4
"""Addresses told of the doorkeeper: two families on two interfaces; the newcomer knows others by mDNS."""

Failures: TypeAlias = Annotated[int, Meta(ge=0, le=FAILURES_MAX)]

Reason: TypeAlias = Literal["wrong", "wait", "elsewhere", "closed", "barred"]
"""The passphrase was wrong; it is not yet time for the next try; another member keeps the door; no passphrase opens;
whoever rings was kicked or banned."""


class Ring(Struct, frozen=True, tag_field="type", tag="ring", forbid_unknown_fields=True):
    """A newcomer knows a passphrase and asks to be let in."""

    room: Hex32
    point: Annotated[bytes, Meta(min_length=KNOCK_BYTES, max_length=KNOCK_BYTES)]


class Reply(Struct, frozen=True, tag_field="type", tag="reply", forbid_unknown_fields=True):
    """The doorkeeper's half of the exchange."""

    room: Hex32
    point: Annotated[bytes, Meta(min_length=REPLY_BYTES, max_length=REPLY_BYTES)]


class Confirm(Struct, frozen=True, tag_field="type", tag="confirm", forbid_unknown_fields=True):
    """The newcomer shows the key that it came to."""

    room: Hex32
    code: Annotated[bytes, Meta(min_length=CONFIRMATION_BYTES, max_length=CONFIRMATION_BYTES)]


class Opened(Struct, frozen=True, tag_field="type", tag="opened", forbid_unknown_fields=True):
    """The passphrase was right: the room's card, sealed for the newcomer."""

    room: Hex32
    sealed: Annotated[bytes, Meta(max_length=HANDOVER_BYTES_MAX)]


class Shut(Struct, frozen=True, tag_field="type", tag="shut", forbid_unknown_fields=True):
    """The door stays shut."""

    room: Hex32
    reason: Reason
    wait_ms: Annotated[int, Meta(ge=0, le=WAIT_MS_MAX)] = 0
    """How long until the next try."""
    keeper: Hex64 | None = None
    """With `elsewhere`: who keeps the door."""
    addresses: Annotated[tuple[HostAndPort, ...], Meta(max_length=DOOR_ADDRESSES_MAX)] = ()
    """Where the keeper is."""


class Words(Struct, frozen=True, tag_field="type", tag="words", forbid_unknown_fields=True):
    """To a member: the key that the passphrase makes, so that everybody can keep the door; and the failures so far."""

    room: Hex32
    key: Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
    failures: Failures = 0


class Tried(Struct, frozen=True, tag_field="type", tag="tried", forbid_unknown_fields=True):
    """To a member: how many failures the sender counts."""

    room: Hex32
    failures: Failures


AtTheDoor: TypeAlias = Ring | Reply | Confirm | Opened | Shut | Words | Tried
