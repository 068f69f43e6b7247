"""The clock of files and synthetic sound: no drift, no burst after a stall, no thread left over."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from meshchat.audio import Microphone, open_microphone, open_speaker
from meshchat.sound.pace import STALL_MAX, Pacer
from meshchat.sound.synthetic import ToneSource
from meshchat.units import SAMPLE_RATE, Samples, Seconds

CHECKOUT = Path(__file__).parents[1]

FRAME = 240
PERIOD = FRAME / SAMPLE_RATE


def meshchat_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("meshchat")]


class Listener:
    """Keeps what a microphone pushes until enough has come."""

    def __init__(self, frames_wanted: int) -> None:
        self.frames: list[Samples] = []
        self.instants: list[Seconds] = []
        self.enough = threading.Event()
        self._wanted = frames_wanted

    def __call__(self, frame: Samples, captured: Seconds) -> None:
        self.frames.append(frame)
        self.instants.append(captured)
        if len(self.frames) >= self._wanted:
            self.enough.set()

    def listen(self, microphone: Microphone, within: Seconds = 5.0) -> Samples:
        microphone.start(self)
        came = self.enough.wait(within)
        microphone.stop()
        assert came, f"{len(self.frames)} frames in {within} s"
        return np.concatenate(self.frames)


def test_turns_keep_to_the_clock_whatever_each_of_them_costs() -> None:
    begun = time.monotonic()
    dues: list[tuple[int, Seconds]] = []
    enough = threading.Event()

    def turn(index: int, due: Seconds) -> None:
        dues.append((index, due))
        while time.monotonic() < due + 0.4 * PERIOD:
            pass
        if index >= 150:
            enough.set()

    pacer = Pacer("meshchat-test", FRAME, turn)
    pacer.start()
    assert enough.wait(5)
    pacer.stop()
    index, due = dues[-1]
    first_index, first_due = dues[0]
    assert due - first_due == pytest.approx((index - first_index) * PERIOD, abs=1e-9)
    assert begun < first_due < begun + 0.5
    assert not meshchat_threads()


def test_a_tone_is_one_unbroken_sine_with_steady_instants() -> None:
    listener = Listener(60)
    heard = listener.listen(open_microphone("tone:441.5", FRAME, print))
    assert heard.dtype == np.float32
    assert {frame.shape for frame in listener.frames} == {(FRAME,)}
    assert np.max(np.abs(heard)) == pytest.approx(0.1, rel=1e-3)
    if np.diff(listener.instants).max() < 1.5 * PERIOD:
        spectrum = np.abs(np.fft.rfft(heard * np.hanning(heard.size), 1 << 18))
        assert np.argmax(spectrum) * SAMPLE_RATE / (1 << 18) == pytest.approx(441.5, abs=0.5)


def test_a_tones_frames_join_without_a_step_even_after_a_week() -> None:
    source = ToneSource(997.3, FRAME)
    week = 7 * 24 * 3600 * SAMPLE_RATE // FRAME
    for index in (0, 1, 12_345, week):
        joined = np.concatenate([source.frame(index), source.frame(index + 1)])
        assert np.max(np.abs(np.diff(joined, n=2))) < 0.1 * (2 * np.pi * 997.3 / SAMPLE_RATE) ** 2 * 1.1


def test_capture_instants_are_one_frame_before_the_frame_is_handed_over() -> None:
    ages: list[Seconds] = []
    enough = threading.Event()

    def on_frame(frame: Samples, captured: Seconds) -> None:
        assert frame.any()
        ages.append(time.monotonic() - captured)
        if len(ages) == 20:
            enough.set()

    microphone = open_microphone("tone:440", FRAME, print)
    microphone.start(on_frame)
    assert enough.wait(5)
    microphone.stop()
    assert min(ages) >= PERIOD
    assert sorted(ages)[10] < PERIOD + 0.02


STALLED = """
import sys, time
from meshchat.sound.pace import Pacer
def turn(index, due):
    print(index, due, time.monotonic(), flush=True)
Pacer("x", 480, turn).start()
time.sleep(30)
"""


def test_after_a_long_stall_time_is_skipped_and_not_made_up_in_a_burst() -> None:
    child = subprocess.Popen([sys.executable, "-c", STALLED], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    assert child.stdout is not None
    try:
        before = [child.stdout.readline().split() for _ in range(20)]
        child.send_signal(signal.SIGSTOP)
        stalled = time.monotonic()
        while time.monotonic() < stalled + 4 * STALL_MAX:
            threading.Event().wait(0.05)  # a stretch of real time is the thing tested
        child.send_signal(signal.SIGCONT)
        after = [child.stdout.readline().split() for _ in range(40)]
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    indices = [int(row[0]) for row in before + after]
    jumps = [later - earlier for earlier, later in itertools.pairwise(indices)]
    assert max(jumps) > 0.8 * 4 * STALL_MAX / 0.01
    assert sum(jump > 1 for jump in jumps) <= 2
    index, due, now = after[-1]
    first_index, first_due, _ = before[0]
    assert float(due) - float(first_due) == pytest.approx((int(index) - int(first_index)) * 0.01, abs=1e-6)
    assert float(now) - float(due) < STALL_MAX


def test_late_turns_are_counted() -> None:
    slow = threading.Event()
    microphone = open_microphone("tone:440", FRAME, print)

    def on_frame(_: Samples, __: Seconds) -> None:
        begun = time.monotonic()
        while time.monotonic() < begun + 2 * PERIOD:
            pass
        if microphone.late_turns >= 3:
            slow.set()

    microphone.start(on_frame)
    assert slow.wait(5)
    microphone.stop()


def test_a_raising_listener_is_logged_once_and_the_turns_go_on(caplog: pytest.LogCaptureFixture) -> None:
    turns = 0
    enough = threading.Event()

    def on_frame(_: Samples, __: Seconds) -> None:
        nonlocal turns
        turns += 1
        if turns == 10:
            enough.set()
        raise ZeroDivisionError

    microphone = open_microphone("tone:440", FRAME, print)
    microphone.start(on_frame)
    assert enough.wait(5)
    microphone.stop()
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_speaker_that_gets_nonsense_plays_silence(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    enough = threading.Event()
    turns = 0

    def pull(samples: int, _: Seconds) -> Samples:
        nonlocal turns
        turns += 1
        if turns == 10:
            enough.set()
        return np.ones(samples + turns % 2, dtype=np.float32)

    speaker = open_speaker(str(tmp_path / "call.wav"), FRAME, print)
    speaker.start(pull)
    assert enough.wait(5)
    speaker.stop()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    with wave.open(str(tmp_path / "call.wav")) as recording:
        blocks = np.frombuffer(recording.readframes(-1), dtype="<i2").reshape(-1, FRAME)
    assert set(blocks[:, 0]) == {0, 32767}
    assert not blocks[0].any()


def test_stop_is_harmless_before_start_twice_and_from_many_threads_at_once() -> None:
    for spec in ("silence", "tone:1000"):
        unused = open_microphone(spec, FRAME, print)
        unused.stop()
        unused.start(lambda _, __: pytest.fail("a stopped microphone pushed a frame"))
        unused.stop()
    for _ in range(20):
        microphone = open_microphone("tone:440", FRAME, print)
        stoppers = [threading.Thread(target=microphone.stop) for _ in range(3)]
        starter = threading.Thread(target=microphone.start, args=(lambda _, __: None,))
        for thread in (*stoppers, starter):
            thread.start()
        for thread in (*stoppers, starter):
            thread.join()
        microphone.stop()
    assert not meshchat_threads()


def test_nothing_is_pushed_after_stop_has_returned() -> None:
    stopped = threading.Event()
    late: list[Seconds] = []

    def on_frame(_: Samples, captured: Seconds) -> None:
        if stopped.is_set():
            late.append(captured)

    for _ in range(20):
        stopped.clear()
        microphone = open_microphone("tone:440", FRAME, print)
        microphone.start(on_frame)
        threading.Event().wait(PERIOD)
        microphone.stop()
        stopped.set()
    assert not late


def test_a_microphone_that_stops_itself_is_told_so_instead_of_hanging(caplog: pytest.LogCaptureFixture) -> None:
    microphone = open_microphone("tone:440", FRAME, print)
    listener = Listener(3)

    def on_frame(frame: Samples, captured: Seconds) -> None:
        listener(frame, captured)
        microphone.stop()

    microphone.start(on_frame)
    assert listener.enough.wait(5)
    microphone.stop()
    assert "cannot stop itself" in caplog.text
