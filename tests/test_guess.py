"""Guessers at the door get the tries that the docs promise, in virtual time and live, and the talk goes on."""

from __future__ import annotations

from pathlib import Path

from benchmarks.guess import PROMISED_FIRST_HOUR, in_virtual_time, live, promised
from benchmarks.report import Row
from tests.peers_lab import lab

PAGE = (Path(__file__).parent.parent / "docs" / "locks.md").read_text("utf-8")


def figures(row: Row) -> dict[str, float]:
    return {figure.name: figure.value for figure in row.figures}


def test_what_the_benchmark_holds_a_guesser_to_is_what_the_page_promises() -> None:
    assert "at most 64 tries in the first hour, 60 in each further one, 1444 in the first day" in PAGE
    assert [promised(seconds) for seconds in (3600.0, 7200.0, 86400.0)] == [64, 124, 1444]


def test_the_quickest_guesser_has_the_tries_of_the_first_hour_and_no_more() -> None:
    row = in_virtual_time(PROMISED_FIRST_HOUR + 30)
    assert figures(row)["first hour"] == PROMISED_FIRST_HOUR
    assert not any(figure.missed for figure in row.figures)


def test_guessers_that_do_not_wait_are_tried_no_sooner_and_the_link_still_opens(tmp_path: Path) -> None:
    with lab(tmp_path) as peers:
        *_, guessers = live(peers, 150)
        found = figures(guessers)
    assert found["tries answered"] >= 150
    assert found["tried"] <= promised(found["in"])  # none, on a quick machine: bob has just had his
    assert found["let in"] == found["raised"] == 0
