"""A locked room as people use it: a link brings one in, nothing else does, and strangers see what they may."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshchat.locks.invite import SCHEME
from tests.peers_lab import LOOPBACK, Daemon, lab, looped, own_name, until

BOARD, SHOWN = own_name("board"), own_name("meeting")
QUIET = (*LOOPBACK, "--mic", "silence", "--speaker", "null")


def line_of(daemon: Daemon, room: str) -> str:
    """The line about that room in what `meshchat rooms` prints."""
    return next((line for line in daemon.told("rooms").out.splitlines() if room in line), "")


@pytest.mark.parametrize("shown", [SHOWN, ""])
def test_the_link_and_nothing_else_opens_a_locked_room(tmp_path: Path, shown: str) -> None:
    with lab(tmp_path) as peers:
        ann = peers.start("ann", *LOOPBACK, *looped("ann"), "--speaker", "null")
        bob = peers.start("bob", *QUIET)
        eve = peers.start("eve", *QUIET)
        assert all(peer.ready() for peer in (ann, bob, eve))
        created = ann.told("create", BOARD, "--locked", *(("--shown-as", shown) if shown else ()))
        link = created.out.strip()
        assert (created.status, link[: len(SCHEME)]) == (0, SCHEME)
        assert ann.told("invite").out.strip() == link

        assert bob.told("join", link).status == 0
        until("the guest hears the host", lambda: bob.sees("ann", "bob") and bob.hears("ann"))
        assert bob.told("invite").out.startswith(SCHEME)

        seen = until("a stranger sees that there is a room", lambda: line_of(eve, shown or "(locked)"))
        assert BOARD not in eve.told("rooms").out
        assert "yes" in seen
        by_name = eve.told("join", shown or BOARD)
        assert by_name.status == 1
        assert ("room is locked" if shown else "room not found") in by_name.err
        assert "mistyped" in eve.told("join", link[:-3] + "abc").err
        assert eve.told("invite").status == 1
        assert not eve.status().room
        assert ann.sees("ann", "bob")
