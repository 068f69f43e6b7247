"""The page in a real browser: what its canvas shows is what was shared, to the pixel, and nothing else is loaded."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from websockets.asyncio.client import ClientConnection, connect

from meshchat.capture.pattern import Pattern
from meshchat.control import ShareStart, ShareStop, Watch, Watching
from tests.peers_lab import LOOPBACK, lab, own_name, until

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")

QUIET = (*LOOPBACK, "--mic", "silence", "--speaker", "null")

LOOK_S_MAX = 20.0

FIELD = "sessionId"
"""The DevTools protocol's name for the page that a message is about."""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[str]:
    """The address of a headless browser's debugger; it can reach this machine only."""
    words = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--proxy-server=127.0.0.1:9", "--remote-debugging-port=0", f"--user-data-dir={tmp_path / 'browser'}",
        "--window-size=1000,700", "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = tmp_path / "browser" / "DevToolsActivePort"
        until("the browser listens", lambda: port.exists() and len(port.read_text().splitlines()) == 2, 30.0)
        number, path = port.read_text().splitlines()
        yield f"ws://127.0.0.1:{number}{path}"
    finally:
        process.terminate()
        process.wait(10)


class Tab:
    """A page in the browser, over the DevTools protocol."""

    def __init__(self, wire: ClientConnection) -> None:
        self._wire = wire
        self._numbers = itertools.count(1)
        self._target = ""
        self.requests: list[str] = []

    async def open(self, address: str) -> None:
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._target = attached[FIELD]
        await self.call("Network.enable")
        await self.call("Page.enable")
        await self.call("Page.navigate", url=address)

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        number = next(self._numbers)
        message: dict[str, object] = {"id": number, "method": method, "params": params}
        if self._target:
            message[FIELD] = self._target
        await self._wire.send(json.dumps(message))
        while True:
            answer = json.loads(await self._wire.recv())
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    async def value(self, expression: str) -> Any:
        result = await self.call("Runtime.evaluate", expression=expression)
        return result["result"].get("value")


async def exact(tab: Tab, alias: str) -> np.ndarray[Any, Any]:
    """That member's canvas as the page holds it once it is exact."""
    own = f"screens.find((each) => each.alias === '{alias}')"
    while await tab.value(f"typeof screens !== 'undefined' && {own} && {own}.frame.dataset.exact") != "true":
        await asyncio.sleep(0.1)
    data = await tab.value(f"{own}.canvas.toDataURL('image/png')")
    with Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))) as image:
        return np.array(image.convert("RGB"))


async def seen_one_then_both(
    debugger: str, ann: Watching, bob: Watching, folder: Path, end: Callable[[], object]
) -> list[str]:
    """What the page asked for, after all that it shows was compared with what is shared."""
    async with asyncio.timeout(LOOK_S_MAX), connect(debugger, max_size=None, proxy=None) as wire:
        tab = Tab(wire)
        await tab.open(ann.page)
        assert np.array_equal(await exact(tab, "ann"), colours("still"))
        await tab.call("Page.navigate", url=bob.page)
        assert np.array_equal(await exact(tab, "bob"), colours("still")[:200, :300])
        assert np.array_equal(await exact(tab, "ann"), colours("still"))
        places = await tab.value("JSON.stringify(screens.map((each) => each.frame.getBoundingClientRect().left))")
        assert json.loads(places)[0] < json.loads(places)[1], "side by side"
        shot = await tab.call("Page.captureScreenshot")
        (folder / "page.png").write_bytes(base64.b64decode(shot["data"]))
        await asyncio.to_thread(end)
        while await tab.value("screens.length") != 1:
            await asyncio.sleep(0.1)
        assert await tab.value("document.getElementById('told').textContent") == "bob: it is shared no more"
        return tab.requests


def colours(kind: str) -> np.ndarray[Any, Any]:
    pattern = Pattern(kind).grab(0.0)
    return pattern.view(np.uint8).reshape(*pattern.shape, 4)[:, :, 2::-1]


def test_a_page_shows_what_is_shared_to_the_pixel_and_several_side_by_side(tmp_path: Path, browser: str) -> None:
    with lab(tmp_path) as peers:
        room = own_name("page")
        ann, bob, eve = (peers.start(name, *QUIET, "--room", room) for name in ("ann", "bob", "eve"))
        for each in peers.daemons:
            each.ready()
        until("they meet", lambda: eve.sees("ann", "bob", "eve"), 20.0)
        Image.fromarray(np.ascontiguousarray(colours("still")[:200, :300])).save(tmp_path / "bob.png")
        ann.ask(ShareStart(source="test-pattern:still"))
        bob.ask(ShareStart(source=str(tmp_path / "bob.png")))
        until("eve sees that both share", lambda: all(eve.members()[name].sharing for name in ("ann", "bob")))
        first, second = eve.ask(Watch("ann")), eve.ask(Watch("bob"))
        assert isinstance(first, Watching)
        assert isinstance(second, Watching)
        requests = asyncio.run(seen_one_then_both(browser, first, second, tmp_path, lambda: bob.ask(ShareStop())))
    site = first.page.partition("/?")[0]
    assert len(requests) >= 4
    assert all(each.startswith(site) for each in requests)
