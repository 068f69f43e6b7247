"""Two channels from end to end: kept apart where somebody sends two, and nowhere else."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from meshchat.audio import open_speaker
from meshchat.calling.player import Player
from meshchat.channels import folded, spread
from meshchat.codec import OpusDecoder, OpusEncoder, packet_channels
from meshchat.errors import AudioError, WireError
from meshchat.media.arrivals import Arrival
from meshchat.media.limiter import CEILING, Limiter
from meshchat.media.mixer import Mixer
from meshchat.media.stretch import lengthened, shortened
from meshchat.media.tape import HISTORY_SAMPLES, Tape
from meshchat.media.voice import Voice
from meshchat.sound.record import Recorder
from meshchat.sound.specs import FileSpec, parse_microphone, parse_speaker, seen_from_anywhere
from meshchat.sound.turns import OutputTurns
from meshchat.units import SAMPLE_RATE, Samples, Seconds
from tests.test_playing import loudness

FRAME = 480
LEFT_HZ, RIGHT_HZ, MIDDLE_HZ = 500.0, 1500.0, 700.0


def tones(seconds: float, *hertz: float) -> Samples:
    """A tone on each channel, at -14 dB: shape (n,) or (n, 2)."""
    turns = np.arange(int(seconds * SAMPLE_RATE))[:, None] * np.array(hertz) / SAMPLE_RATE
    sound: Samples = (0.2 * np.sin(2 * np.pi * turns)).astype(np.float32)
    return sound[:, 0] if len(hertz) == 1 else sound


def assert_sides(sound: Samples, *expected: tuple[float, float, float]) -> None:
    """How much of each tone is to be on each side."""
    heard = [[loudness(sound[:, side], hz) for hz in (LEFT_HZ, RIGHT_HZ, MIDDLE_HZ)] for side in (0, 1)]
    assert np.allclose(heard, expected, rtol=0.08, atol=0.005), heard


class Talker:
    """Somebody whose sound has one channel or two, with a voice that plays it."""

    def __init__(self) -> None:
        self.encoders = {n: OpusEncoder(bitrate=128_000, channels=n, music=True, dtx=False) for n in (1, 2)}
        self.voice = Voice(OpusDecoder())
        self.sent = 0

    def say(self, sound: Samples, mixer: Mixer) -> list[Samples]:
        """Sends frame by frame, and pulls as much each time."""
        heard = []
        for begin in range(0, len(sound) - FRAME + 1, FRAME):
            packet = self.encoders[sound.ndim].encode(sound[begin : begin + FRAME])
            now: Seconds = self.sent * FRAME / SAMPLE_RATE
            self.voice.put(Arrival(self.sent & 0xFFFF, self.sent * FRAME, self.sent == 0, packet, now))
            heard.append(mixer.pull(FRAME, now).copy())
            self.sent += 1
        return heard


def test_two_channels_are_kept_apart_and_who_has_one_stands_in_the_middle() -> None:
    mixer, music, voice = Mixer(), Talker(), Talker()
    mixer.add("music", music.voice)
    mixer.add("voice", voice.voice)
    heard = []
    left_right, middle = tones(1.0, LEFT_HZ, RIGHT_HZ), tones(1.0, MIDDLE_HZ)
    for begin in range(0, len(middle), FRAME):
        voice.say(middle[begin : begin + FRAME], Mixer())
        heard += music.say(left_right[begin : begin + FRAME], mixer)
    assert_sides(np.concatenate(heard[20:]), (0.2, 0.0, 0.2), (0.0, 0.2, 0.2))


def test_while_everybody_has_one_channel_so_has_the_mix() -> None:
    mixer, voice = Mixer(), Talker()
    mixer.add("voice", voice.voice)
    assert {block.shape for block in voice.say(tones(0.2, MIDDLE_HZ), mixer)} == {(FRAME,)}


def test_who_changes_to_two_channels_in_the_middle_of_a_word_is_heard_on() -> None:
    mixer, talker = Mixer(), Talker()
    mixer.add("talker", talker.voice)
    talker.say(tones(0.5, MIDDLE_HZ), mixer)
    heard = talker.say(tones(0.5, LEFT_HZ, RIGHT_HZ), mixer)
    assert_sides(np.concatenate([spread(block) for block in heard[20:]]), (0.2, 0.0, 0.0), (0.0, 0.2, 0.0))
    assert talker.voice.stats().concealed_ms == 0
    assert min(np.abs(block).max() for block in heard) > 0.1, "no hole"


def test_after_a_silence_one_channel_costs_what_one_costs_again() -> None:
    mixer, talker = Mixer(), Talker()
    mixer.add("talker", talker.voice)
    talker.say(tones(0.2, LEFT_HZ, RIGHT_HZ), mixer)
    for _ in range(100):
        mixer.pull(FRAME, talker.sent * FRAME / SAMPLE_RATE)
        talker.sent += 1
    assert talker.say(tones(0.2, MIDDLE_HZ), mixer)[-1].shape == (FRAME,)


def test_lost_packets_are_guessed_on_both_sides() -> None:
    mixer, talker = Mixer(), Talker()
    mixer.add("talker", talker.voice)
    talker.say(tones(0.5, LEFT_HZ, RIGHT_HZ), mixer)
    gap = [mixer.pull(FRAME, (talker.sent + step) * FRAME / SAMPLE_RATE).copy() for step in range(2)]
    assert [block.shape for block in gap] == [(FRAME, 2)] * 2
    assert np.abs(gap[1]).max(axis=0).min() > 0.05


def test_gain_deafness_and_limit_leave_the_sides_where_they_are() -> None:
    mixer, talker = Mixer(), Talker()
    mixer.add("talker", talker.voice)
    sound = tones(0.5, LEFT_HZ, RIGHT_HZ)
    sound[:, 1] *= 0.5
    talker.voice.gain = 4.0
    loud = np.concatenate(talker.say(sound, mixer)[20:])
    assert_sides(loud, (0.8, 0.0, 0.0), (0.0, 0.4, 0.0))
    sound *= 2
    limited = np.concatenate(talker.say(sound, mixer)[20:])
    assert CEILING - 0.1 < np.abs(limited).max() <= 1.0
    assert loudness(limited[:, 0], LEFT_HZ) / loudness(limited[:, 1], RIGHT_HZ) == pytest.approx(2.0, rel=0.05)
    mixer.deafened = True
    assert not np.concatenate(talker.say(sound, mixer)[1:]).any()


def test_the_limiter_does_with_two_what_it_does_with_one() -> None:
    rng = np.random.default_rng(1)
    one, two = Limiter(), Limiter()
    for _ in range(50):
        mono = rng.normal(0, 0.8, FRAME).astype(np.float32)
        stereo = spread(mono)
        one.limit(mono)
        two.limit(stereo)
        assert np.array_equal(stereo, spread(mono))


def test_a_tape_widens_with_what_is_on_it() -> None:
    tape = Tape()
    tape.append(np.arange(100, dtype=np.float32))
    tape.let_end(np.ones(10, np.float32))
    tape.widen()
    tape.append(np.zeros((50_000, 2), np.float32))
    assert np.array_equal(tape.take(100), spread(np.arange(100, dtype=np.float32)))
    assert tape.take(20).sum() == 20, "what dies away does so on both sides"
    tape.clear(1)
    assert tape.recent(0).shape == (HISTORY_SAMPLES,)


def test_stretching_cuts_both_sides_at_one_place() -> None:
    mono = tones(0.2, 200.0)
    both = np.stack((mono, -0.5 * mono), axis=1)
    for stretch in (shortened, lengthened):
        changed, expected = stretch(both, 2000, 720), stretch(folded(both), 2000, 720)
        assert changed is not None
        assert expected is not None
        assert np.allclose(changed[:, 0], -2 * changed[:, 1], atol=1e-6)
        assert np.allclose(folded(changed), expected, atol=1e-6)


def test_a_packet_says_how_many_channels_it_has() -> None:
    for channels in (1, 2):
        encoder = OpusEncoder(channels=channels, music=True, bitrate=128_000)
        assert packet_channels(encoder.encode(tones(0.01, *(LEFT_HZ, RIGHT_HZ)[:channels]))) == channels
    with pytest.raises(WireError):
        packet_channels(b"")


# Where sound goes


def test_a_recording_has_the_channels_that_were_asked_for(tmp_path: Path) -> None:
    for name, channels in (("one.wav", 1), ("two.wav", 2)):
        spec = parse_speaker(f"stereo:{tmp_path / name}" if channels == 2 else str(tmp_path / name))
        assert spec == FileSpec(tmp_path / name, channels=2 if channels == 2 else 1)
        recorder = Recorder(tmp_path / name, FRAME, pytest.fail, 2 if channels == 2 else 1)
        recorder.write(0, tones(0.01, MIDDLE_HZ))
        recorder.write(2, tones(0.01, LEFT_HZ, RIGHT_HZ))
        recorder.close()
        sound, rate = soundfile.read(tmp_path / name, dtype="float32", always_2d=True)
        assert (sound.shape, rate) == ((3 * FRAME, channels), SAMPLE_RATE)
        expected = np.concatenate(
            (spread(tones(0.01, MIDDLE_HZ)), np.zeros((FRAME, 2)), tones(0.01, LEFT_HZ, RIGHT_HZ))
        ).astype(np.float32)
        assert np.allclose(sound, expected if channels == 2 else folded(expected)[:, None], atol=1e-4)


def test_the_words_for_a_recording_of_two_channels(tmp_path: Path) -> None:
    words = f"stereo:{tmp_path}/x.wav"
    assert seen_from_anywhere(words, parse_speaker(words)) == words
    speaker = open_speaker(words, FRAME, pytest.fail)
    assert "2 channels" in speaker.describe()
    speaker.stop()
    with pytest.raises(AudioError, match="is a speaker"):
        parse_microphone(words)
    for wrong in ("stereo:", "stereo:x.mp3"):
        with pytest.raises(AudioError):
            parse_speaker(wrong)


@pytest.mark.parametrize("rate", [48_000, 44_100])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_device_gets_its_own_channels_whatever_the_mix_has(rate: int, channels: int) -> None:
    sound = iter([tones(0.01, MIDDLE_HZ), tones(0.01, LEFT_HZ, RIGHT_HZ)] * 50)
    turns = OutputTurns(rate, channels, FRAME, lambda samples, now: next(sound))
    frames = turns.block
    played = bytearray(frames * channels * 4)
    for _ in range(20):
        turns(memoryview(played), frames, None, None)  # type: ignore[arg-type]
    block = np.frombuffer(played, np.float32).reshape(frames, channels)
    assert 0.1 < np.abs(block).max() < 0.3
    assert turns.troubled == 0


def test_a_file_of_two_channels_is_heard_in_two(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    soundfile.write(path, tones(2.0, LEFT_HZ, RIGHT_HZ), SAMPLE_RATE)
    mixer = Mixer()
    player = Player(128_000, 5, lambda datagram: None, mixer)
    player.use_key(1, 1, bytes(32))
    player.play(path, 1.0, lambda fault: None)
    blocks: list[Samples] = []
    begin = time.monotonic()
    for number in range(60):
        time.sleep(max(0.0, begin + number / 100 - time.monotonic()))
        blocks.append(spread(mixer.pull(FRAME, time.monotonic())).copy())
    player.stop()
    assert_sides(np.concatenate(blocks[-30:]), (0.2, 0.0, 0.0), (0.0, 0.2, 0.0))
