"""A profile remembers whom it met, and stops when a verified name comes back with another key."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshchat.errors import MeshchatError, Refused
from meshchat.locks import trust
from meshchat.locks.trust import KNOWN_FILE, KnownPeers, Verdict
from meshchat.units import PeerId

ANN, BOB, EVE = (PeerId(digit * 64) for digit in "abe")
MONDAY, FRIDAY = "2026-07-27", "2026-07-31"


def again(profile: Path) -> KnownPeers:
    """The next start of the daemon."""
    return KnownPeers(profile)


def peer(number: int) -> PeerId:
    return PeerId(f"{number:064x}")


def test_a_stranger_becomes_an_acquaintance(tmp_path: Path) -> None:
    known = KnownPeers(tmp_path)
    assert known.meet(ANN, "ann", MONDAY) is Verdict.NEW
    known.save()
    known = again(tmp_path)
    assert known.meet(ANN, "ann", FRIDAY) is Verdict.KNOWN
    assert known.meet(ANN, "annie", FRIDAY) is Verdict.ALIAS_CHANGED
    assert known.meet(ANN, "Annie", FRIDAY) is Verdict.KNOWN
    remembered = known.known(ANN)
    assert remembered is not None
    assert (remembered.first_seen, remembered.last_seen, remembered.alias) == (MONDAY, FRIDAY, "Annie")
    assert not known.verified(ANN)
    assert known.known(BOB) is None


def test_an_unverified_name_belongs_to_nobody(tmp_path: Path) -> None:
    known = KnownPeers(tmp_path)
    known.meet(ANN, "ann", MONDAY)
    assert known.meet(BOB, "ann", MONDAY) is Verdict.NEW


@pytest.mark.parametrize("alias", ["ann", "ANN", "a n n", "ａnn", " ann "])
def test_a_verified_name_with_another_key_stops_everything(tmp_path: Path, alias: str) -> None:
    known = KnownPeers(tmp_path)
    known.meet(ANN, "ann", MONDAY)
    known.mark_verified(ANN, "ann", MONDAY)
    known = again(tmp_path)
    assert known.verified(ANN)
    for _ in range(2):  # it is not taken for an acquaintance the second time
        assert known.meet(EVE, alias, FRIDAY) is Verdict.IMPOSTOR
    assert known.owner_of(alias) == ANN
    assert known.known(EVE) is None
    assert known.meet(ANN, "ann", FRIDAY) is Verdict.KNOWN


def test_an_acquaintance_that_takes_a_verified_name_is_an_impostor_too(tmp_path: Path) -> None:
    known = KnownPeers(tmp_path)
    known.mark_verified(ANN, "ann", MONDAY)
    known.meet(EVE, "eve", MONDAY)
    assert known.meet(EVE, "ann", FRIDAY) is Verdict.IMPOSTOR
    remembered = known.known(EVE)
    assert remembered is not None
    assert remembered.alias == "eve"


def test_a_verified_peer_cannot_take_the_names_of_others_by_renaming_itself(tmp_path: Path) -> None:
    known = KnownPeers(tmp_path)
    known.mark_verified(ANN, "ann", MONDAY)
    assert known.meet(ANN, "bob", MONDAY) is Verdict.ALIAS_CHANGED
    assert known.meet(BOB, "bob", MONDAY) is Verdict.NEW
    assert known.meet(EVE, "ann", MONDAY) is Verdict.IMPOSTOR


def test_a_second_ann_can_be_verified_and_a_lost_device_forgotten(tmp_path: Path) -> None:
    known = KnownPeers(tmp_path)
    known.mark_verified(ANN, "ann", MONDAY)
    known.mark_verified(BOB, "ann", MONDAY)
    assert known.meet(BOB, "ann", MONDAY) is Verdict.KNOWN
    known.forget_verified(ANN)
    known.forget_verified(BOB)
    known.forget_verified(EVE)
    assert again(tmp_path).meet(EVE, "ann", FRIDAY) is Verdict.NEW


def test_nobody_is_impersonated_by_having_no_name(tmp_path: Path) -> None:
    known = KnownPeers(tmp_path)
    known.mark_verified(ANN, "", MONDAY)
    assert known.meet(BOB, "\x1b", MONDAY) is Verdict.NEW
    assert known.verified(ANN)


def test_bans_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownPeers(tmp_path)
    known.ban(EVE)
    assert again(tmp_path).banned == {EVE}
    known.pardon(EVE)
    assert again(tmp_path).banned == frozenset()
    monkeypatch.setattr(trust, "BANNED_MAX", 2)
    for number in range(2):
        known.ban(peer(number))
    known.ban(peer(0))
    with pytest.raises(Refused, match="banned already"):
        known.ban(peer(2))


def test_a_flood_of_strangers_pushes_out_strangers_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "PEERS_MAX", 8)
    known = KnownPeers(tmp_path)
    known.mark_verified(ANN, "ann", "2020-01-01")
    known.meet(BOB, "bob", MONDAY)
    for number in range(20):
        assert known.meet(peer(number), f"stranger {number}", FRIDAY) is Verdict.NEW
    known.save()
    known = again(tmp_path)
    assert known.verified(ANN)
    assert known.known(BOB) is None, "who was met longest ago"
    assert len(json.loads((tmp_path / KNOWN_FILE).read_text())["peers"]) == 8


def test_a_file_full_of_verified_peers_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "PEERS_MAX", 2)
    known = KnownPeers(tmp_path)
    known.mark_verified(ANN, "ann", MONDAY)
    known.mark_verified(BOB, "bob", MONDAY)
    assert known.meet(EVE, "eve", MONDAY) is Verdict.NEW
    assert known.known(EVE) is None
    with pytest.raises(Refused, match="verified already"):
        known.mark_verified(EVE, "eve", MONDAY)


# The file


def test_the_file_is_the_owners_alone_and_a_person_can_read_it(tmp_path: Path) -> None:
    known = KnownPeers(tmp_path)
    known.save()
    assert not (tmp_path / KNOWN_FILE).exists(), "nothing to say, nothing written"
    known.meet(ANN, "ann", MONDAY)
    known.save()
    file = tmp_path / KNOWN_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 or sys.platform == "win32"
    assert f'"{ANN}": {{\n' in file.read_text()
    assert [each.name for each in tmp_path.iterdir()] == [KNOWN_FILE]


def test_meeting_the_same_peer_on_the_same_day_writes_nothing(tmp_path: Path) -> None:
    known = KnownPeers(tmp_path)
    known.meet(ANN, "ann", MONDAY)
    known.save()
    written = (tmp_path / KNOWN_FILE).stat().st_ino
    known.meet(ANN, "ann", MONDAY)
    known.save()
    assert (tmp_path / KNOWN_FILE).stat().st_ino == written
    known.meet(ANN, "ann", FRIDAY)
    known.save()
    assert (tmp_path / KNOWN_FILE).stat().st_ino != written


@pytest.mark.parametrize(
    "damage",
    [
        b"", b"{", b"null", b'{"version":1}', b'{"version":2,"peers":{},"banned":[]}', b"\xff\xfe", b"[" * 100_000,
        b'{"version":1,"peers":{"ann":{"first_seen":"2026-07-27","last_seen":"2026-07-27","alias":""}},"banned":[]}',
        b'{"version":1,"peers":{},"banned":["eve"]}', b'{"version":1,"peers":{},"banned":[],"more":1}',
        b" " * (trust.KNOWN_BYTES_MAX + 1),
    ],
    ids=range(11),
)  # fmt: skip
def test_a_damaged_file_is_an_error_and_stays_as_it_is(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / KNOWN_FILE
    file.write_bytes(damage)
    file.chmod(0o600)
    with pytest.raises(MeshchatError, match=r"is damaged .* backup"):
        KnownPeers(tmp_path)
    assert file.read_bytes() == damage


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no such bits")
def test_a_file_that_others_can_change_is_not_trusted(tmp_path: Path) -> None:
    KnownPeers(tmp_path).ban(EVE)
    (tmp_path / KNOWN_FILE).chmod(0o644)
    with pytest.raises(MeshchatError, match="chmod 600"):
        KnownPeers(tmp_path)


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownPeers(tmp_path)
    known.mark_verified(ANN, "ann", MONDAY)

    def fails(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(MeshchatError, match=r"No space left .* Check"):
            known.ban(EVE)
    assert again(tmp_path).verified(ANN)
    assert again(tmp_path).banned == frozenset()
    known.save()  # nothing was lost in memory
    assert again(tmp_path).banned == {EVE}


def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    (tmp_path / KNOWN_FILE).mkdir()
    with pytest.raises(MeshchatError, match="cannot be read"):
        KnownPeers(tmp_path)


@settings(max_examples=25, deadline=None)  # each writes to a disk and waits for it
@given(st.lists(st.tuples(st.integers(0, 5), st.text(max_size=60), st.sampled_from(["meet", "verify", "ban"]))))
def test_whatever_is_remembered_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, story: list[tuple[int, str, str]]
) -> None:
    profile = tmp_path_factory.mktemp("profile")
    known = KnownPeers(profile)
    for number, alias, what in story:
        if what == "meet":
            known.meet(peer(number), alias, MONDAY)
        elif what == "verify":
            known.mark_verified(peer(number), alias, FRIDAY)
        else:
            known.ban(peer(number))
    known.save()
    reread = again(profile)
    assert reread.banned == known.banned
    assert [reread.known(peer(n)) for n in range(6)] == [known.known(peer(n)) for n in range(6)]
