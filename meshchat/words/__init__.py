"""The words after `meshchat`: one table of everything that can be asked of the running daemon.

Each file has the words about one thing, with what may follow them and the command they come to. A new command is one
`Word` in one of them; the parser, the help and `cli.py` take it from here.
"""

from __future__ import annotations

from meshchat import control
from meshchat.words import follow, people, rooms, share, sound, watch
from meshchat.words.word import Word, plainly

WORDS: tuple[Word, ...] = (
    *rooms.WORDS,
    *people.WORDS,
    *sound.WORDS,
    *share.WORDS,
    *watch.WORDS,
    Word("status", "tell how everything stands", plainly(control.GetStatus)),
    Word("events", "tell what happens until Ctrl+C", follow.events, lambda parser: parser.set_defaults(follow=True)),
    Word("stop", "leave the room and end the daemon", plainly(control.Stop)),
)
"""Every command to the daemon, in the order in which help lists them."""

BY_NAME = {word.name: word for word in WORDS}
