"""Words about the people in the room, oneself among them: who they are, what they may, what is written."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from meshchat import control
from meshchat.words import follow
from meshchat.words.text import name, text
from meshchat.words.word import Word, about_a_member, add_member, add_member_or_oneself, asks, plainly


async def _chat(profile: Path, words: Namespace) -> control.Answer | None:
    if not words.follow:
        return await plainly(control.Chat)(profile, words)
    await follow.chat(profile, words)
    return None


def _add_alias(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")


def _add_say(parser: ArgumentParser) -> None:
    parser.add_argument("text", metavar="TEXT", nargs="+", help="what to write; - for standard input")


def _add_chat(parser: ArgumentParser) -> None:
    parser.add_argument("--follow", action="store_true", help="go on until Ctrl+C")


def _add_verify(parser: ArgumentParser) -> None:
    add_member(parser)
    parser.add_argument("--agreed", action="store_true", help="the words that both sides show are the same")


WORDS = (
    Word("members", "list who is in the room", plainly(control.Members)),
    Word("alias", "change the name others are shown", asks(lambda words: control.Alias(name(words.name))), _add_alias),
    Word(
        "say",
        "write to the room; - takes the text from standard input",
        asks(lambda words: control.Say(text(words.text))),
        _add_say,
    ),
    Word("chat", "show what was written, and who came and went", _chat, _add_chat),
    Word(
        "verify",
        "show words to compare with a member, or say that they agreed",
        asks(lambda words: control.Verify(words.member, agreed=words.agreed)),
        _add_verify,
    ),
    Word("mute", "send no sound, or have a member send none", about_a_member(control.Mute), add_member_or_oneself),
    Word("unmute", "send sound again, or let a member", about_a_member(control.Unmute), add_member_or_oneself),
    Word("kick", "send a member out of the room", about_a_member(control.Kick), add_member),
    Word("ban", "send a member out for good", about_a_member(control.Ban), add_member),
    Word("pardon", "let somebody in again who was sent out", about_a_member(control.Pardon), add_member),
    Word("appoint", "make a member a moderator", about_a_member(control.Appoint), add_member),
    Word("dismiss", "make a moderator a member again", about_a_member(control.Dismiss), add_member),
)
