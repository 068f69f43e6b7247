"""Whose fault an error is: the world's, the user's, or a peer's.

Three kinds are never mixed. `MeshchatError` and its children are the world's failure or a refusal: the
message is written for the person who reads it and says what failed, why, and what to do. `WireError` is a
peer's nonsense: it is counted and dropped at one line and never shown. Anything else is our own bug and is
left to crash the test that finds it.
"""

from __future__ import annotations


class MeshchatError(Exception):
    """Something failed outside this program, or was refused; the message is for the person."""

    exit_status = 1
    """What the command line returns for it."""


class Refused(MeshchatError):
    """The daemon understood the wish and said no: `room not found`, `alias already taken`."""


class UsageError(MeshchatError):
    """The words, the flag or the configuration given make no sense."""

    exit_status = 2


class NoDaemon(MeshchatError):
    """No daemon answers for this profile."""

    exit_status = 3


class AudioError(MeshchatError):
    """A sound device or file cannot be opened, read or written."""


class ScreenError(MeshchatError):
    """A screen or a picture cannot be looked at."""


class NetworkError(MeshchatError):
    """An address, port or interface cannot be used."""


class WireError(Exception):
    """Bytes from the network that are not what they claim to be."""
