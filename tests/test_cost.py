"""What says where processor time goes reads py-spy's stacks aright."""

from __future__ import annotations

from benchmarks.breakdown import Spent, Stack, percent, stacks, table

RAW = [
    "thread (17606): meshchat-port;Thread._bootstrap (threading.py:995);Port._listen (meshchat/transport/port.py:241);"
    "EpollSelector.select (selectors.py:468) 30",
    "thread (17606): meshchat-port;Port._listen (meshchat/transport/port.py:249);Incoming.datagram "
    "(meshchat/calling/incoming.py:140);ReceiveKey.open (meshchat/sframe.py:204) 10",
    "thread (0x44C0): MainThread;main (benchmarks/peer.py:60);Connection.flush (meshchat/transport/connection.py:170);"
    "QuicConnection._write_application (aioquic/quic/connection.py:3637) 5",
    "nonsense 3",
]


def test_a_stack_tells_its_thread_its_frames_and_how_often_it_was_seen() -> None:
    found = list(stacks(RAW))
    assert [(each.thread, each.name, each.count) for each in found] == [
        (17606, "meshchat-port", 30),
        (17606, "meshchat-port", 10),
        (17600, "MainThread", 5),
    ]
    assert found[0].frames[-1] == "EpollSelector.select (selectors.py:468)"


def test_a_thread_s_time_is_shared_out_among_what_it_was_found_doing() -> None:
    lines = table(list(stacks(RAW)), {17606: 4.0, 17600: 2.0, 99: 0.01}).splitlines()
    assert lines == [
        "   4.00 %  meshchat-port",
        "     3.00 %  waiting and waking up",
        "     1.00 %  sealing and opening",
        "   2.00 %  MainThread",
        "     2.00 %  QUIC",
    ]


def test_a_frame_that_belongs_nowhere_is_the_rest() -> None:
    found = [Stack(1, "MainThread", ("run (elsewhere.py:1)",), 7)]
    assert table(found, {1: 3.0}).splitlines() == ["   3.00 %  MainThread", "     3.00 %  the rest"]


def test_percentages_are_of_one_core_and_a_thread_may_be_new() -> None:
    before, after = Spent(10.0, {1: 4.0}), Spent(11.0, {1: 4.5, 2: 0.5})
    assert percent(before, after, 2.0) == (50.0, {1: 25.0, 2: 25.0})
