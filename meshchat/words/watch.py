"""Words about the screens of others: whose to watch, and where to look at it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from meshchat import control
from meshchat.errors import Refused
from meshchat.view import window
from meshchat.words.word import Word, about_a_member, add_member, plainly


def _add_watch(parser: argparse.ArgumentParser) -> None:
    add_member(parser)
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--web", action="store_true", help="print the address of a page that shows it, on this machine")
    ways.add_argument("--terminal", action="store_true", help="draw it in this terminal, as finely as that can")
    ways.add_argument("--snapshot", metavar="FILE.png", type=Path, help="write a picture of it, and be done")
    parser.set_defaults(follow=True)


async def _watch(profile: Path, words: argparse.Namespace) -> control.Answer | None:
    """In a window where there can be one; a program that asks for JSON is told where to look."""
    has_window = words.display and not (words.web or words.json or words.snapshot or words.terminal)
    if has_window and not window.is_installed():
        print(f"meshchat: {window.NOT_INSTALLED}; here is the page:", file=sys.stderr)
        has_window = False
    answer = await about_a_member(control.Watch)(profile, words)
    assert isinstance(answer, control.Watching)
    if words.snapshot:
        from meshchat.looking.snapshot import snapshot

        await snapshot(answer.feed, words.snapshot)
        return None
    if words.terminal:
        from meshchat.looking import terminal

        terminal.show(answer.feed, answer.alias, is_true=words.true_colour)  # nothing else waits for this loop
        return None
    if not has_window:
        return answer
    why = await window.show(answer)
    if why:
        raise Refused(why)
    return None


WORDS = (
    Word("watch", "look at a member's screen, in a window or on a page", _watch, _add_watch),
    Word("unwatch", "have it sent no more", about_a_member(control.Unwatch), add_member),
    Word("screens", "list who shares a screen, and how it arrives", plainly(control.Screens)),
)
