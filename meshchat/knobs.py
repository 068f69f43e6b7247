"""What kinds of value a knob takes, and how each is read from text and from TOML.

Reading from a flag or a variable starts from text; reading from the settings file starts from a typed value, and
is strict about the type: `rate = "48000"` is as wrong there as `rate = "fast"`.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from meshchat.units import NAME_CHARACTERS_MAX, Address, safe_text

T = TypeVar("T")


class Kind(Protocol):
    """What values a knob takes, and how they are read; both readers raise `ValueError` on anything else."""

    @property
    def allowed(self) -> str:
        """The allowed values in words that follow 'must be'."""

    def of_text(self, text: str) -> object:
        """The value that a flag or a variable spells."""

    def of_toml(self, value: object) -> object:
        """The value that a typed TOML value stands for."""


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text; with `name`, one that other people are shown, cleaned as theirs are."""

    name: bool = False

    @property
    def allowed(self) -> str:
        return f"1 to {NAME_CHARACTERS_MAX} printable characters" if self.name else "a line of text"

    def of_text(self, text: str) -> str:
        cleaned = safe_text(text) if self.name else text.strip()
        longer = safe_text(text, 2 * NAME_CHARACTERS_MAX, 8 * NAME_CHARACTERS_MAX) if self.name else cleaned
        if not cleaned or not cleaned.isprintable() or cleaned != longer:
            raise ValueError(text)
        return cleaned

    def of_toml(self, value: object) -> object:
        return self.of_text(value) if isinstance(value, str) and value else _same(value, str)


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int

    @property
    def allowed(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def of_text(self, text: str) -> int:
        return self.of_toml(int(text))

    def of_toml(self, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise ValueError(value)
        return value


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few numbers."""

    choices: tuple[float, ...]

    @property
    def allowed(self) -> str:
        return "one of " + ", ".join(f"{choice:g}" for choice in self.choices)

    def of_text(self, text: str) -> float:
        return self.of_toml(float(text))

    def of_toml(self, value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or value not in self.choices:
            raise ValueError(value)
        return float(value)


@dataclass(frozen=True, slots=True)
class Number:
    """A number from `low` to `high`, both included."""

    low: float
    high: float

    @property
    def allowed(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"

    def of_text(self, text: str) -> float:
        return self.of_toml(float(text))

    def of_toml(self, value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise ValueError(value)
        return float(value)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def allowed(self) -> str:
        return "one of " + ", ".join(self.words)

    def of_text(self, text: str) -> str:
        return self.of_toml(text.lower())

    def of_toml(self, value: object) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise ValueError(value)
        return value


@dataclass(frozen=True, slots=True)
class YesNo:
    """Yes or no; the flag, which takes no value, says `spoken`."""

    spoken: bool

    @property
    def allowed(self) -> str:
        return "yes or no (in the file: true or false)"

    def of_text(self, text: str) -> bool:
        words = {
            "yes": True,
            "true": True,
            "on": True,
            "1": True,
            "no": False,
            "false": False,
            "off": False,
            "0": False,
        }
        if text.lower() not in words:
            raise ValueError(text)
        return words[text.lower()]

    def of_toml(self, value: object) -> object:
        return _same(value, bool)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder; `~` is the home folder."""

    allowed: str = "the path of a folder"

    def of_text(self, text: str) -> Path:
        try:
            return Path(text).expanduser().absolute()
        except RuntimeError as error:  # ~somebody who is not known here
            raise ValueError(text) from error

    def of_toml(self, value: object) -> object:
        raise ValueError(value)  # the file lies inside the only folder there is to name


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a peer is: an address or a host's name, which is looked up each time it is called, and a port."""

    allowed: str = "HOST:PORT, such as 192.168.1.5:47474, [2001:db8::1]:47474 or studio.local:47474"

    def of_text(self, text: str) -> Address:
        match = re.fullmatch(r"(?:\[([^\[\]]+)\]|([A-Za-z0-9._-]{1,253})):([0-9]{1,5})", text)
        if match is None:
            raise ValueError(text)
        host = str(ipaddress.IPv6Address(match[1])) if match[1] else match[2]
        if not match[1] and re.fullmatch(r"[0-9.]+", host):
            host = str(ipaddress.IPv4Address(host))
        return Address(host, Whole(1, 65535).of_text(match[3]))

    def of_toml(self, value: object) -> object:
        return self.of_text(value) if isinstance(value, str) else _same(value, str)


@dataclass(frozen=True, slots=True)
class Many:
    """Any number of values: the flag repeated, a variable with commas, or an array in the file."""

    each: Kind

    @property
    def allowed(self) -> str:
        return self.each.allowed + "; any number of them"

    def of_text(self, text: str) -> tuple[object, ...]:
        return tuple(self.each.of_text(part.strip()) for part in text.split(","))

    def of_toml(self, value: object) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise ValueError(value)
        return tuple(self.each.of_toml(each) for each in value)


def _same(value: object, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise ValueError(value)
    return value
