"""Screens served on 127.0.0.1: to a page in a browser, and to programs, as the slices of the picture come.

Every user of a machine, and every web page open in its browser, can reach a loopback port. So each address that is
handed out holds a token of 128 random bits that opens once, for one screen. A page gets a cookie in its place that no
other site can send (`SameSite=Strict`), and what a browser asks is only answered if it names this very host as its
origin, and a loopback name as the host: a name of the web that was made to lead here (DNS rebinding) is refused.

A message to a viewer is a byte of flags (1: the picture can be shown now, 2: it is exact, 4: a beginning) and the
operations of `media.operations`. A viewer that does not keep up loses what waits for it and is begun anew, so that it
costs the daemon a constant. A feed that is over is closed with the reason in words.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import json
import logging
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response

from meshchat.media.parts import Slice
from meshchat.units import PeerId, Seconds, bound

log = logging.getLogger(__name__)

HOST = "127.0.0.1"

HOST_NAMES = ("127.0.0.1", "localhost", "[::1]")
"""How a browser on this machine, or at the near end of an SSH port forward, may call us."""

TOKEN_BYTES = 16

TOKENS_MAX = 64
"""Addresses handed out and not used yet, and cookies: the oldest of each goes first."""

TOKEN_S: Seconds = 300.0
"""How long an address that was handed out opens."""

VIEWERS_MAX = 32

WAITING_BYTES_MAX = 16 << 20
"""Bytes waiting for one viewer: a picture of the largest screen. Beyond it the viewer is begun anew."""

MESSAGE_BYTES_MAX = 1024
"""A viewer has nothing to say."""

BEGINS = 4
"""Flag of a message: what came before counts no more."""

SCREENS_MAX = 16
"""Screens side by side on one page; the oldest goes first. No more are watched at once."""

COOKIE = "meshchat"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}


@dataclass(slots=True, eq=False)
class Viewer:
    """Somebody who looks at one screen."""

    peer: PeerId
    waiting: deque[bytes] = field(default_factory=deque)
    size: int = 0
    fresh: bool = True
    """Whether it waits for a beginning."""
    over: str = ""
    """Why it is shown nothing more, once that is so."""
    more: asyncio.Event = field(default_factory=asyncio.Event)


class Screen(NamedTuple):
    """Whose screen it is, and what that member is called."""

    peer: PeerId
    alias: str


class Gallery:
    """The server, and everybody who looks."""

    def __init__(self, came: Callable[[PeerId], None], went: Callable[[PeerId], None]) -> None:
        """`came` is called when a viewer wants that screen from its beginning, `went` when one looks no more."""
        self._came = came
        self._went = went
        self._server: Server | None = None
        self._port = 0
        self._tokens: dict[str, tuple[Screen, Seconds]] = {}
        self._cookies: dict[str, tuple[Screen, ...]] = {}
        self._viewers: list[Viewer] = []

    async def open(self) -> None:
        """Takes a free port on the loopback address. Raises `OSError` if there is none."""
        self._server = await serve(
            self._view, HOST, 0, process_request=self._request, compression=None, max_size=MESSAGE_BYTES_MAX,
            logger=logging.getLogger("meshchat.web.protocol"), server_header=None,
        )  # fmt: skip
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def close(self) -> None:
        """Ends every viewer."""
        if self._server:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def links(self, peer: PeerId, alias: str) -> tuple[str, str]:
        """The addresses of a page and of a feed of that screen; each opens once.

        A page that is opened where others were shows them all side by side.
        """
        screen = Screen(peer, alias)
        return f"http://{HOST}:{self._port}/?token={self._token(screen)}", (
            f"ws://{HOST}:{self._port}/feed?token={self._token(screen)}"
        )

    def viewers(self, peer: PeerId) -> int:
        """How many look at that screen."""
        return sum(viewer.peer == peer and not viewer.over for viewer in self._viewers)

    def show(self, peer: PeerId, whole: Slice) -> None:
        """The next slice of that screen."""
        begins = whole.after == 0
        message = bytes((whole.flags | (BEGINS if begins else 0),)) + whole.operations
        for viewer in self._viewers:
            if viewer.peer != peer or (viewer.fresh and not begins):
                continue
            if begins and whole.operations and viewer.fresh:
                viewer.fresh = False
            viewer.waiting.append(message)
            viewer.size += len(message)
            if viewer.size > WAITING_BYTES_MAX:
                viewer.waiting.clear()
                viewer.size, viewer.fresh = 0, True
            viewer.more.set()

    def end(self, peer: PeerId, why: str) -> None:
        """That screen is shown no more: whoever looks is told why, and addresses handed out open nothing any more."""
        self._tokens = {token: each for token, each in self._tokens.items() if each[0].peer != peer}
        for cookie, screens in self._cookies.items():
            self._cookies[cookie] = tuple(each for each in screens if each.peer != peer)
        for viewer in self._viewers:
            if viewer.peer == peer:
                viewer.over = why
                viewer.more.set()

    def _token(self, screen: Screen) -> str:
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._tokens[token] = (screen, asyncio.get_running_loop().time() + TOKEN_S)
        bound(self._tokens, TOKENS_MAX)
        return token

    def _redeem(self, token: str) -> Screen | None:
        screen, until = self._tokens.pop(token, (None, 0.0))
        return screen if asyncio.get_running_loop().time() < until else None

    async def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Decides on each request: a file of the page, the feed (None: go on), or a refusal."""
        host = request.headers.get("Host", "")
        origin = request.headers.get("Origin")
        if host.rpartition(":")[0] not in HOST_NAMES or origin not in (None, f"http://{host}"):
            return _refusal(http.HTTPStatus.FORBIDDEN)
        path = urlsplit(request.path)
        asked = {name: values[0] for name, values in parse_qs(path.query).items()}
        token = asked.get("token", "")
        if path.path == "/feed":
            screens = self._screens_of(request, token, origin)
            return self._admit(connection, screens, asked.get("of", ""))
        if path.path == "/screens":
            told = json.dumps([[each.peer, each.alias] for each in self._cookies.get(_cookie(request), ())])
            return _response(http.HTTPStatus.OK, "application/json", told.encode(), Headers())
        if path.path not in FILES:
            return _refusal(http.HTTPStatus.NOT_FOUND)
        return self._page(request, path.path, token)

    def _screens_of(self, request: Request, token: str, origin: str | None) -> tuple[Screen, ...]:
        """What may be looked at: a program shows a token; a page shows its cookie, and where it comes from."""
        if token:
            screen = self._redeem(token)
            return (screen,) if screen else ()
        return self._cookies.get(_cookie(request), ()) if origin else ()

    def _admit(self, connection: ServerConnection, screens: tuple[Screen, ...], wanted: str) -> Response | None:
        """Lets a viewer in to the screen that it wants, or to the one that it may look at."""
        found = next((each for each in screens if wanted in ("", each.peer)), None)
        if found is None or len(self._viewers) >= VIEWERS_MAX:
            return _refusal(http.HTTPStatus.FORBIDDEN)
        connection.username = found.peer
        return None

    def _page(self, request: Request, path: str, token: str) -> Response:
        name, kind = FILES[path]
        headers, cookie = Headers(), _cookie(request)
        if token:
            screen = self._redeem(token)
            if screen is None:
                return _refusal(http.HTTPStatus.FORBIDDEN)
            if cookie not in self._cookies:
                cookie = secrets.token_urlsafe(TOKEN_BYTES)
            others = tuple(each for each in self._cookies.pop(cookie, ()) if each.peer != screen.peer)
            self._cookies[cookie] = (*others, screen)[-SCREENS_MAX:]
            bound(self._cookies, TOKENS_MAX)
            headers["Set-Cookie"] = f"{COOKIE}={cookie}; HttpOnly; SameSite=Strict; Path=/"
        elif cookie not in self._cookies:
            return _refusal(http.HTTPStatus.FORBIDDEN)
        return _response(http.HTTPStatus.OK, kind, (files("meshchat") / "web" / name).read_bytes(), headers)

    async def _view(self, connection: ServerConnection) -> None:
        """Sends one viewer what it is shown, until it goes."""
        viewer = Viewer(PeerId(connection.username or ""))
        self._viewers.append(viewer)
        self._came(viewer.peer)
        ends = asyncio.ensure_future(connection.wait_closed())
        ends.add_done_callback(lambda _: viewer.more.set())
        try:
            while True:
                await viewer.more.wait()
                if ends.done():
                    break
                if viewer.over:
                    await connection.close(CloseCode.NORMAL_CLOSURE, viewer.over)
                    break
                await self._send(connection, viewer)
        finally:
            ends.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ends
            self._viewers.remove(viewer)
            self._went(viewer.peer)

    async def _send(self, connection: ServerConnection, viewer: Viewer) -> None:
        viewer.more.clear()
        with contextlib.suppress(ConnectionClosed):
            while viewer.waiting:
                message = viewer.waiting.popleft()
                viewer.size -= len(message)
                await connection.send(message)
            if viewer.fresh:
                self._came(viewer.peer)


def _cookie(request: Request) -> str:
    for each in request.headers.get("Cookie", "").split(";"):
        name, _, value = each.strip().partition("=")
        if name == COOKIE:
            return value
    return ""


def _refusal(status: http.HTTPStatus) -> Response:
    return _response(status, "text/plain", f"{status.phrase}: ask meshchat for a new address\n".encode(), Headers())


def _response(status: http.HTTPStatus, kind: str, body: bytes, headers: Headers) -> Response:
    headers["Content-Type"] = kind
    headers["Content-Length"] = str(len(body))
    headers["Content-Security-Policy"] = POLICY
    headers["Cache-Control"] = "no-store"
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers["Connection"] = "close"
    return Response(status.value, status.phrase, headers, body)
