"""Words about the screens of others: whose to watch, and where to look at it."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

from meshchat import control
from meshchat.errors import MeshchatError, Refused
from meshchat.view import window
from meshchat.words.word import Word, about_a_member, add_member, plainly

WAYS = ("json", "web", "snapshot", "record", "terminal")
"""The options that say how to look; without one it is a window, or the page's address."""


def _add_watch(parser: argparse.ArgumentParser) -> None:
    add_member(parser)
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--web", action="store_true", help="print the address of a page that shows it, on this machine")
    ways.add_argument("--terminal", action="store_true", help="draw it in this terminal, as finely as that can")
    ways.add_argument("--snapshot", metavar="FILE.png", type=Path, help="write a picture of it, and be done")
    ways.add_argument("--record", metavar="PATH", type=Path, help="write it down: a film (.mkv, .mp4) or a folder")
    parser.set_defaults(follow=True)


async def _watch(profile: Path, words: argparse.Namespace) -> control.Answer | None:
    """In a window where there can be one; a program that asks for JSON is told where to look."""
    way = next((name for name in WAYS if getattr(words, name)), "window" if words.display else "")
    if way == "window" and not window.is_installed():
        print(f"meshchat: {window.NOT_INSTALLED}; here is the page:", file=sys.stderr)
        way = ""
    answer = await about_a_member(control.Watch)(profile, words)
    assert isinstance(answer, control.Watching)
    if way in ("", "json", "web"):
        return answer
    try:
        await _look(way, answer, words)
    except MeshchatError:
        if not answer.already:  # perhaps nobody looks at it yet
            with contextlib.suppress(MeshchatError):
                await about_a_member(control.Unwatch)(profile, words)
        raise
    return None


async def _look(way: str, watched: control.Watching, words: argparse.Namespace) -> None:
    """Until it has been seen, or written down."""
    if way == "snapshot":
        from meshchat.looking.snapshot import snapshot

        await snapshot(watched.feed, words.snapshot)
    elif way == "record":
        from meshchat.looking.recording import record

        print(f"meshchat: {await record(watched.feed, words.record)}", file=sys.stderr)
    elif way == "terminal":
        from meshchat.looking import terminal

        terminal.show(watched.feed, watched.alias, is_true=words.true_colour)  # nothing else waits for this loop
    elif why := await window.show(watched):
        raise Refused(why)


WORDS = (
    Word("watch", "look at a member's screen, in a window or on a page", _watch, _add_watch),
    Word("unwatch", "have it sent no more", about_a_member(control.Unwatch), add_member),
    Word("screens", "list who shares a screen, and how it arrives", plainly(control.Screens)),
)
