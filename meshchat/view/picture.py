"""Handing the terminal over for a while, to the program that draws a member's screen on it.

It has the whole terminal and its keys until it ends, so it can use whatever the terminal speaks (`meshchat.tongue`), as
large as that is. Drawing inside the terminal UI would have to come to terms with everything else that is drawn there,
in half blocks of a smaller place, and would cost the UI the work. The price: nothing else is seen meanwhile.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from meshchat.view.window import last_words


def draw(profile: Path, member: str) -> str:
    """Draws that member's screen on the terminal; blocks until the person has seen enough, or says why it ended."""
    words = [sys.executable, "-m", "meshchat", "watch", member, "--terminal", "--profile", str(profile)]
    try:
        done = subprocess.run(words, stderr=subprocess.PIPE, check=False)
    except OSError as error:
        return f"cannot start {sys.executable}: {error.strerror}"
    if done.returncode == 0:
        return ""
    return last_words(done.stderr) or "it does not say why"
