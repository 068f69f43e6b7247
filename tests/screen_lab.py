"""A sharer of a screen and its watchers in virtual time, with links that lose, delay and fill up."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np

from meshchat.codec import decode_exact, decode_jpeg, encode_exact, encode_jpeg
from meshchat.media.assembly import Assembly
from meshchat.media.canvas import Canvas
from meshchat.media.chain import Chain
from meshchat.media.desk import Coder, Desk
from meshchat.media.feedback import Feedback
from meshchat.media.operations import Size, parse_operations
from meshchat.media.parts import parse_part
from meshchat.media.rate import TICKS
from meshchat.media.tiles import Mask
from meshchat.units import PeerId, Pixels, Seconds

CODER = Coder(encode_jpeg, encode_exact)
COLOURS = np.uint32(0x00FF_FFFF)
WIDTH, HEIGHT = 640, 400
QUALITY = 60
TICK: Seconds = 1 / 30


def text(rng: np.random.Generator, width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """Something like a page of a terminal: light dots in 8 by 16 boxes on a dark ground."""
    glyphs = rng.integers(0, 2, (32, 10, 6), dtype=np.uint32)
    page = np.zeros((height, width), np.uint32)
    for y in range(0, height - 16, 16):
        for x in range(0, width - 8 - int(rng.integers(0, width // 2)), 8):
            page[y + 3 : y + 13, x + 1 : x + 7] = glyphs[rng.integers(32)] * np.uint32(0xE0E0D0)
    page += np.uint32(0x101418)
    return page


def photo(rng: np.random.Generator, width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    noise = rng.integers(0, 255, (height, width, 4), dtype=np.uint8)
    return noise.view(np.uint32).reshape(height, width)


def scrolled(page: Pixels, rows: int, rng: np.random.Generator) -> Pixels:
    moved = np.roll(page, -rows, axis=0)
    moved[-rows:] = text(rng, page.shape[1], rows + 16)[:rows]
    return moved


def same(one: Pixels, other: Pixels) -> bool:
    return one.shape == other.shape and bool(((one ^ other) & COLOURS == 0).all())


def psnr(one: Pixels, other: Pixels) -> float:
    """How alike two pictures are, in dB."""
    first, second = (each.view(np.uint8).reshape(*each.shape, 4)[:, :, :3].astype(float) for each in (one, other))
    error = float(((first - second) ** 2).mean())
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))


@dataclass
class Watcher:
    """Somebody at the other end of a link that takes a while, loses some, and may be slow or shut."""

    link: random.Random
    loss: float = 0.0
    delay: Seconds = 0.002
    bits: float = 1e9
    cut_off: bool = False
    assembly: Assembly = field(default_factory=Assembly)
    canvas: Canvas = field(default_factory=lambda: Canvas(decode_jpeg, decode_exact))
    size: Size | None = None
    under_way: list[tuple[Seconds, bytes]] = field(default_factory=list)
    free_at: Seconds = 0.0
    received: int = 0
    settled: bool = False

    def send(self, datagrams: list[bytes], now: Seconds) -> None:
        for datagram in datagrams:
            waits = max(self.free_at - now, 0.0)
            if self.cut_off or self.link.random() < self.loss or waits > 0.05:
                continue
            self.free_at = now + waits + len(datagram) * 8 / self.bits
            self.under_way.append((self.free_at + self.delay, datagram))

    def receive(self, now: Seconds) -> None:
        arrived = [datagram for at, datagram in self.under_way if at <= now]
        self.under_way = [(at, datagram) for at, datagram in self.under_way if at > now]
        for datagram in arrived:
            self.received += len(datagram)
            for ready in self.assembly.put(parse_part(datagram), now):
                operations, self.size = parse_operations(ready.operations, self.size)
                self.canvas.carry_out(operations)
                self.settled = ready.is_settled

    def feedback(self, now: Seconds) -> Feedback:
        self.assembly.check(now)
        found = tuple(self.assembly.gaps(2 * self.delay, now))
        state = self.assembly
        return Feedback(state.applied, state.newest, int((state.newest_at + 77) * TICKS), state.anew, found)


class Sharing:
    """A sharer and its watchers, in virtual time."""

    STEP: Seconds = 0.001

    def __init__(self, *watchers: Watcher, bits_max: float = 200e6) -> None:
        self.now: Seconds = 100.0
        self.chain = Chain(lambda payload, _: payload, bits_max)
        self.desk = Desk(WIDTH, HEIGHT, CODER)
        self.chain.screen_is(self.desk.grid.all)
        self.screen: Pixels = np.zeros((HEIGHT, WIDTH), np.uint32)
        self.watchers: dict[PeerId, Watcher] = {}
        for watcher in watchers:
            self.join(watcher)

    def join(self, watcher: Watcher) -> None:
        peer = PeerId(f"{len(self.watchers):064x}")
        self.watchers[peer] = watcher
        assert self.chain.add(peer)

    def show(self, screen: Pixels) -> None:
        """The screen shows something else, and time passes to the next picture."""
        self.screen = screen
        self.capture()
        end = self.now + TICK
        while self.now < end:
            self.step()

    def rest(self, seconds: Seconds) -> None:
        for _ in range(round(seconds / TICK)):
            self.show(self.screen)

    def capture(self) -> None:
        mask = self.desk.look(self.screen, self.now)
        if mask and not self.chain.is_followed:
            self.desk.pass_over()
            self.chain.missed(mask)
        elif mask:
            self.tell(mask)
        if self.chain.is_followed and (mask := self.desk.sharpen(self.now)):
            self.tell(mask)
        lack = self.chain.lack(self.now)
        if lack:
            slices = [update.operations for update in self.desk.bring_up(lack.mask, QUALITY)]
            self.chain.caught_up(slices, settled=self.desk.is_settled)

    def tell(self, mask: Mask) -> None:
        self.chain.begin(mask, self.now)
        for update in self.desk.updates(QUALITY):
            self.chain.shared(update.operations, last=update.last, settled=self.desk.is_settled)

    def step(self) -> None:
        self.now += self.STEP
        for peer, datagrams in self.chain.bursts(self.now):
            self.watchers[peer].send(datagrams, self.now)
        for peer, watcher in self.watchers.items():
            watcher.receive(self.now)
            if round(self.now / self.STEP) % 5 == 0 and not watcher.cut_off:
                self.chain.heard(peer, watcher.feedback(self.now), self.now)


def film(rng: np.random.Generator, frames: int) -> list[Pixels]:
    """A busy minute: typing, scrolling, a window with a film, rests."""
    page, pictures = text(rng), []
    for frame in range(frames):
        page = page.copy()
        match frame // 8 % 4:
            case 0:
                page[32:44, 8 * (frame % 60) + 2 : 8 * (frame % 60) + 8] ^= np.uint32(0xA0A0A0)
            case 1:
                page = scrolled(page, 16, rng)
            case 2:
                page[100:260, 200:440] = photo(rng, 240, 160)
        pictures.append(page)
    return pictures
