"""Hears when a key is let go, in terminals that tell: those that speak the Kitty keyboard protocol.

Textual speaks that protocol, but leaves out its flag for releases and repetitions, and its parser fails on the forms
that come with the flag. So the driver here sets that one flag more, and the parser turns a release into a message of
its own and a repetition into a press, before Textual sees either. Asked for its flags, a terminal answers only if it
knows the protocol, so the program knows whether a key can be held, or has to be pressed twice.

https://sw.kovidgoyal.net/kitty/keyboard-protocol/. What of Textual this leans on, and nobody documents, is all in this
file; `tests/test_view_holding.py` runs it in a real pseudo-terminal and fails when a new version changes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers import linux_driver
from textual.keys import Keys
from textual.message import Message

from meshchat.view.intents import KeyReleased, KeysHeld

REPORT_EVENT_TYPES = 0b10
"""The flag for releases and repetitions."""

ASK_FOR_MORE = f"\x1b[={REPORT_EVENT_TYPES};2u\x1b[?u"
"""Sets that flag besides those of Textual (which takes all of them back at the end), then asks which are set."""

RELEASED = "3"

_EVENT = re.compile(r"\x1b\[([\d:]*);(\d*):(\d)((?:;[\d:]*)?[u~ABCDEFHPQRS])")
_FLAGS = re.compile(r"\x1b\[\?(\d+)u")


class Released(events.Key):
    """A release on its way from the parser to the driver, which looks like a key to what lies between."""


class Flags(events.Key):
    """The answer about flags on the same way; its key is their number."""


class Parser(XTermParser):
    """Textual's, which also understands releases and repetitions."""

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        if flags := _FLAGS.fullmatch(sequence):
            return [Flags(flags[1], None)]
        kind = _EVENT.fullmatch(sequence)
        if kind is None:
            return super()._sequence_to_key_events(sequence, alt)
        modifiers = f";{kind[2]}" if kind[2] not in ("", "1") or kind[4].startswith(";") else ""
        plain = list(super()._sequence_to_key_events(f"\x1b[{kind[1]}{modifiers}{kind[4]}", alt))
        if kind[3] != RELEASED:
            return plain
        return [Released(each.key, None) for each in plain] or [events.Key(Keys.Ignore, sequence)]


class Driver(linux_driver.LinuxDriver):
    """Textual's for Linux and macOS, with releases."""

    def start_application_mode(self) -> None:
        """Take the terminal, also when the program comes back after Ctrl+Z."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if self._writer_thread is not None and self.attrs_before is not None:
            self.write(ASK_FOR_MORE)
            self.flush()

    def run_input_thread(self) -> None:
        """Textual makes its parser here, by this name and with no other way to give it ours."""
        vars(linux_driver)["XTermParser"] = Parser
        super().run_input_thread()

    def process_message(self, message: Message) -> None:
        """Pass on what the parser found."""
        match message:
            case Released():
                super().process_message(KeyReleased(message.key))
            case Flags():
                if int(message.key) & REPORT_EVENT_TYPES:
                    super().process_message(KeysHeld())
            case _:
                super().process_message(message)
