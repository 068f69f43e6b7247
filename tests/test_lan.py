"""Machines on one network, played by namespaces: they find each other, and talk through the firewalls hosts have."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshchat.hearing import Heard
from meshchat.units import Samples
from tests.netlab import MDNS_COUNTED, NETWORK, NETWORK6, WARY, Host, Lan, lan, lossy, why_not
from tests.peers_lab import Daemon, Lab, clip, found, is_well_formed, lab, looped, third_voice, until

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")

ROOM = ("--room", "lobby")
NAMES = ("ann", "bob")
QUIET = ("--mic", "silence", "--speaker", "null")

MEET_S_MAX = 10.0
LOST_S_MAX = 30.0

PROBES = 20
PROBE = f"""
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
    for _ in range({PROBES}):
        stranger.sendto(bytes([40]) * 100, (sys.argv[1], int(sys.argv[2])))
"""
"""Datagrams that nobody asked for; their first byte is of no protocol that is spoken."""


@pytest.fixture
def net() -> Iterator[Lan]:
    with lan() as laid:
        yield laid


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made


def start(peers: Lab, host: Host, name: str, *words: str) -> Daemon:
    """A daemon on a host, with no word about interfaces: it must find the right ones by itself."""
    return peers.start(name, *ROOM, *words, prefix=host.prefix)


def two_hosts(net: Lan, *, ipv4: bool = True) -> tuple[Host, Host]:
    """Two hosts on one switch."""
    switch = net.add_switch()
    hosts = net.add_host("ann"), net.add_host("bob")
    for host in hosts:
        net.plug(host, switch, ipv4=ipv4)
    return hosts


def meet(*daemons: Daemon, seconds: float = MEET_S_MAX) -> None:
    for each in daemons:
        each.ready()
    names = [each.name for each in daemons]
    until("all are together", lambda: all(each.sees(*names) for each in daemons), seconds)


def assert_heard(what: Heard) -> None:
    assert what.correlation > 0.6, what
    assert what.coverage > 0.8, what


def assert_not_heard(what: Heard) -> None:
    assert what.correlation < 0.35, what
    assert what.coverage < 0.2, what


def test_three_machines_hear_each_other_and_not_themselves(net: Lan, peers: Lab) -> None:
    switch = net.add_switch()
    path, third = third_voice(peers.folder)
    voices: dict[str, Samples] = {"ann": clip("ann"), "bob": clip("bob"), "cat": third}
    mics = {"ann": looped("ann"), "bob": looped("bob"), "cat": ("--mic", f"loop:{path}")}
    daemons = []
    for name, mic in mics.items():
        host = net.add_host(name)
        net.plug(host, switch)
        daemons.append(start(peers, host, name, *mic, *peers.sink(name)))
    meet(*daemons)
    until("sound arrives everywhere", lambda: all(each.hears(*(set(mics) - {each.name})) for each in daemons))
    begins = [(each, each.recorded_bytes()) for each in daemons]
    for listener, begin in begins:
        sound = listener.recorded_since(begin, 5.0)
        for name, voice in voices.items():
            judge = assert_not_heard if name == listener.name else assert_heard
            judge(found(sound, voice))
    daemons[0].process.send_signal(signal.SIGKILL)
    until("the crashed machine is gone", lambda: all(each.sees("bob", "cat") for each in daemons[1:]), LOST_S_MAX)
    assert is_well_formed(daemons[0].recording)


def test_two_machines_whose_firewalls_let_nobody_in_meet_and_talk(net: Lan, peers: Lab) -> None:
    hosts = two_hosts(net)
    for host in hosts:
        host.rules(WARY)
    ann, bob = (
        start(peers, host, name, *looped(name), *peers.sink(name)) for host, name in zip(hosts, NAMES, strict=True)
    )
    meet(ann, bob)
    until("both hear", lambda: ann.hears("bob") and bob.hears("ann"))
    for listener, speaker in ((ann, bob), (bob, ann)):
        assert_heard(found(listener.recorded(3.0), clip(speaker.name)))
    for host, other, listening in zip(hosts, reversed(hosts), (ann, bob), strict=True):
        before = host.counted("refused")
        other.run(sys.executable, "-c", PROBE, *address_of(listening))
        assert host.counted("refused") == before + PROBES, "what was not asked for really does not come in"
        assert listening.status().counters["datagrams_unknown"] == 0


def test_without_a_firewall_the_same_strangers_are_counted(net: Lan, peers: Lab) -> None:
    """The proof that the probe of the test above would be noticed."""
    ann, bob = two_hosts(net)
    listening = start(peers, ann, "ann", *QUIET)
    bob.run(sys.executable, "-c", PROBE, *address_of(listening))
    until("all are counted", lambda: listening.status().counters["datagrams_unknown"] == PROBES)


def address_of(daemon: Daemon) -> tuple[str, str]:
    """Its first IPv4 address and its port, as words."""
    addresses = daemon.ready()["addresses"]
    assert isinstance(addresses, list)
    host, _, port = next(address for address in addresses if not address.startswith("[")).rpartition(":")
    return host, port


def test_machines_with_ipv6_only(net: Lan, peers: Lab) -> None:
    ann, bob = two_hosts(net, ipv4=False)
    at_ann = start(peers, ann, "ann", *looped("ann"), "--speaker", "null")
    at_bob = start(peers, bob, "bob", "--mic", "silence", *peers.sink("bob"))
    meet(at_ann, at_bob)
    until("bob hears", lambda: at_bob.hears("ann"))
    assert_heard(found(at_bob.recorded_from_now(3.0), clip("ann")))
    addresses = at_bob.status().addresses
    assert any(address.startswith(f"[{NETWORK6}:") for address in addresses)
    assert any(re.match(r"\[fe80:.*%eth0\]:", address) for address in addresses)


def test_a_cable_that_is_plugged_in_later_is_used(net: Lan, peers: Lab) -> None:
    hall, lab_room = net.add_switch("hall"), net.add_switch("lab")
    ann, bob = net.add_host("ann"), net.add_host("bob")
    net.plug(ann, hall)
    net.plug(bob, lab_room)
    at_ann, at_bob = start(peers, ann, "ann", *QUIET), start(peers, bob, "bob", *QUIET)
    meet(at_ann)
    meet(at_bob)
    number = net.plug(bob, hall, "eth1")
    until("they meet over the new cable", lambda: at_ann.sees("ann", "bob") and at_bob.sees("ann", "bob"), 15)
    assert any(address.startswith(f"{NETWORK}.{number}:") for address in at_bob.status().addresses)
    bob.ip("link", "del", "eth1")
    until("without it they part", lambda: at_ann.sees("ann") and at_bob.sees("bob"), LOST_S_MAX)


def test_a_bridge_of_containers_is_left_alone(net: Lan, peers: Lab) -> None:
    ann, bob = two_hosts(net)
    ann.contain(net.add_host("box"), "docker0", "172.17.0.1/16")
    ann.rules(MDNS_COUNTED)
    at_ann, at_bob = start(peers, ann, "ann", *QUIET), start(peers, bob, "bob", *QUIET, "-l")
    meet(at_ann, at_bob)
    assert not any("172.17." in address or "docker0" in address for address in at_ann.status().addresses)
    assert "172.17." not in at_bob.err, "nor does her greeting name it"
    assert ann.counted("lan") > 0
    assert ann.counted("containers") == 0


def test_speech_survives_some_loss(net: Lan, peers: Lab) -> None:
    ann, bob = two_hosts(net)
    bob.rules(lossy(5))
    at_ann = start(peers, ann, "ann", *looped("ann"), "--speaker", "null")
    at_bob = start(peers, bob, "bob", "--mic", "silence", *peers.sink("bob"))
    meet(at_ann, at_bob, seconds=15)
    until("bob hears", lambda: at_bob.hears("ann"))
    assert_heard(found(at_bob.recorded_from_now(4.0), clip("ann")))
    assert bob.counted("lost") > 0
    assert at_bob.members()["ann"].packets_lost
