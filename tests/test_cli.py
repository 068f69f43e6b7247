"""The command line: what it prints, where, and with which exit status; against a real control socket."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

import meshchat
from meshchat import cli, control
from meshchat.config import Config
from meshchat.control import Answer, Command, ControlServer, MemberStatus, RoomStatus, RoomSummary, Snapshot, Status
from meshchat.errors import Refused, UsageError
from meshchat.remote.show import table
from meshchat.words import BY_NAME

ROOT = Path(__file__).parent.parent
EVIL = "bob\x1b[2J\u202egpj.exe"


def member(alias: str, **known: float) -> MemberStatus:
    return MemberStatus(
        id="5f" * 32,
        alias=alias,
        you=False,
        coordinator=True,
        speaking=True,
        level_db=known.get("level_db"),
        rtt_ms=known.get("rtt_ms"),
        packets_received=12,
    )


def room() -> RoomStatus:
    return RoomStatus("kitchen", "0a" * 16, 3, "5f" * 32, (member(EVIL, rtt_ms=1.25), member("猫", level_db=-20.0)))


def status() -> Status:
    return Status(
        peer_id="6b" * 32,
        alias="ada",
        addresses=("127.0.0.1:47474",),
        port=47474,
        control="unix:/x",
        room=room(),
        muted=True,
        deafened=False,
        microphone="default",
        speaker="default",
        uptime_s=2.0,
        version="0",
        counters={"datagrams_received": 7},
    )


class House:
    """A daemon that knows one room, keeps what it heard, and refuses as the real one does."""

    def __init__(self) -> None:
        self.heard: list[Command] = []

    async def handle(self, command: Command) -> Answer:
        self.heard.append(command)
        match command:
            case control.Rooms():
                return control.RoomList((RoomSummary("0a" * 16, "kitchen", False, 12, True),))
            case control.Members():
                return control.MemberList(room().members)
            case control.GetStatus():
                return status()
            case control.Create():
                raise Refused("room already exists")
            case control.Volume():
                raise UsageError("no member is called bob")
            case _:
                return control.Done()

    def snapshot(self) -> Snapshot:
        return Snapshot(status(), ())


class Terminal:
    """Runs commands as a person would, beside the daemon that lives in the test's own loop."""

    def __init__(self, profile: Path, capsys: pytest.CaptureFixture[str], server: ControlServer, house: House) -> None:
        self.profile = profile
        self.server = server
        self.house = house
        self._capsys = capsys

    async def run(self, *words: str) -> tuple[int, str, str]:
        """The exit status, stdout and stderr of one command."""
        code = await asyncio.to_thread(cli.main, [*words, "--profile", str(self.profile)])
        return code, *self._capsys.readouterr()

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        """A command that goes on for a while, in a process of its own."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "meshchat", *words, "--profile", str(self.profile)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


@pytest.fixture
async def terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Terminal]:
    house = House()
    server = ControlServer(tmp_path, house.handle, house.snapshot)
    await server.start()
    yield Terminal(tmp_path, capsys, server, house)
    await server.close()


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["join", " kitchen\x07 "], control.Join("kitchen")),
        (["leave"], control.Leave()),
        (["alias", "Grete"], control.Alias("Grete")),
        (["mute"], control.Mute()),
        (["unmute"], control.Unmute()),
        (["deafen"], control.Deafen()),
        (["undeafen"], control.Undeafen()),
        (["stop"], control.Stop()),
    ],
)
async def test_a_command_is_passed_on_and_done_in_silence(
    terminal: Terminal, words: list[str], command: control.Command
) -> None:
    assert await terminal.run(*words) == (0, "", "")
    assert [type(heard) for heard in terminal.house.heard] == [type(command)]
    assert getattr(terminal.house.heard[0], "name", None) == getattr(command, "name", None)


async def test_with_json_every_command_prints_one_object(terminal: Terminal) -> None:
    assert await terminal.run("mute", "--json") == (0, '{"answer":"done"}\n', "")
    for words, keys in (("rooms", {"rooms"}), ("members", {"members"}), ("status", {"peer_id", "room", "port"})):
        code, out, err = await terminal.run(words, "--json")
        assert (code, err, out.count("\n")) == (0, "", 1)
        assert keys < json.loads(out).keys()


async def test_json_tells_the_truth_and_null_for_what_is_not_known(terminal: Terminal) -> None:
    _, out, _ = await terminal.run("status", "--json")
    first = json.loads(out)["room"]["members"][0]
    assert (first["rtt_ms"], first["level_db"], first["packets_received"]) == (1.25, None, 12)
    assert first["alias"] == EVIL, "data is not cleaned behind a program's back; JSON escapes what a terminal obeys"
    assert "\x1b" not in out


async def test_refusals_and_nonsense_have_words_on_stderr_and_a_status(terminal: Terminal) -> None:
    assert await terminal.run("create", "kitchen") == (1, "", "meshchat: room already exists\n")
    assert await terminal.run("volume", "bob", "0.5") == (2, "", "meshchat: no member is called bob\n")
    code, out, err = await terminal.run("create", "\x1b")
    assert (code, out) == (2, "")
    assert "1 to 32 printable characters" in err
    assert (await terminal.run("join", "x" * 33))[0] == 2


async def test_rooms_are_a_table(terminal: Terminal) -> None:
    _, out, _ = await terminal.run("rooms")
    assert out.splitlines() == [
        "ROOM     MEMBERS  LOCKED  JOINED  SHARED  ID",
        "kitchen       12  -       yes     -       0a0a0a0a",
    ]


async def test_members_are_a_table_that_a_stranger_cannot_paint_on(terminal: Terminal) -> None:
    _, out, _ = await terminal.run("members")
    head, evil, cat = out.splitlines()
    assert evil.startswith("bob[2Jgpj.exe  5f5f5f5f  coordinator, speaking         -     1.2 ")
    assert cat.startswith("猫             5f5f5f5f  coordinator, speaking     -20.0       - ")
    assert head.startswith("ALIAS          ID        STATE")
    assert out.isprintable() or set(filter(lambda letter: not letter.isprintable(), out)) == {"\n"}


async def test_status_is_told_in_words(terminal: Terminal) -> None:
    _, out, _ = await terminal.run("status")
    lines = dict(line.split(maxsplit=1) for line in out.splitlines()[:10])
    assert lines["alias"] == "ada"
    assert lines["sound"] == "muted"
    assert "kitchen (0a0a0a0a), epoch 3, coordinator 5f5f5f5f" in out
    assert "datagrams_received  7" in out


async def test_events_are_lines_until_the_daemon_ends(terminal: Terminal) -> None:
    watching = await terminal.start("events", "--json")
    assert watching.stdout is not None
    async with asyncio.timeout(20):
        first = json.loads(await watching.stdout.readline())
        assert first["event"] == "snapshot"
        terminal.server.publish(control.MemberJoined(member("bob")))
        second = json.loads(await watching.stdout.readline())
        assert (second["event"], second["member"]["alias"]) == ("member_joined", "bob")
        await terminal.server.close()
        rest, err = await watching.communicate()
    assert (watching.returncode, rest, err) == (0, b"", b"")


async def test_every_event_has_a_line_for_a_person(terminal: Terminal) -> None:
    watching = await terminal.start("events")
    assert watching.stdout is not None
    told: list[control.Event] = [
        control.MemberJoined(member(EVIL)),
        control.MemberChanged(member("bob")),
        control.MemberLeft("5f" * 32, "bob", "lost"),
        control.RoomEntered(room()),
        control.CoordinatorChanged(4, None),
        control.RoomsChanged(()),
        control.SelfChanged("ada", False, True, "default", "default"),
        control.Speaking("5f" * 32, True),
        control.Levels({"5f" * 32: -20.0}),
        control.Notice("warning", "gone\x1b[2J"),
        control.RoomLeft("kitchen", "0a" * 16, "left"),
    ]
    async with asyncio.timeout(20):
        while await watching.stdout.readline() != b"no rooms\n":
            pass
        for event in told:
            terminal.server.publish(event)
        lines = [(await watching.stdout.readline()).decode().rstrip("\n") for _ in told]
        watching.terminate()
        await watching.communicate()
    assert lines == [
        "joined       bob[2Jgpj.exe (5f5f5f5f)",
        "member       bob (5f5f5f5f): coordinator, speaking",
        "left         bob (5f5f5f5f): lost",
        "room         entered kitchen, 2 in it",
        "coordinator  unknown in epoch 4",
        "rooms        none",
        "self         ada: deafened",
        "speaking     5f5f5f5f began",
        "levels       5f5f5f5f -20.0 dB",
        "warning      gone[2J",
        "room         left kitchen: left",
    ]


async def test_events_end_when_nobody_reads_them_though_nothing_happens(terminal: Terminal) -> None:
    """`meshchat events | head -1`: the reader leaves, and no event comes to write into the closed pipe."""
    head = f"'{sys.executable}' -m meshchat events --json --profile '{terminal.profile}' | head -n 1"
    shell = await asyncio.create_subprocess_exec("sh", "-c", head, cwd=ROOT, stdout=-1, stderr=-1)
    async with asyncio.timeout(20):
        out, err = await shell.communicate()
    assert json.loads(out)["event"] == "snapshot"
    assert err == b""


async def test_a_reader_that_left_before_the_answer_is_no_reason_to_complain(terminal: Terminal) -> None:
    line = f"'{sys.executable}' -m meshchat status --profile '{terminal.profile}'; echo $? >&2"
    shell = await asyncio.create_subprocess_exec("sh", "-c", f"({line}) | true", cwd=ROOT, stdout=-1, stderr=-1)
    async with asyncio.timeout(20):
        out, err = await shell.communicate()
    assert (out, err) == (b"", b"0\n")


async def test_ctrl_c_ends_events_as_it_should(terminal: Terminal) -> None:
    watching = await terminal.start("events", "--json")
    assert watching.stdout is not None
    async with asyncio.timeout(20):
        await watching.stdout.readline()
        watching.send_signal(2)
        _, err = await watching.communicate()
    assert (watching.returncode, err) == (0, b"")


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    return cli.main(words), *capsys.readouterr()


@pytest.mark.parametrize("word", ["rooms", "events", "stop"])
def test_without_a_daemon_it_says_how_to_start_one(
    word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(word, "--profile", str(tmp_path), capsys=capsys)
    assert (code, out) == (3, "")
    assert "meshchat --headless" in err


@pytest.mark.parametrize(
    "words",
    [
        ["sing"],
        ["join"],
        ["join", "a", "b"],
        ["volume", "bob", "5"],
        ["volume", "bob", "loud"],
        ["--headless", "rooms"],
        ["--room", "kitchen", "rooms"],
        ["--headles"],
        ["--headless", "--rate", "5"],
        ["demo", "--seconds", "0"],
        ["demo", "--json"],
    ],
)
def test_wrong_usage_is_two(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(*words, capsys=capsys)
    assert (code, out) == (2, "")
    assert err


def test_without_arguments_and_terminal_it_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys=capsys)
    assert (code, out) == (2, "")
    assert "needs a terminal" in err
    assert "--headless" in err


def test_version_and_help_are_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version", capsys=capsys) == (0, f"meshchat {meshchat.__version__}\n", "")
    code, out, err = run("--help", capsys=capsys)
    assert (code, err) == (0, "")
    for word in (*BY_NAME, "demo", "--room", "--no-mdns", "-l, --log-messages"):
        assert word in out


@pytest.fixture
def as_before() -> Iterator[None]:
    """Put the levels of the loggers back."""
    loggers = [logging.getLogger(name) for name in (None, "meshchat", "meshchat.messages")]
    levels, handlers = [logger.level for logger in loggers], list(loggers[0].handlers)
    yield
    loggers[0].handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.mark.usefixtures("as_before")
def test_headless_runs_the_daemon_with_its_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[Config] = []

    def be_the_daemon(settings: Config) -> int:
        started.append(settings)
        return 7

    _stand_in(monkeypatch, "daemon", run=be_the_daemon)
    monkeypatch.setenv("MESHCHAT_ALIAS", "kiosk")
    words = ["--headless", "--profile", str(tmp_path), "--room", "kitchen", "--interface", "lo", "--interface", "::1"]
    assert cli.main([*words, "-l", "-v"]) == 7
    assert started == [
        Config(
            profile=tmp_path, room="kitchen", alias="kiosk", interfaces=("lo", "::1"), log_messages=True, verbosity=1
        )
    ]
    assert logging.getLogger("meshchat.messages").getEffectiveLevel() == logging.INFO
    assert logging.getLogger("meshchat.mesh").getEffectiveLevel() == logging.INFO
    assert cli.main(["--headless", "--profile", str(tmp_path)]) == 7
    assert logging.getLogger("meshchat.messages").getEffectiveLevel() == logging.WARNING


def test_a_daemon_that_cannot_start_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(settings: Config) -> int:
        raise Refused(f"port {settings.port} is taken")

    _stand_in(monkeypatch, "daemon", run=fail)
    words = ("--headless", "--profile", str(tmp_path), "--port", "5000")
    assert run(*words, capsys=capsys) == (1, "", "meshchat: port 5000 is taken\n")


def test_demo_runs_the_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[float, Path | None]] = []

    def demonstrate(seconds: float, keep: Path | None, environment: Mapping[str, str]) -> int:
        asked.append((seconds, keep))
        return 0

    _stand_in(monkeypatch, "demo", run=demonstrate)
    assert cli.main(["demo"]) == 0
    assert cli.main(["demo", "--keep", str(tmp_path), "--seconds", "2.5"]) == 0
    assert asked == [(cli.DEMO_SECONDS, None), (2.5, tmp_path)]


def _stand_in(monkeypatch: pytest.MonkeyPatch, room: str, **names: object) -> None:
    """Put something else where `from meshchat import ROOM` looks."""
    module = SimpleNamespace(**names)
    monkeypatch.setitem(sys.modules, f"meshchat.{room}", module)
    monkeypatch.setattr(meshchat, room, module, raising=False)


def test_a_table_is_aligned_by_what_a_terminal_shows() -> None:
    rows = [("NAME", "N"), ("猫猫", "1"), ("e\u0301\u0301", "100")]
    assert table(rows, frozenset({1})).splitlines() == ["NAME    N", "猫猫    1", "e\u0301\u0301     100"]
