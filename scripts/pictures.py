"""Takes the pictures of the terminal UI in docs/pictures from real peers that talk on this machine's loopback.

    python scripts/pictures.py

Two daemons that nobody sees speak recorded words; a third is held by the UI, which is driven by keys and photographed.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Input

from meshchat import control
from meshchat.errors import NoDaemon
from meshchat.tui import MeshchatApp
from meshchat.view.people import PersonBox
from meshchat.view.sound import SoundBox
from meshchat.view.strip import Threshold

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"
SIZE = (110, 28)
PATIENCE_S = 30.0
LOOPBACK = ("--interface", "127.0.0.1")


@contextmanager
def peer(profile: Path, *words: str) -> Iterator[None]:
    """A daemon of its own, ended at the end."""
    command = [sys.executable, "-m", "meshchat", "--headless", "--profile", str(profile), *LOOPBACK, *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


class Photographer:
    """Presses keys, waits for what should come of it, and takes pictures."""

    def __init__(self, home: Path, app: MeshchatApp, pilot: Pilot[str]) -> None:
        self.home = home
        self.app = app
        self.pilot = pilot

    async def until(self, is_so: Callable[[], object]) -> None:
        """Wait for something to come true."""
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            if time.monotonic() > deadline:
                raise SystemExit("what the next picture needs never came; is the machine too busy?")
            await self.pilot.pause(0.1)

    async def take(self, name: str) -> None:
        """Keep what is on the screen. Ids of elements are made the same each time, so that pictures can be compared."""
        await self.pilot.pause(0.2)
        picture = re.sub(r"terminal-\d+", "terminal", self.app.export_screenshot(title=f"meshchat: {name}"))
        (PICTURES / f"{name}.svg").write_text(picture, encoding="utf-8")

    async def work(self) -> None:
        """One picture of each screen, in the order in which a person meets them."""
        app, press = self.app, self.pilot.press
        await self.until(lambda: (app.state.levels.get(app.state.peer_id) or -99) > -60)
        app.screen.query_one(Input).value = "grete"
        await self.take("welcome")
        await press("enter")
        await self.until(lambda: len(app.state.rooms) == 2 and app.screen is app.main)
        await self.take("rooms")
        await press("home", "down", "enter")
        await self.until(lambda: app.state.room and len(app.state.room.members) == 3)
        await self.until(lambda: app.state.room and any(each.speaking for each in app.state.room.members[1:]))
        await self.say_something()
        await self.take("room")
        await press("f")
        await self.until(lambda: all(len(trail) > 15 for trail in app.state.trails.values()))
        await self.take("figures")
        await press("f", "down", "enter")
        await self.until(lambda: isinstance(app.screen, PersonBox))
        await self.take("member")
        await press("escape", "o")
        await self.until(lambda: isinstance(app.screen, SoundBox))
        app.screen.query_one(Threshold).focus()
        await press("right")
        await self.until(lambda: app.state.transmit == "voice" and app.state.talking)
        await self.take("sound")
        await press("escape", "question_mark")
        await self.take("help")

    async def say_something(self) -> None:
        """A few lines of chat, as people write them."""
        await self.tell("bob", "hello! we are just looking at https://datatracker.ietf.org/doc/html/rfc9605")
        await self.tell("ann", "@grete can you hear us?")
        await self.until(lambda: any(line.mention for line in self.app.state.story.lines))
        await self.pilot.press("t", *"yes, loud and clear", "enter", "escape")
        await self.until(lambda: "clear" in self.app.state.story.lines[-1].text)

    async def tell(self, who: str, text: str) -> None:
        """Have one of the others write."""
        async with await control.ControlClient.connect(self.home / who) as daemon:
            await daemon.call(control.Say(text=text))


async def stop(profile: Path) -> None:
    """End the daemon that the UI started."""
    try:
        async with await control.ControlClient.connect(profile) as daemon:
            await daemon.call(control.Stop())
    except NoDaemon:
        return


async def main() -> None:
    """Set the stage, take the pictures, clear up."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stage:
        home = Path(folder)
        os.chdir(ROOT / "meshchat" / "assets")  # so that the pictures show no folder of the machine they were taken on
        for name in ("bob", "ann"):
            other = ("--alias", name, "--room", "kitchen", "--mic", f"loop:{name}.wav", "--speaker", "null")
            stage.enter_context(peer(home / name, *other))
        stage.enter_context(
            peer(home / "eve", "--alias", "eve", "--room", "attic", "--mic", "silence", "--speaker", "null")
        )
        words = (*LOOPBACK, "--mic", "loop:bob.wav", "--speaker", "null")
        app = MeshchatApp(home / "me", words, welcome=True)
        try:
            async with app.run_test(size=SIZE) as pilot:
                await Photographer(home, app, pilot).work()
        finally:
            await stop(home / "me")


if __name__ == "__main__":
    asyncio.run(main())
