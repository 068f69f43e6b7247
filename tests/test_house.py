"""The house itself: sizes, opening words, floors, and the habits that no other tool checks."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parent.parent

FUNCTION_LINES_MAX = 60
FUNCTION_LINES_USUAL = 40
"""Nine functions in ten are shorter."""

FUNCTION_LINES_MEDIAN_MAX = 12

FILE_LINES_MAX = 400

FORBIDDEN = ("ses" + "sion", "hel" + "per", "age" + "nt", "iss" + "ue")
"""Words that say nothing about this program, written so that this file does not trip over itself."""

UNFINISHED = ("TO" + "DO", "FIX" + "ME", "X" * 3, "raise NotImplemented" + "Error")

PLACES = ("/wo" + "rk/", "/ho" + "me/runner", "/tmp" + "/v/", "/ro" + "ot/")
"""Paths of the machines that this was written and built on."""


def files(*suffixes: str) -> list[Path]:
    """The files of the project that git keeps or would keep, with these suffixes; all of them without any."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in listed if (not suffixes or name.endswith(suffixes)) and (ROOT / name).is_file()]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


SOURCES = files(".py")
ROOMS = [path for path in SOURCES if path.is_relative_to(ROOT / "meshchat")]

each_source = pytest.mark.parametrize("path", SOURCES, ids=shown)


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function in a file, and how many lines it takes from its `def` to its end."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{shown(path)}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1


@each_source
def test_a_file_opens_with_a_sentence_and_ends_in_time(path: Path) -> None:
    text = path.read_text()
    opening = ast.get_docstring(ast.parse(text)) or ""
    assert not text or re.match(r".{10,}?[.:?!]", opening, re.DOTALL), "a newcomer reads the first sentence aloud"
    assert text.count("\n") <= FILE_LINES_MAX


@each_source
def test_no_function_is_longer_than_a_screen(path: Path) -> None:
    assert [name for name, lines in functions(path) if lines > FUNCTION_LINES_MAX] == []


def test_most_functions_are_short() -> None:
    sizes = [lines for path in ROOMS for _, lines in functions(path)]
    assert statistics.median(sizes) <= FUNCTION_LINES_MEDIAN_MAX
    assert statistics.quantiles(sizes, n=10)[-1] < FUNCTION_LINES_USUAL


@pytest.mark.parametrize("path", files(".py", ".md", ".sh", ".cfg", ".toml", ".c"), ids=shown)
def test_words_are_plain_and_finished(path: Path) -> None:
    text = re.sub(r'scope="\w+"|TLS \w+ resumption', "", path.read_text())
    vague = re.findall(rf"\b(?:{'|'.join(FORBIDDEN)})s?\b", text, re.IGNORECASE)
    unfinished = re.findall(rf"\b(?:{'|'.join(UNFINISHED)})\b", text)
    here = [place for place in PLACES if place in text]
    assert (vague, unfinished, here) == ([], [], [])


@each_source
def test_checks_are_silenced_by_name_only(path: Path) -> None:
    text = path.read_text()
    assert not re.findall(r"#\s*type:\s*ignore(?!\[)", text)
    assert not re.findall(r"#\s*noqa(?!:\s*[A-Z])", text)


def test_only_the_command_line_reads_the_environment() -> None:
    readers = {shown(path) for path in ROOMS if re.search(r"\bos\.(environ|getenv)\b", path.read_text())}
    assert readers <= {"meshchat/cli.py", "meshchat/config.py"}


def test_every_room_is_on_a_floor() -> None:
    """A module that the contract does not name could import anything."""
    contract = (ROOT / "setup.cfg").read_text().partition("[importlinter:contract:floors]")[2].partition("\n[")[0]
    named = set(re.findall(r"meshchat\.(\w+)", contract))
    modules = {path.relative_to(ROOT / "meshchat").parts[0].removesuffix(".py") for path in ROOMS}
    assert modules - named - {"__init__", "__main__"} == set()


def test_a_room_imports_only_from_floors_below(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    status = lint_imports(config_filename=str(ROOT / "setup.cfg"), no_cache=True)
    assert status == 0, capsys.readouterr().out
