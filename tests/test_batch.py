"""Datagrams that leave together arrive apart, in order and whole, whatever the kernel knows of sending them at once."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshchat.transport import batch
from meshchat.transport.batch import RUN_MAX, runs, send_batch


@given(st.lists(st.integers(1, 5), max_size=200))
def test_runs_are_all_of_it_in_order_with_only_the_last_of_each_shorter(sizes: list[int]) -> None:
    datagrams = [bytes(size) + bytes([place % 256]) for place, size in enumerate(sizes)]
    found = list(runs(datagrams))
    assert [each for run in found for each in run] == datagrams
    for run in found:
        assert 0 < len(run) <= RUN_MAX
        assert {len(each) for each in run[:-1]} <= {len(run[0])}
        assert len(run[-1]) <= len(run[0])


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
            each.settimeout(5)
        yield one, other


@pytest.mark.parametrize("known", [True, False], ids=["as the kernel can", "one by one"])
def test_a_slice_arrives_as_it_was_sent(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    if not known:
        monkeypatch.setattr(batch, "UDP_SEGMENT", 32_767)  # which no kernel knows
    sender, receiver = pair
    sent = [bytes([number]) * 1186 for number in range(20)] + [b"the end", b"of it"]
    send_batch(sender, sent, receiver.getsockname())
    assert [receiver.recv(2048) for _ in sent] == sent
