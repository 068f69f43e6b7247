"""Sound files as microphones, and recordings that survive a kill, a full disk and a slow one."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import threading
import time
import wave
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import soundfile

from meshchat.audio import open_microphone, open_speaker
from meshchat.sound.files import FileSource
from meshchat.sound.record import WAITING_SAMPLES_MAX, Recorder
from meshchat.units import SAMPLE_RATE, Samples, Seconds

CHECKOUT = Path(__file__).parents[1]
FRAME = 480


def sine(hz: float, seconds: float, rate_hz: int = SAMPLE_RATE, peak: float = 0.5) -> Samples:
    steps = np.arange(int(seconds * rate_hz))
    return (peak * np.sin(2 * np.pi * hz * steps / rate_hz)).astype(np.float32)


def pitch(sound: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size), 1 << 19))
    return float(np.argmax(spectrum) * SAMPLE_RATE / (1 << 19))


def read_wav(path: Path) -> Samples:
    """By the strict reader of the standard library, and only if libsndfile reads the same."""
    with wave.open(str(path)) as recording:
        assert (recording.getframerate(), recording.getnchannels(), recording.getsampwidth()) == (48_000, 1, 2)
        pcm = recording.readframes(recording.getnframes())
        assert len(pcm) == 2 * recording.getnframes()
    sound, rate_hz = soundfile.read(path, dtype="int16")
    assert rate_hz == SAMPLE_RATE
    assert sound.tobytes() == pcm
    heard: Samples = sound.astype(np.float32) / 32767
    return heard


def take(source: FileSource, frames: int) -> Samples:
    return np.concatenate([source.frame(index) for index in range(frames)])


@pytest.mark.parametrize(
    ("ending", "rate_hz", "channels"),
    [
        ("wav", 48_000, 1),
        ("wav", 44_100, 2),
        ("flac", 16_000, 1),
        ("ogg", 22_050, 2),
        ("aiff", 96_000, 6),
        ("mp3", 44_100, 2),
    ],
)
def test_any_file_becomes_mono_at_48_khz_then_silence(tmp_path: Path, ending: str, rate_hz: int, channels: int) -> None:
    path = tmp_path / f"speech.{ending}"
    soundfile.write(path, np.repeat(sine(440, 1.0, rate_hz)[:, np.newaxis], channels, axis=1), rate_hz)
    notices: list[str] = []
    source = FileSource(path, loop=False, frame_samples=FRAME, notify=notices.append)
    heard = take(source, 130)
    assert heard.dtype == np.float32
    assert heard.shape == (130 * FRAME,)
    assert pitch(heard[:SAMPLE_RATE]) == pytest.approx(440, abs=0.5)
    assert np.max(np.abs(heard[4800:43_200])) == pytest.approx(0.5, rel=0.1)
    assert abs(int(np.flatnonzero(np.abs(heard) > 0.05)[-1]) - SAMPLE_RATE) < 0.05 * SAMPLE_RATE
    assert not heard[-FRAME:].any()
    assert notices == [f"{path} has been played to its end; from here on it is silent"]
    source.close()


@pytest.mark.parametrize("ending", ["wav", "mp3", "ogg"])
def test_a_file_read_in_pieces_and_in_a_loop_is_the_file_read_at_once(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"speech.{ending}"
    soundfile.write(path, sine(440, 1.0), SAMPLE_RATE)
    whole, _ = soundfile.read(path, dtype="float32")
    source = FileSource(path, loop=True, frame_samples=FRAME, notify=pytest.fail)
    assert np.allclose(take(source, 300), np.tile(whole, 3), atol=1e-6)
    source.close()


def test_channels_are_mixed_and_not_dropped(tmp_path: Path) -> None:
    left, right = sine(400, 0.5), sine(900, 0.5)
    soundfile.write(tmp_path / "two.wav", np.stack([left, right], axis=1), SAMPLE_RATE, subtype="FLOAT")
    source = FileSource(tmp_path / "two.wav", loop=False, frame_samples=FRAME, notify=print)
    assert np.allclose(take(source, 50), (left + right) / 2, atol=1e-6)
    source.close()


def test_a_loop_goes_round_without_a_seam(tmp_path: Path) -> None:
    path = tmp_path / "loop.wav"
    soundfile.write(path, sine(440, 0.2, 44_100), 44_100)
    source = FileSource(path, loop=True, frame_samples=FRAME, notify=pytest.fail)
    heard = take(source, 200)
    assert pitch(heard[:SAMPLE_RATE]) == pytest.approx(440, abs=0.5)
    assert np.max(np.abs(np.diff(heard, n=2)[4800:])) < 0.5 * (2 * np.pi * 440 / SAMPLE_RATE) ** 2 * 1.1
    source.close()


@pytest.mark.parametrize("rate_hz", [48_000, 44_100])
def test_after_a_stall_the_file_is_where_time_is(tmp_path: Path, rate_hz: int) -> None:
    """A slow rise says by its height where in the file a frame is from."""
    path = tmp_path / "rise.wav"
    rise = np.linspace(0, 1, 4 * rate_hz, dtype=np.float32)
    soundfile.write(path, rise, rate_hz, subtype="FLOAT")
    once = FileSource(path, loop=False, frame_samples=FRAME, notify=print)
    looped = FileSource(path, loop=True, frame_samples=FRAME, notify=pytest.fail)
    for index in (0, 1, 2, 150, 151, 300):
        middle = (index + 0.5) * FRAME / SAMPLE_RATE / 4
        assert float(once.frame(index).mean()) == pytest.approx(middle, abs=2e-3 if index in (0, 150, 300) else 2e-4)
    assert float(looped.frame(450)[200]) == pytest.approx(0.125, abs=2e-3)
    assert not once.frame(10_000).any()
    once.close()
    looped.close()


def test_a_file_is_played_in_real_time(tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    soundfile.write(path, sine(440, 0.5, 16_000), 16_000)
    ended = threading.Event()
    begun = time.monotonic()
    microphone = open_microphone(str(path), FRAME, lambda _: ended.set())
    assert microphone.describe() == f"file {path} (16000 Hz, 1 channel, 0.5 s)"
    microphone.start(lambda _, __: None)
    assert ended.wait(5)
    assert 0.4 < time.monotonic() - begun < 1.5
    microphone.stop()


def test_a_file_without_sound_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", sine(1, 0), SAMPLE_RATE)
    with pytest.raises(Exception, match="holds no sound"):
        open_microphone(f"loop:{tmp_path / 'empty.wav'}", FRAME, print)


def test_a_recording_holds_what_was_pulled_sample_for_sample(tmp_path: Path) -> None:
    pulled: list[Samples] = []
    enough = threading.Event()
    rng = np.random.default_rng(7)

    def pull(samples: int, _: Seconds) -> Samples:
        pulled.append(rng.uniform(-1.5, 1.5, samples).astype(np.float32))
        if len(pulled) == 30:
            enough.set()
        return pulled[-1]

    speaker = open_speaker(str(tmp_path / "call.wav"), FRAME, pytest.fail)
    speaker.start(pull)
    assert enough.wait(5)
    speaker.stop()
    speaker.stop()
    assert speaker.late_turns >= 0
    if len(read_wav(tmp_path / "call.wav")) == len(pulled) * FRAME:
        assert np.allclose(read_wav(tmp_path / "call.wav"), np.clip(np.concatenate(pulled), -1, 1), atol=1 / 32767)


def test_a_recording_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    speaker = open_speaker(str(path), FRAME, pytest.fail)
    assert read_wav(path).size == 0
    speaker.start(lambda samples, _: sine(440, samples / SAMPLE_RATE))
    begun = time.monotonic()
    sizes = {0}
    while len(sizes) < 6 and time.monotonic() - begun < 5:
        with wave.open(str(path)) as recording:
            frames = recording.getnframes()
            assert len(recording.readframes(frames)) == 2 * frames
            sizes.add(frames)
    speaker.stop()
    assert len(sizes) == 6


def test_no_number_is_recorded_as_silence_and_too_loud_as_loudest(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.wav", 4, pytest.fail)
    recorder.write(0, np.array([np.nan, np.inf, -np.inf, 0.5], dtype=np.float32))
    recorder.close()
    assert read_wav(tmp_path / "call.wav") == pytest.approx([0, 1, -1, 0.5], abs=1e-4)


def test_skipped_turns_are_silence_in_a_recording_so_that_it_keeps_time(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.wav", FRAME, pytest.fail)
    for index in (0, 1, 5):
        recorder.write(index, np.ones(FRAME, dtype=np.float32))
    recorder.close()
    loud = read_wav(tmp_path / "call.wav").reshape(-1, FRAME).mean(axis=1)
    assert list(loud) == [1, 1, 0, 0, 0, 1]


KILLED = """
import sys, threading
import numpy as np
from pathlib import Path
from meshchat.sound.record import WavFile
wav = WavFile(Path(sys.argv[1]))
pcm = np.arange(480 * 7, dtype="<i2").tobytes()
print("writing", flush=True)
while True:
    wav.append(pcm)
"""


def test_a_recording_is_well_formed_when_the_program_is_killed_at_any_instant(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    for attempt in range(8):
        path = tmp_path / f"{attempt}.wav"
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "writing\n"
        threading.Event().wait(rng.uniform(0, 0.03))  # the kill comes at a moment of chance
        child.kill()
        child.wait()
        child.stdout.close()
        header = path.read_bytes()[:44]
        riff, data = struct.unpack_from("<I", header, 4)[0], struct.unpack_from("<I", header, 40)[0]
        assert riff == data + 36
        assert path.stat().st_size >= data + 44
        with wave.open(str(path)) as recording:
            assert len(recording.readframes(recording.getnframes())) == data


FULL = """
import resource, sys, threading, time
import numpy as np
from meshchat.audio import open_speaker
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_001, 20_001))
said, pulls = threading.Event(), 0
def notify(text):
    print(text, flush=True)
    said.set()
def pull(samples, now):
    global pulls
    pulls += 1
    return np.full(samples, 0.25, dtype=np.float32)
speaker = open_speaker(sys.argv[1], 480, notify)
speaker.start(pull)
assert said.wait(10)
before, deadline = pulls, time.monotonic() + 5
while pulls < before + 20 and time.monotonic() < deadline:
    threading.Event().wait(0.01)
speaker.stop()
print(pulls >= before + 20, threading.active_count(), flush=True)
"""


def record_until_full(path: Path, how: str, wrapper: list[str]) -> str:
    command = [*wrapper, sys.executable, "-c", FULL, str(path), how]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=CHECKOUT, check=False)
    assert ran.returncode == 0, ran.stderr
    notice, went_on, *_ = ran.stdout.splitlines()
    assert went_on == "True 1", "the pulling went on and no thread was left"
    return notice


def test_a_file_size_limit_ends_the_recording_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    notice = record_until_full(path, "limit", [])
    assert notice.startswith(f"The recording {path} ends here (File too large): its first 0.2 s are kept")
    sound = read_wav(path)
    assert sound.size == (20_000 - 44) // 2
    assert np.allclose(sound, 0.25, atol=1e-4)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="a small disk is mounted, which takes root")
def test_a_full_disk_ends_the_recording_and_nothing_else(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    kept = tmp_path / "kept.wav"
    script = f'mount -t tmpfs -o size=32k none "{disk}" && "$@"; status=$?; cp "{disk}/call.wav" "{kept}"; exit $status'
    wrapper = ["unshare", "--mount", "sh", "-c", script, "sh"]
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("mount namespaces are not allowed here")
    notice = record_until_full(disk / "call.wav", "disk", wrapper)
    assert "No space left on device" in notice
    assert read_wav(kept).size == (32 * 1024 - 44) // 2


class ThinkingDisk:
    """A file whose writes wait until they are let go."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.answers = threading.Event()

    def write(self, data: bytes) -> int:
        assert self.answers.wait(10)
        return self._file.write(data)

    def seek(self, position: int) -> int:
        return self._file.seek(position)

    def close(self) -> None:
        self._file.close()


def test_a_slow_disk_is_never_waited_for_and_the_recording_keeps_time(tmp_path: Path) -> None:
    notices: list[str] = []
    recorder = Recorder(tmp_path / "call.wav", SAMPLE_RATE, notices.append)
    disk = ThinkingDisk(recorder._wav._file)
    recorder._wav._file = disk  # type: ignore[assignment]
    loud = np.full(SAMPLE_RATE, 0.5, dtype=np.float32)
    slowest = 0.0
    for index in range(40):
        begun = time.monotonic()
        recorder.write(index, loud)
        slowest = max(slowest, time.monotonic() - begun)
    assert slowest < 0.5
    disk.answers.set()
    recorder.close()
    seconds = read_wav(tmp_path / "call.wav").reshape(-1, SAMPLE_RATE).mean(axis=1)
    kept = int((seconds > 0.4).sum())
    assert len(seconds) == 40
    assert WAITING_SAMPLES_MAX // SAMPLE_RATE <= kept < 40
    assert list(seconds[:kept]) == pytest.approx([0.5] * kept, abs=1e-3)
    assert len(notices) == 1
    assert f"{40 - kept}.0 s of it are silence" in notices[0]
