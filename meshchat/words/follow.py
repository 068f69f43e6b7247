"""Words that go on until Ctrl+C: what happens, and what is written, line by line as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from meshchat import control
from meshchat.remote.show import event_text, line_text
from meshchat.words.word import as_json


async def events(profile: Path, words: Namespace) -> None:
    """Print events until the daemon ends, or until nobody reads them any more."""
    async with await control.ControlClient.connect(profile) as daemon, contextlib.aclosing(daemon.events()) as told:
        with _noticing_a_closed_pipe():
            async for event in told:
                print(as_json(event) if words.json else event_text(event), flush=True)


async def chat(profile: Path, words: Namespace) -> None:
    """Print the chat so far, then every line as it comes."""
    async with await control.ControlClient.connect(profile) as daemon, contextlib.aclosing(daemon.events()) as told:
        await anext(told)  # the snapshot: from here on nothing is missed
        answer = await daemon.call(control.Chat())
        past = answer.lines if isinstance(answer, control.ChatHistory) else ()
        seen = {line.id for line in past}
        with _noticing_a_closed_pipe():
            for line in past:
                print(as_json(line) if words.json else line_text(line), flush=True)
            async for event in told:
                if isinstance(event, control.ChatAdded) and event.line.id not in seen:
                    print(as_json(event.line) if words.json else line_text(event.line), flush=True)


@contextlib.contextmanager
def _noticing_a_closed_pipe() -> Iterator[None]:
    """Raise `BrokenPipeError` when the reader of our pipe goes, even if there is nothing to write for hours.

    A poller reports the error on the writing end of a pipe to whoever asks about reading it.
    """
    loop, watching, is_closed = asyncio.get_running_loop(), asyncio.current_task(), False
    assert watching is not None

    def give_up() -> None:
        nonlocal is_closed
        is_closed = True
        watching.cancel()

    try:
        stdout = sys.stdout.fileno()
        if not stat.S_ISFIFO(os.fstat(stdout).st_mode):
            raise OSError("not a pipe")
        loop.add_reader(stdout, give_up)
    except (OSError, ValueError, NotImplementedError):  # a file, a terminal, or a system that cannot watch pipes
        yield
        return
    try:
        yield
    except asyncio.CancelledError:
        if is_closed:
            raise BrokenPipeError from None
        raise
    finally:
        loop.remove_reader(stdout)
