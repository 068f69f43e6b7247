"""SFrame against the vectors of RFC 9605, and against people who forge, garble, replay and mix up."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from meshchat import sframe
from meshchat.errors import WireError
from meshchat.sframe import REPLAY_WINDOW, ReceiveKey, SendKey, encode_header, fresh_key, peek

VECTORS = json.loads((Path(__file__).parent / "data" / "rfc9605.json").read_text("utf-8"))
BASE_KEY = bytes(range(16))
METADATA = b"the RTP header"

numbers = st.integers(0, 64).flatmap(lambda bits: st.integers(0, (1 << bits) - 1))


def pair(key_id: int = 9) -> tuple[SendKey, ReceiveKey]:
    """Both ends of one fresh key."""
    key = fresh_key(key_id)
    return key, ReceiveKey(key_id, key.base_key)


# RFC 9605 appendix C


def test_every_header_of_appendix_c1_is_written_and_read() -> None:
    values = [int(number, 16) for number in VECTORS["numbers"]]
    rows = VECTORS["headers"]
    assert [len(row) for row in rows] == [17] * 17
    for key_id, row in zip(values, rows, strict=True):
        for counter, text in zip(values, row, strict=True):
            header = bytes.fromhex(text)
            assert encode_header(key_id, counter) == header
            assert peek(header) == (key_id, counter, len(header))


def test_the_frame_of_appendix_c3_is_sealed_and_opened() -> None:
    vector = VECTORS["aes_128_gcm_sha256_128"]
    key_id, counter = int(vector["key_id"], 16), int(vector["counter"], 16)
    base_key, metadata, plaintext, frame = (
        bytes.fromhex(vector[name]) for name in ("base_key", "metadata", "plaintext", "frame")
    )
    key = SendKey(key_id, base_key)
    for _ in range(counter):  # a sender reaches a counter only by sealing
        key.seal(b"", b"")
    assert key.seal(metadata, plaintext) == frame
    assert ReceiveKey(key_id, base_key).open(metadata, frame) == plaintext


def test_the_key_and_nonce_of_appendix_c3_open_what_we_seal() -> None:
    vector = VECTORS["aes_128_gcm_sha256_128"]
    frame = SendKey(int(vector["key_id"], 16), bytes.fromhex(vector["base_key"])).seal(METADATA, b"hello")
    header_bytes = peek(frame)[2]
    salt = bytes.fromhex(vector["sframe_salt"])  # counter 0: the nonce is the salt itself
    cipher = AESGCM(bytes.fromhex(vector["sframe_key"]))
    assert cipher.decrypt(salt, frame[header_bytes:], frame[:header_bytes] + METADATA) == b"hello"
    distance = int.from_bytes(salt, "big") ^ int(vector["nonce"], 16)
    assert distance == int(vector["counter"], 16)


# Headers


@given(numbers, numbers, st.binary(max_size=20))
def test_a_header_comes_back_as_it_was_written(key_id: int, counter: int, rest: bytes) -> None:
    header = encode_header(key_id, counter)
    assert len(header) + 16 <= sframe.OVERHEAD_BYTES_MAX
    assert peek(header + rest) == (key_id, counter, len(header))


@given(st.binary(max_size=24))
def test_any_bytes_are_the_one_spelling_of_a_header_or_a_wire_error(frame: bytes) -> None:
    try:
        key_id, counter, header_bytes = peek(frame)
    except WireError:
        return
    assert encode_header(key_id, counter) == frame[:header_bytes]


@pytest.mark.parametrize("spelling", ["8007", "0807", "090007", "0b00000100", "880001", "990123", "88", "ff"])
def test_longer_spellings_and_stumps_are_refused(spelling: str) -> None:
    with pytest.raises(WireError):
        peek(bytes.fromhex(spelling))


# Sealing and opening


@given(st.binary(max_size=40), st.binary(max_size=1200), numbers)
def test_what_is_sealed_is_opened_by_who_has_the_key(metadata: bytes, plaintext: bytes, key_id: int) -> None:
    frame = SendKey(key_id, BASE_KEY).seal(metadata, plaintext)
    assert len(frame) <= len(plaintext) + sframe.OVERHEAD_BYTES_MAX
    assert ReceiveKey(key_id, BASE_KEY).open(metadata, frame) == plaintext


def test_no_counter_seals_twice() -> None:
    key = fresh_key(1)
    assert [peek(key.seal(METADATA, b"same"))[1] for _ in range(300)] == list(range(300))
    assert key.frames_left == sframe.FRAMES_MAX - 300


def test_a_worn_out_key_refuses_to_seal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sframe, "FRAMES_MAX", 3)
    key = fresh_key(1)
    for _ in range(3):
        key.seal(METADATA, b"sound")
    assert key.frames_left == 0
    with pytest.raises(OverflowError, match="fresh key"):
        key.seal(METADATA, b"sound")


def test_fresh_keys_are_fresh() -> None:
    assert len({fresh_key(1).base_key for _ in range(100)}) == 100


@given(st.data())
def test_one_changed_byte_anywhere_is_a_forgery(data: st.DataObject) -> None:
    frame = SendKey(300, BASE_KEY).seal(METADATA, b"twenty milliseconds")
    at = data.draw(st.integers(0, len(frame) + len(METADATA) - 1))
    whole = bytearray(frame + METADATA)
    whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(WireError):
        ReceiveKey(300, BASE_KEY).open(bytes(whole[len(frame) :]), bytes(whole[: len(frame)]))


@given(st.binary(max_size=80))
def test_any_bytes_are_refused_with_a_wire_error(frame: bytes) -> None:
    with pytest.raises(WireError):
        ReceiveKey(0, BASE_KEY).open(METADATA, frame)


def test_a_frame_cut_anywhere_is_refused() -> None:
    key, receiver = pair()
    frame = key.seal(METADATA, b"sound")
    for length in range(len(frame)):
        with pytest.raises(WireError):
            receiver.open(METADATA, frame[:length])
    assert receiver.open(METADATA, frame) == b"sound"


def test_anothers_key_does_not_open() -> None:
    key, _ = pair(9)
    frame = key.seal(METADATA, b"sound")
    with pytest.raises(WireError, match="key 9, not 10"):
        ReceiveKey(10, key.base_key).open(METADATA, frame)
    with pytest.raises(WireError, match="forged"):
        ReceiveKey(9, BASE_KEY).open(METADATA, frame)


@pytest.mark.parametrize(("key_id", "length"), [(-1, 16), (1 << 64, 16), (0, 15), (0, 33), (0, 0)])
def test_a_key_that_cannot_be_is_the_peers_nonsense_or_our_bug(key_id: int, length: int) -> None:
    with pytest.raises(WireError):
        ReceiveKey(key_id, bytes(length))
    with pytest.raises(ValueError, match="base key"):
        SendKey(key_id, bytes(length))


# Replay


def test_a_frame_is_opened_once() -> None:
    key, receiver = pair()
    frames = [key.seal(METADATA, bytes((number,))) for number in range(10)]
    assert [receiver.open(METADATA, frame) for frame in reversed(frames)] == [bytes((n,)) for n in range(9, -1, -1)]
    for frame in frames:
        with pytest.raises(WireError, match="came again"):
            receiver.open(METADATA, frame)
    assert receiver.replayed == 10


def test_the_window_is_1024_counters_wide() -> None:
    key, receiver = pair()
    frames = [key.seal(METADATA, b"") for _ in range(REPLAY_WINDOW + 1)]
    receiver.open(METADATA, frames[REPLAY_WINDOW])
    receiver.open(METADATA, frames[1])
    with pytest.raises(WireError, match="1024 frames late"):
        receiver.open(METADATA, frames[0])
    assert receiver.replayed == 1


@pytest.mark.parametrize("jump", [1, 2, 63, 64, 65, REPLAY_WINDOW - 1])
def test_what_was_opened_before_a_stretch_of_losses_stays_opened(jump: int) -> None:
    key, receiver = pair()
    frames = [key.seal(METADATA, b"") for _ in range(jump + 1)]
    receiver.open(METADATA, frames[0])
    receiver.open(METADATA, frames[jump])
    for frame in (frames[0], frames[jump]):
        with pytest.raises(WireError, match="came again"):
            receiver.open(METADATA, frame)
    for frame in frames[1:jump]:
        receiver.open(METADATA, frame)


def test_the_window_does_not_grow() -> None:
    key, receiver = pair()
    for _ in range(3 * REPLAY_WINDOW):
        receiver.open(METADATA, key.seal(METADATA, b""))
    assert receiver._seen.bit_length() == REPLAY_WINDOW


def test_a_forged_counter_does_not_move_the_window() -> None:
    key, receiver = pair()
    first, second = key.seal(METADATA, b"first"), key.seal(METADATA, b"second")
    forged = encode_header(9, (1 << 64) - 1) + second[2:]
    with pytest.raises(WireError, match="forged"):
        receiver.open(METADATA, forged)
    assert receiver.open(METADATA, second) == b"second"
    assert receiver.open(METADATA, first) == b"first"
    assert receiver.replayed == 0


@pytest.mark.parametrize("seed", range(5))
def test_on_a_poor_path_each_frame_is_opened_at_most_once_and_none_too_early_is_lost(seed: int) -> None:
    rng = random.Random(seed)
    key, receiver = pair()
    frames = [key.seal(METADATA, number.to_bytes(2, "big")) for number in range(5000)]
    # Each frame arrives 0 to 3 times, up to 1500 places late; now and then nothing arrives for 2000 frames.
    deaf_from = rng.randrange(1000, 2500)
    arrivals = sorted(
        (number + rng.randrange(1500) * (rng.random() < 0.2), number)
        for number in range(len(frames))
        for _ in range(rng.randrange(4))
        if not deaf_from <= number < deaf_from + 2000
    )
    newest = -1
    expected: list[int] = []
    opened: list[int] = []
    for _, number in arrivals:
        if number > newest - REPLAY_WINDOW and number not in expected[-3000:]:
            expected.append(number)
        newest = max(newest, number)
        try:
            opened.append(int.from_bytes(receiver.open(METADATA, frames[number]), "big"))
        except WireError:
            continue
    assert opened == expected, f"seed {seed}"
    assert receiver.replayed == len(arrivals) - len(opened)
