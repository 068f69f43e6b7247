"""Opening a page: by whatever browser the person has named, and only where there is a display."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from meshchat.view.browser import has_display, open_page
from tests.scripted_daemon import PAGE


@pytest.mark.parametrize(
    ("environment", "platform", "is_there"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "darwin", True),
        ({"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, "darwin", False),
    ],
)
def test_a_display_is_needed(environment: dict[str, str], platform: str, is_there: bool) -> None:
    assert has_display(environment, platform) == is_there


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for a browser is a shell script")
@pytest.mark.parametrize("status", [0, 1])
def test_the_browser_of_the_person_is_given_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], status: int
) -> None:
    script, seen = tmp_path / "browser", tmp_path / "seen"
    script.write_text(f'#!/bin/sh\necho noise\necho "$1" > "{seen}"\nexit {status}\n')
    script.chmod(0o700)
    monkeypatch.setenv("BROWSER", f"{script} %s")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert open_page(PAGE) == (status == 0)
    assert seen.read_text().strip() == PAGE
    assert capfd.readouterr().out == ""
