"""Words about rooms: which there are, how to make, enter and leave one, and what opens it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from meshchat import control
from meshchat.locks.invite import is_link
from meshchat.words import typed
from meshchat.words.text import name
from meshchat.words.word import Word, asks, plainly


def _create(words: Namespace) -> control.Command:
    shown = name(words.shown_as) if words.shown_as else ""
    return control.Create(name(words.name), words.locked, shown, _passphrase(words, typed.choose))


def _join(words: Namespace) -> control.Command:
    if is_link(words.name):
        return control.Enter(words.name)
    return control.Join(name(words.name), _passphrase(words, typed.ask))


def _passphrase(words: Namespace, asked: Callable[[str], str]) -> str:
    """The passphrase, from where the words say; empty if they say nothing of one."""
    if words.passphrase_file:
        return typed.from_file(words.passphrase_file)
    if words.passphrase_fd is not None:
        return typed.from_descriptor(words.passphrase_fd)
    return asked(name(words.name) if "name" in words else "this room") if words.passphrase else ""


def _add_create(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--locked", action="store_true", help="only those with the invite link can come in")
    parser.add_argument("--shown-as", metavar="NAME", help="what strangers see of a locked room; else no name")
    typed.add_options(parser, optional=True)


def _add_join(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME|LINK")
    typed.add_options(parser, optional=True)


def _add_peer(parser: ArgumentParser) -> None:
    parser.add_argument("address", metavar="HOST:PORT")


def _add_rule(parser: ArgumentParser) -> None:
    parser.add_argument("rule", choices=["mutes-hold"], help="whether only a moderator unmutes whom one muted")
    parser.add_argument("value", choices=["yes", "no"])


WORDS = (
    Word("rooms", "list the rooms around", plainly(control.Rooms)),
    Word("create", "open a room and enter it", asks(_create), _add_create),
    Word("join", "enter a room", asks(_join), _add_join),
    Word(
        "peer",
        "call a peer by its address, where mDNS does not pass; its rooms are listed once it answers",
        asks(lambda words: control.Peer(words.address)),
        _add_peer,
    ),
    Word("leave", "go out of the room", plainly(control.Leave)),
    Word("invite", "show the link that lets others into this locked room", plainly(control.Invite)),
    Word(
        "passphrase",
        "let another passphrase open this locked room, and another link",
        asks(lambda words: control.Passphrase(_passphrase(words, typed.choose))),
        lambda parser: typed.add_options(parser, optional=False),
    ),
    Word("lock", "let in only those with the invite link, a new one", plainly(control.Lock)),
    Word("unlock", "let everybody in", plainly(control.Unlock)),
    Word("rule", "set what holds in the room", asks(lambda words: control.Rule(words.value == "yes")), _add_rule),
)
