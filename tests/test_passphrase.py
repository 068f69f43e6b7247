"""Rooms that a passphrase opens, as people use them: chosen, typed, mistyped, guessed at, and opened by any member."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from meshchat import cli
from meshchat.errors import UsageError
from meshchat.locks.invite import SCHEME
from meshchat.words import typed
from tests.peers_lab import LOOPBACK, lab, looped, own_name, until

BOARD, SHOWN = own_name("board"), own_name("gathering")
QUIET = (*LOOPBACK, "--mic", "silence", "--speaker", "null")
PATIENCE_S = 30.0
"""How long a busy machine may take over what takes a moment."""

RIGHT = "Acid yo-yo  zoom BRISK cedar"


def written(folder: Path, name: str, words: str) -> str:
    """A file with these words in its first line."""
    path = folder / name
    path.write_text(f"{words}\nand a second line\n")
    return str(path)


def test_the_passphrase_opens_the_room_whoever_keeps_its_door(tmp_path: Path) -> None:
    right, wrong = written(tmp_path, "right", RIGHT), written(tmp_path, "wrong", "something else altogether")
    with lab(tmp_path) as peers:
        ann = peers.start("ann", *LOOPBACK, *looped("ann"), "--speaker", "null")
        bob, carl, eve = (peers.start(name, *QUIET) for name in ("bob", "carl", "eve"))
        assert all(peer.ready() for peer in (ann, bob, carl, eve))
        created = ann.told("create", BOARD, "--passphrase-file", right, "--shown-as", SHOWN)
        link = created.out.strip()
        assert (created.status, link[: len(SCHEME)]) == (0, SCHEME)
        for each in (bob, eve):
            until("a stranger sees that there is a room", lambda each=each: SHOWN in each.told("rooms").out, PATIENCE_S)  # type: ignore[misc]
        assert BOARD not in eve.told("rooms").out

        assert bob.told("join", SHOWN, "--passphrase-file", right).status == 0
        until("the guest hears the host", lambda: bob.sees("ann", "bob") and bob.hears("ann"), PATIENCE_S)
        assert bob.status().room
        assert bob.told("invite").out[: len(SCHEME)] == SCHEME

        guessed = eve.told("join", SHOWN, "--passphrase-file", wrong)
        assert guessed.status == 1
        assert re.search(r"wrong passphrase for .*; the next may be tried in \d s", guessed.err)
        assert not eve.status().room

        assert carl.told("join", link).status == 0
        until("carl is in by the link", lambda: carl.sees("ann", "bob", "carl"), PATIENCE_S)
        ann.process.kill()
        until("the others go on", lambda: carl.sees("bob", "carl") and bob.sees("bob", "carl"), PATIENCE_S)
        until("they have a coordinator", lambda: (room := bob.status().room) and room.coordinator, PATIENCE_S)
        entered = until(
            "the passphrase opens it still", lambda: eve.told("join", SHOWN, "--passphrase-file", right).status == 0, 20
        )
        assert entered
        until("eve is in", lambda: eve.sees("bob", "carl", "eve"), PATIENCE_S)


def test_a_guesser_is_told_to_wait_and_a_room_that_hides_its_name_is_joined_by_its_id(tmp_path: Path) -> None:
    right, wrong = written(tmp_path, "right", RIGHT), written(tmp_path, "wrong", "something else altogether")
    with lab(tmp_path) as peers:
        ann, eve = (peers.start(name, *QUIET) for name in ("ann", "eve"))
        assert all(peer.ready() for peer in (ann, eve))
        assert ann.told("create", BOARD, "--passphrase-file", right).status == 0
        room = ann.status().room
        assert room
        digits = room.id[:8]
        until("a stranger sees that there is a room", lambda: digits in eve.told("rooms").out, PATIENCE_S)
        by_name = eve.told("join", BOARD, "--passphrase-file", right)
        assert (by_name.status, "first digits of its id" in by_name.err) == (1, True)
        assert eve.told("join", SHOWN).status == 1

        said = [eve.told("join", digits, "--passphrase-file", wrong).err for _ in range(4)]
        assert all("wrong passphrase" in each for each in said[:3])
        assert re.search(r"too many wrong passphrases .* may be tried in \d+ s; an invite link opens it", said[3])
        assert not eve.status().room
        assert ann.sees("ann")


def test_whoever_was_sent_out_cannot_use_the_passphrase_and_another_one_can_be_set(tmp_path: Path) -> None:
    old, new = written(tmp_path, "old", RIGHT), written(tmp_path, "new", "quite another passphrase")
    with lab(tmp_path) as peers:
        ann, bob, carl, eve = (peers.start(name, *QUIET) for name in ("ann", "bob", "carl", "eve"))
        assert all(peer.ready() for peer in (ann, bob, carl, eve))
        link = ann.told("create", BOARD, "--passphrase-file", old, "--shown-as", SHOWN).out.strip()
        for each in (bob, eve):
            until("strangers see the room", lambda each=each: SHOWN in each.told("rooms").out, PATIENCE_S)  # type: ignore[misc]
        assert bob.told("join", SHOWN, "--passphrase-file", old).status == 0
        assert carl.told("join", link).status == 0
        until("all are in", lambda: ann.sees("ann", "bob", "carl") and carl.sees("ann", "bob", "carl"), PATIENCE_S)
        assert carl.told("passphrase", "--passphrase-file", new).status == 1, "carl does not moderate"

        assert ann.told("kick", "bob").status == 0
        until("bob is out", lambda: ann.sees("ann", "carl") and bob.status().room is None, PATIENCE_S)
        assert "no passphrase opens" in eve.told("join", SHOWN, "--passphrase-file", old).err
        set_anew = ann.told("passphrase", "--passphrase-file", new)
        assert (set_anew.status, set_anew.out.startswith(SCHEME), set_anew.out.strip() != link) == (0, True, True)
        assert "wrong passphrase" in eve.told("join", SHOWN, "--passphrase-file", old).err

        ann.process.kill()
        until("carl coordinates", lambda: (room := carl.status().room) and room.coordinator == carl.peer_id, PATIENCE_S)
        until("the new one opens it", lambda: eve.told("join", SHOWN, "--passphrase-file", new).status == 0, PATIENCE_S)
        until("eve is in", lambda: carl.sees("carl", "eve"), PATIENCE_S)
        assert "you were sent out" in bob.told("join", SHOWN, "--passphrase-file", new).err
        assert carl.sees("carl", "eve")


# What a person types


def at_a_terminal(asking: str, answers: list[str]) -> tuple[int, str]:
    """Exit status of a command that a person types the answers to, and what stood on the terminal meanwhile."""
    master, slave = pty.openpty()
    command = [
        sys.executable,
        "-c",
        f"from meshchat.words import typed; import sys; print(repr(typed.{asking}('board')))",
    ]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    shown = ""
    deadline = time.monotonic() + 20
    waiting = list(answers)
    while time.monotonic() < deadline:
        if not select.select([master], [], [], 0.1)[0]:
            continue
        try:
            shown += os.read(master, 4096).decode()
        except OSError:  # the other side has ended
            break
        if waiting and shown.endswith(": "):
            os.write(master, f"{waiting.pop(0)}\n".encode())
    os.close(master)
    return process.wait(10), shown


def test_nothing_typed_takes_the_one_proposed() -> None:
    status, shown = at_a_terminal("choose", [""])
    proposed = re.search(r"nothing to take: (.+?)\r?\n", shown)
    assert status == 0
    assert proposed
    assert len(proposed[1].split()) == 5
    assert repr(proposed[1]) in shown


@pytest.mark.parametrize(
    ("answers", "expected"),
    [([RIGHT, RIGHT.lower()], "'acid yo-yo zoom brisk cedar'"), ([RIGHT, "another one, sorry"], "not the same")],
)
def test_what_is_typed_is_not_shown_and_asked_for_twice(answers: list[str], expected: str) -> None:
    status, shown = at_a_terminal("choose", answers)
    assert expected in shown
    assert (status == 0) == expected.startswith("'")
    assert RIGHT not in shown


def test_one_that_is_known_is_asked_for_once() -> None:
    status, shown = at_a_terminal("ask", [RIGHT])
    assert (status, "'acid yo-yo zoom brisk cedar'" in shown) == (0, True)


def test_a_descriptor_or_a_file_is_read_to_the_end_of_its_first_line(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, f"{RIGHT}\r\nmore\n".encode())
    os.close(writing)
    assert typed.from_descriptor(reading) == "acid yo-yo zoom brisk cedar"
    os.close(reading)
    assert typed.from_file(Path(written(tmp_path, "right", RIGHT))) == "acid yo-yo zoom brisk cedar"


@pytest.mark.parametrize(
    "read",
    [
        lambda folder: typed.from_file(folder / "missing"),
        typed.from_file,
        lambda _: typed.from_descriptor(9999),
        lambda folder: typed.from_file(Path(written(folder, "short", "short"))),
        lambda _: typed.ask("board"),
    ],
)
def test_what_cannot_be_read_is_said_with_what_to_do(
    tmp_path: Path, read: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(UsageError):
        read(tmp_path)
    bad = tmp_path / "bad"
    bad.write_bytes(b"\xff\xfe secret words\n")
    with pytest.raises(UsageError) as caught:
        typed.from_file(bad)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "words", [["create", "board", "--passphrase", "acid yo-yo zoom"], ["join", "b", "--passphrase=x"]]
)
def test_no_argument_takes_the_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == cli.WRONG_USAGE
    capsys.readouterr()
