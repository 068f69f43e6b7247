"""Which addresses are used: every network with people on it, or exactly what the user names."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

import pytest

from meshchat import interfaces
from meshchat.errors import NetworkError
from meshchat.interfaces import LocalAddress, check, chosen, present

LOOPBACK = LocalAddress("127.0.0.1", "lo", 1)
LOOPBACK6 = LocalAddress("::1", "lo", 1)
WIRED = LocalAddress("192.168.1.20", "eth0", 2)
WIRED6 = LocalAddress("fe80::1%eth0", "eth0", 2)
WIRELESS = LocalAddress("192.168.1.21", "wlan0", 3)
WIRELESS6 = LocalAddress("fe80::1%wlan0", "wlan0", 3)
DOCKER = LocalAddress("172.17.0.1", "docker0", 4)
EVERYTHING = (LOOPBACK, LOOPBACK6, WIRED, WIRED6, WIRELESS, WIRELESS6, DOCKER)


def test_left_alone_every_network_with_people_on_it_is_used() -> None:
    assert set(chosen((), EVERYTHING)) == {WIRED, WIRED6, WIRELESS, WIRELESS6}


@pytest.mark.parametrize(
    "name",
    ["docker0", "br-1f2e", "veth9a", "virbr0", "vnet3", "vmnet8", "vboxnet0", "vEthernet (WSL)", "AWDL0", "llw0"],
)
def test_containers_and_virtual_machines_are_skipped_by_name(name: str) -> None:
    assert chosen((), [WIRED, LocalAddress("10.9.9.1", name, 9)]) == (WIRED,)


@pytest.mark.parametrize("name", ["tun0", "wg0", "tailscale0", "utun3", "ztabc", "br0", "en0", "Wi-Fi"])
def test_tunnels_and_real_bridges_stay_since_they_may_be_the_only_way(name: str) -> None:
    tunnel = LocalAddress("10.9.9.1", name, 9)
    assert chosen((), [LOOPBACK, tunnel]) == (tunnel,)


def test_a_machine_without_a_network_falls_back_to_loopback() -> None:
    assert chosen((), [DOCKER, LOOPBACK6, LOOPBACK]) == (LOOPBACK, LOOPBACK6)
    assert chosen((), []) == ()


def test_what_the_user_names_is_used_exactly_even_bridges_and_loopback() -> None:
    assert chosen(["docker0"], EVERYTHING) == (DOCKER,)
    assert chosen(["LO"], EVERYTHING) == (LOOPBACK, LOOPBACK6)
    assert chosen(["127.0.0.1", "wlan0"], EVERYTHING) == (LOOPBACK, WIRELESS, WIRELESS6)


def test_an_ipv6_address_may_be_spelled_in_any_way_and_its_scope_narrows_it() -> None:
    assert chosen(["0:0:0:0:0:0:0:1"], EVERYTHING) == (LOOPBACK6,)
    assert chosen(["fe80::1"], EVERYTHING) == (WIRED6, WIRELESS6)
    assert chosen(["fe80::1%wlan0"], EVERYTHING) == (WIRELESS6,)
    assert chosen(["fe80::1%2"], EVERYTHING) == (WIRED6,)


def test_a_wish_that_cannot_be_met_names_itself_and_what_there_is() -> None:
    check(["eth0", "127.0.0.1"], EVERYTHING)
    with pytest.raises(NetworkError) as refusal:
        check(["eth0", "eth7", "10.0.0.9"], EVERYTHING)
    message = str(refusal.value)
    assert "eth7, 10.0.0.9" in message
    assert "eth0 192.168.1.20" in message
    assert "docker0 172.17.0.1" in message
    with pytest.raises(NetworkError, match="nothing at all"):
        check(["eth0"], [])


def test_duplicates_are_counted_once() -> None:
    assert chosen((), [WIRED, WIRED]) == (WIRED,)


def test_this_machine_has_loopback_and_every_address_is_a_literal_that_can_be_bound() -> None:
    addresses = present()
    assert any(address.is_loopback and not address.is_ipv6 for address in addresses)
    assert list(addresses) == sorted(set(addresses))
    for address in addresses:
        ipaddress.ip_address(address.host)
        assert address.is_ipv6 == (ipaddress.ip_address(address.bare).version == 6)
        assert address.is_link_local == ("%" in address.host) or not address.is_ipv6
        family, kind, _, _, where = socket.getaddrinfo(address.host, 0, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.bind(where)


def test_linux_marks_addresses_that_are_deprecated_or_unchecked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "if_inet6"
    table.write_text(
        "fd000000000000000000000000000002 04 40 00 82     eth0\n"
        "fd000000000000000000000000000003 04 40 00 20     eth0\n"
        "fe8000000000000000fc00fffe000001 04 40 20 c0     eth0\n"
    )
    monkeypatch.setattr(interfaces, "IF_INET6", table)
    assert interfaces._unfit() == {("fd00::3", "eth0"), ("fe80::fc:ff:fe00:1", "eth0")}
    monkeypatch.setattr(interfaces, "IF_INET6", tmp_path / "absent")
    assert interfaces._unfit() == set()


def test_a_scope_is_written_as_this_system_reads_it() -> None:
    name = socket.if_nameindex()[0][1]
    index = socket.if_nametoindex(name)
    assert interfaces.scoped("fe80::7", index) in (f"fe80::7%{name}", f"fe80::7%{index}")
    with pytest.raises(OSError, match=r"."):
        interfaces.scoped("fe80::7", 2**30)
