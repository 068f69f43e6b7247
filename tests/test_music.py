"""Music mode: what the microphone hears goes out as it is, in as many channels as it has, and as a voice again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from meshchat.call import Call
from meshchat.calling.incoming import Incoming
from meshchat.calling.musicencoder import MusicEncoder
from meshchat.calling.outgoing import Outgoing
from meshchat.channels import spread
from meshchat.codec import OpusDecoder, packet_channels
from meshchat.config import Config
from meshchat.errors import AudioError
from meshchat.media.mixer import Mixer
from meshchat.media.voice import Voice
from meshchat.sound.turns import InputTurns
from meshchat.units import SAMPLE_RATE, PeerId, Samples
from tests.peers_lab import LOOPBACK, lab, own_name
from tests.peers_lab import until as soon
from tests.test_audio_world import Card, Times, World, live_in, until
from tests.test_stereo import LEFT_HZ, MIDDLE_HZ, RIGHT_HZ, assert_sides, tones

ANN = PeerId("a" * 64)
KEY = bytes(32)
FRAME = 480


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    yield from live_in(monkeypatch)


class Room:
    """A call whose frames are handed over by hand, and somebody who hears it."""

    def __init__(self, **settings: object) -> None:
        config = Config(microphone="silence", speaker="null", **settings)  # type: ignore[arg-type]
        self.notices: list[str] = []
        self.bytes = 0
        self.call = Call(config, self.send, lambda part, text: self.notices.append(text), lambda *_: None)
        self.call.send_key(7, 1, KEY)
        self.bob = Mixer()
        self.hears = Incoming(self.bob, lambda: Voice(OpusDecoder()), lambda *_: None)
        self.hears.join(ANN)
        self.hears.use_key(ANN, 7, 1, KEY)
        self.now = 0.0

    def send(self, datagram: bytes) -> None:
        self.bytes += len(datagram)
        self.hears.datagram(datagram, self.now)

    def say(self, sound: Samples) -> Samples:
        """What bob hears while ann plays that."""
        heard = []
        for begin in range(0, len(sound) - FRAME + 1, FRAME):
            self.call.front.frame(sound[begin : begin + FRAME], self.now)
            heard.append(spread(self.bob.pull(FRAME, self.now)).copy())
            self.now += FRAME / SAMPLE_RATE
        return np.concatenate(heard)


def test_music_goes_out_in_stereo_with_its_rate_and_comes_back_to_a_voice() -> None:
    room = Room()
    sound = tones(1.0, LEFT_HZ, RIGHT_HZ)
    folded = room.say(sound)[SAMPLE_RATE // 2 :]
    assert np.array_equal(folded[:, 0], folded[:, 1]), "a voice has one channel"
    room.call.use_music(True)
    noise = np.random.default_rng(1).normal(0, 0.1, (SAMPLE_RATE, 2)).astype(np.float32)
    room.bytes = 0
    room.say(noise)
    assert 128_000 < 8 * room.bytes < 1.35 * 128_000, "128 kbit/s, and what is put around it"
    assert_sides(room.say(sound)[SAMPLE_RATE // 2 :], (0.2, 0.0, 0.0), (0.0, 0.2, 0.0))
    room.call.use_music(False)
    room.say(np.zeros((SAMPLE_RATE, 2), np.float32))
    room.bytes = 0
    back = room.say(sound)[SAMPLE_RATE // 2 :]
    assert np.array_equal(back[:, 0], back[:, 1])
    assert 8 * room.bytes < 1.5 * 80_000


def test_nothing_is_taken_out_of_music_and_a_key_still_holds_it_back() -> None:
    room = Room(transmit="voice", threshold_db=-30.0, music=True)
    quiet = 0.02 * tones(1.0, MIDDLE_HZ)
    heard = room.say(quiet)[SAMPLE_RATE // 2 :]
    assert 0.003 < np.abs(heard).max() < 0.006, "what is under the threshold of a voice is part of music"
    assert room.call.front.talking
    room.call.front.rule = replace(room.call.front.rule, mode="push", pressed=False)
    assert not room.say(tones(1.0, MIDDLE_HZ))[SAMPLE_RATE // 2 :].any()
    room.call.front.rule = replace(room.call.front.rule, pressed=True)
    assert np.abs(room.say(tones(0.3, MIDDLE_HZ))[-FRAME:]).max() == pytest.approx(0.2, rel=0.1)


def test_no_processing_is_done_to_music(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room()

    class Cleaner:
        """Takes everything out."""

        def clean(self, frame: Samples) -> Samples:
            return np.zeros_like(frame)

        def played(self, sound: Samples) -> None:
            raise AssertionError(sound)

    monkeypatch.setattr(room.call.front, "cleaner", Cleaner())
    assert np.abs(room.say(tones(0.5, MIDDLE_HZ))[SAMPLE_RATE // 4 :]).max() < 0.1
    room.call.use_music(True)
    assert not room.call.processing.done.named()
    assert np.abs(room.say(tones(0.5, MIDDLE_HZ))[SAMPLE_RATE // 4 :]).max() == pytest.approx(0.2, rel=0.1)
    room.call.use_music(False)
    assert np.abs(room.say(tones(0.5, MIDDLE_HZ))[SAMPLE_RATE // 4 :]).max() < 0.1


def test_each_frame_is_coded_with_the_channels_it_has() -> None:
    encoder = MusicEncoder(10, 128_000, 5)
    for sound in (tones(0.01, MIDDLE_HZ), tones(0.01, LEFT_HZ, RIGHT_HZ), tones(0.01, MIDDLE_HZ)):
        assert packet_channels(encoder.encode(sound)) == sound.ndim
    encoder.set_expected_loss(10)


class Told:
    """An encoder that remembers which loss it was told last."""

    frame_samples = FRAME
    loss = 0.0

    def encode(self, frame: Samples) -> bytes:
        return b"opus"

    def begin_anew(self) -> None:
        pass

    def set_expected_loss(self, percent: float) -> None:
        self.loss = percent


def test_an_encoder_that_comes_back_is_told_what_is_lost_by_then() -> None:
    voice, music = Told(), Told()
    outgoing = Outgoing(voice, lambda datagram: None)
    outgoing.use_key(7, 1, KEY)
    for encoder, loss in ((voice, 20.0), (music, 0.0), (voice, 0.0)):
        outgoing.use_encoder(encoder)
        outgoing.protect(loss, 0)
        outgoing.frame(tones(0.01, MIDDLE_HZ), 0.0)
        assert encoder.loss == loss


# The device


@pytest.mark.parametrize("rate", [48_000, 44_100])
def test_a_device_gives_two_channels_where_two_are_wanted(rate: int) -> None:
    for wanted in (1, 2):
        frames: list[Samples] = []
        turns = InputTurns(rate, 2, FRAME, lambda frame, _, heard=frames: heard.append(frame), wanted)  # type: ignore[misc]
        block = np.stack((np.full(turns.block, 0.2), np.full(turns.block, 0.4)), axis=1).astype(np.float32)
        for _ in range(30):
            turns(block.tobytes(), turns.block, Times(0.0, 1.0), None)
        assert turns.troubled == 0
        last = frames[-1]
        assert last.shape == ((FRAME,) if wanted == 1 else (FRAME, 2))
        assert np.allclose(last[-1], 0.3 if wanted == 1 else (0.2, 0.4), atol=0.01)


def test_music_opens_the_microphone_in_stereo_and_the_voice_in_one_channel(world: World) -> None:
    world.plugged.append(Card("Mixer", 2))
    call = Call(
        Config(microphone="Mixer", speaker="null"), lambda datagram: None, lambda part, text: None, lambda *_: None
    )
    call.start()
    until(lambda: world.open("input"))
    for music in (True, False):
        call.use_music(music)
        until(lambda: len(world.open("input")) == 1)
        assert world.open("input")[0].channels == (2 if music else 1)
    call.stop()


def test_a_device_that_cannot_be_opened_twice_makes_music_of_what_it_gives(world: World) -> None:
    card = Card("Mixer", 2)
    world.plugged.append(card)
    call = Call(
        Config(microphone="Mixer", speaker="null"), lambda datagram: None, lambda part, text: None, lambda *_: None
    )
    call.start()
    until(lambda: call.microphone.device)
    card.busy = True
    with pytest.raises(AudioError, match="stays in use"):
        call.use_music(True)
    assert call.front.music
    assert world.open("input")[0].channels == 1
    call.stop()


# As people use it


def test_music_is_heard_in_stereo_by_the_room(tmp_path: Path) -> None:
    song, name = tmp_path / "song.wav", own_name("concert")
    soundfile.write(song, tones(1.0, LEFT_HZ, RIGHT_HZ), SAMPLE_RATE)
    recording = tmp_path / "bob.wav"
    with lab(tmp_path) as peers:
        ann = peers.start("ann", *LOOPBACK, "--room", name, "--mic", f"loop:{song}", "--speaker", "null")
        bob = peers.start("bob", *LOOPBACK, "--room", name, "--mic", "silence", "--speaker", f"stereo:{recording}")
        assert all(each.ready() for each in (ann, bob))
        soon("bob hears ann", lambda: bob.hears("ann"), 30)
        assert ann.told("music", "on").status == 0
        assert ann.status().music
        begin = time.monotonic()

        def apart() -> bool:
            sound, _ = soundfile.read(recording, dtype="float32")
            newest = sound[-SAMPLE_RATE // 2 :]
            return bool(np.abs(newest[:, 0] - newest[:, 1]).max() > 0.2)

        soon("the sides are apart", apart)
        assert time.monotonic() - begin < 10
        assert "music" in ann.told("status").out
        assert ann.told("music", "off", "--keep").status == 0
        soon("bob hears one channel", lambda: not apart())
        assert "music = false" in (ann.profile / "config.toml").read_text()
