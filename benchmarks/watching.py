"""Watches a member's screen as a program does: asks the daemon, decodes what comes into a picture, reads its number.

python -m benchmarks.watching PROFILE MEMBER LOG
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from pathlib import Path

from benchmarks.framecode import HEIGHT, MIDDLE, Sightings, read
from meshchat import control
from meshchat.looking import Ended, View, feed


async def watch(profile: Path, member: str, log: Sightings) -> None:
    """Looks until it is cancelled."""
    async with await control.ControlClient.connect(profile) as daemon:
        answer = await daemon.call(control.Watch(member))
        assert isinstance(answer, control.Watching)
        view = View()
        async with feed(answer.feed) as messages:
            async for message in messages:
                view.take(message)
                if view.whole and len(view.canvas.picture) == HEIGHT:
                    log.saw(read(view.canvas.picture[MIDDLE]), time.monotonic())


def main(words: list[str]) -> int:
    """Watches until SIGTERM; the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    profile, member, log = words
    with contextlib.suppress(Ended):
        asyncio.run(watch(Path(profile), member, Sightings(Path(log))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
