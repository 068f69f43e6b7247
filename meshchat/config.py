"""Every knob of meshchat, once: what it means, its unit, its price, what is allowed, and where it can be set.

`Config` is the table. Each field carries a `Knob`, and from that one place come the options of the command line,
the variables of the environment, the keys of `PROFILE/config.toml`, the checks and the documentation. A flag
beats a variable, a variable beats the file, the file beats the default. An empty variable counts as not set.

A wrong value is a `UsageError` that names the flag, the variable, or the file and line, and says what is allowed.
The alternative not taken, a settings library, would bring a second type system for twenty lines of reading.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import getpass
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import platformdirs

from meshchat.errors import MeshchatError, UsageError
from meshchat.knobs import Choice, Folder, Kind, Many, Number, OneOf, Peer, Text, Whole, YesNo
from meshchat.units import THRESHOLD_DB, THRESHOLD_DB_MAX, THRESHOLD_DB_MIN, Address, safe_text

DEFAULT_PORT = 47474
"""The UDP port that is tried first, so that one rule in a host's firewall can let meshchat in."""

FILE_NAME = "config.toml"
"""The name of the settings file in the profile."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Knob:
    """What is known about one field of `Config` besides its type and default."""

    meaning: str
    kind: Kind
    flags: tuple[str, ...]
    unit: str
    price: str
    metavar: str | None


def _knob(default: T, kind: Kind, flags: str, meaning: str, *, unit: str = "", price: str, metavar: str = "") -> T:
    """A field of `Config` with its `Knob`; `flags` is written as in `-l --log-messages`."""
    told = Knob(meaning, kind, tuple(flags.split()), unit, price, metavar or None)
    return field(default=default, metadata={"knob": told})


_PROFILE = Knob(
    "where this peer keeps its key, its settings and its control socket", Folder(), ("--profile",), "",
    "two profiles are two people; two daemons cannot share one", "DIR",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that can be set, with its defaults; made by `load`, or by hand with any of the fields."""

    profile: Path = field(
        default_factory=lambda: platformdirs.user_data_path("meshchat", appauthor=False), metadata={"knob": _PROFILE}
    )
    room: str = _knob(
        "", Text(name=True), "--room", "the room to join at the start, created where nobody is in it yet",
        price="empty: join none until told to", metavar="NAME")  # fmt: skip
    alias: str = _knob(
        "", Text(name=True), "--alias", "the name that others are shown",
        price="empty: the login name, which everybody on the network then sees", metavar="NAME")  # fmt: skip
    microphone: str = _knob(
        "default", Text(), "--mic", "where sound comes from: a device or another source",
        price="a device that cannot be opened leaves the peer listening only", metavar="SRC")  # fmt: skip
    speaker: str = _knob(
        "default", Text(), "--speaker", "where sound goes: a device or another sink",
        price="a device that cannot be opened leaves the peer talking only", metavar="SINK")  # fmt: skip
    transmit: Literal["continuous", "voice", "push"] = _knob(
        "continuous", Choice(("continuous", "voice", "push")), "--transmit",
        "when the microphone's sound goes out: always, by voice, or by key", metavar="WHEN",
        price="voice: what is softer than the threshold is not heard; push: nothing is until `talk on`")  # fmt: skip
    threshold_db: float = _knob(
        THRESHOLD_DB, Number(THRESHOLD_DB_MIN, THRESHOLD_DB_MAX), "--threshold",
        "the level over which the microphone opens by voice", unit="dB (0 is overload)",
        price="lower: softer talk is heard, and the room's noise opens it too", metavar="DB")  # fmt: skip
    echo: Literal["auto", "on", "off"] = _knob(
        "auto", Choice(("auto", "on", "off")), "--echo", "take the loudspeaker's echo out of what the microphone hears",
        price="8 ms of delay, and a thinner voice while both sides talk; auto: once a sound device is found to hear an "
        "echo, where the extra `voice` is installed", metavar="WHEN")  # fmt: skip
    noise: Literal["auto", "on", "off"] = _knob(
        "auto", Choice(("auto", "on", "off")), "--noise", "take the room's noise out of what the microphone hears",
        price="6 ms of delay, and what is no voice suffers; auto: for sound devices, where the extra is installed",
        metavar="WHEN")  # fmt: skip
    gain: Literal["auto", "on", "off"] = _knob(
        "off", Choice(("auto", "on", "off")), "--gain", "bring what the microphone hears to an even loudness",
        price="on: pauses get louder, too; auto: as with noise", metavar="WHEN")  # fmt: skip
    interfaces: tuple[str, ...] = _knob(
        (), Many(Text()), "--interface", "an address or a network interface to be found on",
        price="none: every network that another person could be on; bridges of containers are skipped",
        metavar="A")  # fmt: skip
    port: int | None = _knob(
        None, Whole(1, 65535), "--port", f"the UDP port; when it is not given, {DEFAULT_PORT} or the next free one",
        price="a port given and taken is an error, not a reason to try the next", metavar="N")  # fmt: skip
    peers: tuple[Address, ...] = _knob(
        (), Many(Peer()), "--peer", "a peer to call directly, for a network that does not carry mDNS",
        price="a hint that is tried again and again while it does not answer", metavar="HOST:PORT")  # fmt: skip
    rate: int = _knob(
        48_000, Whole(8_000, 48_000), "--rate", "the band that is sent, as the sampling rate that would just carry it",
        unit="Hz", price="lower: less treble, and less work for a weak machine; sound stays at 48000 Hz inside",
        metavar="HZ")  # fmt: skip
    frame_ms: float = _knob(
        10.0, OneOf((2.5, 5.0, 10.0, 20.0, 40.0, 60.0)), "--frame-ms", "length of one packet of sound", unit="ms",
        price="shorter: less delay, more packets; longer: the reverse", metavar="MS")  # fmt: skip
    block_ms: float | None = _knob(
        None, OneOf((2.5, 5.0, 10.0, 20.0, 40.0, 60.0)), "--block-ms", "how much sound the speaker asks for at once",
        unit="ms", price="not given: a frame, and 10 ms at most; longer: less work for a weak machine, and more delay",
        metavar="MS")  # fmt: skip
    bitrate: int = _knob(
        80_000, Whole(6_000, 256_000), "--bitrate", "what the voice may take, to each member", unit="bit/s",
        price="every further member of a room costs this much of the uplink again", metavar="BPS")  # fmt: skip
    music: bool = _knob(
        False, YesNo(spoken=True), "--music", "send what the microphone hears as music: stereo, and as it is",
        price="as of --music-bitrate, silence included; room, echo and noise are heard")  # fmt: skip
    music_bitrate: int = _knob(
        128_000, Whole(64_000, 320_000), "--music-bitrate", "what music may take, to each member", unit="bit/s",
        price="as of --bitrate, while something is played", metavar="BPS")  # fmt: skip
    complexity: int = _knob(
        5, Whole(0, 10), "--complexity", "how hard the Opus encoder tries",
        price="higher: better sound for the same bits, more processor time", metavar="N")  # fmt: skip
    dtx: bool = _knob(
        True, YesNo(spoken=False), "--no-dtx", "send next to nothing while nobody speaks",
        price="off: silence costs as many packets as speech")  # fmt: skip
    mdns: bool = _knob(
        True, YesNo(spoken=False), "--no-mdns", "find peers and be found by mDNS",
        price="off: only peers that are named, or that name this one, are met")  # fmt: skip
    share: str = _knob(
        "", Text(), "--share", "the screen to share from the start: screen, test-pattern or a picture's path",
        price="empty: share none until told to; everybody in the room can watch it", metavar="SOURCE")  # fmt: skip
    log_messages: bool = _knob(
        False, YesNo(spoken=True), "-l --log-messages", "log each control message between peers, one line each",
        price="a line for each message, aliases and room names in it")  # fmt: skip
    verbosity: int = _knob(
        0, Whole(0, 3), "-v --verbose", "how much the daemon tells on stderr",
        price="1: what happens; 2: why; 3: what the libraries do as well")  # fmt: skip
    plain: bool = _knob(
        False, YesNo(spoken=True), "--plain", "the terminal UI in lines of text, for screen readers and pipes",
        price="no meters, nothing to point at")  # fmt: skip
    ascii_signs: bool = _knob(
        False, YesNo(spoken=True), "--ascii", "draw the terminal UI's signs and meters in ASCII",
        price="meters in whole columns only")  # fmt: skip
    theme: str = _knob(
        "", Text(), "--theme", "the colours of the terminal UI, by the name that its palette shows",
        price="empty: dark, or the terminal's own colours where it has only sixteen", metavar="NAME")  # fmt: skip
    muted: bool = _knob(
        False, YesNo(spoken=True), "--mute", "start with the microphone muted",
        price="nobody hears this peer until it is unmuted")  # fmt: skip


def knobs() -> Iterator[tuple[str, Knob]]:
    """The name and the knob of each field of `Config`, in its order."""
    for each in dataclasses.fields(Config):
        told = each.metadata["knob"]
        assert isinstance(told, Knob)
        yield each.name, told


def variable(name: str) -> str:
    """The variable of the environment that sets the field `name`."""
    return f"MESHCHAT_{name.upper()}"


def add_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup, name: str) -> None:
    """Teach `parser` the flag of the field `name`; what is given arrives as text (see `load`) under `name`."""
    told = dict(knobs())[name]
    words = told.meaning + (f", in {told.unit}" if told.unit else "")
    if isinstance(told.kind, YesNo):
        spoken = "yes" if told.kind.spoken else "no"
        words = words if told.kind.spoken else "do not " + words
        parser.add_argument(
            *told.flags, dest=name, action="store_const", const=spoken, default=argparse.SUPPRESS, help=words
        )
    elif name == "verbosity":
        words += "; twice for more"
        parser.add_argument(*told.flags, dest=name, action="count", default=argparse.SUPPRESS, help=words)
    else:
        action = "append" if isinstance(told.kind, Many) else "store"
        words += f" ({told.kind.allowed})" if isinstance(told.kind, Whole | Number | OneOf | Choice) else ""
        parser.add_argument(
            *told.flags, dest=name, metavar=told.metavar, action=action, default=argparse.SUPPRESS, help=words
        )


def load(flags: Mapping[str, object], environment: Mapping[str, str]) -> Config:
    """The configuration: flags over environment over `PROFILE/config.toml` over defaults.

    `flags` maps field names to what `add_option` collected: text, a list of texts, or a count; other names are
    passed over. Raises `UsageError` for what makes no sense, `MeshchatError` for a file that cannot be read.
    """
    values: dict[str, Any] = {"profile": profile_of(flags, environment)}
    values |= _from_file(values["profile"] / FILE_NAME)
    for name, told in knobs():
        value = _given(name, told, flags, environment)
        if value is not None:
            values[name] = value
    return Config(**{**values, "alias": values.get("alias") or login_alias()})


def profile_of(flags: Mapping[str, object], environment: Mapping[str, str]) -> Path:
    """The profile alone, which is all that a command to a running daemon wants to know."""
    profile = _given("profile", _PROFILE, flags, environment)
    return profile if isinstance(profile, Path) else Config().profile


TERMINAL_KNOBS = ("plain", "ascii_signs", "theme")
"""What only the terminal UI wants to know."""


def spelt(flags: Mapping[str, object]) -> list[str]:
    """The daemon's settings among `flags`, as `add_option` collected them, as they would be typed, without profile."""
    words: list[str] = []
    for name, told in knobs():
        value = flags.get(name)
        if value is None or name in ("profile", *TERMINAL_KNOBS):
            continue
        if name == "verbosity":
            words += [told.flags[0]] * int(str(value))
        elif isinstance(told.kind, YesNo):
            words.append(told.flags[-1])
        else:
            for each in value if isinstance(value, list) else [value]:
                words += [told.flags[-1], str(each)]
    return words


def is_new(flags: Mapping[str, object], environment: Mapping[str, str]) -> bool:
    """Whether nobody has said yet under which name this profile is shown to others."""
    told = dict(knobs())["alias"]
    if _given("alias", told, flags, environment) is not None:
        return False
    return "alias" not in _from_file(profile_of(flags, environment) / FILE_NAME)


def remember(profile: Path, **settings: str | float) -> None:
    """Write settings into the settings file, in place of older ones; the other lines stay as they are."""
    path = profile / FILE_NAME
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in settings.items()]
    try:
        old = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [each for each in old if not re.match(rf"\s*({'|'.join(settings)})\s*=", each)]
        fresh = path.with_suffix(".new")
        fresh.write_text("\n".join([*lines, *kept]) + "\n", encoding="utf-8")
        fresh.replace(path)
    except (OSError, UnicodeError) as error:
        told = f"the {' and the '.join(settings)} will not be remembered the next time"
        raise MeshchatError(f"cannot write {path}: {error}; {told}") from error


def login_alias() -> str:
    """The name of whoever is logged in, made fit to show, else `guest`."""
    try:
        return safe_text(getpass.getuser()) or "guest"
    except (OSError, KeyError, ImportError):  # a container's user may have no name; Windows has no pwd
        return "guest"


def _given(name: str, told: Knob, flags: Mapping[str, object], environment: Mapping[str, str]) -> object:
    """The value from the flag, or else from the variable; None where neither is given."""
    given = flags.get(name)
    if given is not None:
        spelt = ",".join(given) if isinstance(given, list) else str(given)
        shown = told.flags[-1] if isinstance(told.kind, YesNo) else f"{told.flags[-1]} {spelt}"
        return _read(told, spelt, shown)
    spelt = environment.get(variable(name), "")
    return _read(told, spelt, f"{variable(name)}={spelt}") if spelt else None


def _read(told: Knob, text: str, shown: str) -> object:
    try:
        return told.kind.of_text(text)
    except ValueError:
        raise UsageError(f"{shown}: must be {told.kind.allowed}") from None


def _from_file(path: Path) -> dict[str, Any]:
    """What the settings file says, checked; nothing where there is no file."""
    try:
        text = path.read_bytes().decode()
        table = tomllib.loads(text)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise MeshchatError(f"cannot read {path}: {error.strerror}; mend its permissions or remove it") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        told_line = re.search(r"at line (\d+)", str(error))
        line = told_line[1] if told_line else text.rstrip().count("\n") + 1
        raise UsageError(f"{path}:{line}: not TOML: {error}") from None
    known = {name: told for name, told in knobs() if name != "profile"}
    values: dict[str, Any] = {}
    for key, value in table.items():
        place = f"{path}:{_line_of(key, text)}: {key}"
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise UsageError(
                f"{place}: no such key" + (f"; did you mean {near[0]}?" if near else f" among {', '.join(known)}")
            )
        try:
            values[key] = known[key].kind.of_toml(value)
        except ValueError:
            raise UsageError(f"{place}: must be {known[key].kind.allowed}") from None
    return values


def _line_of(key: str, text: str) -> int:
    """The line, counted from 1, on which the top-level `key` of a valid TOML `text` is set.

    tomllib does not tell. A line that looks right may lie inside a string of several lines; then what stands
    before it is not TOML on its own.
    """
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if re.match(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=.\]]""", line):
            try:
                tomllib.loads("\n".join(lines[: number - 1]))
            except tomllib.TOMLDecodeError:
                continue
            return number
    return 1
