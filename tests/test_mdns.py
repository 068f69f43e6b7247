"""A peer's record is read strictly and cleaned, and the table of what was heard of whom is bounded and fair."""

from __future__ import annotations

import contextlib
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeroconf import DNSOutgoing  # type: ignore[attr-defined]  # see meshchat.discovery

from meshchat.discovery import Discovery, PeerForgotten, PeerNotice, RoomNotice, parse_record, write_record
from meshchat.errors import WireError
from meshchat.interfaces import LocalAddress
from meshchat.mdns import hearsay
from meshchat.mdns.hearsay import Hearsay, Said
from meshchat.mdns.notices import ADDRESSES_MAX, ROOMS_MAX, TXT_BYTES_MAX, label_of, peer_of
from meshchat.mdns.records import SERVICE
from meshchat.units import Address, PeerId, RoomId, safe_text

LOBBY = RoomNotice(RoomId("0" * 31 + "1"), "Lobby", False, 3)
VAULT = RoomNotice(RoomId("0" * 31 + "2"), "", True, 12)
PORT = 40123

# What a record says


def test_a_record_tells_id_port_and_rooms() -> None:
    me = PeerId("ab" * 32)
    notice = parse_record(label_of(me), write_record(me, PORT, [LOBBY, VAULT]), ["fe80::1%eth0", "fd00::1", "10.0.0.1"])
    assert notice.rooms == (LOBBY, VAULT)
    assert notice.protocol == 1
    assert [address.host for address in notice.addresses] == ["10.0.0.1", "fd00::1", "fe80::1%eth0"]
    assert {address.port for address in notice.addresses} == {PORT}


def test_a_label_is_a_dns_label_and_names_one_id_only() -> None:
    me = PeerId("ff" * 32)
    label = label_of(me)
    assert len(label) == 52
    assert peer_of(label) == me
    assert label.endswith("q")
    assert peer_of(label[:-1] + "r") is None
    for nobody in ("", "printer", label.upper(), label + "a", label[:-1] + "1", f"{label}.{SERVICE}"):
        assert peer_of(nobody) is None


NOTICES = st.builds(
    RoomNotice,
    id=st.integers(0, 2**128 - 1).map(lambda number: RoomId(f"{number:032x}")),
    name=st.text(max_size=40).map(lambda text: safe_text(text, bytes_max=40)),
    locked=st.booleans(),
    members=st.integers(0, 9999),
    sharing=st.booleans(),
)


@given(
    st.binary(min_size=32, max_size=32).map(lambda raw: PeerId(raw.hex())),
    st.integers(1, 65535),
    st.lists(NOTICES, max_size=ROOMS_MAX, unique_by=lambda room: room.id),
)
def test_what_is_written_is_read_back(me: PeerId, port: int, rooms: list[RoomNotice]) -> None:
    notice = parse_record(label_of(me), write_record(me, port, rooms), ["127.0.0.1"])
    assert notice == PeerNotice(me, (Address("127.0.0.1", port),), 1, tuple(rooms))


@given(st.data())
def test_any_bytes_are_a_notice_or_a_wire_error(data: st.DataObject) -> None:
    me = PeerId("12" * 32)
    record = bytearray(write_record(me, PORT, [LOBBY, VAULT]))
    for at in data.draw(st.lists(st.integers(0, len(record) - 1), max_size=4)):
        record[at] = data.draw(st.integers(0, 255))
    text = data.draw(st.one_of(st.binary(max_size=300), st.just(bytes(record))))
    with contextlib.suppress(WireError):
        notice = parse_record(label_of(me), text, ())
        assert notice.peer_id == me
        assert all(room.name == safe_text(room.name) for room in notice.rooms)


ID = b"\x43id=" + b"ab" * 32
R0 = b"r0=o,3," + b"0" * 32 + b",Lobby"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "number is missing"),
        (b"\x03v=1" + ID, "number is missing"),
        (b"\x03v=1\x09p=123", "runs past"),
        (b"\x03v=1\x05p=123" + ID.replace(b"ab", b"cd"), "instance's name"),
        (b"\x03v=1\x05p=123" + ID.replace(b"ab", b"AB"), "malformed"),
        (b"\x03v=0\x05p=123" + ID, "out of range"),
        (b"\x03v=1\x07p=65536" + ID, "out of range"),
        (b"\x03v=1\x03p=0" + ID, "out of range"),
        (b"\x03v=1\x05p=-23" + ID, "malformed"),
        (b"\x03v=1\x05p=123" + ID + bytes(TXT_BYTES_MAX), "too long"),
        (b"\x03v=1\x05p=123" + ID + b"\x05r0=o,", "malformed room"),
        (b"\x03v=1\x05p=123" + ID + bytes([len(R0) + 1]) + R0 + b"\xff", "not UTF-8"),
        (b"\x03v=1\x05p=123" + ID + bytes([len(R0)]) + R0 + bytes([len(R0)]) + R0.replace(b"r0", b"r7"), "twice"),
    ],
)
def test_a_malformed_record_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why):
        parse_record(label_of(PeerId("ab" * 32)), text, ())


def test_names_are_cleaned_and_unknown_keys_skipped() -> None:
    me = PeerId("ab" * 32)
    evil = R0.replace(b"Lobby", b"\x1b[2JLob\xe2\x80\xaeby\x07")
    text = b"\x03v=1\x05p=123" + ID + bytes([len(evil)]) + evil + b"\x05flag!\x09new=thing\x00\x04P=99"
    notice = parse_record(label_of(me), text, ())
    assert [room.name for room in notice.rooms] == ["[2JLobby"]


def test_eight_rooms_with_long_names_and_sixteen_addresses_fit_one_packet() -> None:
    rooms = [RoomNotice(RoomId(f"{number:032x}"), "ö" * 32, False, 10**6, sharing=True) for number in range(10)]
    addresses = [LocalAddress(f"fd00::{number:x}", "eth0", 2) for number in range(20)]
    discovery = Discovery(PeerId(secrets.token_hex(32)), 65535, addresses, lambda event: None)
    discovery.announce(rooms)
    discovery._describe()
    info = discovery._info
    out = DNSOutgoing(0x8400)
    for record in (info.dns_pointer(), info.dns_service(), info.dns_text(), *info.get_address_and_nsec_records()):
        out.add_answer_at_time(record, 0)
    (packet,) = out.packets()
    assert len(packet) <= 1460
    assert len(info.dns_addresses()) == ADDRESSES_MAX
    assert len(parse_record(label_of(discovery._me), info.text, ()).rooms) == ROOMS_MAX


def said(peer_id: PeerId, *hosts: str) -> Said:
    return Said(True, write_record(peer_id, PORT, []), list(hosts or ("10.0.0.1",)))


def test_the_peer_heard_least_recently_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearsay, "PEERS_MAX", 3)
    evicted: list[PeerId] = []
    table = Hearsay(evicted.append)
    ann, ben, cat, dan, eve = (PeerId(letter * 64) for letter in "abcde")
    for peer_id in (ann, ben, cat, ann):
        table.hear(peer_id, said(peer_id))
    assert table.hear(dan, said(dan))[0] == PeerForgotten(ben)
    table.keep([cat])
    assert table.hear(eve, said(eve))[0] == PeerForgotten(ann)
    assert evicted == [ben, ann]
    table.keep([cat, dan, eve])
    assert table.hear(ann, said(ann)) == []
    assert set(table.notices) == {cat, dan, eve}


def test_a_link_local_address_keeps_the_scopes_by_which_it_was_heard() -> None:
    table = Hearsay(lambda peer_id: None)
    ann = PeerId("a" * 64)
    assert table.hear(ann, said(ann, "fe80::1")) == []
    table.hear(ann, said(ann, "fe80::1%eth0"))
    table.hear(ann, said(ann, "fe80::1%wlan0", "10.0.0.1"))
    assert table.hear(ann, said(ann, "fe80::1", "10.0.0.1")) == []
    assert [address.host for address in table.notices[ann].addresses] == ["10.0.0.1", "fe80::1%eth0", "fe80::1%wlan0"]
    table.hear(ann, said(ann, "10.0.0.1"))
    assert [address.host for address in table.notices[ann].addresses] == ["10.0.0.1"]
