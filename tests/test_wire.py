"""What stands on the wire: every byte string is either our packet or a `WireError`, and docs/wire.md does not lie."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshchat import wire
from meshchat.errors import WireError
from meshchat.sframe import ReceiveKey
from meshchat.wire import Kind, MediaPacket, ReportBlock

WIRE_MD = Path(__file__).parent.parent / "docs" / "wire.md"

bits16 = st.integers(0, 0xFFFF)
bits32 = st.integers(0, 0xFFFF_FFFF)
payload_types = st.integers(0, 127).filter(lambda number: not 64 <= number < 96)
sealed = st.binary(min_size=wire.SEALED_BYTES_MIN, max_size=wire.SEALED_BYTES_MAX)

headers = st.tuples(
    payload_types, st.booleans(), bits16, bits32, bits32, st.integers(0, wire.LEVEL_SILENT), st.booleans()
)
blocks = st.builds(ReportBlock, bits32, st.integers(0, 255), st.integers(-(1 << 23), (1 << 23) - 1), *[bits32] * 5)

HEADER = wire.media_header(wire.PAYLOAD_TYPE_OPUS, True, 0x1234, 0xC0FFEE, 0xDECAFBAD, 37, True)


# Which parser


def test_the_first_byte_says_which_parser() -> None:
    found = {first: wire.kind(bytes((first,)) + b"rest") for first in range(256)}
    expected = {
        **dict.fromkeys(range(4), Kind.STUN),
        **dict.fromkeys(range(4, 64), Kind.UNKNOWN),
        **dict.fromkeys(range(64, 128), Kind.QUIC),
        **dict.fromkeys(range(128, 192), Kind.MEDIA),
        **dict.fromkeys(range(192, 256), Kind.QUIC),
    }
    assert found == expected
    assert wire.kind(b"") is Kind.UNKNOWN


# Media


@given(headers, sealed)
def test_a_media_packet_comes_back_as_it_was_sent(
    header: tuple[int, bool, int, int, int, int, bool], payload: bytes
) -> None:
    head = wire.media_header(*header)
    packet = wire.parse_media(head + payload)
    assert packet == MediaPacket(*header, header=head, payload=payload)
    assert wire.kind(head + payload) is Kind.MEDIA


@given(st.binary(max_size=wire.DATAGRAM_BYTES_MAX + 100))
def test_any_bytes_are_a_media_packet_or_a_wire_error(datagram: bytes) -> None:
    _parse_or_wire_error(datagram)


@given(
    st.lists(st.tuples(st.integers(0, 59), st.integers(1, 255)), min_size=1, max_size=4),
    st.integers(0, 60),
)
def test_a_mutated_media_packet_parses_to_what_it_then_says_or_is_a_wire_error(
    flips: list[tuple[int, int]], length: int
) -> None:
    mutated = bytearray(HEADER + bytes(range(40)))
    for at, mask in flips:
        mutated[at] ^= mask
    _parse_or_wire_error(bytes(mutated))
    _parse_or_wire_error(bytes(mutated[:length]))


def _parse_or_wire_error(datagram: bytes) -> None:
    """The whole law: what parses is spelled by its own fields, the rest raises `WireError`."""
    try:
        packet = wire.parse_media(datagram)
    except WireError:
        return
    said = wire.media_header(
        packet.payload_type,
        packet.marker,
        packet.sequence,
        packet.timestamp,
        packet.ssrc,
        packet.level,
        packet.voice,
    )
    assert said == packet.header
    assert said + packet.payload == datagram


@pytest.mark.parametrize(
    ("what", "at", "value"),
    [
        ("version 1", 0, 0x50),
        ("padding", 0, 0xB0),
        ("no extension", 0, 0x80),
        ("a contributing source", 0, 0x91),
        ("an RTCP sender report in disguise", 1, 200),
        ("a two-byte extension profile", 13, 0x00),
        ("an extension of two words", 15, 2),
        ("another extension's identifier", 16, 0x20),
        ("a level of two bytes", 16, 0x11),
        ("a second element in the padding", 18, 0x20),
    ],
)
def test_rtp_that_we_do_not_send_is_refused(what: str, at: int, value: int) -> None:
    datagram = bytearray(HEADER + bytes(40))
    wire.parse_media(bytes(datagram))
    datagram[at] = value
    with pytest.raises(WireError):
        wire.parse_media(bytes(datagram))


def test_the_size_limits_are_exact() -> None:
    smallest = HEADER + bytes(wire.SEALED_BYTES_MIN)
    largest = HEADER + bytes(wire.SEALED_BYTES_MAX)
    assert len(largest) == wire.DATAGRAM_BYTES_MAX
    assert wire.parse_media(smallest).payload == smallest[wire.HEADER_BYTES :]
    assert wire.parse_media(largest).payload == largest[wire.HEADER_BYTES :]
    for wrong in (smallest[:-1], largest + b"\0"):
        with pytest.raises(WireError, match="bytes"):
            wire.parse_media(wrong)


def test_a_header_that_cannot_be_written_is_our_own_bug() -> None:
    with pytest.raises(ValueError, match="payload type 72"):
        wire.media_header(72, False, 0, 0, 0, 0, False)
    with pytest.raises(ValueError, match="payload type 128"):
        wire.media_header(128, False, 0, 0, 0, 0, False)
    with pytest.raises(ValueError, match="level 128"):
        wire.media_header(wire.PAYLOAD_TYPE_OPUS, False, 0, 0, 0, 128, False)
    with pytest.raises(struct.error):
        wire.media_header(wire.PAYLOAD_TYPE_OPUS, False, 0x1_0000, 0, 0, 0, False)


# Receiver reports


@given(bits32, st.lists(blocks, max_size=wire.REPORT_BLOCKS_MAX))
def test_a_receiver_report_comes_back_as_it_was_sent(ssrc: int, sent: list[ReportBlock]) -> None:
    assert wire.parse_receiver_report(wire.encode_receiver_report(ssrc, sent)) == (ssrc, tuple(sent))


@given(st.binary(max_size=200))
@example(b"")
@example(bytes.fromhex("80c9000100000001"))
def test_any_bytes_are_a_receiver_report_or_a_wire_error(data: bytes) -> None:
    _report_or_wire_error(data)


@given(
    st.lists(blocks, max_size=3),
    st.lists(st.tuples(st.integers(0, 7), st.integers(1, 255)), min_size=1, max_size=3),
    st.integers(0, 80),
)
def test_a_mutated_receiver_report_parses_to_what_it_then_says_or_is_a_wire_error(
    sent: list[ReportBlock], flips: list[tuple[int, int]], length: int
) -> None:
    mutated = bytearray(wire.encode_receiver_report(1, sent))
    for at, mask in flips:
        mutated[at] ^= mask
    _report_or_wire_error(bytes(mutated))
    _report_or_wire_error(bytes(mutated[:length]))


def _report_or_wire_error(data: bytes) -> None:
    try:
        ssrc, found = wire.parse_receiver_report(data)
    except WireError:
        return
    assert wire.encode_receiver_report(ssrc, found) == data


@pytest.mark.parametrize(
    ("what", "at", "value"),
    [
        ("version 1", 0, 0x41),
        ("padding", 0, 0xA1),
        ("two blocks claimed, one there", 0, 0x82),
        ("a sender report", 1, 200),
        ("a word more than there is", 3, 9),
        ("no extension", 3, 7),
    ],
)
def test_rtcp_that_we_do_not_send_is_refused(what: str, at: int, value: int) -> None:
    data = bytearray(wire.encode_receiver_report(1, [_block()]))
    wire.parse_receiver_report(bytes(data))
    data[at] = value
    with pytest.raises(WireError):
        wire.parse_receiver_report(bytes(data))


def test_losses_beyond_24_bits_are_clamped() -> None:
    def through(lost: int) -> int:
        _, (block,) = wire.parse_receiver_report(wire.encode_receiver_report(1, [_block(packets_lost=lost)]))
        return block.packets_lost

    assert [through(lost) for lost in (-(1 << 40), -1, 0, 1 << 40)] == [-(1 << 23), -1, 0, (1 << 23) - 1]


def test_one_report_holds_31_blocks() -> None:
    full = [_block(ssrc=number) for number in range(wire.REPORT_BLOCKS_MAX)]
    assert len(wire.parse_receiver_report(wire.encode_receiver_report(1, full))[1]) == 31
    with pytest.raises(ValueError, match="32 report blocks"):
        wire.encode_receiver_report(1, [*full, _block()])
    with pytest.raises(ValueError, match="fraction lost 256"):
        wire.encode_receiver_report(1, [_block(fraction_lost=256)])


def _block(ssrc: int = 7, fraction_lost: int = 0, packets_lost: int = 0) -> ReportBlock:
    return ReportBlock(ssrc, fraction_lost, packets_lost, 100, 0, 0, 0, 0)


# Opening a firewall


@given(st.binary(min_size=12, max_size=12))
def test_the_hole_opening_datagram_is_known_again(transaction: bytes) -> None:
    datagram = wire.binding_indication(transaction)
    assert len(datagram) == wire.BINDING_BYTES
    assert wire.kind(datagram) is Kind.STUN
    assert wire.is_binding_indication(datagram)


def test_a_stun_request_is_not_an_indication_and_gets_no_answer() -> None:
    request = bytes.fromhex("000100002112a442") + bytes(12)
    assert wire.kind(request) is Kind.STUN
    assert not wire.is_binding_indication(request)
    indication = wire.binding_indication(bytes(12))
    assert not wire.is_binding_indication(indication + bytes(4))
    assert not wire.is_binding_indication(indication[:-1])
    assert not wire.is_binding_indication(b"")
    with pytest.raises(ValueError, match="12 bytes"):
        wire.binding_indication(b"short")


# docs/wire.md


def examples() -> dict[str, tuple[bytes, dict[str, str]]]:
    """Each `### Example: NAME` of docs/wire.md: the bytes of its `hex` block and its table of fields."""
    found: dict[str, tuple[bytes, dict[str, str]]] = {}
    for section in WIRE_MD.read_text("utf-8").split("\n### Example: ")[1:]:
        name = section.partition("\n")[0]
        block = re.search(r"```hex\n(.*?)```", section, re.DOTALL)
        assert block, f"no hex block in the example {name!r}"
        # Two blanks part the bytes from the words about them.
        octets = "".join(line.partition("  ")[0] for line in block[1].splitlines())
        rows = re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", section.split("\n## ")[0], re.MULTILINE)
        found[name] = bytes.fromhex(octets), dict(rows)
    return found


def test_the_document_has_the_examples() -> None:
    assert set(examples()) == {
        "a media packet",
        "sound with two copies",
        "a receiver report",
        "a question for lost packets",
        "a binding indication",
    }


def test_the_documents_media_packet_parses_and_opens_as_it_says() -> None:
    datagram, fields = examples()["a media packet"]
    packet = wire.parse_media(datagram)
    key = ReceiveKey(int(fields["key_id"], 0), bytes.fromhex(fields["base_key"]))
    assert {
        "payload_type": str(packet.payload_type),
        "marker": str(packet.marker),
        "sequence": str(packet.sequence),
        "timestamp": str(packet.timestamp),
        "ssrc": f"{packet.ssrc:#010x}",
        "level": str(packet.level),
        "voice": str(packet.voice),
        "key_id": fields["key_id"],
        "base_key": fields["base_key"],
        "plaintext": key.open(packet.header, packet.payload).decode(),
    } == fields


def test_the_documents_receiver_report_is_what_it_says() -> None:
    data, fields = examples()["a receiver report"]
    reporter, (block,) = wire.parse_receiver_report(data)
    assert {
        "reporter": f"{reporter:#010x}",
        "ssrc": f"{block.ssrc:#010x}",
        "fraction_lost": str(block.fraction_lost),
        "packets_lost": str(block.packets_lost),
        "highest_sequence": f"{block.highest_sequence:#010x}",
        "jitter": str(block.jitter),
        "last_sender_report": str(block.last_sender_report),
        "delay_since_last_sender_report": str(block.delay_since_last_sender_report),
        "longest_run": str(block.longest_run),
    } == fields


def test_the_documents_binding_indication_is_what_it_says() -> None:
    datagram, fields = examples()["a binding indication"]
    assert wire.binding_indication(bytes.fromhex(fields["transaction"])) == datagram


def test_the_documents_limits_are_the_codes_limits() -> None:
    rows = dict(re.findall(r"^\| `wire\.(\w+)` \| (\d+) \|", WIRE_MD.read_text("utf-8"), re.MULTILINE))
    assert rows
    assert {name: getattr(wire, name) for name in rows} == {name: int(value) for name, value in rows.items()}
