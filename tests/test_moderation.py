"""Moderators at work among real daemons: who is sent out is out, and hears nothing of what is said afterwards."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.invariants import ROTATED_S
from tests.peers_lab import LOOPBACK, Daemon, Events, Lab, lab, looped, own_name, until

BOARD = own_name("board")
QUIET = (*LOOPBACK, "--mic", "silence", "--speaker", "null")


def founded(peers: Lab, *guests: Daemon) -> Daemon:
    """Ann, who speaks, in a locked room of hers with these guests."""
    ann = peers.start("ann", *LOOPBACK, *looped("ann"), "--speaker", "null")
    assert all(peer.ready() for peer in (ann, *guests))
    link = ann.told("create", BOARD, "--locked").out.strip()
    for guest in guests:
        assert guest.told("join", link).status == 0
    names = [peer.name for peer in (ann, *guests)]
    until("all are there", lambda: all(peer.sees(*names) for peer in (ann, *guests)))
    return ann


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def can_listen() -> bool:
    """Whether this user may read what others send on loopback."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    except (OSError, AttributeError):
        return False
    return True


def test_a_kick_a_pardon_and_a_moderator(tmp_path: Path) -> None:
    with lab(tmp_path) as peers:
        bob, eve = (peers.start(name, *QUIET) for name in ("bob", "eve"))
        ann = founded(peers, bob, eve)
        assert ann.members()["ann"].moderator
        old_link = bob.told("invite").out.strip()
        assert "only a moderator" in bob.told("kick", "eve").err
        assert ann.told("appoint", "bob").status == 0
        until("bob is a moderator", lambda: eve.members()["bob"].moderator)
        assert bob.told("kick", "eve").status == 0
        until("eve is out", lambda: ann.sees("ann", "bob") and bob.sees("ann", "bob") and not eve.status().room)
        assert bob.told("kick", "ann").status == 1

        assert eve.told("join", old_link).status == 0
        until("eve is sent away again", lambda: not eve.status().room)
        assert ann.sees("ann", "bob")
        assert ann.told("pardon", "eve").status == 0
        new_link = until(
            "the link is new", lambda: found if (found := bob.told("invite").out.strip()) != old_link else ""
        )
        assert eve.told("join", new_link).status == 0
        until("eve is back", lambda: ann.sees("ann", "bob", "eve"))


@pytest.mark.skipif(not can_listen(), reason="only root may read what others send on loopback")
def test_a_patched_client_that_stays_and_listens_opens_nothing_and_holds_nothing_up(tmp_path: Path) -> None:
    with lab(tmp_path) as peers:
        bob = peers.start("bob", *QUIET)
        eve = peers.start("eve", *QUIET, program="tests.stubborn")
        ann = founded(peers, bob, eve)
        opened, read = eve.profile / "opened", eve.profile / "read"
        until("eve hears ann", lambda: size(opened) > 20)
        assert ann.told("ban", "eve").status == 0
        until("eve is out", lambda: ann.sees("ann", "bob") and bob.sees("ann", "bob"))
        time.sleep(ROTATED_S)  # what the promise allows, not a wait for something
        opened_by_then, read_by_then = size(opened), size(read)
        until("ann has gone on talking", lambda: size(read) > read_by_then + 200, 20)
        assert size(opened) == opened_by_then
        assert eve.status().room, "its program takes no notice"
        assert bob.hears("ann")
        assert ann.sees("ann", "bob")


def test_a_mute_and_a_room_that_is_unlocked_and_locked_again(tmp_path: Path) -> None:
    with lab(tmp_path) as peers:
        bob = peers.start("bob", *LOOPBACK, *looped("bob"), "--speaker", "null")
        eve = peers.start("eve", *QUIET)
        ann = founded(peers, bob)
        assert eve.ready()
        until("ann hears bob", lambda: ann.hears("bob"))
        assert ann.told("mute", "bob").status == 0
        until("bob is mute", lambda: bob.status().muted and ann.members()["bob"].muted)
        assert ann.members()["bob"].muted_by == ann.peer_id
        assert bob.told("unmute").status == 0
        until("bob speaks again", lambda: not ann.members()["bob"].muted)
        assert ann.told("rule", "mutes-hold", "yes").status == 0
        until("bob is mute again", lambda: bob.status().muted)
        assert "only a moderator" in bob.told("unmute").err
        assert ann.told("unmute", "bob").status == 0
        until("bob may unmute itself", lambda: bob.told("unmute").status == 0)

        assert eve.told("join", BOARD).status == 1
        assert ann.told("unlock").status == 0
        until("eve came in by the name", lambda: eve.told("join", BOARD).status == 0)
        until("eve is there", lambda: all(peer.sees("ann", "bob", "eve") for peer in (ann, bob, eve)))
        assert ann.told("lock").status == 0
        until("eve can invite", lambda: eve.told("invite").status == 0 and eve.status().room)
        until("the link is everybody's", lambda: eve.told("invite").out[:60] == ann.told("invite").out[:60])
        assert all(peer.sees("ann", "bob", "eve") for peer in (ann, bob, eve))


def test_words_agree_on_both_sides_and_a_borrowed_name_is_stopped_at(tmp_path: Path) -> None:
    with lab(tmp_path) as peers:
        room = own_name("words")
        ann = peers.start("ann", *LOOPBACK, *looped("ann"), "--speaker", "null", "--room", room)
        bob = peers.start("bob", *QUIET, "--room", room)
        assert all(peer.ready() for peer in (ann, bob))
        until("they meet", lambda: ann.sees("ann", "bob") and bob.sees("ann", "bob"))
        heard = Events(bob, tmp_path / "bob.events")
        until("bob listens", lambda: heard.of("snapshot"))
        assert ann.told("verify", "bob", "--agreed").status == 1, "nothing was compared"
        words = ann.told("verify", "bob").out.splitlines()[0]
        assert len(words.split()) == 2
        assert until("bob is shown them", lambda: heard.of("words_shown"))[0]["words"] == words
        assert heard.end() == 0
        assert ann.told("verify", "bob", "--agreed").status == 0
        assert ann.members()["bob"].verified
        bob.end()
        until("bob is gone", lambda: ann.sees("ann"))

        told = Events(ann, tmp_path / "ann.events")
        until("ann listens", lambda: told.of("snapshot"))
        eve = peers.start("bob2", *QUIET, "--room", room, "--alias", "bob")
        assert eve.ready()
        until("ann is warned", lambda: any("STOP" in notice["text"] for notice in told.of("notice")))
        assert told.end() == 0
        assert ann.members()["bob"].impostor
        assert eve.sees("ann", "bob")
        assert not eve.hears("ann")
