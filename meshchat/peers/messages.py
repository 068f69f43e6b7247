"""What two peers say to each other on their control stream, and how it is written down.

A message is one JSON object, preceded by its length as four bytes, most significant first:

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                    length of what follows                     |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |  {"type": "beat", ...}                                       ...

JSON because the traffic log shows it as it is, typed and bounded by msgspec because it comes from outside: what does
not decode into one of these structs, with every bound kept, is a `WireError` and ends the link.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Struct

from meshchat.errors import WireError
from meshchat.locks.phrase import Commit, Reveal
from meshchat.peers.entry import AtTheDoor, Words
from meshchat.peers.fields import DIGEST_DIGITS, Digest, Hex32, Hex64, HostAndPort, Name, Natural, Proof
from meshchat.peers.lines import Lack, Lines, Tally
from meshchat.peers.orders import Orders, OrdersWanted, Secret, SecretWanted
from meshchat.units import safe_text

PROTOCOL = 1
"""Version of this language; the part after the slash in the ALPN name `meshchat/1`."""

MESSAGE_BYTES_MAX = 128 * 1024
"""Longest message: a full roster, 128 members with eight IPv6 addresses each, is under 100 KiB."""

MEMBERS_MAX = 128
"""Most members in one room: beyond that a full mesh asks too much of a Wi-Fi channel."""

ADDRESSES_MAX = 8
"""Addresses told about one peer: two families on four interfaces."""

KEY_BYTES = 32
"""Length of a media base key: that of the hash of the suite, as the ratchet makes them (RFC 9605 section 5.1)."""

ASKED_MAX = 32
"""Members asked about in one message: a split of a room of 100 takes two or three."""

SIGHTINGS_MAX = 8
"""Members told of in one message because the coordinator does not list them; the rest come with the next."""

HOPS_MAX = 4
"""How far such news is handed on: as many people as stand between two ends of a badly cut network."""

EPOCHS = 1 << 53
"""Epochs are counted round; every number below this is exact in any language that reads JSON (RFC 8259 section 6)."""

BEAT_MS_MAX = 1400
"""Longest interval that a member may promise between its beats, that of a full room, lest a liar be waited for."""

ANSWERS_MAX = 4
"""Secrets of one room that a member remembers: whoever missed more than three changes needs a new link."""

Book: TypeAlias = Annotated[str, Meta(pattern=f"^([0-9a-f]{{{DIGEST_DIGITS}}})?$")]
Addresses: TypeAlias = Annotated[tuple[HostAndPort, ...], Meta(max_length=ADDRESSES_MAX)]
BeatMs: TypeAlias = Annotated[int, Meta(ge=0, le=BEAT_MS_MAX)]
Count: TypeAlias = Annotated[int, Meta(ge=0, lt=1 << 31)]
Answer: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]
Ssrc: TypeAlias = Annotated[int, Meta(ge=0, lt=1 << 32)]


class Claim(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Somebody coordinates the room: `leader`, admitted as number `order`, in `epoch`.

    Epoch 0 is a claim made alone, in a room with nobody else in it: it yields to every other.
    """

    epoch: Natural
    order: Count
    leader: Hex64
    standing: Count = 0
    """How fit the leader is to coordinate, 0 best: its role, then its machine (`circle.standing`)."""

    def outranks(self, other: Claim | None) -> bool:
        """A later epoch wins; within one epoch the better standing, then the earlier admission, then the lower id."""
        if other is None or self.epoch != other.epoch:
            return other is None or is_later(self.epoch, other.epoch)
        return (self.standing, self.order, self.leader) < (other.standing, other.order, other.leader)


def is_later(epoch: int, other: int) -> bool:
    """Whether an epoch comes after another: they are counted round and compared as sequence numbers (RFC 1982).

    So no lie about an epoch, however great, can use up those that come after it. 0 comes before all others.
    """
    return epoch != 0 and (other == 0 or 0 < (epoch - other) % EPOCHS < EPOCHS // 2)


def epoch_after(epoch: int) -> int:
    """The next epoch; never 0."""
    return (epoch + 1) % EPOCHS or 1


class Mark(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Which roster somebody holds: its version under the claim, and a digest of it."""

    version: Count
    digest: Digest


class Presence(Struct, frozen=True, forbid_unknown_fields=True):
    """What a member says of itself in the room it is in."""

    room: Hex32
    name: Name
    alias: Name
    muted: bool = False
    deafened: bool = False
    standing: Count = 0
    """How fit to coordinate it says it is, 0 best."""
    sharing: bool = False
    """Whether it shares a screen."""


class Hello(Struct, frozen=True, tag_field="type", tag="hello", forbid_unknown_fields=True):
    """First on every link, in both directions."""

    protocol: Count
    addresses: Addresses
    keep: bool = False
    """Whether the sender was told to reach this peer (`--peer`) and wants the link kept without a common room."""
    presence: Presence | None = None
    claim: Claim | None = None
    every_ms: BeatMs = 0
    """As in `Beat`."""


class Moved(Struct, frozen=True, tag_field="type", tag="moved", forbid_unknown_fields=True):
    """The sender entered a room, left it (`presence` is null), or changed alias, mute or deafen."""

    presence: Presence | None = None
    claim: Claim | None = None


class Beat(Struct, frozen=True, tag_field="type", tag="beat", forbid_unknown_fields=True):
    """A sign of life once in a beat interval, with what the round-trip time needs (RFC 3550 section 6.4.1)."""

    stamp_ms: Natural
    """The sender's clock when it sent this."""
    echo_ms: Natural = 0
    """The receiver's own latest stamp that the sender has seen; 0 if none."""
    held_ms: Natural = 0
    """How long the sender held that stamp before echoing it."""
    claim: Claim | None = None
    hears_leader: bool = False
    """Whether the sender takes the claim's leader for alive."""
    roster: Mark | None = None
    """The roster that it holds under that claim."""
    every_ms: BeatMs = 0
    """The next beat follows within this; time-outs are counted in it."""
    book: Book = ""
    """Which orders the sender has, as a digest; empty for none."""
    tally: Tally | None = None
    """What the sender holds of the chat, told to members only."""
    hears_breaths: bool = False
    """Whether breaths, or sound, of the receiver came since the sender's last beat."""


class Entry(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One line of the roster."""

    peer: Hex64
    order: Count
    alias: Name
    addresses: Addresses
    standing: Count = 0


class Roster(Struct, frozen=True, tag_field="type", tag="roster", forbid_unknown_fields=True):
    """The coordinator tells the order of admission, the unique aliases, and where everybody is.

    It is signed, so that any member can hand it on to one that has no link to the coordinator.
    """

    claim: Claim
    version: Count
    entries: Annotated[tuple[Entry, ...], Meta(max_length=MEMBERS_MAX)]
    proof: Proof = b""


class Want(Struct, frozen=True, tag_field="type", tag="want", forbid_unknown_fields=True):
    """Asks for the signed roster of a claim that the receiver said it follows."""

    claim: Claim


class Handover(Struct, frozen=True, tag_field="type", tag="handover", forbid_unknown_fields=True):
    """The coordinator leaves, and names who coordinates from now on."""

    claim: Claim


class Ask(Struct, frozen=True, tag_field="type", tag="ask", forbid_unknown_fields=True):
    """The sender does not hear some members any more: does the receiver?"""

    stamp_ms: Natural
    about: Annotated[tuple[Hex64, ...], Meta(max_length=ASKED_MAX)]


class Heard(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A member was alive so long before the question was answered."""

    peer: Hex64
    ago_ms: Natural


class Tell(Struct, frozen=True, tag_field="type", tag="tell", forbid_unknown_fields=True):
    """The answer; a member that was never heard is left out."""

    stamp_ms: Natural
    """The question's own stamp."""
    heard: Annotated[tuple[Heard, ...], Meta(max_length=ASKED_MAX)]


class Sighting(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A member that is in no roster yet, as somebody linked with it knows it."""

    entry: Entry
    ago_ms: Natural
    hops: Annotated[int, Meta(ge=0, le=HOPS_MAX)]
    """Through how many members this came."""


class Sightings(Struct, frozen=True, tag_field="type", tag="sightings", forbid_unknown_fields=True):
    """Members that the coordinator may have no link to: on the way to it."""

    seen: Annotated[tuple[Sighting, ...], Meta(max_length=SIGHTINGS_MAX)]


class Key(Struct, frozen=True, tag_field="type", tag="key", forbid_unknown_fields=True):
    """The sender's media key for a room, handed to each member by itself."""

    room: Hex32
    ssrc: Ssrc
    key_id: Count
    base_key: Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]


class Neighbour(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Another peer that the sender is linked with: where it is and which room it is in."""

    peer: Hex64
    addresses: Addresses
    room: Hex32 | None = None
    name: Name = ""


class Neighbours(Struct, frozen=True, tag_field="type", tag="neighbours", forbid_unknown_fields=True):
    """Peer exchange: one reachable member is enough to find the others where multicast does not pass."""

    peers: Annotated[tuple[Neighbour, ...], Meta(max_length=MEMBERS_MAX)]


class Knock(Struct, frozen=True, tag_field="type", tag="knock", forbid_unknown_fields=True):
    """The sender is in a locked room, and asks the receiver to show that it knows the room's secret."""

    room: Hex32
    challenge: Annotated[bytes, Meta(min_length=16, max_length=16)]


class Proven(Struct, frozen=True, tag_field="type", tag="proven", forbid_unknown_fields=True):
    """The answer to a knock (`locks/proof.py`)."""

    room: Hex32
    answers: Annotated[tuple[Answer, ...], Meta(max_length=ANSWERS_MAX)]
    """One for each secret that opened the room, newest first."""


class Watch(Struct, frozen=True, tag_field="type", tag="watch", forbid_unknown_fields=True):
    """The sender watches the receiver's screen, or watches it no more; it holds until it is taken back."""

    on: bool


Message: TypeAlias = (
    Hello | Moved | Beat | Roster | Want | Handover | Ask | Tell | Sightings | Key | Neighbours | Knock | Proven
    | Orders | OrdersWanted | Secret | SecretWanted | Commit | Reveal | AtTheDoor | Lines | Lack | Watch
)  # fmt: skip

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)

LENGTH_BYTES = 4


def encode(message: Message) -> bytes:
    """One message with its length in front, ready for the stream."""
    body = _encoder.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def describe(message: Message) -> str:
    """One line for the traffic log; secrets, and what people write, are left out."""
    if isinstance(message, Key):
        return f"key room={message.room} ssrc={message.ssrc:08x} key_id={message.key_id}"
    if isinstance(message, Secret):
        return f"secret room={message.room}"
    if isinstance(message, Lines):
        return f"lines count={len(message.lines)}"
    if isinstance(message, Words):
        return f"words room={message.room} failures={message.failures}"
    return safe_text(_encoder.encode(message).decode(), characters_max=4096, bytes_max=8192)


class Reader:
    """Cuts a control stream into messages, holding back at most one unfinished message."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Every message completed by `data`.

        Raises `WireError` when one is too long, is no JSON, is of no known type or breaks a bound.
        """
        self._buffer += data
        while len(self._buffer) >= LENGTH_BYTES:
            length = int.from_bytes(self._buffer[:LENGTH_BYTES], "big")
            if length > MESSAGE_BYTES_MAX:
                raise WireError(f"a control message of {length} bytes")
            end = LENGTH_BYTES + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[LENGTH_BYTES:end])
            del self._buffer[:end]
            yield decode(body)


def decode(body: bytes) -> Message:
    """One message from its JSON; `WireError` for anything else."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise WireError(f"a control message that does not decode: {error}") from None
