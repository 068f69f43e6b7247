"""What the shell tells the control plane: who signed what, who runs twice, how good a host we are, whether we slept."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshchat import host
from meshchat.identity import load_identity
from meshchat.interfaces import LocalAddress
from meshchat.mesh import Mesh
from meshchat.peers import effects as out
from meshchat.peers.circle import HOST_BEST
from meshchat.peers.fields import PROOF_BYTES_MAX
from meshchat.peers.room import open_room
from meshchat.transport import asleep
from meshchat.transport.asleep import SleepClock
from meshchat.transport.notary import DeviceNotary
from meshchat.units import Address

LOOPBACK = (LocalAddress("127.0.0.1", "lo", 1),)

Started = Callable[[Path], tuple[Mesh, list[out.Event]]]


@pytest.fixture
async def start() -> AsyncIterator[Started]:
    meshes: list[Mesh] = []

    def begin(profile: Path) -> tuple[Mesh, list[out.Event]]:
        events: list[out.Event] = []
        identity = load_identity(profile)
        mesh = Mesh(identity, profile.name, on_event=events.append, on_media=lambda *_: None, on_report=lambda *_: None)
        mesh.open(LOOPBACK, None)
        meshes.append(mesh)
        return mesh, events

    yield begin
    for mesh in meshes:
        mesh.close()


async def until(true: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)


def join(mesh: Mesh, address: Address | None) -> None:
    mesh.enter(open_room("lobby"), "lobby")
    if address:
        mesh.add_seed(address)


def others(mesh: Mesh) -> set[str]:
    return {member.alias for member in mesh.node.members() if not member.you}


async def test_a_copied_profile_is_turned_away_and_told_why(start: Started, tmp_path: Path) -> None:
    ann, _ = start(tmp_path / "ann")
    bob, bob_events = start(tmp_path / "bob")
    join(ann, None)
    join(bob, ann.addresses[0])
    await until(lambda: others(ann) == {"bob"} and others(bob) == {"ann"})
    shutil.copytree(tmp_path / "bob", tmp_path / "copy")
    copy, copy_events = start(tmp_path / "copy")
    join(copy, ann.addresses[0])
    await until(lambda: any(isinstance(event, out.KeyInUse) for event in copy_events))
    assert others(ann) == {"bob"}
    assert others(bob) == {"ann"}
    assert others(copy) == set()
    assert not any(isinstance(event, out.MemberLeft | out.KeyInUse) for event in bob_events)


async def test_after_a_sleep_all_links_are_made_anew_and_nobody_has_left(
    start: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, ann_events = start(tmp_path / "ann")
    bob, bob_events = start(tmp_path / "bob")
    join(ann, None)
    join(bob, ann.addresses[0])
    await until(lambda: others(ann) == {"bob"} and others(bob) == {"ann"})
    before = {link.up_at for link in bob.node.links.values()}
    monkeypatch.setattr(asleep, "_slept", lambda: 1e6)
    bob._sleep_clock._total_s = 1e6 - 300.0
    ann._sleep_clock._total_s = 1e6
    bob.pump()

    def anew() -> bool:
        links = {link.up_at for link in bob.node.links.values() if link.admitted}
        return bool(links) and not links & before

    await until(anew, 2.0)
    assert others(ann) == {"bob"}
    assert not any(isinstance(event, out.MemberLeft) for event in ann_events + bob_events)


def test_a_clock_that_stood_still_tells_of_sleep_once(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = [10.0, 10.5, 75.0, 75.0]
    monkeypatch.setattr(asleep, "_slept", lambda: slept.pop(0))
    clock = SleepClock()
    assert [clock.slept() for _ in range(3)] == [0.0, 64.5, 0.0]


def test_what_was_signed_is_believed_of_its_signer_alone(tmp_path: Path) -> None:
    ann, bob = load_identity(tmp_path / "ann"), load_identity(tmp_path / "bob")
    proof = DeviceNotary(ann).sign(b"a list")
    assert len(proof) == PROOF_BYTES_MAX
    check = DeviceNotary(bob).verify
    assert check(ann.peer_id, b"a list", proof)
    assert not check(bob.peer_id, b"a list", proof)
    assert not check(ann.peer_id, b"another list", proof)
    assert not check(ann.peer_id, b"a list", DeviceNotary(bob).sign(b"a list"))


def test_no_garbage_is_a_proof(tmp_path: Path) -> None:
    ann = load_identity(tmp_path / "ann")
    notary = DeviceNotary(ann)

    @given(st.binary(max_size=PROOF_BYTES_MAX))
    def try_it(garbage: bytes) -> None:
        assert not notary.verify(ann.peer_id, b"a list", garbage)
        assert not notary.verify(ann.peer_id, b"a list", notary.sign(b"")[:32] + garbage)

    try_it()


def supply(sys: Path, name: str, **files: str) -> None:
    """A power supply as Linux shows it."""
    folder = sys / "class" / "power_supply" / name
    folder.mkdir(parents=True)
    for file, text in files.items():
        (folder / file).write_text(text + "\n")


def test_a_machine_on_mains_and_cable_is_the_better_host(tmp_path: Path) -> None:
    for name, inside in (("eth7", "device"), ("wlan7", "wireless")):
        (tmp_path / "class" / "net" / name / inside).mkdir(parents=True)
    (tmp_path / "class" / "power_supply").mkdir()
    desk = host.mark(["eth7"], tmp_path)
    assert desk == HOST_BEST
    assert host.mark(["eth7", "wlan7"], tmp_path) == desk > host.mark(["wlan7"], tmp_path)
    supply(tmp_path, "mouse", type="Battery", scope="Device")
    assert host.mark(["eth7"], tmp_path) == desk
    supply(tmp_path, "BAT0", type="Battery", status="Discharging")
    supply(tmp_path, "AC", type="Mains", online="0")
    on_battery = host.mark(["wlan7"], tmp_path)
    (tmp_path / "class" / "power_supply" / "AC" / "online").write_text("1\n")
    assert desk > host.mark(["eth7"], tmp_path) > host.mark(["wlan7"], tmp_path) > on_battery == 0


def test_a_system_that_tells_nothing_is_taken_for_middling(tmp_path: Path) -> None:
    assert 0 < host.mark(["en0"], tmp_path) < HOST_BEST
