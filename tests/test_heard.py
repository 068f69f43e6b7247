"""Who does not hear us, and who does not answer: what is told of it, and when."""

from __future__ import annotations

import random
from pathlib import Path

from meshchat.call import Call
from meshchat.calling.heard import UNHEARD_S, Hearers
from meshchat.calling.losses import LOSS_MEMORY_S
from meshchat.config import Config
from meshchat.peers.directory import SEEDS_MAX, UNANSWERED_CALLS, Directory, RoomHint
from meshchat.units import Address, PeerId, RoomId
from meshchat.wire import ReportBlock, encode_receiver_report
from tests.peers_lab import LOOPBACK, lab, looped, own_name, until

BOB, EVE = PeerId("b0" * 32), PeerId("ee" * 32)
KITCHEN = RoomId("0a" * 16)
FRAME_MS = 10.0
ENOUGH = int(1000 * UNHEARD_S / FRAME_MS)


def test_whoever_tells_of_nothing_that_was_sent_does_not_hear_us() -> None:
    hearers = Hearers(FRAME_MS)
    hearers.told(BOB, 0)
    assert hearers.hears(BOB, ENOUGH - 1)
    assert not hearers.hears(BOB, ENOUGH)
    hearers.told(BOB, ENOUGH)
    assert hearers.hears(BOB, ENOUGH + 1)
    assert hearers.hears(BOB, 3), "another stream begins to count at zero"
    assert not hearers.hears(BOB, ENOUGH)
    hearers.left(BOB)
    assert hearers.hears(BOB, 10 * ENOUGH), "who is not here is not spoken of"


def test_a_report_says_what_is_lost_there_for_as_long_as_it_is_news() -> None:
    call = Call(Config(microphone="silence", speaker="null"), lambda _: None, lambda _, __: None, lambda *_: None)
    call.member_joined(BOB)
    call.send_key(7, 0, bytes(16))
    assert (first := call.quality(BOB, 0.0)) is not None
    assert first.lost_there_percent is None
    block = ReportBlock(7, 64, 25, 100, 0, 0, 0, 3)
    call.report_came(BOB, encode_receiver_report(9, [block]), 1.0)
    assert (told := call.quality(BOB, 2.0)) is not None
    assert (told.lost_there_percent, told.hears_us) == (25.0, True)
    assert (later := call.quality(BOB, 1.0 + LOSS_MEMORY_S)) is not None
    assert later.lost_there_percent is None
    assert call.quality(EVE, 2.0) is None


def called(directory: Directory, minutes: range) -> None:
    """Let it call everybody that it has heard of, once in each of those minutes."""
    for minute in minutes:
        directory.calls([peer for peer in (BOB, EVE) if peer in directory.in_room(KITCHEN)], (), 60.0 * minute)


def test_only_strangers_that_are_announced_are_missed() -> None:
    directory = Directory(PeerId("ad" * 32), random.Random(1))
    where, hint = (Address("10.0.0.2", 47474),), RoomHint(KITCHEN, "kitchen")
    directory.learn(BOB, where, (hint,), 0.0)
    directory.learn(EVE, where, (hint,), 0.0)
    called(directory, range(UNANSWERED_CALLS - 1))
    assert directory.unanswered((BOB, EVE), seeds=True) == 0
    called(directory, range(UNANSWERED_CALLS, UNANSWERED_CALLS + 2))
    assert directory.unanswered((BOB, EVE), seeds=True) == 2
    directory.met(EVE, where[0], hint, 0.0)
    assert directory.unanswered((BOB, EVE), seeds=True) == 1, "whom we have met is gone, and not behind a firewall"


def test_addresses_given_by_hand_are_missed_while_nobody_answers_and_are_bounded() -> None:
    directory = Directory(PeerId("ad" * 32), random.Random(1))
    for port in range(1, SEEDS_MAX + 3):
        directory.add_seed(Address("10.0.0.2", port), 0.0)
    assert len(directory.seeds()) == SEEDS_MAX
    assert Address("10.0.0.2", 1) not in directory.seeds()
    called(directory, range(UNANSWERED_CALLS))
    assert directory.unanswered((), seeds=True) == SEEDS_MAX
    assert directory.unanswered((), seeds=False) == 0


def test_a_peer_is_called_by_its_address_while_the_daemon_runs(tmp_path: Path) -> None:
    room = own_name("den")
    with lab(tmp_path) as peers:
        ann = peers.start("ann", *LOOPBACK, "--no-mdns", "--room", room, *looped("ann"), "--speaker", "null")
        bob = peers.start("bob", *LOOPBACK, "--no-mdns", "--mic", "silence", "--speaker", "null")
        assert ann.ready()
        assert bob.ready()
        assert bob.told("peer", "nowhere").status == 2
        assert bob.told("peer", f"127.0.0.1:{ann.status().port}").status == 0
        until("bob sees the room", lambda: room in bob.told("rooms").out)
        assert bob.told("join", room).status == 0
        until("sound came", lambda: bob.members()["ann"].bytes_received)
        until("bob told of it", lambda: ann.members()["bob"].lost_there_percent is not None)
        assert ann.members()["bob"].hears_you
        assert bob.status().unanswered == 0
