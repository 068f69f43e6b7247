"""What one word of the command line is: what it says of itself, what may follow it, and how it is done."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from meshchat import control

Does = Callable[[Path, Namespace], Awaitable[control.Answer | None]]
"""Does a word for the daemon of a profile. The answer is to be printed; None where that is done already."""

Asks = Callable[[Path, Namespace], Awaitable[control.Answer]]
"""Does a word by one command, and so has an answer."""


def _nothing(_parser: ArgumentParser) -> None:
    """No argument and no option of its own."""


@dataclass(frozen=True, slots=True)
class Word:
    """One command: `add` teaches a parser what may follow `name`; `does` carries it out."""

    name: str
    about: str
    does: Does
    add: Callable[[ArgumentParser], None] = _nothing


def asks(command: Callable[[Namespace], control.Command]) -> Asks:
    """Has the daemon do the command that the words come to."""

    async def does(profile: Path, words: Namespace) -> control.Answer:
        asked = command(words)
        async with await control.ControlClient.connect(profile) as daemon:
            return await daemon.call(asked)

    return does


def plainly(command: Callable[[], control.Command]) -> Asks:
    """Has the daemon do a command that takes nothing."""
    return asks(lambda _words: command())


def about_a_member(command: Callable[[str], control.Command]) -> Asks:
    """Has the daemon do a command about one member."""
    return asks(lambda words: command(words.member))


def add_member(parser: ArgumentParser) -> None:
    """Who it is about."""
    parser.add_argument("member", metavar="MEMBER", help="an alias, or the first digits of an id")


def add_member_or_oneself(parser: ArgumentParser) -> None:
    """Who it is about: oneself, where nobody is named."""
    parser.add_argument(
        "member", metavar="MEMBER", nargs="?", default="", help="an alias, or the first digits of an id"
    )


def as_json(told: msgspec.Struct) -> str:
    """One line of JSON, for a program that reads."""
    return msgspec.json.encode(told).decode()
