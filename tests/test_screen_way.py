"""A screen on its way without any network: what the watcher sees of it, whatever is lost, late or slow."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from meshchat.codec import encode_jpeg
from meshchat.media.assembly import ASKED_MAX, Assembly
from meshchat.media.desk import REST_S
from meshchat.media.parts import PART_BYTES_MAX, Slice, cut, parse_part
from meshchat.media.rate import TICKS, Rate
from meshchat.media.tiles import CELL
from tests.screen_lab import (
    HEIGHT,
    QUALITY,
    TICK,
    WIDTH,
    Sharing,
    Watcher,
    film,
    photo,
    psnr,
    same,
    scrolled,
    text,
)

seeds = st.integers(0, 1 << 32)


@settings(max_examples=12)
@given(seeds, st.sampled_from([0.0, 0.01, 0.05, 0.1]))
def test_a_watcher_sees_the_text_exactly_after_a_rest_whatever_was_lost(seed: int, loss: float) -> None:
    rng = np.random.default_rng(seed)
    watcher = Watcher(random.Random(seed), loss)
    sharing = Sharing(watcher)
    for picture in film(rng, 48):
        sharing.show(picture)
    sharing.show(text(rng))
    sharing.rest(1.0 if loss < 0.05 else 3.0)
    assert watcher.settled
    assert same(watcher.canvas.picture, sharing.screen)


def test_the_text_is_exact_within_half_a_second() -> None:
    rng = np.random.default_rng(3)
    watcher = Watcher(random.Random(3))
    sharing = Sharing(watcher)
    sharing.rest(0.5)
    sharing.show(text(rng))
    sharing.rest(0.5)
    assert watcher.settled
    assert same(watcher.canvas.picture, sharing.screen)


def test_a_photograph_is_as_good_as_one_after_a_rest() -> None:
    watcher = Watcher(random.Random(3))
    sharing = Sharing(watcher)
    smooth = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)).astype(np.uint32)
    rng = np.random.default_rng(3)
    grey = (smooth // 5 + rng.integers(0, 9, smooth.shape, dtype=np.uint32)) & np.uint32(0xFF)
    sharing.show(grey * np.uint32(0x010101))
    sharing.rest(1.0)
    assert watcher.settled
    assert psnr(watcher.canvas.picture, sharing.screen) > 40


def test_scrolling_costs_a_small_part_of_what_it_would_as_pictures() -> None:
    rng = np.random.default_rng(3)
    watcher = Watcher(random.Random(3))
    sharing = Sharing(watcher)
    page = text(rng)
    sharing.show(page)
    sharing.rest(1.0)
    before = watcher.received
    for _ in range(30):
        page = scrolled(page, 16, rng)
        sharing.show(page)
    assert same(watcher.canvas.picture[: HEIGHT - 32], page[: HEIGHT - 32]), "a copy of what is exact is exact"
    assert (watcher.received - before) / 30 < 0.2 * len(encode_jpeg(page, QUALITY))


def test_a_still_screen_costs_nothing() -> None:
    watcher = Watcher(random.Random(3))
    sharing = Sharing(watcher)
    sharing.show(text(np.random.default_rng(3)))
    sharing.rest(1.0)
    before = watcher.received
    sharing.rest(5.0)
    assert watcher.received == before


def test_somebody_who_comes_late_gets_all_of_it_at_once() -> None:
    rng = np.random.default_rng(4)
    early, late = Watcher(random.Random(1)), Watcher(random.Random(2))
    sharing = Sharing(early)
    for picture in film(rng, 20):
        sharing.show(picture)
    before = early.received
    sharing.rest(1.0)
    sharing.join(late)
    sharing.rest(0.15)
    assert psnr(late.canvas.picture, sharing.screen) > 40
    assert early.received - before < late.received, "nobody else is sent what the late one lacked"


def test_a_slow_watcher_gets_the_newest_state_and_slows_nobody() -> None:
    rng = np.random.default_rng(6)
    quick, slow = Watcher(random.Random(1)), Watcher(random.Random(2), bits=12e6)
    sharing = Sharing(quick, slow)
    for number in range(45):
        sharing.show(photo(rng))
        if number > 10:
            assert psnr(quick.canvas.picture, sharing.screen) > 10
    backlog = list(sharing.chain.backlogs.values())[1]
    assert backlog.merged > 1
    assert sum(len(datagrams) for _, datagrams in backlog._queue) * 1200 < 1 << 20
    sharing.show(text(rng))
    sharing.rest(3.0)
    assert same(slow.canvas.picture, sharing.screen)


def test_a_watcher_that_was_cut_off_for_a_while_catches_up() -> None:
    rng = np.random.default_rng(7)
    watcher = Watcher(random.Random(1))
    sharing = Sharing(watcher)
    pictures = film(rng, 60)
    for number, picture in enumerate(pictures):
        watcher.cut_off = 20 <= number < 45
        sharing.show(picture)
    sharing.rest(1.5)
    assert same(watcher.canvas.picture[:, 7 * CELL :], sharing.screen[:, 7 * CELL :]), "text beside the film"
    assert psnr(watcher.canvas.picture, sharing.screen) > 30


def test_the_rate_finds_what_a_link_takes() -> None:
    rng = np.random.default_rng(8)
    watcher = Watcher(random.Random(1), bits=8e6)
    sharing = Sharing(watcher)
    for _ in range(90):
        sharing.show(photo(rng))
    (backlog,) = sharing.chain.backlogs.values()
    assert 2e6 < backlog.rate.bits < 20e6


def test_a_clock_that_goes_round_is_no_delay() -> None:
    rate = Rate(1e8)
    start = (1 << 32) / TICKS - 1.0
    for step in range(200):
        at = start + step / 100
        rate.arrived(int(at * TICKS) % (1 << 32), 5.0 + step / 100, 10_000, 5.01 + step / 100)
        assert rate.queue < 0.001


def test_a_flood_of_beginnings_is_forgotten_not_kept() -> None:
    assembly = Assembly()
    for number in range(1, 5000):
        part = parse_part(cut(Slice(number, 0, number, 0, bytes(PART_BYTES_MAX + 1)))[0])
        assembly.put(part, 0.0)
    assert assembly._bytes <= 1024 * PART_BYTES_MAX
    assert len(assembly._pending) <= 1024
    assert len(assembly.gaps(0.0, 1.0)) <= ASKED_MAX


def test_a_cell_at_rest_becomes_exact_beside_one_that_is_not() -> None:
    rng = np.random.default_rng(9)
    watcher = Watcher(random.Random(3))
    sharing = Sharing(watcher)
    page = text(rng)
    for frame in range(round((REST_S + 0.5) / TICK)):
        page = page.copy()
        page[:64, :64] = photo(rng, 64, 64) if frame % 2 else 0
        sharing.show(page)
    assert same(watcher.canvas.picture[64:, 64:], page[64:, 64:])
