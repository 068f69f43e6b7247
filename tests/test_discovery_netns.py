"""Peers on two machines, played by network namespaces, meet over IPv4 and IPv6 and when a cable is plugged in later."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("ip") is None,
    reason="network namespaces need root and iproute2",
)

CHILD = """
import asyncio, json, sys
from meshchat.discovery import Discovery, PeerFound
from meshchat.interfaces import chosen, present

def tell(event):
    if isinstance(event, PeerFound):
        print(json.dumps([event.notice.peer_id, [address.host for address in event.notice.addresses]]), flush=True)

async def live():
    discovery = Discovery(sys.argv[1], 40124, chosen((), present()), tell)
    await discovery.start()
    print(json.dumps(["started", []]), flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        await discovery.set_addresses(chosen((), present()))
    await discovery.close()

asyncio.run(live())
"""

ANN, BEN = "a" * 64, "b" * 64


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)


@dataclass(frozen=True)
class Lan:
    """Two namespaces and the names of the cable's ends; the second machine calls its end differently."""

    first: str
    second: str

    def plug(self) -> None:
        ip("link", "add", "lan0", "netns", self.first, "type", "veth", "peer", "name", "net9", "netns", self.second)
        for namespace, name, number in ((self.first, "lan0", 1), (self.second, "net9", 2)):
            ip("-n", namespace, "link", "set", name, "addrgenmode", "none")
            ip("-n", namespace, "addr", "add", f"10.94.0.{number}/24", "dev", name)
            ip("-n", namespace, "link", "set", name, "up")
            ip("-n", namespace, "addr", "add", f"fe80::{number}/64", "dev", name, "nodad")
            ip("-n", namespace, "addr", "add", f"fd94::{number}/64", "dev", name, "nodad")


@pytest.fixture
def lan() -> Iterator[Lan]:
    names = [f"meshchat-{os.getpid()}-{number}" for number in (1, 2)]
    with contextlib.ExitStack() as stack:
        for name in names:
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
            ip("-n", name, "link", "set", "lo", "up")
        yield Lan(*names)


@dataclass
class Machine:
    process: asyncio.subprocess.Process

    async def hears(self, who: str) -> list[str]:
        """The addresses in the next event about `who`."""
        assert self.process.stdout is not None
        while True:
            subject, hosts = json.loads(await self.process.stdout.readline())
            if subject == who:
                return [str(host) for host in hosts]

    def look_again(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")


@contextlib.asynccontextmanager
async def machine(namespace: str, peer_id: str) -> AsyncIterator[Machine]:
    pipe = asyncio.subprocess.PIPE
    where = Path(__file__).parent.parent
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", namespace, sys.executable, "-c", CHILD, peer_id, stdin=pipe, stdout=pipe, cwd=where
    )
    try:
        yield Machine(process)
    finally:
        process.kill()
        await process.communicate()


async def test_machines_meet_over_both_families_and_link_local_addresses_name_the_receivers_interface(lan: Lan) -> None:
    lan.plug()
    async with asyncio.timeout(10), machine(lan.first, ANN) as ann:
        await ann.hears("started")
        async with machine(lan.second, BEN) as ben:
            hosts = await ann.hears(BEN)
            while len(hosts) < 3:
                hosts = await ann.hears(BEN)
            assert hosts == ["10.94.0.2", "fd94::2", "fe80::2%lan0"]
            hosts = await ben.hears(ANN)
            while len(hosts) < 3:
                hosts = await ben.hears(ANN)
            assert hosts == ["10.94.0.1", "fd94::1", "fe80::1%net9"]


async def test_a_cable_plugged_in_later_is_used_once_the_addresses_are_read_again(lan: Lan) -> None:
    async with asyncio.timeout(10), machine(lan.first, ANN) as ann, machine(lan.second, BEN) as ben:
        await asyncio.gather(ann.hears("started"), ben.hears("started"))
        lan.plug()
        ann.look_again()
        ben.look_again()
        while "10.94.0.2" not in await ann.hears(BEN):
            pass
        while "10.94.0.1" not in await ben.hears(ANN):
            pass
