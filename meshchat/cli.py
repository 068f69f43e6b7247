"""The words on the command line: start the daemon, or tell the running one to do something.

stdout is data and stderr is narration, so that a script can read the one and a person the other. The exit status
says what became of it: 0 done, 1 refused or failed, 2 wrong usage, 3 no daemon. Only here and in `config` is the
environment read.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import logging
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from meshchat import __version__, config, control, share_options, sound_options, typed
from meshchat.errors import MeshchatError, UsageError
from meshchat.locks.invite import is_link
from meshchat.remote.show import answer_text, event_text, line_text
from meshchat.units import TEXT_CHARACTERS_MAX, TEXT_LINES_MAX, safe_lines, safe_text

WRONG_USAGE = 2
INTERRUPTED = 130

ABOUT_A_MEMBER: dict[str, Callable[[str], control.Command]] = {
    "kick": control.Kick, "ban": control.Ban, "pardon": control.Pardon, "appoint": control.Appoint,
    "dismiss": control.Dismiss, "mute": control.Mute, "unmute": control.Unmute, "watch": control.Watch,
    "unwatch": control.Unwatch,
}  # fmt: skip
"""What is said of somebody; `mute` and `unmute` also of oneself."""

DEMO_SECONDS = 10.0
"""How long the demonstration talks when it is not told."""

DEMO_SECONDS_MAX = 3600.0

HEADLESS_ONLY = [name for name, _ in config.knobs() if name not in ("profile", "verbosity")]
"""Options that mean something only to the daemon that they start."""

WORDS = (
    "rooms", "create", "join", "invite", "passphrase", "leave", "members", "alias", "mute", "unmute", "deafen",
    "undeafen", "volume", "say", "chat", "kick", "ban", "pardon", "appoint", "dismiss", "verify", "lock", "unlock",
    "rule", "share", "watch", "unwatch", "screens", "devices", "mic", "speaker", "status", "events", "stop", "demo",
)  # fmt: skip

ABOUT = {
    "rooms": "list the rooms around", "create": "open a room and enter it", "join": "enter a room",
    "invite": "show the link that lets others into this locked room",
    "passphrase": "let another passphrase open this locked room, and another link",
    "leave": "go out of the room", "members": "list who is in the room", "alias": "change the name others are shown",
    "mute": "send no sound, or have a member send none", "unmute": "send sound again, or let a member",
    "deafen": "play no sound", "undeafen": "play sound again",
    "say": "write to the room; - takes the text from standard input",
    "chat": "show what was written, and who came and went",
    "kick": "send a member out of the room", "ban": "send a member out for good",
    "pardon": "let somebody in again who was sent out", "appoint": "make a member a moderator",
    "dismiss": "make a moderator a member again", "lock": "let in only those with the invite link, a new one",
    "verify": "show words to compare with a member, or say that they agreed",
    "unlock": "let everybody in", "rule": "set what holds in the room",
    "share": "share a screen with the room, or share it no more",
    "watch": "have a member's screen sent here, and show where to look at it",
    "unwatch": "have it sent no more", "screens": "list who shares a screen, and how it arrives",
    "devices": "list the microphones and speakers of this machine, and which are in use",
    "mic": "send sound from another microphone or source", "speaker": "play sound through another speaker or sink",
    "volume": "play one member louder or softer (1 is as sent)", "status": "tell how everything stands",
    "events": "tell what happens until Ctrl+C", "stop": "leave the room and end the daemon",
    "demo": "let a few peers talk on this machine and prove that they hear each other",
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the words say; the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal's encoding lacks must not end us
            stream.reconfigure(errors="replace")
    try:
        status = _dispatch(_parser().parse_args(argv))
        print(end="", flush=True)
    except SystemExit as ended:  # argparse has said why
        return ended.code if isinstance(ended.code, int) else WRONG_USAGE
    except BrokenPipeError:  # the reader had enough, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the last flush has where to go
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except MeshchatError as error:
        print(f"meshchat: {error}", file=sys.stderr)
        return error.exit_status
    return status


def _dispatch(words: argparse.Namespace) -> int:
    given = vars(words)
    if words.word is None:
        settings = config.load(given, os.environ)
        return _run_daemon(settings) if words.headless else _open_terminal(settings, given)
    if words.headless or any(name in given for name in HEADLESS_ONLY):
        raise UsageError(f"--headless and its settings do not go with the command {words.word}")
    if words.word == "demo":
        return _run_demo(words)
    profile = config.profile_of(given, os.environ)
    if words.word == "events" or (words.word == "chat" and words.follow):
        with contextlib.suppress(KeyboardInterrupt):  # the way to end it
            asyncio.run(_watch(profile, words.json) if words.word == "events" else _read_on(profile, words.json))
    else:
        asyncio.run(_ask(profile, words))
    return 0


def _open_terminal(settings: config.Config, given: Mapping[str, object]) -> int:
    """The terminal UI, which starts a daemon with the same words where none runs."""
    if settings.plain:
        from meshchat import plain

        return plain.run(settings.profile, config.spelt(given))
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print(
            "meshchat: the terminal UI needs a terminal; for a machine without one: meshchat --headless\n",
            file=sys.stderr,
        )
        _parser().print_help(sys.stderr)
        return WRONG_USAGE
    from meshchat import tui
    from meshchat.view.browser import has_display

    is_new, display = config.is_new(given, os.environ), has_display(os.environ, sys.platform)
    return tui.run(settings, config.spelt(given), welcome=is_new, display=display)


async def _ask(profile: Path, words: argparse.Namespace) -> None:
    """Have one command done and print its answer."""
    if words.word == "devices":
        _print(await sound_options.devices(profile), words)
        return
    command = _command(words)
    async with await control.ControlClient.connect(profile) as daemon:
        if words.word == "watch" and words.snapshot:
            from meshchat import looking

            await looking.snapshot(daemon, words.member, words.snapshot)
            return
        answer = await daemon.call(command)
    _print(answer, words)


def _print(answer: control.Answer, words: argparse.Namespace) -> None:
    """The answer on stdout, and what a person should know besides on stderr."""
    text = _json(answer) if words.json else answer_text(answer)
    if text:
        print(text)
    if isinstance(answer, control.Said) and not answer.reached:
        print("meshchat: nobody is here to read it yet", file=sys.stderr)
    if isinstance(answer, control.Invited) and not words.json:
        _draw_code(answer.link)


def _draw_code(link: str) -> None:
    """The link as a QR code on a terminal that has the room for it; narration, so not on stdout."""
    if not sys.stderr.isatty():
        return
    from meshchat.locks import qr

    code, size = qr.qr(link), os.get_terminal_size(sys.stderr.fileno())
    if code.fits(size.columns, size.lines):
        print(code.text, file=sys.stderr)
    else:
        print(f"(the QR code needs {code.columns} columns and {code.rows + 1} lines)", file=sys.stderr)


async def _watch(profile: Path, as_json: bool) -> None:
    """Print events until the daemon ends, or until nobody reads them any more."""
    async with await control.ControlClient.connect(profile) as daemon, contextlib.aclosing(daemon.events()) as events:
        with _noticing_a_closed_pipe():
            async for event in events:
                print(_json(event) if as_json else event_text(event), flush=True)


async def _read_on(profile: Path, as_json: bool) -> None:
    """Print the chat so far, then every line as it comes."""
    async with await control.ControlClient.connect(profile) as daemon, contextlib.aclosing(daemon.events()) as events:
        await anext(events)  # the snapshot: from here on nothing is missed
        answer = await daemon.call(control.Chat())
        past = answer.lines if isinstance(answer, control.ChatHistory) else ()
        seen = {line.id for line in past}
        with _noticing_a_closed_pipe():
            for line in past:
                print(_json(line) if as_json else line_text(line), flush=True)
            async for event in events:
                if isinstance(event, control.ChatAdded) and event.line.id not in seen:
                    print(_json(event.line) if as_json else line_text(event.line), flush=True)


@contextlib.contextmanager
def _noticing_a_closed_pipe() -> Iterator[None]:
    """Raise `BrokenPipeError` when the reader of our pipe goes, even if there is nothing to write for hours.

    A poller reports the error on the writing end of a pipe to whoever asks about reading it.
    """
    loop, watching, is_closed = asyncio.get_running_loop(), asyncio.current_task(), False
    assert watching is not None

    def give_up() -> None:
        nonlocal is_closed
        is_closed = True
        watching.cancel()

    try:
        stdout = sys.stdout.fileno()
        if not stat.S_ISFIFO(os.fstat(stdout).st_mode):
            raise OSError("not a pipe")
        loop.add_reader(stdout, give_up)
    except (OSError, ValueError, NotImplementedError):  # a file, a terminal, or a system that cannot watch pipes
        yield
        return
    try:
        yield
    except asyncio.CancelledError:
        if is_closed:
            raise BrokenPipeError from None
        raise
    finally:
        loop.remove_reader(stdout)


def _command(words: argparse.Namespace) -> control.Command:
    """The command that the words spell."""
    plain: dict[str, Callable[[], control.Command]] = {
        "rooms": control.Rooms, "invite": control.Invite, "leave": control.Leave, "members": control.Members,
        "deafen": control.Deafen, "undeafen": control.Undeafen, "lock": control.Lock, "unlock": control.Unlock,
        "status": control.GetStatus, "chat": control.Chat, "screens": control.Screens, "stop": control.Stop,
    }  # fmt: skip
    if words.word in ("create", "join", "passphrase"):
        return _entering(words)
    special: dict[str, Callable[[], control.Command]] = {
        "alias": lambda: control.Alias(_name(words.name)),
        "share": lambda: share_options.command(words),
        "mic": lambda: sound_options.command(words),
        "speaker": lambda: sound_options.command(words),
        "say": lambda: control.Say(_text(words.text)),
        "volume": lambda: control.Volume(words.member, words.gain),
        "rule": lambda: control.Rule(words.value == "yes"),
        "verify": lambda: control.Verify(words.member, agreed=words.agreed),
    }
    if words.word in special:
        return special[words.word]()
    if words.word in ABOUT_A_MEMBER:
        return ABOUT_A_MEMBER[words.word](words.member)
    return plain[words.word]()


def _entering(words: argparse.Namespace) -> control.Command:
    """The command that makes or enters a room, or says what opens it."""
    if words.word == "passphrase":
        return control.Passphrase(_passphrase(words, typed.choose))
    if words.word == "create":
        shown = _name(words.shown_as) if words.shown_as else ""
        return control.Create(_name(words.name), words.locked, shown, _passphrase(words, typed.choose))
    if is_link(words.name):
        return control.Enter(words.name)
    return control.Join(_name(words.name), _passphrase(words, typed.ask))


def _passphrase(words: argparse.Namespace, asked: Callable[[str], str]) -> str:
    """The passphrase, from where the words say; empty if they say nothing of one."""
    if words.passphrase_file:
        return typed.from_file(words.passphrase_file)
    if words.passphrase_fd is not None:
        return typed.from_descriptor(words.passphrase_fd)
    return asked(_name(words.name) if "name" in words else "this room") if words.passphrase else ""


def _name(text: str) -> str:
    """A room's name or an alias as it will be shown; refused here where too little or too much of it would be left."""
    name = safe_text(text)
    if not name or name != safe_text(text, 2 * len(text), 8 * len(text)):
        raise UsageError(f"{text!r} is no name: it takes 1 to 32 printable characters")
    return name


def _text(words: Sequence[str]) -> str:
    """What is to be written; refused here where nothing of it would be shown, or it is too long."""
    bytes_max = 4 * TEXT_CHARACTERS_MAX + 1
    given = sys.stdin.buffer.read(bytes_max).decode(errors="replace") if list(words) == ["-"] else " ".join(words)
    text = safe_lines(given)
    if not text or len(given.strip()) > TEXT_CHARACTERS_MAX or len(given.strip().splitlines()) > TEXT_LINES_MAX:
        raise UsageError(
            f"a text has 1 to {TEXT_CHARACTERS_MAX} characters that can be shown, on {TEXT_LINES_MAX} lines at most"
        )
    return text


def _json(told: control.Answer | control.Event | control.ChatLine) -> str:
    return msgspec.json.encode(told).decode()


def _run_daemon(settings: config.Config) -> int:
    _set_up_logging(settings)
    from meshchat import daemon

    return daemon.run(settings)


def _run_demo(words: argparse.Namespace) -> int:
    from meshchat import demo

    return demo.run(words.seconds, words.keep, os.environ)


def _set_up_logging(settings: config.Config) -> None:
    """Narration goes to stderr: warnings, more with each -v; control messages by name with -l."""
    level = {0: logging.WARNING, 1: logging.INFO}.get(settings.verbosity, logging.DEBUG)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if settings.verbosity > 2 else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("meshchat").setLevel(level)
    logging.getLogger("meshchat.messages").setLevel(logging.INFO if settings.log_messages else logging.WARNING)


def _gain(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0.0 <= (gain := float(text)) <= control.GAIN_MAX:
            return gain
    raise argparse.ArgumentTypeError(f"must be a factor from 0 to {control.GAIN_MAX:g}, not {text!r}")


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0.0 < (seconds := float(text)) < DEMO_SECONDS_MAX:
            return seconds
    raise argparse.ArgumentTypeError(f"must be a number of seconds under {DEMO_SECONDS_MAX:g}, not {text!r}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="meshchat",
        description="Rooms of voices on one network, with no server.",
        epilog="Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no daemon.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"meshchat {__version__}")
    parser.add_argument("--headless", action="store_true", help="be the daemon, until it is told to stop")
    config.add_option(parser, "profile")
    config.add_option(parser, "verbosity")
    settings = parser.add_argument_group(
        "settings", "each can also be a variable MESHCHAT_..., or stand in PROFILE/config.toml"
    )
    for name in HEADLESS_ONLY:
        config.add_option(settings, name)
    words = parser.add_subparsers(dest="word", metavar="COMMAND", title="commands to the running daemon")
    for word in WORDS:
        _add_word(words.add_parser(word, help=ABOUT[word], description=ABOUT[word], allow_abbrev=False), word)
    return parser


def _add_word(parser: argparse.ArgumentParser, word: str) -> None:
    """The arguments and options of one command."""
    if word == "demo":
        parser.add_argument("--keep", metavar="DIR", type=Path, help="leave what was heard there, as sound files")
        parser.add_argument("--seconds", metavar="N", type=_seconds, default=DEMO_SECONDS, help="how long to talk")
        return
    if word in ("create", "join", "alias"):
        parser.add_argument("name", metavar="NAME|LINK" if word == "join" else "NAME")
    if word == "create":
        parser.add_argument("--locked", action="store_true", help="only those with the invite link can come in")
        parser.add_argument("--shown-as", metavar="NAME", help="what strangers see of a locked room; else no name")
    share_options.add(parser, word)
    sound_options.add(parser, word)
    if word == "say":
        parser.add_argument("text", metavar="TEXT", nargs="+", help="what to write; - for standard input")
    if word == "chat":
        parser.add_argument("--follow", action="store_true", help="go on until Ctrl+C")
    if word in ("volume", "verify") or word in ABOUT_A_MEMBER:
        _add_member(parser, word)
    if word == "rule":
        parser.add_argument("rule", choices=["mutes-hold"], help="whether only a moderator unmutes whom one muted")
        parser.add_argument("value", choices=["yes", "no"])
    if word in ("create", "join", "passphrase"):
        typed.add_options(parser, optional=word != "passphrase")
    config.add_option(parser, "profile")
    parser.add_argument("--json", action="store_true", help="print one JSON object (events, chat --follow: one a line)")


def _add_member(parser: argparse.ArgumentParser, word: str) -> None:
    """Who a command is about, and what it says of that member."""
    oneself: dict[str, Any] = {"nargs": "?", "default": ""} if word in ("mute", "unmute") else {}
    parser.add_argument("member", metavar="MEMBER", help="an alias, or the first digits of an id", **oneself)
    if word == "verify":
        parser.add_argument("--agreed", action="store_true", help="the words that both sides show are the same")
    if word == "volume":
        parser.add_argument("gain", metavar="GAIN", type=_gain, help=f"a factor from 0 to {control.GAIN_MAX:g}")
