"""What a program may say to the daemon and what the daemon says back: one JSON object a line.

The types are the protocol. A line decodes into exactly one of them or is refused with the reason, and
`docs/control.md` shows an example of each, which a test decodes with these types.

Two unions are told apart by a tag: a request by its `command`, an event by its `event`. What comes from a client
is strict, so that a misspelt argument is an error and not a surprise; a client passes over fields and events that
it does not know, so that a newer daemon may say more under the same protocol number.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from meshchat.remote.commands import Command
from meshchat.remote.events import Event
from meshchat.remote.state import Answer

PROTOCOL = 1
"""Raised when an old client could no longer understand a new daemon, or the reverse."""

LINE_BYTES_MAX = 64 * 1024
"""Longest line that a client may send; the longest command takes 300 bytes. A longer one is garbage."""

ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""Longest line that a client takes from its daemon: a room of 1000 members at 600 bytes each fits several times."""

ErrorKind: TypeAlias = Literal["refused", "usage", "failed", "internal", "protocol"]
"""Said no; makes no sense; the world did not let it; a bug in the daemon; not this protocol, so the line is cut."""


class Failure(Struct, frozen=True):
    """Why a command was not done, in words for a person."""

    kind: ErrorKind
    message: str


class Reply(Struct, frozen=True, omit_defaults=True):
    """The end of the request with the same id: either `ok` or `error`. Null as id: the request could not be read."""

    id: int | None
    ok: Answer | UnsetType = UNSET
    error: Failure | UnsetType = UNSET


class Greeting(Struct, frozen=True):
    """The daemon's first line."""

    meshchat: str
    """The version of the program."""
    protocol: int
    pid: int
    """The daemon's process."""


class Token(Struct, frozen=True, forbid_unknown_fields=True):
    """The client's first line where the control socket is TCP: proof that it can read the profile."""

    token: Annotated[str, Meta(max_length=128)]


class Door(Struct, frozen=True):
    """What the file `PROFILE/control` says: where the daemon listens, and the token where it is TCP."""

    address: Annotated[str, Meta(pattern=r"^(unix:/.*|tcp:127\.0\.0\.1:[0-9]{1,5})$")]
    token: str = ""


class _Numbered(Struct, frozen=True):
    id: int


class _Tagged(Struct, frozen=True):
    event: str


_command: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_tags = frozenset(str(each.__struct_config__.tag) for each in get_args(Event))


def encode_line(message: Struct) -> bytes:
    """One line of JSON in UTF-8, its newline included. JSON escapes control characters, so a line stays a line."""
    return msgspec.json.encode(message) + b"\n"


def read_command(line: bytes) -> Command:
    """The request in `line`, which is not trusted. Raises `msgspec.DecodeError`, which says where it is wrong."""
    try:
        return _command.decode(line)
    except RecursionError as error:
        raise msgspec.DecodeError("nested too deeply") from error


def request_id(line: bytes) -> int | None:
    """The id of a request that could not be read otherwise; None where it has none: not this protocol."""
    try:
        return msgspec.json.decode(line, type=_Numbered).id
    except (msgspec.DecodeError, RecursionError):
        return None


def read_event(line: bytes) -> Event | None:
    """The event in `line`; None for one that only a newer daemon knows. Raises `msgspec.DecodeError`."""
    tag = msgspec.json.decode(line, type=_Tagged).event
    return _event.decode(line) if tag in _tags else None
