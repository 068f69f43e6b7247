"""Daemons as people use them: they meet on loopback, talk, obey the command line, and go, well or badly."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from meshchat.control import (
    Alias,
    Command,
    Create,
    Deafen,
    Join,
    Leave,
    Members,
    MemberStatus,
    Mute,
    RoomList,
    Rooms,
    RoomSummary,
    Undeafen,
    Unmute,
    Volume,
)
from meshchat.errors import MeshchatError, Refused, UsageError
from meshchat.hearing import Heard, longest_silence_ms
from meshchat.units import SAMPLE_RATE
from tests.peers_lab import (
    LOOPBACK,
    Daemon,
    Events,
    Lab,
    clip,
    found,
    is_well_formed,
    lab,
    looped,
    own_name,
    told,
    until,
)

ROOM, DEN = own_name("lobby"), own_name("den")

IN_ROOM = (*LOOPBACK, "--room", ROOM)
QUIET = ("--mic", "silence", "--speaker", "null")

SOON_S = 30.0
"""Far longer than anything takes, for busy machines: how soon is measured by `benchmarks.join`."""

FIRST_SOUND_S_MAX = 1.0
"""A newcomer that is ready has heard somebody by then."""


@dataclass(frozen=True, eq=False)
class Talk:
    """Ann and bob talk, eve listens; gil is on the same network, in no room."""

    lab: Lab
    ann: Daemon
    bob: Daemon
    eve: Daemon
    gil: Daemon

    @property
    def members(self) -> tuple[Daemon, Daemon, Daemon]:
        return self.ann, self.bob, self.eve

    def complete(self) -> bool:
        return all(peer.sees("ann", "bob", "eve") for peer in self.members) and self.eve.hears("ann", "bob")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    with lab(tmp_path_factory.mktemp("talk")) as peers:
        talk = Talk(
            peers,
            peers.start("ann", *IN_ROOM, *looped("ann"), *peers.sink("ann"), "-l", "-v"),
            peers.start("bob", *IN_ROOM, *looped("bob"), *peers.sink("bob")),
            peers.start("eve", *IN_ROOM, "--mic", "silence", *peers.sink("eve")),
            peers.start("gil", *LOOPBACK, *QUIET),
        )
        for peer in peers.daemons:
            peer.ready()
        yield talk


@pytest.fixture
def talk(running: Talk) -> Talk:
    """Everybody is where they belong."""
    until("ann, bob and eve are together and heard", running.complete)
    return running


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made


def assert_heard(what: Heard) -> None:
    assert what.correlation > 0.6, what
    assert what.coverage > 0.8, what


def assert_not_heard(what: Heard) -> None:
    assert what.correlation < 0.35, what
    assert what.coverage < 0.2, what


def others(peer: Daemon) -> list[MemberStatus]:
    return [member for member in peer.members().values() if not member.you]


# Meeting and talking


def test_each_hears_the_others_and_not_itself(talk: Talk) -> None:
    begins = {peer: peer.recorded_bytes() for peer in talk.members}
    sounds = {peer: peer.recorded_since(begins[peer], 4.0) for peer in talk.members}
    for listener, sound in sounds.items():
        for speaker in (talk.ann, talk.bob):
            judge = assert_not_heard if listener is speaker else assert_heard
            judge(found(sound, clip(speaker.name)))


def test_status_tells_everything_that_is_promised(talk: Talk) -> None:
    until("the round trip is measured", lambda: all(member.rtt_ms is not None for member in others(talk.eve)))
    status = json.loads(talk.eve.told("status", "--json").out)
    assert (status["peer_id"], status["alias"]) == (talk.eve.peer_id, "eve")
    assert status["addresses"] == [f"127.0.0.1:{status['port']}"]
    room = status["room"]
    assert room["name"] == ROOM
    assert re.fullmatch("[0-9a-f]{32}", room["id"])
    assert room["epoch"] >= 1
    assert room["coordinator"] in {peer.peer_id for peer in talk.members}
    me, *members = room["members"]
    assert (me["alias"], me["you"]) == ("eve", True)
    assert {member["alias"]: member["id"] for member in members} == {"ann": talk.ann.peer_id, "bob": talk.bob.peer_id}
    for member in members:
        assert (member["speaking"] in (True, False), member["muted"]) == (True, False)
        assert -127 <= member["level_db"] < 0
        assert 0 <= member["rtt_ms"] < 500
        assert 0 <= member["loss_percent"] < 50
        assert 0 <= member["jitter_ms"] < 100
        assert 0 < member["playout_delay_ms"] < 500
        assert 0 <= member["packets_lost"] < member["packets_received"]
        assert 0 <= member["concealed_ms"] < 10 * member["packets_received"]


def test_everybody_follows_the_same_coordinator(talk: Talk) -> None:
    def claims() -> set[tuple[int, str | None]]:
        rooms = [peer.status().room for peer in talk.members]
        return {(room.epoch, room.coordinator) for room in rooms if room}

    until("one coordinator", lambda: len(claims()) == 1)


def test_who_mutes_is_shown_so_and_falls_silent(talk: Talk) -> None:
    talk.bob.ask(Mute())
    until("ann sees that bob is muted", lambda: talk.ann.members()["bob"].muted, SOON_S)
    until("his level falls", lambda: (talk.ann.members()["bob"].level_db or 0) < -60, 3)
    assert not talk.ann.members()["bob"].speaking
    assert_not_heard(found(talk.ann.recorded_from_now(1.5), clip("bob")))
    talk.bob.ask(Unmute())
    until("ann sees that bob speaks again", lambda: talk.ann.members()["bob"].speaking, 5)
    assert not talk.ann.members()["bob"].muted


def test_who_deafens_hears_nobody_and_is_shown_so(talk: Talk) -> None:
    talk.eve.ask(Deafen())
    until("bob sees that eve is deaf", lambda: talk.bob.members()["eve"].deafened, SOON_S)
    assert longest_silence_ms(talk.eve.recorded_from_now(1.5), SAMPLE_RATE) > 1000
    talk.eve.ask(Undeafen())
    until("bob sees that eve listens again", lambda: not talk.bob.members()["eve"].deafened, SOON_S)


def test_one_member_can_be_played_softer_than_the_other(talk: Talk) -> None:
    talk.eve.ask(Volume("ann", 0.0))
    assert talk.eve.members()["ann"].volume == 0.0
    assert talk.bob.members()["ann"].volume == 1.0
    sound = talk.eve.recorded_from_now(3.0)[-int(2.5 * SAMPLE_RATE) :]
    talk.eve.ask(Volume(talk.ann.peer_id[:8], 1.0))
    assert_not_heard(found(sound, clip("ann")))
    assert_heard(found(sound, clip("bob")))


def test_a_newcomer_hears_within_a_second(talk: Talk) -> None:
    hal = talk.lab.start("hal", *IN_ROOM, *QUIET)
    hal.ready()
    ready_at = time.monotonic()
    until("hal hears somebody", lambda: any(member.packets_received for member in others(hal)))
    assert time.monotonic() - ready_at < FIRST_SOUND_S_MAX
    hal.end()


# Rooms, names, words


def test_rooms_are_listed_opened_entered_left_and_switched(talk: Talk) -> None:
    listed = until(
        "gil hears how many are in the room", lambda: [each for each in rooms(talk.gil) if each.members == 3]
    )
    assert [(each.name, each.joined, each.locked) for each in listed] == [(ROOM, False, False)]
    assert talk.gil.told("create", DEN).status == 0
    assert talk.gil.sees("gil")
    until("eve hears of the den", lambda: DEN in names(talk.eve))
    assert talk.eve.told("join", DEN).status == 0
    until("eve is gone from the room", lambda: talk.ann.sees("ann", "bob"), SOON_S)
    until("eve and gil are together", lambda: talk.eve.sees("eve", "gil") and talk.gil.sees("eve", "gil"))
    talk.eve.ask(Join(ROOM))
    assert talk.gil.told("leave").status == 0
    assert talk.gil.status().room is None
    until("the den is empty and forgotten", lambda: DEN not in names(talk.ann))
    assert ROOM in talk.gil.told("rooms").out


def rooms(peer: Daemon) -> list[RoomSummary]:
    """The rooms that it knows of, but for other people's on this machine."""
    listed = peer.ask(Rooms())
    assert isinstance(listed, RoomList)
    return [each for each in listed.rooms if each.name in (ROOM, DEN)]


def names(peer: Daemon) -> set[str]:
    return {each.name for each in rooms(peer)}


def test_a_wish_that_cannot_be_granted_is_refused_in_words(talk: Talk) -> None:
    until("gil hears of the room", lambda: ROOM in names(talk.gil))
    refusals: list[tuple[Daemon, Command, type[MeshchatError], str]] = [
        (talk.gil, Create(ROOM), Refused, "room already exists"),
        (talk.gil, Join(own_name("nowhere")), Refused, "room not found"),
        (talk.gil, Leave(), Refused, "not in a room"),
        (talk.gil, Members(), Refused, "not in a room"),
        (talk.gil, Volume("bob", 1.0), Refused, "not in a room"),
        (talk.ann, Join(ROOM.upper()), Refused, "room already joined"),
        (talk.bob, Alias("Ann"), Refused, "alias already taken"),
        (talk.ann, Volume("nobody", 1.0), UsageError, "no member is called nobody"),
    ]
    for peer, wish, kind, words in refusals:
        with pytest.raises(kind, match=f"^{words}"):
            peer.ask(wish)
    assert talk.bob.status().alias == "bob"


def test_the_exit_status_tells_what_became_of_a_command(talk: Talk, tmp_path: Path) -> None:
    wanted = [
        (talk.ann.profile, ("mute",), 0, ""),
        (talk.bob.profile, ("alias", "ann"), 1, "alias already taken"),
        (talk.ann.profile, ("volume", "bob", "9"), 2, "GAIN"),
        (talk.ann.profile, ("frobnicate",), 2, "frobnicate"),
        (tmp_path, ("status",), 3, "no daemon runs"),
    ]
    came_of_it = told(*((profile, words) for profile, words, _, _ in wanted))
    talk.ann.ask(Unmute())
    for (_, _, status, text), what in zip(wanted, came_of_it, strict=True):
        assert (what.status, what.out) == (status, ""), what
        assert text in what.err


def test_an_alias_is_changed_for_everybody(talk: Talk) -> None:
    assert talk.bob.told("alias", "robert").status == 0
    until("all call him robert", lambda: all(peer.sees("ann", "robert", "eve") for peer in talk.members), SOON_S)
    talk.bob.ask(Alias("bob"))
    until("all call him bob", talk.complete, SOON_S)


def test_members_are_shown_to_people_in_a_table(talk: Talk) -> None:
    heads, *lines = talk.eve.told("members").out.splitlines()
    assert heads.split()[:3] == ["ALIAS", "ID", "STATE"]
    assert {line.split()[0] for line in lines} == {"ann", "bob", "eve"}
    assert sum("coordinator" in line for line in lines) == 1


def test_events_stream_as_json_lines(talk: Talk) -> None:
    stream = Events(talk.ann, talk.lab.folder / "events.jsonl")
    try:
        until("the snapshot came", lambda: stream.of("snapshot"))
        ivy = talk.lab.start("ivy", *IN_ROOM, *looped("bob"), "--speaker", "null")
        until("she is heard to speak", lambda: {"id": ivy.peer_id, "speaking": True} in stream.of("speaking"), 15)
        joined = [event["member"]["alias"] for event in stream.of("member_joined")]
        assert ivy.told("stop").status == 0
        until("she left", lambda: stream.of("member_left"), SOON_S)
        assert joined == ["ivy"]
        assert stream.of("member_left") == [{"id": ivy.peer_id, "alias": "ivy", "reason": "left"}]
        levels = stream.of("levels")
        assert any(talk.bob.peer_id in event["levels_db"] for event in levels)
        assert ivy.gone() == 0
    finally:
        status = stream.end()
    assert status == 0


def test_every_control_message_is_one_line_of_the_log(talk: Talk) -> None:
    lines = [line for line in talk.ann.err.splitlines() if "meshchat.messages" in line]
    form = re.compile(r'.* meshchat\.messages: (in|out) ([0-9a-f]{8}) 127\.0\.0\.1:\d+ (\{"type":"\w+".*\}|key .*)')
    assert all(form.fullmatch(line) for line in lines)
    for way in ("in", "out"):
        for kind in ('"type":"hello"', '"type":"beat"', "key room="):
            assert any(f": {way} {talk.bob.peer_id[:8]} " in line and kind in line for line in lines), (way, kind)
    assert "base_key" not in talk.ann.err


# Ends


def test_whoever_leaves_politely_is_gone_at_once_and_a_crash_is_noticed_soon(peers: Lab) -> None:
    room = (*LOOPBACK, "--room", own_name("exit"), "--mic", "silence")
    stays = peers.start("stays", *room, "--speaker", "null", "-v")
    ways = ("sigterm", "sigint", "stop", "sigkill")
    sigterm, sigint, stop, sigkill = leavers = [peers.start(way, *room, *peers.sink(way)) for way in ways]
    until("all are there", lambda: stays.ready() and stays.sees("stays", *ways), 20)
    for each in leavers:
        each.recorded(0.5)
    sigkill.process.send_signal(signal.SIGKILL)
    sigterm.process.send_signal(signal.SIGTERM)
    sigint.process.send_signal(signal.SIGINT)
    assert stop.told("stop").status == 0
    until("the polite ones are gone", lambda: stays.sees("stays", "sigkill"), SOON_S)
    assert [each.gone() for each in (sigterm, sigint, stop)] == [0, 0, 0]
    until("the crashed one is gone", lambda: stays.sees("stays"), SOON_S)
    # The reasons tell a goodbye from a loss that took seconds to notice.
    for name, reason in [*((way, "left") for way in ways[:3]), ("sigkill", "lost")]:
        assert re.search(rf"{name} \([0-9a-f]{{8}}\) left: {reason}\n", stays.err)
    for each in leavers:
        assert is_well_formed(each.recording), each.name
        assert each.out.count("\n") == 1, "the ready line is all that it says on stdout"
        assert "Traceback" not in each.err
    assert not any(each.profile.joinpath("control").exists() for each in (sigterm, sigint, stop))
    assert set(sigterm.ready()) == {"event", "peer_id", "alias", "addresses", "port", "control"}


def test_a_daemon_that_cannot_begin_says_why(talk: Talk, peers: Lab) -> None:
    port = str(talk.ann.ready()["port"])
    missing = str(peers.folder / "missing.wav")
    wanted = [
        (peers.start("mic", *LOOPBACK, "--mic", missing), 1, missing),
        (peers.start("port", *LOOPBACK, *QUIET, "--port", port), 1, f"UDP port {port} is taken"),
        (peers.start("interface", *QUIET, "--interface", "nope0"), 1, "no interface or address nope0"),
        (peers.start("frame", *LOOPBACK, *QUIET, "--frame-ms", "7"), 2, "--frame-ms"),
        (peers.start("word", *LOOPBACK, *QUIET, "rooms"), 2, "rooms"),
        (Daemon(peers.folder, "second", *LOOPBACK, *QUIET, profile=talk.ann.profile), 1, "profile"),
    ]
    for daemon, status, text in wanted:
        assert daemon.gone(20) == status, daemon.err
        assert daemon.out == ""
        assert text in daemon.err
        assert "Traceback" not in daemon.err
    assert talk.ann.status().alias == "ann"


# Where multicast does not pass


def test_one_named_peer_is_enough_to_find_the_others(peers: Lab) -> None:
    room = (*LOOPBACK, *QUIET, "--no-mdns", "--room", own_name("attic"))
    kim = peers.start("kim", *room)
    named = ("--peer", f"127.0.0.1:{kim.ready()['port']}")
    lou, max_ = (peers.start(name, *room, *named) for name in ("lou", "max"))
    for each in (lou, max_):
        each.ready()
    until("all know all", lambda: all(each.sees("kim", "lou", "max") for each in (kim, lou, max_)))
    kim.end()
    until("they stay together without her", lambda: lou.sees("lou", "max") and max_.sees("lou", "max"), SOON_S)


def test_a_named_peer_tells_which_room_it_is_in(peers: Lab) -> None:
    room = own_name("cellar")
    kim = peers.start("kim", *LOOPBACK, *QUIET, "--no-mdns", "--room", room)
    named = ("--peer", f"127.0.0.1:{kim.ready()['port']}")
    lou = peers.start("lou", *LOOPBACK, *QUIET, "--no-mdns", *named)
    lou.ready()
    assert lou.told("join", room).status == 0
    until("they are together", lambda: kim.sees("kim", "lou") and lou.sees("kim", "lou"))
    lou.ask(Leave())
    until("she is gone", lambda: kim.sees("kim"), SOON_S)
    lou.ask(Join(room))
    until("she is back", lambda: kim.sees("kim", "lou"), SOON_S)
