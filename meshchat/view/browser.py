"""Opening a page in the person's browser, where there is a display to show one.

In a process of its own with nothing to write to: what a browser says about itself would land in the middle of the
screen, and one for text terminals (`lynx`, `w3m`) would take the keys. The price is that of every page that a program
opens: other users of the machine see its address in the list of processes, so it should be one that opens once.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from meshchat.units import Seconds

OPEN_S: Seconds = 5.0
"""How long to wait for a word that it failed; a browser that runs on after that is taken for open."""

OPENER = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.argv[1]))"


def has_display(environment: Mapping[str, str], platform: str) -> bool:
    """Whether a browser could show itself to the person; `platform` as in `sys.platform`."""
    if platform in ("darwin", "win32"):
        return "SSH_CONNECTION" not in environment
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def open_page(address: str) -> bool:
    """Opens the page; whether that seems to have worked. Blocks for up to OPEN_S."""
    nothing = subprocess.DEVNULL
    try:
        done = subprocess.run(
            [sys.executable, "-c", OPENER, address], stdin=nothing, stdout=nothing, stderr=nothing,
            timeout=OPEN_S, check=False, start_new_session=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return True
    except OSError:
        return False
    return done.returncode == 0
