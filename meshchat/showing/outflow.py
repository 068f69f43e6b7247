"""Our screen on its way out: pictures come from the screen process, and datagrams leave in bursts that sound can pass.

Two threads meet here under one lock, which is held for the sealing of a slice at most: the one that hears the screen
process, and the one that sends. The event loop adds and removes watchers and hands in what they tell.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from meshchat.capture import protocol
from meshchat.capture.protocol import Bring, Brought, Follow, Opened, Order, Slice, Spec, Told, Trouble
from meshchat.media.chain import Chain
from meshchat.media.feedback import Feedback
from meshchat.media.tiles import Grid
from meshchat.screen import ScreenProcess
from meshchat.sframe import SendKey, screen_key
from meshchat.units import PeerId, Seconds
from meshchat.wire import LEVEL_SILENT, PAYLOAD_TYPE_SCREEN, media_header, screen_ssrc

TICKS = 90_000
"""Of the RTP timestamp of pictures, in a second (RFC 3551 section 5)."""

LOOK_S: Seconds = 0.02
"""Between two looks at whether somebody who fell behind is free again."""

QUALITY_MIN = 20
"""What moves is never made coarser than this for a slow link: a third of the bytes of the usual quality."""

QUALITY_STEP = 5

Send = Callable[[PeerId, Sequence[bytes]], None]


@dataclass(frozen=True, slots=True)
class Shared:
    """What is shared, as far as is known."""

    title: str = ""
    width: int = 0
    height: int = 0
    pictures: int = 0
    """Whole pictures so far that changed something."""


class Outflow:
    """What we share, and with whom."""

    def __init__(self, send: Send, notify: Callable[[str], None], ended: Callable[[], None]) -> None:
        """`send` takes datagrams to one member; `notify` and `ended` are called from any thread."""
        self.chain = Chain(self._sealed, 0.0)
        self.shared = Shared()
        self._send = send
        self._notify = notify
        self._ended = ended
        self._changed = threading.Condition()
        self._process: ScreenProcess | None = None
        self._spec = Spec()
        self._key: SendKey | None = None
        self._ssrc = 0
        self._sequence = random.getrandbits(16)
        self._seen = 0
        self._told = Follow(False, False)
        self._thread: threading.Thread | None = None
        self._closing = False

    @property
    def is_sharing(self) -> bool:
        """Whether a screen is shared."""
        return self._process is not None

    def start(self, spec: Spec, bits_max: float) -> None:
        """Begins to share; blocks until the first picture is there. Raises `ScreenError` if there is none."""
        self._spec = spec
        self._told = Follow(False, False)
        self.chain.set_bits_max(bits_max)
        process = ScreenProcess(spec, self._heard, self._process_ended)
        process.wait()
        self._process = process
        if self._thread is None:
            self._closing = False
            self._thread = threading.Thread(target=self._work, name="meshchat-screen-out", daemon=True)
            self._thread.start()
        with self._changed:
            self._changed.notify()

    def stop(self) -> None:
        """Shares no more; blocks for a moment. Harmless when done again."""
        process, self._process = self._process, None
        if process:
            process.stop()
        self.shared = Shared()
        with self._changed:
            self._closing = True
            self.chain.screen_is(0)
            self._changed.notify()
        if self._thread and threading.current_thread() is not self._thread:
            self._thread.join()
            self._thread = None

    def use_key(self, ssrc: int, key_id: int, base_key: bytes) -> None:
        """Seals with what comes of this key from now on; one in use stays as it is, its counter above all."""
        with self._changed:
            if self._key is None or (self._ssrc, self._key.key_id) != (screen_ssrc(ssrc), key_id):
                self._ssrc, self._key = screen_ssrc(ssrc), SendKey(key_id, screen_key(base_key))

    def watch(self, peer: PeerId, on: bool) -> None:
        """A member begins to watch, or watches no more."""
        with self._changed:
            if on:
                self.chain.add(peer)
            else:
                self.chain.remove(peer)
            self._changed.notify()

    def heard(self, peer: PeerId, told: Feedback, now: Seconds) -> None:
        """A watcher told how it goes."""
        with self._changed:
            self.chain.heard(peer, told, now)
            self._changed.notify()

    def _sealed(self, payload: bytes, last: bool) -> bytes:
        assert self._key is not None
        timestamp = int(time.monotonic() * TICKS) & 0xFFFF_FFFF
        header = media_header(PAYLOAD_TYPE_SCREEN, last, self._sequence, timestamp, self._ssrc, LEVEL_SILENT, False)
        self._sequence = (self._sequence + 1) & 0xFFFF
        return header + self._key.seal(header, payload)

    def _heard(self, told: Told) -> None:
        """The screen process told something, on its thread."""
        with self._changed:
            match told:
                case Opened(width, height, title):
                    self.shared = Shared(title, width, height)
                    self._seen = 0
                    self.chain.screen_is(Grid(width, height).all)
                case Slice():
                    self._picture(told)
                case Brought(slices, settled):
                    self.chain.caught_up(list(slices), settled=settled)
                case Trouble(text, fatal):
                    if not fatal or self._process is not None:  # a fatal one at the start is the start's own error
                        self._notify(text)
            self._changed.notify()

    def _picture(self, told: Slice) -> None:
        if told.first:
            mask = int.from_bytes(told.mask, "big")
            if told.coded:
                self.chain.begin(mask, time.monotonic())
            else:
                self.chain.missed(mask)
        if told.coded:
            self.chain.shared(told.operations, last=told.last, settled=told.settled)
        if told.last:
            self._seen = told.number
            shared = self.shared
            self.shared = Shared(shared.title, shared.width, shared.height, shared.pictures + 1)

    def _process_ended(self) -> None:
        if self._process is not None:
            self._ended()

    def _work(self) -> None:
        """Sends what is due, asks for what somebody lacks, waits."""
        while not self._closing:
            with self._changed:
                now = time.monotonic()
                bursts = list(self.chain.bursts(now))
                process, orders = self._process, self._orders(now)
                if not bursts and not orders:
                    self._changed.wait(self._pause(now))
            for peer, datagrams in bursts:
                self._send(peer, datagrams)
            for order in orders if process else ():
                assert process is not None
                process.order(order)

    def _orders(self, now: Seconds) -> list[Order]:
        """What the screen process is to be told."""
        orders: list[Order] = []
        lack = self.chain.lack(now) if self._process and self.shared.width else None
        follow = Follow(bool(self.chain.backlogs), self.chain.is_followed, self._quality(self.chain.quality))
        if follow != self._told:
            self._told = follow
            orders.append(follow)
        if lack:
            orders.append(Bring(protocol.mask_bytes(lack.mask), self._seen, self._quality(lack.quality)))
        return orders

    def _quality(self, share: float) -> int:
        """JPEG quality for a link, in steps so that not every change of its rate is told."""
        return max(QUALITY_MIN, round(self._spec.quality * share / QUALITY_STEP) * QUALITY_STEP)

    def _pause(self, now: Seconds) -> Seconds | None:
        due = self.chain.due(now)
        pauses = [LOOK_S] if any(each.behind for each in self.chain.backlogs.values()) else []
        if due is not None:
            pauses.append(max(0.0, due - now))
        return min(pauses, default=None)
