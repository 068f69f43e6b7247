"""What the page on locked rooms says is what the code does."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import get_args

from meshchat.locks.attempts import Attempts
from meshchat.locks.passphrase import PROPOSED_WORDS
from meshchat.locks.phrase import PHRASE_WORDS
from meshchat.locks.statements import Kind, Statement
from meshchat.locks.words import WORDS

PAGE = (Path(__file__).parent.parent / "docs" / "locks.md").read_text("utf-8")


def test_every_limit_on_the_page_is_the_one_in_the_code() -> None:
    rows = re.findall(r"^\| `((?:peers\.)?\w+)\.(\w+)` \| (\d+) \|", PAGE, re.MULTILINE)
    assert len(rows) == 19
    for module, name, value in rows:
        path = f"meshchat.{module}" if "." in module else f"meshchat.locks.{module}"
        assert getattr(importlib.import_module(path), name) == int(value), name


def test_the_waits_on_the_page_are_those_that_a_guesser_has() -> None:
    row = re.search(r"^\| seconds to the next try \|(.*)\|$", PAGE, re.MULTILINE)
    assert row
    promised = [int(cell) for cell in row[1].split("|")]
    attempts, waits = Attempts(), []
    for failures in range(len(promised)):
        attempts.merge(failures, 0.0)
        now = attempts.wait_s(0.0)
        attempts.begin(now)
        waits.append(round(attempts.wait_s(now)))
    assert waits == promised


def test_the_fields_and_kinds_on_the_page_are_those_of_a_statement() -> None:
    table = PAGE.partition("| field | meaning |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == list(Statement.__struct_fields__)
    kinds = re.search(r"^\| `kind` \|(.*)\|$", table, re.MULTILINE)
    assert kinds
    assert re.findall(r"`(\w+)`", kinds[1]) == list(get_args(Kind))


def test_the_odds_on_the_page_are_right() -> None:
    assert f"{WORDS**PHRASE_WORDS:,}".replace(",", " ") in PAGE
    years = WORDS**PROPOSED_WORDS / 2 / 1444 / 365.25
    assert 3e9 < years < 4e9
    assert "3000 million years" in PAGE
    assert round(10**8 / 2 / 1444 / 365.25) == 95
    assert round(WORDS**2 / 2 / 1444 / 365.25, 1) == 1.6
