"""An invite survives the paper it is written on, and a slip of the pen is told from a wrong link."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re

import pytest
import segno
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from meshchat.errors import UsageError
from meshchat.identity import peer_id_of
from meshchat.locks import qr as drawing
from meshchat.locks.bind import bind, locked_room, peer_id_of_key
from meshchat.locks.invite import LINK_CHARACTERS_MAX, SCHEME, Invite, _check, link, read_link
from meshchat.locks.qr import qr
from meshchat.units import Address, safe_text
from tests.locks_lab import certificate_of

hosts = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str).filter(lambda host: "%" not in host)
addresses = st.lists(st.builds(Address, hosts, st.integers(1, 65535)), max_size=4).map(tuple)
names = st.text(max_size=40).map(safe_text)


def invite(
    name: str = "kitchen",
    at: tuple[Address, ...] = (Address("192.168.1.5", 47474),),
    secret: bytes = bytes(range(16)),
    founder: bytes = bytes(range(32)),
    nonce: bytes = bytes(range(8)),
) -> Invite:
    return Invite(locked_room(founder, nonce), name, secret, at, founder, nonce)


invites = st.builds(invite, names, addresses, *(st.binary(min_size=size, max_size=size) for size in (16, 32, 8)))


@given(invites)
def test_what_is_written_is_read(given: Invite) -> None:
    text = link(given)
    assert read_link(text) == given
    assert len(text) <= LINK_CHARACTERS_MAX


def test_a_link_is_short_and_plain() -> None:
    text = link(invite())
    assert len(text) == 113
    assert re.fullmatch(r"meshchat://[A-Za-z0-9_-]+", text)


def test_pasting_through_a_narrow_window_does_no_harm() -> None:
    text = link(invite())
    broken = "  " + "\n ".join(text[at : at + 40] for at in range(0, len(text), 40)) + "\r\n"
    assert read_link(broken) == read_link("MESHCHAT" + text[8:]) == read_link(text + "/") == invite()


@given(invites, st.data())
def test_no_single_slip_is_taken_for_a_link(given: Invite, data: st.DataObject) -> None:
    text = link(given)
    at = data.draw(st.integers(len(SCHEME), len(text) - 1))
    other = data.draw(st.sampled_from("ABCXYZabcxyz019-_").filter(lambda letter: letter != text[at]))
    with pytest.raises(UsageError, match="mistyped"):
        read_link(text[:at] + other + text[at + 1 :])


@given(invites, st.data())
def test_a_link_cut_short_says_so(given: Invite, data: st.DataObject) -> None:
    text = link(given)
    with pytest.raises(UsageError, match="cut short"):
        read_link(text[: data.draw(st.integers(len(SCHEME), len(text) - 1))])


@given(st.text(max_size=700) | st.text("AZaz09-_", max_size=600).map(lambda text: SCHEME + text))
def test_any_other_text_is_refused_in_words_that_do_not_repeat_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_link(text)
    assert len(text) < 20 or text not in str(caught.value)


@given(st.binary(max_size=120))
def test_rubbish_with_a_right_check_is_refused_or_read_to_the_last_byte(body: bytes) -> None:
    text = made(b"\1" + body)
    try:
        again = link(read_link(text))
    except UsageError:
        return
    assert read_link(again) == read_link(text)


def made(body: bytes) -> str:
    return SCHEME + base64.urlsafe_b64encode(body + _check(body)).decode().rstrip("=")


@pytest.mark.parametrize(
    "tail", [b"\x00\x05", b"\x00" + b"\x04\x7f\x00\x00\x01\x00\x00", b"\x03ab", b"\x00\x04\x7f\x00", b"\x01\xff", b""]
)
def test_what_does_not_add_up_makes_no_sense(tail: bytes) -> None:
    with pytest.raises(UsageError, match="makes no sense"):
        read_link(made(b"\1" + bytes(56) + tail))


def test_a_link_of_tomorrow_asks_for_a_newer_program() -> None:
    with pytest.raises(UsageError, match="newer"):
        read_link(made(b"\2" + b"whatever comes"))


def test_an_address_that_is_ours_alone_stays_out_and_four_are_enough() -> None:
    many = (Address("fe80::1%eth0", 1), *(Address(f"10.0.0.{n}", 47474) for n in range(1, 9)))
    assert read_link(link(invite(at=many))).addresses == many[1:5]


def test_a_name_cannot_command_the_terminal() -> None:
    body = bytes(56) + b"\x05" + b"a\x1b[2J"
    assert read_link(made(b"\1" + body)).name == "a[2J"


def test_the_secret_is_not_in_what_a_log_would_show() -> None:
    shown = repr(invite(secret=b"do not show this"))
    assert "kitchen" in shown
    assert "show this" not in shown


def test_an_invite_to_a_room_that_its_founder_did_not_make_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="founder"):
        Invite(locked_room(bytes(32), bytes(8)), "x", bytes(16), (), bytes(range(32)), bytes(8))
    with pytest.raises(ValueError, match="key"):
        locked_room(bytes(31), bytes(8))


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32), st.binary(min_size=8, max_size=8))
def test_a_room_belongs_to_its_founder(one: bytes, other: bytes, nonce: bytes) -> None:
    assert re.fullmatch("[0-9a-f]{32}", locked_room(one, nonce))
    assert (locked_room(one, nonce) == locked_room(other, nonce)) == (one == other)


def test_a_room_id_stays_what_it_was() -> None:
    """Or every link that was ever printed would be worth nothing."""
    spelled = b"\0\0\0\x16meshchat 1 locked room" + b"\0\0\0\x20" + bytes(range(32)) + b"\0\0\0\x08" + bytes(range(8))
    assert locked_room(bytes(range(32)), bytes(range(8))) == hashlib.sha256(spelled).hexdigest()[:32]


def test_a_raw_key_and_a_certificate_name_the_same_peer() -> None:
    key = Ed25519PrivateKey.generate()
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert peer_id_of_key(raw) == peer_id_of(certificate_of(key))
    with pytest.raises(ValueError, match="31"):
        peer_id_of_key(raw[:31])


@given(st.lists(st.binary(max_size=4), max_size=3), st.lists(st.binary(max_size=4), max_size=3))
def test_no_two_meanings_share_a_spelling(one: list[bytes], other: list[bytes]) -> None:
    assert (bind("a", *one) == bind("a", *other)) == (one == other)
    assert bind("a", *one) != bind("b", *one)


# The picture


def modules(text: str, ink: dict[tuple[bool, bool], str]) -> list[list[bool]]:
    """The dark modules of a drawing, read back."""
    meaning = {sign: pair for pair, sign in ink.items()}
    rows: list[list[bool]] = []
    for line in text.splitlines():
        pairs = [meaning[sign] for sign in line]
        rows += [[upper for upper, _ in pairs], [lower for _, lower in pairs]]
    return rows


@pytest.mark.parametrize("colour", [True, False])
def test_the_drawing_is_the_code_with_its_margin(colour: bool) -> None:
    text = link(invite())
    drawn = qr(text, colour=colour)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", drawn.text)
    assert (plain != drawn.text) == colour
    rows = modules(plain, drawing._DARK_INK if colour else drawing._LIGHT_INK)
    size = drawn.columns - 2 * drawing.MARGIN
    middle = [row[4 : 4 + size] for row in rows[4 : 4 + size]]
    assert middle == [[bool(dark) for dark in row] for row in segno.make_qr(text, error="l").matrix]
    assert sum(map(sum, rows)) == sum(map(sum, middle)), "all around is light"
    assert {len(line) for line in plain.splitlines()} == {drawn.columns}
    assert len(plain.splitlines()) == drawn.rows


def test_the_drawing_says_how_much_room_it_takes() -> None:
    drawn = qr(link(invite()))
    assert (drawn.columns, drawn.rows) == (49, 25)
    assert drawn.fits(49, 26)
    assert not drawn.fits(48, 26)
    assert not drawn.fits(49, 25)


def test_each_line_of_the_drawing_gives_the_colours_back() -> None:
    assert all(line.endswith("\x1b[0m") for line in qr(link(invite())).text.splitlines())


def test_the_longest_link_has_a_drawing_too() -> None:
    far = tuple(Address(str(ipaddress.ip_address((0xFD << 120) + n)), 47474) for n in range(4))
    text = link(invite(name="é" * 32, at=far))
    assert read_link(text).name == "é" * 32
    assert qr(text).columns <= 80
