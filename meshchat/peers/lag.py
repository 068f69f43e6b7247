"""When our own clock was late: a tick that came after its time says that we were starved of processor time, or stopped.

A little late, and we may be a little late again: we judge slower for a while. Very late, and the silence was our own:
that time is given to everybody. So late that others may have given us up: our claim is void until we have listened.
"""

from __future__ import annotations

from meshchat.peers.circle import Circle
from meshchat.peers.links import MISSES
from meshchat.peers.room import Room
from meshchat.units import Seconds

LATE_S: Seconds = 0.1
"""Ticks that come later than this make us doubt our own clock."""

LAG_S: Seconds = 0.5
"""A tick later than this says that we were stopped, and not only slow."""


def make_up_for(late: Seconds, circle: Circle, room: Room | None) -> None:
    """A tick came so late."""
    if late < LAG_S:
        if room:
            room.watch.doubt(late, circle.now)
        return
    for link in circle.links.values():
        link.heard_at += late
    if room:
        room.watch.forgive(late)
        if late > MISSES * circle.every:
            room.chair.wake()
