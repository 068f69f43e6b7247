"""The command line: start the daemon or the terminal UI, or tell the running daemon to do something.

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
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from meshchat import __version__, config, control
from meshchat.errors import MeshchatError, UsageError
from meshchat.remote.show import answer_text
from meshchat.view.browser import has_display
from meshchat.words import BY_NAME, WORDS
from meshchat.words.word import as_json

WRONG_USAGE = 2
INTERRUPTED = 130

DEMO_SECONDS = 10.0
"""How long the demonstration talks when it is not told."""

DEMO_SECONDS_MAX = 3600.0

HEADLESS_ONLY = [name for name, _ in config.knobs() if name not in ("profile", "verbosity")]
"""Options that mean something only to the daemon that they start."""


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
    words.display = has_display(os.environ, sys.platform)
    words.true_colour = os.environ.get("COLORTERM", "") in ("truecolor", "24bit")
    expected = (KeyboardInterrupt,) if given.get("follow") else ()  # the way to end what goes on for ever
    with contextlib.suppress(*expected):
        answer = asyncio.run(_done(config.profile_of(given, os.environ), words))
        if answer is not None:
            _print(answer, words)
    return 0


async def _done(profile: Path, words: argparse.Namespace) -> control.Answer | None:
    return await BY_NAME[words.word].does(profile, words)


def _open_terminal(settings: config.Config, given: Mapping[str, object]) -> int:
    """The terminal UI, which starts a daemon with the same words where none runs."""
    if settings.plain:
        from meshchat import plain

        return plain.run(settings.profile, config.spelt(given), welcome=config.is_new(given, os.environ))
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print(
            "meshchat: the terminal UI needs a terminal; for a machine without one: meshchat --headless\n",
            file=sys.stderr,
        )
        _parser().print_help(sys.stderr)
        return WRONG_USAGE
    from meshchat import tui

    is_new, display = config.is_new(given, os.environ), has_display(os.environ, sys.platform)
    return tui.run(settings, config.spelt(given), welcome=is_new, display=display)


def _print(answer: control.Answer, words: argparse.Namespace) -> None:
    """The answer on stdout, and what a person should know besides on stderr."""
    text = as_json(answer) if words.json else answer_text(answer)
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
        parsed = words.add_parser(word.name, help=word.about, description=word.about, allow_abbrev=False)
        word.add(parsed)
        config.add_option(parsed, "profile")
        parsed.add_argument(
            "--json", action="store_true", help="print JSON: one object, or where it follows, one a line"
        )
    about = "let a few peers talk on this machine and prove that they hear each other"
    demo = words.add_parser("demo", help=about, description=about, allow_abbrev=False)
    demo.add_argument("--keep", metavar="DIR", type=Path, help="leave what was heard there, as sound files")
    demo.add_argument("--seconds", metavar="N", type=_seconds, default=DEMO_SECONDS, help="how long to talk")
    return parser
