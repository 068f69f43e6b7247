"""A small network of hosts on one machine: namespaces, cables into a switch, and a firewall for each host.

Nothing leaves it: the switch is a bridge in a namespace of its own, so no host can reach the machine's own network.
Needs root, iproute2 and nftables; `why_not` says what is missing. Every name carries this process's id, and everything
is removed at the end whatever happens, by deleting the namespaces, which takes cables and rules with them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

SETTLE_S = 5.0
"""How long a fresh IPv6 address may take to become usable."""

PATIENCE_S = 20.0

NETWORK = "10.93.0"
NETWORK6 = "fd93:"

WARY = """
table inet firewall {
  counter refused { }
  chain input {
    type filter hook input priority 0; policy drop;
    iif lo accept
    ct state established,related accept
    udp dport 5353 accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    counter name refused drop
  }
}
"""
"""What hosts come with: nothing gets in but mDNS and what answers the host's own packets."""

MDNS_COUNTED = """
table inet watch {
  counter lan { }
  counter containers { }
  chain output {
    type filter hook output priority 0; policy accept;
    oifname "eth0" udp dport 5353 counter name lan
    oifname "docker0" udp dport 5353 counter name containers
  }
}
"""
"""Where a host's announcements and questions go."""

_serial = itertools.count(1)


def why_not() -> str:
    """Why no network can be laid here; empty if it can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "network namespaces need root"
    missing = [tool for tool in ("ip", "nft") if shutil.which(tool) is None]
    return f"network namespaces need {' and '.join(missing)}" if missing else ""


def lossy(percent: int) -> str:
    """Rules that lose that share of the UDP packets coming in, at random, before any firewall sees them."""
    return f"""
table inet weather {{
  counter lost {{ }}
  chain input {{
    type filter hook prerouting priority -300; policy accept;
    iif != lo meta l4proto udp numgen random mod 100 < {percent} counter name lost drop
  }}
}}
"""


@dataclass(frozen=True)
class Host:
    """One machine: a namespace with a loopback of its own."""

    namespace: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """The words that run a command on this host."""
        return ("ip", "netns", "exec", self.namespace)

    def run(self, *words: str, stdin: str | None = None) -> str:
        """What a command prints here; its failure is ours."""
        return _run(*self.prefix, *words, stdin=stdin)

    def ip(self, *words: str) -> None:
        """iproute2's `ip`, here."""
        _run("ip", "-n", self.namespace, *words)

    def rules(self, ruleset: str) -> None:
        """Lays down nftables rules."""
        self.run("nft", "-f", "-", stdin=ruleset)

    def counted(self, counter: str) -> int:
        """Packets that a named counter of the rules has seen."""
        listed = json.loads(self.run("nft", "-j", "list", "counters"))["nftables"]
        return sum(each["counter"]["packets"] for each in listed if each.get("counter", {}).get("name") == counter)

    def contain(self, box: Host, bridge: str, address: str) -> None:
        """Puts another host behind a bridge of this one, as container engines do."""
        self.ip("link", "add", bridge, "type", "bridge", "forward_delay", "0")
        self.ip("link", "add", "box0", "type", "veth", "peer", "name", "eth0", "netns", box.namespace)
        self.ip("link", "set", "box0", "master", bridge, "up")
        box.ip("link", "set", "eth0", "up")
        self.ip("addr", "add", address, "dev", bridge)
        self.ip("link", "set", bridge, "up")

    def wait_for_addresses(self) -> None:
        """Returns once no IPv6 address is still being checked for a duplicate."""
        deadline = time.monotonic() + SETTLE_S
        while self.run("ip", "-6", "addr", "show", "tentative").strip():
            assert time.monotonic() < deadline, f"{self.namespace} has no usable IPv6 address"
            time.sleep(0.02)


class Lan:
    """Hosts and the switches between them."""

    def __init__(self) -> None:
        self._prefix = f"meshlan-{os.getpid()}-{next(_serial)}"
        self._namespaces: list[str] = []
        self._cables = itertools.count(1)
        self.switch = self._namespace("switch")

    def add_switch(self, name: str = "switch0") -> str:
        """One more switch, joined to no other; returns its name for `plug`."""
        self.switch.ip("link", "add", name, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        self.switch.ip("link", "set", name, "up")
        return name

    def add_host(self, name: str) -> Host:
        """One more host, plugged into nothing."""
        return self._namespace(name)

    def plug(self, host: Host, switch: str, interface: str = "eth0", *, ipv4: bool = True, ipv6: bool = True) -> int:
        """Lays a cable from a host to a switch; returns the number that ends the host's addresses on it."""
        number = next(self._cables)
        socket = f"port{number}"
        self.switch.ip("link", "add", socket, "type", "veth", "peer", "name", interface, "netns", host.namespace)
        self.switch.ip("link", "set", socket, "master", switch, "up")
        # Addresses are right by construction; checking each for a duplicate would cost a second or two.
        for knob, value in (("disable_ipv6", "0" if ipv6 else "1"), ("accept_dad", "0")):
            host.run("sysctl", "-qw", f"net.ipv6.conf.{interface}.{knob}={value}")
        if ipv4:
            host.ip("addr", "add", f"{NETWORK}.{number}/24", "dev", interface)
        host.ip("link", "set", interface, "up")
        if ipv6:
            host.ip("addr", "add", f"{NETWORK6}:{number:x}/64", "dev", interface)
        host.wait_for_addresses()
        return number

    def remove(self) -> None:
        """Takes everything away; what still runs on a host loses its network."""
        for namespace in reversed(self._namespaces):
            with contextlib.suppress(subprocess.CalledProcessError):
                _run("ip", "netns", "del", namespace)

    def _namespace(self, name: str) -> Host:
        host = Host(f"{self._prefix}-{name}")
        _run("ip", "netns", "add", host.namespace)
        self._namespaces.append(host.namespace)
        host.ip("link", "set", "lo", "up")
        return host


@contextlib.contextmanager
def lan() -> Iterator[Lan]:
    """A network that is gone afterwards."""
    laid = Lan()
    try:
        yield laid
    finally:
        laid.remove()


def _run(*words: str, stdin: str | None = None) -> str:
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout
