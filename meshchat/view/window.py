"""Opening the window that shows a member's screen: a process of its own, so that neither waits for the other.

Who starts it knows nothing of pictures. The address of the feed goes through a pipe, since other users of the machine
see the words of a command; what comes back, in words, is why the window closed by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import sys
from asyncio.subprocess import PIPE

from meshchat import control
from meshchat.units import Seconds, safe_text

NOT_INSTALLED = "a window needs the extra `window` (pip install 'meshchat[window]')"

LIBRARY = "pygame"

WHY_CHARACTERS_MAX = 300

END_S: Seconds = 2.0
"""How long it may take to close when it is told to."""


def is_installed() -> bool:
    """Whether the library that draws windows is there."""
    return importlib.util.find_spec(LIBRARY) is not None


async def show(watched: control.Watching) -> str:
    """Shows a screen in a window until that is closed; why, in words, if the person did not close it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "meshchat.looking", stdin=PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=PIPE
    )
    try:
        _, told = await process.communicate(f"{watched.feed}\n{watched.alias}\n".encode())
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), END_S)
        raise
    if process.returncode == 0:
        return ""
    return last_words(told) or "the window closed, and does not say why"


def last_words(told: bytes) -> str:
    """Why one of our processes ended: the last line that it wrote on standard error, if any."""
    last = told.decode(errors="replace").strip().rpartition("\n")[2].removeprefix("meshchat: ")
    return safe_text(last, WHY_CHARACTERS_MAX, 4 * WHY_CHARACTERS_MAX)
