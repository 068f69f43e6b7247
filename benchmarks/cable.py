"""The cable between who shares and who watches: how much went over it, what is lost on it, how fast it is.

This needs the namespaces of `benchmarks.lab`. Loss is made by nftables where packets come in, at both ends; a slow link
by a token bucket where they leave the sharer, with room for 50 ms. Big segments are cut by the sender's own end of the
cable, so that a packet that is lost is one of 1500 bytes whoever sent it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from benchmarks.lab import Place
from meshchat.errors import NetworkError

PORT = "lan0"


@dataclass(frozen=True, slots=True)
class Network:
    """What the cable is like."""

    name: str
    loss_percent: float = 0.0
    mbit: float = 0.0
    """0: as fast as this machine."""


NETWORKS = (
    Network("clean"),
    Network("loss1", loss_percent=1),
    Network("loss5", loss_percent=5),
    Network("slow", mbit=20),
)


class Cable:
    """Between two places."""

    def __init__(self, sharer: Place, watcher: Place) -> None:
        """Raises `NetworkError` where it cannot be made as it should be."""
        if not sharer.enter or not watcher.enter:
            raise NetworkError("screens are compared in network namespaces: that needs Linux, root and the command ip")
        for tool in ("nft", "tc"):
            if shutil.which(tool) is None:
                raise NetworkError(f"the command {tool} is missing: install nftables and iproute2")
        self._ends = (sharer, watcher)
        for end in self._ends:
            end.run("ip", "link", "set", PORT, "gso_max_segs", "1")

    def become(self, network: Network) -> None:
        """Has these properties from now on."""
        self.heal()
        if network.loss_percent:
            for end in self._ends:
                lot = ("numgen", "random", "mod", "1000", "<", str(round(network.loss_percent * 10)))
                end.run("nft", "add", "table", "inet", "loss")
                end.run("nft", "add chain inet loss in { type filter hook input priority 0 ; }")
                end.run("nft", "add", "rule", "inet", "loss", "in", "iifname", PORT, *lot, "drop")
        if network.mbit:
            bucket = ("tbf", "rate", f"{network.mbit:g}mbit", "burst", "32k", "latency", "50ms")
            self._ends[0].run("tc", "qdisc", "replace", "dev", PORT, "root", *bucket)

    def heal(self) -> None:
        """Loses nothing, and is fast."""
        for end in self._ends:
            end.run("nft", "flush", "ruleset")
            end.run("tc", "qdisc", "replace", "dev", PORT, "root", "pfifo_fast")

    def bytes(self) -> int:
        """What came to the watcher's end so far, with all headers."""
        for line in self._ends[1].run("cat", "/proc/net/dev").splitlines():
            name, _, counts = line.partition(":")
            if name.strip() == PORT:
                return int(counts.split()[0])
        raise NetworkError("the watcher's end of the cable is gone")
