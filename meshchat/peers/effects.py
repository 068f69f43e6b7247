"""What the control plane asks of the shell around it, and what it reports.

Effects are wishes in the imperative (`Send`, `Dial`, `Drop`); events are facts in the past tense (`MemberJoined`).
The shell carries out the first and publishes the second, in the order given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from meshchat.locks.invite import Invite
from meshchat.locks.statements import Kind
from meshchat.peers.lines import Line, LineId
from meshchat.peers.messages import Claim, Message
from meshchat.units import Address, PeerId, RoomId, Seconds


@dataclass(frozen=True, slots=True)
class Send:
    """Write a message on the link to `peer`."""

    peer: PeerId
    message: Message


@dataclass(frozen=True, slots=True)
class Breathe:
    """Tell these members that we live and nothing more, all with the same few sealed bytes, which may get lost."""

    peers: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a link; `peer` is None where only the address is known (`--peer`)."""

    peer: PeerId | None
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Punch:
    """Send a small datagram each way to come, so that our own firewall lets the other side's call in."""

    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the link to `peer`, telling it why."""

    peer: PeerId
    reason: str


@dataclass(frozen=True, slots=True)
class RoomEntered:
    """We are in a room now."""

    room: RoomId
    name: str


@dataclass(frozen=True, slots=True)
class RoomLeft:
    """We are in no room any more."""

    room: RoomId
    name: str
    reason: str = "left"
    """In words: `left`, or who sent us away."""


@dataclass(frozen=True, slots=True)
class MemberJoined:
    """A peer is in our room and linked with us."""

    peer: PeerId
    alias: str


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """A member is no longer here."""

    peer: PeerId
    alias: str
    reason: str
    """In words: `left`, `lost`, ..."""


@dataclass(frozen=True, slots=True)
class MemberChanged:
    """Alias, mute or deafen of a member changed, ours included."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class CoordinatorChanged:
    """The room follows another claim, or (None) waits for one."""

    claim: Claim | None


@dataclass(frozen=True, slots=True)
class SendKeyChanged:
    """What we send from now on goes out as stream `ssrc`, sealed with this key."""

    ssrc: int
    key_id: int
    base_key: bytes


@dataclass(frozen=True, slots=True)
class KeyReceived:
    """A member told the key that it seals with."""

    peer: PeerId
    ssrc: int
    key_id: int
    base_key: bytes


@dataclass(frozen=True, slots=True)
class KeyInUse:
    """`peer` turned us away because another running peer shows our key: one of the two profiles is a copy."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class Ordered:
    """A moderator's order has come into force, or out of it."""

    kind: Kind
    author: PeerId | None
    """Whose order it was; None where that is of no weight, as when one is lifted."""
    subject: PeerId | None
    """The peer that it is about, if it is about one."""


@dataclass(frozen=True, slots=True)
class Silenced:
    """A moderator muted us: we say that we are mute, and send nothing from now on."""


@dataclass(frozen=True, slots=True)
class ImpostorCame:
    """A member calls itself what a verified peer does, and has another key. We say nothing to it and do not play it."""

    peer: PeerId
    alias: str
    """As it says it: to be cleaned."""


@dataclass(frozen=True, slots=True)
class WordsShown:
    """Words to compare with that member, who is shown the same ones if nobody sits between."""

    peer: PeerId
    words: str


@dataclass(frozen=True, slots=True)
class SecretChanged:
    """Another secret opens the room."""

    secret: bytes = field(repr=False)
    """16 bytes."""
    words: bytes = field(repr=False)
    """The key that its passphrase makes from now on; empty where none opens it."""


ShutReason: TypeAlias = Literal["wrong", "wait", "closed", "barred", "silent"]
"""The passphrase was wrong; others were, and it is not time for the next try; the room has none; we were kicked or
banned; nobody answered."""


@dataclass(frozen=True, slots=True)
class DoorOpened:
    """The passphrase that we showed was right: what opens the room, and the key that the passphrase makes."""

    invite: Invite
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DoorShut:
    """The passphrase did not let us in."""

    room: RoomId
    reason: ShutReason
    wait_s: Seconds
    """How long until the next try, where that is known; else 0."""


@dataclass(frozen=True, slots=True)
class LineAdded:
    """Somebody wrote to the room, we included; late news of a split comes like the rest, for an earlier place."""

    line_id: LineId
    line: Line


@dataclass(frozen=True, slots=True)
class Flooded:
    """A member writes faster than anybody reads; what is too much is left out."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class WatchAsked:
    """A member watches our screen, or watches it no more."""

    peer: PeerId
    on: bool


Event: TypeAlias = (
    RoomEntered
    | RoomLeft
    | MemberJoined
    | MemberLeft
    | MemberChanged
    | CoordinatorChanged
    | SendKeyChanged
    | KeyReceived
    | KeyInUse
    | Ordered
    | Silenced
    | ImpostorCame
    | WordsShown
    | SecretChanged
    | DoorOpened
    | DoorShut
    | LineAdded
    | Flooded
    | WatchAsked
)
Effect: TypeAlias = Send | Breathe | Dial | Punch | Drop | Event
