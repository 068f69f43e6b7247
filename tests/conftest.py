"""What every test must leave behind: nothing. No thread, and in an asynchronous test nothing still running."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import settings

# How long one example takes says how busy the machine is, and nothing about the code.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

SETTLE_SECONDS = 2.0
"""How long what was told to end may take to do so."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Asynchronous tests are watched from inside their loop as well; first in, so last out, after every fixture."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.fixturenames.insert(0, "nothing_runs_on")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Fail a test that leaves a thread which would hold the program's end, or one of meshchat's own."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + SETTLE_SECONDS
    while (left := _threads_of_concern(before)) and time.monotonic() < deadline:
        left[0].join(timeout=0.05)
    assert not left, f"threads left behind: {[thread.name for thread in left]}"


@pytest.fixture
async def nothing_runs_on() -> AsyncIterator[None]:
    """Fail an asynchronous test that leaves something running in its loop."""
    yield
    me = asyncio.current_task()
    left = [running for running in asyncio.all_tasks() if running is not me]
    if left:
        _, pending = await asyncio.wait(left, timeout=SETTLE_SECONDS)
        assert not pending, f"left running: {pending}"


def _threads_of_concern(before: set[threading.Thread]) -> list[threading.Thread]:
    """New threads that hold the program's end or are ours; the loop's own pool ends with the loop, after this."""
    return [
        thread
        for thread in threading.enumerate()
        if thread not in before
        and not thread.name.startswith("asyncio_")
        and (not thread.daemon or thread.name.startswith("meshchat"))
    ]
