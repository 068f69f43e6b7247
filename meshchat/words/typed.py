"""Passphrases as people give them: typed unseen on a terminal, or read from a file or a descriptor.

Never from the command line's arguments: those every user of the machine can read, and the shell remembers them.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path
from typing import BinaryIO

from meshchat.errors import UsageError
from meshchat.locks.passphrase import PASSPHRASE_CHARACTERS_MAX, normalise, propose

LINE_BYTES_MAX = 16 * PASSPHRASE_CHARACTERS_MAX
"""Longest first line that is looked at: four times what the longest passphrase takes in UTF-8."""


def ask(room: str) -> str:
    """The passphrase of a room, as a person types it. Raises `UsageError` where there is no terminal."""
    return normalise(_typed(f"Passphrase of {room}: "))


def choose(room: str) -> str:
    """The passphrase for a new room: what a person types twice, or, when nothing is typed, the one proposed.

    Raises `UsageError` where there is no terminal, or the two do not agree.
    """
    proposed = propose(os.urandom)
    first = _typed(f"Passphrase for {room}, or nothing to take: {proposed}\n: ")
    if not first:
        return proposed
    words = normalise(first)
    if normalise(_typed("Once more: ")) != words:
        raise UsageError("the two passphrases are not the same; nothing was done")
    return words


def from_file(path: Path) -> str:
    """The passphrase in the first line of a file. Raises `UsageError` if it cannot be read or is none."""
    try:
        with path.open("rb") as file:
            return _first_line(file, str(path))
    except OSError as error:
        raise UsageError(f"cannot read the passphrase from {path}: {error.strerror}") from None


def from_descriptor(number: int) -> str:
    """The passphrase in the first line of an open descriptor. Raises `UsageError` if it cannot be read or is none."""
    try:
        with os.fdopen(number, "rb", closefd=False) as file:
            return _first_line(file, f"descriptor {number}")
    except OSError as error:
        raise UsageError(f"cannot read the passphrase from descriptor {number}: {error.strerror}") from None


def _typed(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise UsageError("no terminal to ask for the passphrase on; give --passphrase-file or --passphrase-fd")
    return getpass.getpass(prompt, sys.stderr)


def _first_line(file: BinaryIO, where: str) -> str:
    line = file.readline(LINE_BYTES_MAX).rstrip(b"\r\n")
    try:
        return normalise(line.decode())
    except UnicodeDecodeError:
        raise UsageError(f"what {where} holds is no text in UTF-8, so no passphrase") from None


def add_options(parser: argparse.ArgumentParser, *, optional: bool) -> None:
    """Where a passphrase comes from. No option takes the words themselves: everybody could read them."""
    ways = parser.add_mutually_exclusive_group()
    if optional:
        ways.add_argument("--passphrase", action="store_true", help="a passphrase opens the locked room: ask for it")
    else:
        parser.set_defaults(passphrase=True)
    ways.add_argument("--passphrase-file", metavar="FILE", type=Path, help="it is the first line of this file")
    ways.add_argument("--passphrase-fd", metavar="N", type=int, help="it is the first line of this open descriptor")
