"""Who goes first on a busy machine: sound, then the rest of a daemon, then everything that can wait.

One Python interpreter runs one thread at a time. If the event loop holds it and is itself kept waiting by some other
program, then the sound threads wait with it, however urgent they are: nothing hands the loop their urgency (priority
inversion). So the whole daemon runs above ordinary programs where the system allows it, and its sound threads above
that. Measured with sixteen daemons and four busy loops on two cores: turns that came late in 15 s, 867 with
urgent sound threads alone, 1 with the whole daemon urgent.

The price: a daemon that never slept would hold one core. The kernel leaves 5 % of each second to others
(`sched_rt_runtime_us`), and what a peer can make a daemon do is bounded everywhere. Programs that a daemon starts
inherit its urgency, and so `come_last` is the first thing they do.

A plain user of Linux is refused all of this unless the system was told otherwise (`rtprio` in limits.conf); then the
daemon runs like any other program. On other systems nothing is asked for.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading

SOUND_PRIORITY = 10
"""SCHED_FIFO priority of sound threads: above everything ordinary, below the kernel's own interrupt threads (50)."""

DAEMON_PRIORITY = 2
"""SCHED_RR priority of everything else in a daemon: several daemons take turns."""

SOUND_NICENESS = -15
"""What is asked for where SCHED_FIFO is refused."""

DAEMON_NICENESS = -10
"""What is asked for where SCHED_RR is refused."""


SWITCH_S = 0.001
"""How long one thread may keep the interpreter while another waits: a handshake must not hold a frame for the 5 ms
that Python would let it."""


def put_sound_first() -> None:
    """Ask the system to run the calling sound thread on time; a refusal is ignored.

    Measured for 5 ms turns on a loaded machine, p99 lateness: ordinary 5.1 ms, nice -15 1.0 ms, SCHED_FIFO 0.12 ms.
    """
    if sys.platform == "linux":
        _ask(os.SCHED_FIFO, SOUND_PRIORITY, SOUND_NICENESS)


def put_daemon_next() -> None:
    """Ask the same for the calling thread and all that it starts from now on, less urgently."""
    if sys.platform == "linux":
        _ask(os.SCHED_RR, DAEMON_PRIORITY, DAEMON_NICENESS)


def make_way_for_sound() -> None:
    """Asks the system to run us before programs that can wait, and our own threads to make way for each other sooner.

    What was imported by now is here to stay, so the garbage collector need not walk through it: that takes some 80 ms,
    in which no thread of ours runs.
    """
    sys.setswitchinterval(SWITCH_S)
    gc.freeze()
    put_daemon_next()


def come_last() -> None:
    """Give up what the calling process inherited from a daemon: its work may wait for sound."""
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 0)


def _ask(policy: int, priority: int, niceness: int) -> None:
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, policy, os.sched_param(priority))
        return
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
