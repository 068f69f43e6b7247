"""The language of the control stream: whatever comes is a message or a `WireError`, and nothing else."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshchat.errors import WireError
from meshchat.peers.messages import (
    KEY_BYTES,
    LENGTH_BYTES,
    MESSAGE_BYTES_MAX,
    Beat,
    Claim,
    Entry,
    Hello,
    Key,
    Message,
    Moved,
    Neighbour,
    Neighbours,
    Presence,
    Reader,
    Roster,
    decode,
    describe,
    encode,
)
from meshchat.peers.orders import Orders, OrdersWanted, Secret, SecretWanted
from tests.locks_lab import ANN, FOUND, room_with_moderators

PEER, ROOM = "ab" * 32, "cd" * 16
CLAIM = Claim(3, 1, PEER)
PRESENCE = Presence(ROOM, "lobby", "ann", muted=True)
MESSAGES: list[Message] = [
    Hello(1, ("192.0.2.1:47474", "[2001:db8::1]:47474"), True, PRESENCE, CLAIM),
    Moved(None, None),
    Moved(PRESENCE, CLAIM),
    Beat(123456, 120000, 5, CLAIM, True),
    Roster(CLAIM, 4, (Entry(PEER, 1, "ann", ("192.0.2.1:47474",)),)),
    Key(ROOM, 0xFFFF_FFFF, 2, bytes(range(KEY_BYTES))),
    Neighbours((Neighbour(PEER, ("192.0.2.1:47474",), ROOM, "lobby"),)),
    Orders((FOUND, *room_with_moderators(ANN).statements)),
    OrdersWanted(ROOM),
    Secret(ROOM, bytes(16)),
    SecretWanted(ROOM),
]


def test_what_is_written_is_read_again_however_the_stream_is_cut() -> None:
    stream = b"".join(map(encode, MESSAGES))
    for size in (1, 3, 17, len(stream)):
        reader = Reader()
        read = [
            message for start in range(0, len(stream), size) for message in reader.feed(stream[start : start + size])
        ]
        assert read == MESSAGES


@given(st.binary(max_size=300))
def test_any_bytes_are_messages_or_a_wire_error(data: bytes) -> None:
    with contextlib.suppress(WireError):
        list(Reader().feed(data))


@given(st.sampled_from(MESSAGES), st.integers(0, 400), st.integers(0, 255))
def test_a_changed_byte_is_still_a_message_or_a_wire_error(message: Message, at: int, value: int) -> None:
    data = bytearray(encode(message))
    data[LENGTH_BYTES + at % (len(data) - LENGTH_BYTES)] = value
    with contextlib.suppress(WireError):
        list(Reader().feed(bytes(data)))


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "nonsense"},
        {"type": "key", "room": ROOM, "ssrc": 1, "key_id": 0, "base_key": "AAAA"},
        {
            "type": "key",
            "room": ROOM,
            "ssrc": 1 << 32,
            "key_id": 0,
            "base_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        },
        {"type": "moved", "presence": {"room": "../..", "name": "x", "alias": "y"}},
        {"type": "moved", "presence": {"room": ROOM, "name": "x" * 33, "alias": "y"}},
        {"type": "hello", "protocol": 1, "addresses": ["x"] * 9},
        {"type": "hello", "protocol": 1, "addresses": [], "surplus": 1},
        {"type": "beat", "stamp_ms": -1},
        ["hello"],
        7,
    ],
)
def test_what_breaks_a_bound_is_refused(broken: object) -> None:
    with pytest.raises(WireError):
        decode(json.dumps(broken).encode())


def test_deep_nesting_is_refused_and_not_followed() -> None:
    with pytest.raises(WireError):
        decode(b"[" * 100_000)


def test_a_length_beyond_the_limit_is_refused_before_it_comes() -> None:
    with pytest.raises(WireError):
        list(Reader().feed((MESSAGE_BYTES_MAX + 1).to_bytes(LENGTH_BYTES, "big")))


def test_the_log_shows_no_key() -> None:
    key = Key(ROOM, 1, 2, b"k" * KEY_BYTES)
    assert "a2tr" not in describe(key)
    assert "key_id=2" in describe(key)
    assert "a2tr" not in describe(Secret(ROOM, b"k" * 16))
    assert "\x1b" not in describe(Moved(Presence(ROOM, "\x1b[2J", "a")))
