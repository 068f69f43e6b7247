"""How good a host this machine would be for the coordinator's work: one small number, told to the other members.

A machine without a battery on a cable stays where it is and stays awake; a laptop on Wi-Fi is closed and carried away.
A bad guess costs nothing but a change of the coordinator that could have been spared, so this looks at what Linux tells
in /sys and takes the middle where it cannot know.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

SYS = Path("/sys")

NO_BATTERY, ON_MAINS, POWER_UNKNOWN, ON_BATTERY = 4, 3, 2, 0
WIRED, LINK_UNKNOWN, WIRELESS = 3, 1, 0
"""Marks that are added: 0..7 in all. Power counts for more, since a battery ends and a radio only stutters."""


def mark(interfaces: Iterable[str], sys: Path = SYS) -> int:
    """How good a host, 0..7, with the interfaces of these names in use. Reads files; never fails."""
    return power(sys) + link(interfaces, sys)


def power(sys: Path = SYS) -> int:
    """What the power supply is worth."""
    folder = sys / "class" / "power_supply"
    if not folder.is_dir():
        return POWER_UNKNOWN
    supplies = [(_read(each / "type"), _read(each / "scope"), _read(each / "online")) for each in folder.iterdir()]
    batteries = [kind for kind, scope, _ in supplies if kind == "Battery" and scope != "Device"]
    if not batteries:
        return NO_BATTERY
    return ON_MAINS if any(kind != "Battery" and online == "1" for kind, _, online in supplies) else ON_BATTERY


def link(interfaces: Iterable[str], sys: Path = SYS) -> int:
    """What the way to the network is worth: that of the best interface in use."""
    folder = sys / "class" / "net"
    marks = [_link(folder / name) for name in interfaces]
    return max(marks, default=LINK_UNKNOWN)


def _link(folder: Path) -> int:
    if not folder.is_dir():
        return LINK_UNKNOWN
    return WIRELESS if (folder / "wireless").exists() or (folder / "phy80211").exists() else WIRED


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
