"""The chat between real daemons: they write on loopback, the coordinator is killed, somebody comes late."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshchat.chronicle import SETTLE_S
from meshchat.control import Chat, ChatHistory, ChatLine, ControlClient, Create, Leave, Said, Say
from meshchat.errors import Refused
from meshchat.remote.show import line_text
from tests.peers_lab import LOOPBACK, Daemon, Events, Lab, lab, own_name, until

ROOM = own_name("chat")
IN_ROOM = (*LOOPBACK, "--room", ROOM, "--mic", "silence", "--speaker", "null")
NAMES = ("ann", "bob", "eve")


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made


def gathered(peers: Lab) -> list[Daemon]:
    daemons = [peers.start(name, *IN_ROOM) for name in NAMES]
    for each in daemons:
        each.ready()
    until("all are together, and know who coordinates", lambda: one_leader(daemons))
    return daemons


def one_leader(daemons: list[Daemon]) -> str | None:
    """Whom all of them follow, once it is one, and they see each other and nobody else."""
    rooms = [daemon.status().room for daemon in daemons]
    names = {daemon.name for daemon in daemons}
    if any(room is None or {each.alias for each in room.members} != names for room in rooms):
        return None
    leaders = {room.coordinator for room in rooms if room}
    return leaders.pop() if len(leaders) == 1 else None


def history(daemon: Daemon) -> tuple[ChatLine, ...]:
    told = daemon.ask(Chat())
    assert isinstance(told, ChatHistory)
    return told.lines


def texts(daemon: Daemon) -> list[str]:
    return [line.text for line in history(daemon) if line.kind == "said"]


def say(daemon: Daemon, text: str) -> Said:
    said = daemon.ask(Say(text))
    assert isinstance(said, Said)
    return said


async def write(daemon: Daemon, count: int, written: list[str]) -> None:
    """Writes so many lines, one upon the other, and notes those that were accepted."""
    async with await ControlClient.connect(daemon.profile) as client:
        for number in range(count):
            text = f"{daemon.name} {number}"
            await client.call(Say(text))
            written.append(text)
            await asyncio.sleep(0.15)


def test_the_coordinator_is_killed_while_all_write_and_no_line_is_lost(peers: Lab) -> None:
    daemons = gathered(peers)
    leader_id = one_leader(daemons)
    leader = next(each for each in daemons if each.peer_id == leader_id)
    others = [each for each in daemons if each is not leader]
    written: list[str] = []

    async def all_write_and_one_dies() -> None:
        await write(leader, 3, written)
        writing = [asyncio.create_task(write(each, 7, written)) for each in others]
        await asyncio.sleep(0.3)
        leader.process.kill()
        await asyncio.gather(*writing)

    asyncio.run(all_write_and_one_dies())
    until("both show every line", lambda: all(set(texts(each)) == set(written) for each in others))
    assert texts(others[0]) == texts(others[1])
    until("another coordinates", lambda: one_leader(others))
    went = [line for line in history(others[0]) if line.kind == "went"]
    assert [(line.author, line.alias, line.text) for line in went] == [(leader_id, leader.name, "lost")]
    assert [line.order for line in history(others[0])] == sorted(line.order for line in history(others[0]))


def test_who_comes_late_reads_what_is_said_from_then_on(peers: Lab) -> None:
    ann, bob, eve = gathered(peers)
    stream = Events(bob, peers.folder / "events.jsonl")
    until("bob listens", lambda: stream.of("snapshot"))
    first = say(ann, "hello @Bob\n and  all")
    assert first.reached == 2
    until("bob has it", lambda: texts(bob) == ["hello @Bob\nand all"])
    until("who comes now comes later", lambda: bob.status().uptime_s > SETTLE_S + 1)
    gil = peers.start("gil", *IN_ROOM)
    gil.ready()
    assert say(gil, "what did I miss?").reached >= 1
    until("all have that", lambda: all(texts(each)[-1] == "what did I miss?" for each in (ann, bob, eve)))
    assert texts(gil) == ["what did I miss?"]
    lines = [ChatLine(**event["line"]) for event in stream.of("chat_added")]
    stream.end()
    assert [(line.kind, line.alias, line.mention) for line in lines] == [
        ("said", "ann", True),
        ("came", "gil", False),
        ("said", "gil", False),
    ]
    assert lines[0].id == first.id == history(eve)[0].id
    assert abs(lines[0].said_ms - lines[0].received_ms) < 5000
    assert all(line.kind == "said" for line in history(gil)), "who was here when gil came is no news to gil"


def test_the_command_line_writes_and_reads(peers: Lab) -> None:
    ann = peers.start("ann", *IN_ROOM)
    ann.ready()
    alone = ann.told("say", "anybody", "here?")
    assert (alone.status, alone.out, alone.err) == (0, "", "meshchat: nobody is here to read it yet\n")
    command = [sys.executable, "-m", "meshchat"]
    profile = ("--profile", str(ann.profile))
    with subprocess.Popen(
        [*command, "chat", "--follow", "--json", *profile], stdout=subprocess.PIPE, text=True
    ) as reading:
        assert reading.stdout is not None
        assert json.loads(reading.stdout.readline())["text"] == "anybody here?"
        piped = subprocess.run([*command, "say", "-", *profile], input=b"two\nrows \xff\x1b[2J\n", check=True)
        assert json.loads(reading.stdout.readline())["text"] == "two\nrows \ufffd[2J"
        assert piped.returncode == 0
        reading.stdout.close()
        until("the reader notices that nobody reads", lambda: reading.poll() is not None)
    shown = ann.told("chat").out.splitlines()
    assert [line[7:] for line in shown] == ["ann: anybody here?", "ann: two", "rows \ufffd[2J"]
    assert ann.told("say", "x" * 2001).status == 2
    assert json.loads(ann.told("chat", "--json").out)["answer"] == "chat"
    ann.ask(Leave())
    for wish in (Say("x"), Chat()):
        with pytest.raises(Refused, match="not in a room"):
            ann.ask(wish)
    ann.ask(Create(own_name("elsewhere")))
    assert history(ann) == (), "leaving forgets"


def test_a_line_of_the_chat_is_shown_so_that_none_passes_for_another() -> None:
    now_ms = 1_800_000_000_000
    line = ChatLine("1", "said", 1, "ab" * 32, "a\x1bnn", False, "hi\n12:00  bob: I resign", now_ms, now_ms, True)
    head, row = line_text(line).split("\n")
    assert head[5:] == "! ann: hi"
    assert row == "       12:00 bob: I resign"
    wrong = ChatLine("1", "said", 1, "ab" * 32, "ann", False, "hi", (1 << 53) - 1, now_ms)
    assert line_text(wrong)[:5] == head[:5], "a time of day that cannot be is not shown"
