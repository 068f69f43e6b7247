"""Screens shared between daemons on loopback: what is watched is what is shown, and nobody else gets at it."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from meshchat.control import (
    RoomList,
    Rooms,
    ScreenList,
    Screens,
    ScreenStatus,
    ShareStart,
    ShareStatus,
    ShareStop,
    Unwatch,
    Watch,
    Watching,
)
from meshchat.errors import MeshchatError, Refused
from meshchat.looking import View
from tests.peers_lab import LOOPBACK, Daemon, Lab, lab, own_name, until
from tests.screen_lab import photo, text

ROOM = own_name("gallery")
QUIET = (*LOOPBACK, "--room", ROOM, "--mic", "silence", "--speaker", "null")


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("screens")) as made:
        for name in ("ann", "bob", "eve"):
            made.start(name, *QUIET)
        for each in made.daemons:
            each.ready()
        until("all see all", lambda: all(each.sees("ann", "bob", "eve") for each in made.daemons), 30.0)
        yield made


@pytest.fixture
def ann(peers: Lab) -> Iterator[Daemon]:
    """Ann shares nothing yet, and nothing any more afterwards."""
    yield peers.daemons[0]
    if screens(peers.daemons[0]).sharing:
        peers.daemons[0].ask(ShareStop())


@pytest.fixture
def bob(peers: Lab) -> Daemon:
    return peers.daemons[1]


@pytest.fixture
def eve(peers: Lab) -> Daemon:
    return peers.daemons[2]


def shared_around(daemon: Daemon) -> list[bool]:
    """Of our room, as it looks from where `daemon` is: whether a screen is shared there."""
    answer = daemon.ask(Rooms())
    return [room.sharing for room in answer.rooms if room.name == ROOM] if isinstance(answer, RoomList) else []


def screens(daemon: Daemon) -> ScreenList:
    answer = daemon.ask(Screens())
    assert isinstance(answer, ScreenList)
    return answer


def shares(daemon: Daemon, alias: str) -> bool:
    return any(each.alias == alias for each in screens(daemon).screens)


def screen_of(daemon: Daemon, alias: str) -> ScreenStatus:
    return next(each for each in screens(daemon).screens if each.alias == alias)


def share_of(daemon: Daemon) -> ShareStatus:
    share = screens(daemon).sharing
    assert share
    return share


def watching(daemon: Daemon, alias: str) -> Watching:
    until(f"{alias} shares", lambda: shares(daemon, alias))
    answer = daemon.ask(Watch(alias))
    assert isinstance(answer, Watching)
    return answer


def page_of_text(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A picture file like a desktop: mostly text, with a photograph in a corner; its colours, shape (400, 640, 3)."""
    rng = np.random.default_rng(1)
    page = text(rng)
    page[:128, :128] = photo(rng, 128, 128)
    colours = page.view(np.uint8).reshape(*page.shape, 4)[:, :, 2::-1]
    Image.fromarray(np.ascontiguousarray(colours)).save(path)
    return colours


def test_a_snapshot_is_the_source_to_the_pixel_where_it_is_text(tmp_path: Path, ann: Daemon, bob: Daemon) -> None:
    colours = page_of_text(tmp_path / "page.png")
    told = ann.told("share", "start", "--source", str(tmp_path / "page.png"))
    assert (told.status, told.err) == (0, "")
    until("bob sees that ann shares", lambda: bob.members()["ann"].sharing)
    shot = tmp_path / "shot.png"
    told = bob.told("watch", "ann", "--snapshot", str(shot))
    assert (told.status, told.err) == (0, "")
    with Image.open(shot) as image:
        seen = np.array(image)
    assert seen.shape == colours.shape
    assert np.array_equal(seen[128:], colours[128:])
    assert np.array_equal(seen[:, 128:], colours[:, 128:])
    error = float(((seen[:128, :128].astype(float) - colours[:128, :128]) ** 2).mean())
    assert error < 60, "noise of all colours is the worst that a JPEG can be given: better than 30 dB"
    assert not screen_of(bob, "ann").watched, "who only wanted a picture is sent no more"


def test_a_screen_in_motion_is_followed_and_costs_nothing_unwatched(ann: Daemon, bob: Daemon, eve: Daemon) -> None:
    ann.ask(ShareStart(source="test-pattern:scroll"))
    watching(bob, "ann")
    until("pictures come", lambda: screen_of(bob, "ann").pictures > 20)
    shared = share_of(ann)
    assert (shared.width, shared.height, len(shared.watchers)) == (1280, 720, 1)
    assert screen_of(eve, "ann").pictures == 0, "who does not watch is sent nothing"
    bob.ask(Unwatch("ann"))
    until("nobody watches", lambda: not share_of(ann).watchers)
    assert ann.told("share", "stop").status == 0
    until("bob sees that ann shares no more", lambda: not bob.members()["ann"].sharing)


def test_what_makes_no_sense_is_refused_with_the_reason(tmp_path: Path, ann: Daemon, bob: Daemon) -> None:
    with pytest.raises(Refused, match="shares no screen"):
        bob.ask(Watch("eve"))
    with pytest.raises(Refused, match="no screen is shared"):
        ann.ask(ShareStop())
    with pytest.raises(MeshchatError, match="cannot read the picture"):
        ann.ask(ShareStart(source=str(tmp_path / "nothing.png")))
    with pytest.raises(MeshchatError, match="no test pattern"):
        ann.ask(ShareStart(source="test-pattern:horse"))
    ann.ask(ShareStart(source="test-pattern"))
    with pytest.raises(Refused, match="already"):
        ann.ask(ShareStart(source="test-pattern"))
    for wrong in (("--fps", "0"), ("--quality", "100"), ("--region", "1,2,3"), ("--max-mbit", "x")):
        assert ann.told("share", "start", *wrong).status == 2


def test_several_look_at_once_and_one_that_comes_back_sees_it_too(ann: Daemon, bob: Daemon, eve: Daemon) -> None:
    ann.ask(ShareStart(source="test-pattern:still"))
    feeds = [watching(bob, "ann").feed, watching(bob, "ann").feed, watching(eve, "ann").feed]
    views = asyncio.run(_until_exact(feeds))
    assert all(view.exact for view in views)
    assert all(np.array_equal(view.canvas.picture, views[0].canvas.picture) for view in views)
    (later,) = asyncio.run(_until_exact([watching(bob, "ann").feed]))
    assert np.array_equal(later.canvas.picture, views[0].canvas.picture)


async def _until_exact(feeds: list[str]) -> list[View]:
    return list(await asyncio.gather(*map(_one_until_exact, feeds)))


async def _one_until_exact(address: str) -> View:
    view = View()
    async with asyncio.timeout(15), connect(address, compression=None, max_size=1 << 22, proxy=None) as feed:
        while not view.exact:
            message = await feed.recv()
            assert isinstance(message, bytes)
            view.take(message)
    return view


# Who may look


def asked(address: str, **headers: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of what the page's server answers."""
    request = urllib.request.Request(
        address, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read().decode()


async def feed_status(address: str, **headers: str) -> int:
    """How the server answers who wants the feed: 101 when it is let in."""
    try:
        async with connect(address, additional_headers=headers, proxy=None):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


def test_the_page_opens_once_with_its_token_and_for_nobody_else(ann: Daemon, bob: Daemon) -> None:
    ann.ask(ShareStart(source="test-pattern:still"))
    page = watching(bob, "ann").page
    site = page.partition("/?")[0]
    feed = site.replace("http", "ws") + "/feed"
    assert asked(site + "/")[0] == 403
    assert asked(site + "/page.js")[0] == 403
    assert asked(site + "/?token=guess")[0] == 403
    status, headers, body = asked(page)
    assert status == 200
    assert "page.js" in body
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert asked(page)[0] == 403, "a token opens once"
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    mine = cookie.partition(";")[0]
    assert asked(site + "/page.js", Cookie=mine)[0] == 200
    assert asked(site + "/page.js", Cookie=mine, Host="evil.example:80")[0] == 403
    assert asked(site + "/../identity.pem", Cookie=mine)[0] == 404

    async def knock() -> list[int]:
        return [
            await feed_status(feed, Cookie=mine, Origin=site),
            await feed_status(feed, Cookie=mine, Origin="http://evil.example"),
            await feed_status(feed, Cookie=mine),
            await feed_status(feed, Origin=site),
            await feed_status(feed),
            await feed_status(feed + "?of=" + "0" * 64, Cookie=mine, Origin=site),
        ]

    assert asyncio.run(knock()) == [101, 403, 403, 403, 403, 403]
    assert [alias for _, alias in json.loads(asked(site + "/screens", Cookie=mine)[2])] == ["ann"]
    assert json.loads(asked(site + "/screens")[2]) == []


def test_a_daemon_can_share_from_its_start_and_who_is_outside_sees_that_one_is_shared(tmp_path: Path) -> None:
    with lab(tmp_path) as made:
        kiosk = made.start("kiosk", *QUIET, "--share", "test-pattern:still")
        passer_by = made.start("passer-by", *LOOPBACK, "--mic", "silence", "--speaker", "null")
        until("the kiosk shares", lambda: bool(kiosk.ready()) and screens(kiosk).sharing is not None)
        status = json.loads(kiosk.told("status", "--json").out)
        assert status["room"]["members"][0]["sharing"] is True
        assert passer_by.ready()
        until("it is seen from outside", lambda: shared_around(passer_by) == [True])
        kiosk.ask(ShareStop())
        until("it is seen to end", lambda: shared_around(passer_by) == [False])
    assert "Traceback" not in kiosk.err
