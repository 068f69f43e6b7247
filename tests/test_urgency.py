"""Who goes first: a daemon's threads before other programs, its sound before them, and what it starts after all."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SCENE = """
import json, os, threading
from meshchat.urgency import come_last, put_daemon_next, put_sound_first

def how():
    return [os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK, os.sched_getparam(0).sched_priority]

def on_a_thread(act):
    seen = []
    thread = threading.Thread(target=lambda: (act(), seen.append(how())))
    thread.start()
    thread.join()
    return seen[0]

put_daemon_next()
daemon, loop, sound = how(), on_a_thread(lambda: None), on_a_thread(put_sound_first)
come_last()
print(json.dumps([daemon, loop, sound, how()]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked for urgency")
def test_sound_goes_before_the_daemon_and_the_daemon_before_the_rest() -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except OSError:
        pytest.skip("the system refuses real-time scheduling (rtprio in limits.conf)")
    done = subprocess.run([sys.executable, "-c", SCENE], capture_output=True, text=True, check=True)
    daemon, loop, sound, child = json.loads(done.stdout)
    assert daemon == loop == [os.SCHED_RR, 2]
    assert sound == [os.SCHED_FIFO, 10]
    assert child == [os.SCHED_OTHER, 0]
