"""Settings: each from a flag, a variable or the file, the nearest to the person winning, and errors that say where."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshchat import config
from meshchat.config import Config, load
from meshchat.errors import MeshchatError, UsageError
from meshchat.units import Address, safe_text
from meshchat.words import WORDS
from meshchat.words.word import Word

DOCUMENT = Path(__file__).parent.parent / "docs" / "configuration.md"

SETTINGS: list[tuple[str, list[str], str, str, object]] = [
    ("room", ["--room", "kitchen"], "kitchen", '"kitchen"', "kitchen"),
    ("alias", ["--alias", "Grete"], "Grete", '"Grete"', "Grete"),
    ("microphone", ["--mic", "tone:440"], "tone:440", '"tone:440"', "tone:440"),
    ("speaker", ["--speaker", "null"], "null", '"null"', "null"),
    ("transmit", ["--transmit", "push"], "Push", '"push"', "push"),
    ("threshold_db", ["--threshold", "-38.5"], "-38.5", "-38.5", -38.5),
    ("echo", ["--echo", "off"], "off", '"off"', "off"),
    ("noise", ["--noise", "on"], "ON", '"on"', "on"),
    ("gain", ["--gain", "auto"], "auto", '"auto"', "auto"),
    ("interfaces", ["--interface", "lo", "--interface", "::1"], "lo, ::1", '["lo", "::1"]', ("lo", "::1")),
    ("port", ["--port", "5000"], "5000", "5000", 5000),
    (
        "peers",
        ["--peer", "10.0.0.1:5", "--peer", "[fe80::1%eth0]:6"],
        "10.0.0.1:5,[fe80::1%eth0]:6",
        '["10.0.0.1:5", "[fe80::1%eth0]:6"]',
        (Address("10.0.0.1", 5), Address("fe80::1%eth0", 6)),
    ),
    ("rate", ["--rate", "16000"], "16000", "16000", 16000),
    ("frame_ms", ["--frame-ms", "2.5"], "2.5", "2.5", 2.5),
    ("block_ms", ["--block-ms", "40"], "40", "40", 40.0),
    ("bitrate", ["--bitrate", "24000"], "24000", "24000", 24000),
    ("music", ["--music"], "yes", "true", True),
    ("music_bitrate", ["--music-bitrate", "256000"], "256000", "256000", 256_000),
    ("complexity", ["--complexity", "0"], "0", "0", 0),
    ("dtx", ["--no-dtx"], "no", "false", False),
    ("mdns", ["--no-mdns"], "off", "false", False),
    ("share", ["--share", "test-pattern"], "test-pattern", '"test-pattern"', "test-pattern"),
    ("log_messages", ["-l"], "1", "true", True),
    ("verbosity", ["-vv"], "2", "2", 2),
    ("plain", ["--plain"], "yes", "true", True),
    ("ascii_signs", ["--ascii"], "on", "true", True),
    ("theme", ["--theme", "nord"], "nord", '"nord"', "nord"),
    ("muted", ["--mute"], "yes", "true", True),
]
"""Of each setting: its name, as flags, as a variable, as TOML, and what it comes to."""

names = pytest.mark.parametrize(
    ("name", "flags", "spelt", "toml", "value"), SETTINGS, ids=[each[0] for each in SETTINGS]
)


def parsed(*words: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    for name, _ in config.knobs():
        config.add_option(parser, name)
    return vars(parser.parse_args(words))


def profile(tmp_path: Path, toml: str) -> dict[str, str]:
    """An environment that points to a profile with this settings file."""
    (tmp_path / "config.toml").write_text(toml)
    return {"MESHCHAT_PROFILE": str(tmp_path)}


def test_the_table_of_this_test_is_complete() -> None:
    assert ["profile", *(each[0] for each in SETTINGS)] == [name for name, _ in config.knobs()]
    assert [name for name, _ in config.knobs()] == [field.name for field in dataclasses.fields(Config)]


@names
def test_each_setting_comes_from_flag_variable_and_file(
    tmp_path: Path, name: str, flags: list[str], spelt: str, toml: str, value: object
) -> None:
    empty = {"MESHCHAT_PROFILE": str(tmp_path)}
    default = getattr(load({}, empty), name)
    assert default != value
    assert getattr(load(parsed(*flags), empty), name) == value
    assert getattr(load({}, empty | {config.variable(name): spelt}), name) == value
    in_file = profile(tmp_path, f"# settings\n{name} = {toml}\n")
    assert getattr(load({}, in_file), name) == value
    assert type(getattr(load({}, in_file), name)) is type(value)


def test_a_flag_beats_a_variable_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    environment = profile(tmp_path, "bitrate = 10000\nrate = 10000\ncomplexity = 1\n")
    environment |= {"MESHCHAT_BITRATE": "20000", "MESHCHAT_RATE": "20000", "MESHCHAT_PORT": ""}
    settings = load(parsed("--bitrate", "30000"), environment)
    assert (settings.bitrate, settings.rate, settings.complexity) == (30_000, 20_000, 1)
    assert (settings.frame_ms, settings.port) == (10.0, None), "an empty variable is not set"


def test_without_a_file_everything_has_a_default(tmp_path: Path) -> None:
    settings = load({}, {"MESHCHAT_PROFILE": str(tmp_path / "not there")})
    assert settings.alias == config.login_alias()
    assert settings == Config(profile=tmp_path / "not there", alias=settings.alias)


@pytest.mark.parametrize(
    ("login", "alias"), [("ada", "ada"), ("\x1b[31mada", "[31mada"), ("\x1b", "guest"), ("x" * 40, "x" * 32)]
)
def test_the_login_name_is_made_safe_before_others_see_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, login: str, alias: str
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: login)
    assert load({}, {"MESHCHAT_PROFILE": str(tmp_path)}).alias == alias


def test_somebody_without_a_login_name_is_a_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert config.login_alias() == "guest"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rate", "96000"], "--rate 96000: must be a whole number from 8000 to 48000"),
        (["--frame-ms", "15"], "--frame-ms 15: must be one of 2.5, 5, 10, 20, 40, 60"),
        (["--frame-ms", "nan"], "--frame-ms nan: must be one of"),
        (["--port", "0"], "--port 0: must be a whole number from 1 to 65535"),
        (["--peer", "10.0.0.300:1"], "--peer 10.0.0.300:1: must be HOST:PORT"),
        (["--peer", "::1:5000"], "must be HOST:PORT, such as 192.168.1.5:47474, [2001:db8::1]:47474"),
        (["--peer", "10.0.0.1:70000"], "--peer 10.0.0.1:70000: must be"),
        (["--room", "x" * 33], "must be 1 to 32 printable characters"),
        (["--room", "\u202e"], "must be 1 to 32 printable characters"),
        (["--mic", ""], "--mic : must be a line of text"),
        (["--profile", "~nobody-of-that-name/x"], "must be the path of a folder"),
        (["-vvvv"], "--verbose 4: must be a whole number from 0 to 3"),
    ],
)
def test_a_wrong_flag_is_named_with_what_is_allowed(tmp_path: Path, words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(parsed(*words), {"MESHCHAT_PROFILE": str(tmp_path)})
    assert said in str(caught.value)


def test_a_wrong_variable_is_named_with_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"MESHCHAT_MDNS=perhaps: must be yes or no"):
        load({}, {"MESHCHAT_PROFILE": str(tmp_path), "MESHCHAT_MDNS": "perhaps"})


@pytest.mark.parametrize(
    ("toml", "line", "said"),
    [
        ("# voice\n\nrate = 5\n", 3, "rate: must be a whole number from 8000 to 48000"),
        ('rate = "48000"\n', 1, "rate: must be a whole number"),
        ("rate = true\n", 1, "rate: must be a whole number"),
        ("dtx = 1\n", 1, "dtx: must be yes or no (in the file: true or false)"),
        ('mdns = true\n"alias" = "\\u001b"\n', 2, "alias: must be 1 to 32 printable characters"),
        ('interfaces = [\n "lo",\n 7,\n]\n', 1, "interfaces: must be a line of text; any number of them"),
        ('peers = "10.0.0.1:5"\n', 1, "peers: must be HOST:PORT"),
        ("\nbitrat = 5\n", 2, "bitrat: no such key; did you mean bitrate?"),
        ("\n[audio]\nrate = 48000\n", 2, "audio: no such key"),
        ("zzzz = 1\n", 1, "zzzz: no such key among room, alias"),
        ('profile = "/elsewhere"\n', 1, "profile: no such key"),
        ('room = """\nrate = 1"""\nrate = 7\n', 3, "rate: must be"),
        ('microphone = """\\\nrate = 1"""\nrate = 7\n', 3, "rate: must be"),
        ("rate = \n", 1, "not TOML"),
        ("room = 'x\n", 1, "not TOML"),
        ("peers = [", 1, "not TOML"),
        ("rate = 48000\nrate = 48000\n", 2, "not TOML"),
    ],
)
def test_a_wrong_line_of_the_file_is_named_with_what_is_allowed(
    tmp_path: Path, toml: str, line: int, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load({}, profile(tmp_path, toml))
    assert str(caught.value).startswith(f"{tmp_path / 'config.toml'}:{line}: ")
    assert said in str(caught.value)


def test_a_file_that_is_not_text_or_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"room = '\xff'")
    with pytest.raises(UsageError, match="not UTF-8"):
        load({}, {"MESHCHAT_PROFILE": str(tmp_path)})
    (tmp_path / "config.toml").unlink()
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(MeshchatError, match="cannot read"):
        load({}, {"MESHCHAT_PROFILE": str(tmp_path)})


def test_a_command_needs_the_profile_alone(tmp_path: Path) -> None:
    """A wrong setting of the daemon must not keep a person from stopping it."""
    environment = profile(tmp_path, "nonsense") | {"MESHCHAT_RATE": "x"}
    assert config.profile_of({}, environment) == tmp_path
    assert config.profile_of({"profile": "/elsewhere"}, environment) == Path("/elsewhere")


@given(st.text(max_size=60))
def test_any_room_name_is_safe_to_show_or_refused(name: str) -> None:
    try:
        settings = load({"room": name, "profile": "/nonexistent"}, {})
    except UsageError:
        return
    assert settings.room
    assert safe_text(settings.room) == settings.room


@given(st.text(max_size=30))
def test_any_peer_is_an_address_or_refused(text: str) -> None:
    try:
        settings = load({"peer": text, "peers": [text], "profile": "/nonexistent"}, {})
    except UsageError:
        return
    assert all(1 <= peer.port <= 65535 for peer in settings.peers)


def reference() -> str:
    """The table of the document, made from the knobs."""
    lines = ["| key | flag | variable | default | allowed | meaning | price |", "|---|---|---|---|---|---|---|"]
    for field, (name, knob) in zip(dataclasses.fields(Config), config.knobs(), strict=True):
        default = "" if field.default in ((), "", None, dataclasses.MISSING) else f"`{field.default}`".lower()
        flags = ", ".join(f"`{flag}`" for flag in knob.flags)
        key = "" if name == "profile" else f"`{name}`"
        meaning = knob.meaning + (f", in {knob.unit}" if knob.unit else "")
        cells = (key, flags, f"`{config.variable(name)}`", default, knob.kind.allowed, meaning, knob.price)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def test_the_document_says_what_the_table_of_knobs_says() -> None:
    assert reference() in DOCUMENT.read_text(), f"docs/configuration.md should have:\n{reference()}"


@pytest.mark.parametrize("word", WORDS, ids=[word.name for word in WORDS])
def test_no_argument_of_a_command_passes_for_a_setting_of_the_daemon(word: Word) -> None:
    parser = argparse.ArgumentParser()
    word.add(parser)
    assert not {action.dest for action in parser._actions} & {name for name, _ in config.knobs()}
