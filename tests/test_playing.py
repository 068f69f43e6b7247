"""Files that are played into the room: who hears them, how loud, with which key, and that they begin and end softly."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from meshchat.calling.incoming import Incoming
from meshchat.calling.player import FRAME_SAMPLES, Player
from meshchat.codec import OpusDecoder
from meshchat.control import Done, GetPlaying, Leave, Mute, Pause, Play, Playing, PlayStop, PlayVolume, Resume, Unmute
from meshchat.errors import AudioError, MeshchatError, Refused
from meshchat.media.mixer import Mixer
from meshchat.media.voice import Voice
from meshchat.sframe import BASE_KEY_BYTES, SendKey, music_key, ratchet, screen_key
from meshchat.sound.ahead import AHEAD_FRAMES, ReadAhead
from meshchat.sound.files import FileSource
from meshchat.units import SAMPLE_RATE, PeerId, Samples
from meshchat.wire import PAYLOAD_TYPE_OPUS, media_header, music_ssrc, parse_media
from tests.peers_lab import LOOPBACK, Daemon, Events, Lab, lab, own_name, until

ANN = PeerId("a" * 64)
SSRC = 0xFFFF_FFFF
KEY = bytes(range(BASE_KEY_BYTES))
HZ = 1000.0


def song(path: Path, seconds: float = 10.0, hz: float = HZ) -> Path:
    """A tone of some length, at -14 dB, at the rate of a compact disc."""
    turns = hz * np.arange(int(44_100 * seconds)) / 44_100
    soundfile.write(path, 0.2 * np.sin(2 * np.pi * turns), 44_100)
    return path


def loudness(sound: Samples, hz: float = HZ) -> float:
    """How much of a tone is in a recording: its amplitude."""
    turns: npt.NDArray[np.complex128] = np.exp(-2j * np.pi * hz * np.arange(len(sound)) / SAMPLE_RATE)
    return float(2 * abs(np.dot(sound, turns * np.hanning(len(sound)) * 2)) / len(sound))


class Room:
    """Ann, who plays, and bob, who hears: nothing but what they say to each other stands between them."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.hearers: list[Incoming] = []
        self.ann = Mixer()
        self.player = Player(128_000, 5, self.send, self.ann)
        self.player.use_key(SSRC, 64, KEY)
        self.bob, self.hears = self.hearer(64, KEY)

    def hearer(self, key_id: int, base_key: bytes) -> tuple[Mixer, Incoming]:
        mixer = Mixer()
        incoming = Incoming(mixer, lambda: Voice(OpusDecoder()), lambda *_: None)
        incoming.join(ANN)
        incoming.use_key(ANN, SSRC, key_id, base_key)
        self.hearers.append(incoming)
        return mixer, incoming

    def send(self, datagram: bytes) -> None:
        self.sent.append(datagram)
        for each in self.hearers:
            each.datagram(datagram, time.monotonic())


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    yield made
    made.player.stop()


def heard(mixer: Mixer, seconds: float = 0.4) -> Samples:
    """What somebody hears in the time to come."""
    begin, blocks = time.monotonic(), []
    for number in range(int(seconds * 100)):
        time.sleep(max(0.0, begin + number / 100 - time.monotonic()))
        blocks.append(mixer.pull(480, time.monotonic()).copy())
    return np.concatenate(blocks)


def playing(room: Room, path: Path, volume: float = 1.0) -> None:
    room.player.play(path, volume, lambda fault: None)
    until("bob hears of it", lambda: (flow := room.hears.inflow(ANN)) and flow.music)


# What is heard


def test_a_file_is_heard_by_others_and_by_who_plays_it(room: Room, tmp_path: Path) -> None:
    playing(room, song(tmp_path / "song.wav"))
    assert loudness(heard(room.bob)[-9600:]) == pytest.approx(0.2, rel=0.1)
    assert loudness(heard(room.ann)[-9600:]) == pytest.approx(0.2, rel=0.1)
    assert {parse_media(each).ssrc for each in room.sent} == {1}, "two after the voice's, round the end of 32 bits"


def test_who_comes_later_hears_it_with_a_later_key_and_those_before_go_on(room: Room, tmp_path: Path) -> None:
    playing(room, song(tmp_path / "song.wav"))
    stepped = ratchet(KEY)
    eve, _ = room.hearer(65, stepped)
    room.player.use_key(SSRC, 65, stepped)
    assert loudness(heard(eve)[-9600:]) == pytest.approx(0.2, rel=0.1)
    assert loudness(heard(room.bob)[-9600:]) == pytest.approx(0.2, rel=0.1)


def test_pause_and_mute_send_nothing_and_the_stream_goes_on_in_time(room: Room, tmp_path: Path) -> None:
    playing(room, song(tmp_path / "song.wav"))
    for silence in (True, False):
        room.player.pause(silence)
        room.player.outgoing.muted = not silence
        time.sleep(0.15)
        before = len(room.sent)
        time.sleep(0.2)
        assert len(room.sent) == before
    room.player.outgoing.muted = False
    assert loudness(heard(room.bob)[-9600:]) == pytest.approx(0.2, rel=0.1)
    packets = [parse_media(each) for each in room.sent]
    (gap,) = (late.timestamp - early.timestamp for early, late in pairwise(packets) if late.marker)
    assert gap > 0.5 * SAMPLE_RATE
    assert gap % FRAME_SAMPLES == 0
    flow = room.hears.inflow(ANN)
    assert flow is not None
    assert flow.music is not None
    assert flow.music.stats().restarts == 0


def test_begin_pause_and_end_do_not_click(room: Room, tmp_path: Path) -> None:
    """A tone that is cut has energy everywhere; one that fades has it around itself only."""
    sound: list[Samples] = []
    listener = threading.Thread(target=lambda: sound.append(heard(room.bob, 1.2)))
    listener.start()
    playing(room, song(tmp_path / "song.wav"))
    time.sleep(0.3)
    room.player.pause(True)
    time.sleep(0.2)
    room.player.pause(False)
    time.sleep(0.2)
    room.player.stop()
    listener.join()
    pieces = np.lib.stride_tricks.sliding_window_view(sound[0], 512)[::128] * np.hanning(512)
    high = np.abs(np.fft.rfft(pieces))[:, int(6000 / 93.75) :].max()
    assert high < 0.004 * np.abs(np.fft.rfft(pieces)).max(), "48 dB under the tone"


def test_the_volume_is_what_is_sent_and_never_clips(room: Room, tmp_path: Path) -> None:
    playing(room, song(tmp_path / "song.wav"), 0.5)
    assert loudness(heard(room.bob)[-9600:]) == pytest.approx(0.1, rel=0.1)
    room.player.set_volume(4.0)
    assert loudness(heard(room.bob)[-9600:]) == pytest.approx(0.8, rel=0.1)


def test_a_file_ends_by_itself_and_another_takes_its_place(room: Room, tmp_path: Path) -> None:
    over: list[str] = []
    room.player.play(song(tmp_path / "first.wav"), 1.0, over.append)
    room.player.play(song(tmp_path / "short.wav", 0.1), 1.0, over.append)
    now = room.player.playing
    assert now is not None
    assert now.path.name == "short.wav"
    assert now.length == pytest.approx(0.1, abs=0.001)
    until("it has ended", lambda: over)
    assert over == [""], "the end of one that was taken away is nothing to tell"
    room.player.stop()
    assert room.player.playing is None


def test_what_cannot_be_read_leaves_what_is_played(room: Room, tmp_path: Path) -> None:
    playing(room, song(tmp_path / "song.wav"))
    (tmp_path / "noise.mp3").write_bytes(os.urandom(1000))
    for name in ("noise.mp3", "nothing.wav"):
        with pytest.raises(AudioError, match=name):
            room.player.play(tmp_path / name, 1.0, lambda fault: None)
    now = room.player.playing
    assert now is not None
    assert now.path.name == "song.wav"


# Keys and gains


def test_voice_screen_and_music_have_keys_of_their_own() -> None:
    assert len({KEY, music_key(KEY), screen_key(KEY), music_key(ratchet(KEY)), ratchet(music_key(KEY))}) == 5
    assert music_ssrc(SSRC) == 1


def test_a_voice_cannot_be_replayed_as_music_nor_forged() -> None:
    room = Room()
    key = SendKey(64, KEY)
    header = media_header(PAYLOAD_TYPE_OPUS, False, 7, 960, music_ssrc(SSRC), 20, True)
    room.hears.datagram(header + key.seal(header, b"opus"), 0.0)
    room.hears.datagram(header + SendKey(64, os.urandom(32)).seal(header, b"opus"), 0.0)
    flow = room.hears.inflow(ANN)
    assert flow is not None
    assert flow.music is None, "nothing has a place in the mix before it has opened"
    assert room.hears.drops.not_opened == 2


def test_voice_and_music_of_a_member_have_gains_of_their_own_and_go_with_it(room: Room, tmp_path: Path) -> None:
    flow = room.hears.inflow(ANN)
    assert flow is not None
    flow.set_gain(1.0, 0.5)
    playing(room, song(tmp_path / "song.wav"))
    assert loudness(heard(room.bob)[-9600:]) == pytest.approx(0.1, rel=0.1)
    flow.set_gain(1.0, 0.0)
    assert loudness(heard(room.bob)[-9600:]) < 0.001
    room.hears.leave(ANN)
    assert room.bob._channels == {}


# Reading ahead


def test_a_file_is_read_a_bounded_way_ahead_and_wholly(tmp_path: Path) -> None:
    source = FileSource(song(tmp_path / "song.wav", 2.0), False, FRAME_SAMPLES, lambda text: None, channels=2)
    ahead = ReadAhead(source)
    assert ahead.take() is None, "who takes never waits"
    ahead.start()
    until("the queue is full", ahead._frames.full)
    assert ahead._frames.qsize() == AHEAD_FRAMES
    frames = 0
    while not ahead.is_over:
        frames += ahead.take() is not None
    assert frames == 100
    ahead.close()


def test_a_file_of_two_channels_keeps_them_where_two_are_wanted(tmp_path: Path) -> None:
    path = tmp_path / "two.wav"
    turns = np.arange(44_100)[:, None] * np.array([440.0, 880.0]) / 44_100
    soundfile.write(path, 0.2 * np.sin(2 * np.pi * turns), 44_100)
    source = FileSource(path, False, FRAME_SAMPLES, lambda text: None, channels=2)
    sound = np.concatenate([source.frame(index) for index in range(40)])[FRAME_SAMPLES:]
    assert sound.shape == (39 * FRAME_SAMPLES, 2)
    assert [round(loudness(sound[:, side], hz), 2) for side in (0, 1) for hz in (440.0, 880.0)] == [0.2, 0.0, 0.0, 0.2]
    source.close()


# As people use it


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made


def refusal(daemon: Daemon, command: Play | Pause) -> str:
    with pytest.raises(MeshchatError) as refused:
        daemon.ask(command)
    assert refused.type in (Refused, AudioError, MeshchatError)
    return str(refused.value)


def strength(daemon: Daemon) -> float:
    """The amplitude of the tone that it hears now."""
    return float(np.sqrt(2 * np.mean(np.square(daemon.recorded_from_now(0.2)))))


def test_a_song_goes_through_a_room(peers: Lab, tmp_path: Path) -> None:
    path, name = song(tmp_path / "song.wav"), own_name("disco")
    ann = peers.start("ann", *LOOPBACK, "--room", name, "--mic", "silence", "--speaker", "null")
    bob = peers.start("bob", *LOOPBACK, "--room", name, "--mic", "silence", *peers.sink("bob"))
    assert all(each.ready() for each in (ann, bob))
    until("they meet", lambda: ann.sees("ann", "bob") and bob.sees("ann", "bob"), 30)
    events = Events(bob, tmp_path / "events")
    assert refusal(ann, Pause()) == "nothing is played"
    assert "no file" in refusal(ann, Play(str(tmp_path / "none.wav")))
    assert ann.told("play", str(path), "--volume", "0.5").status == 0
    until("bob sees that ann plays", lambda: bob.members()["ann"].playing)
    assert ann.members()["ann"].playing
    until("bob hears it as loud as that", lambda: strength(bob) == pytest.approx(0.1, rel=0.15))
    assert ann.ask(Pause()) == Done()
    told = ann.ask(GetPlaying())
    assert isinstance(told, Playing)
    assert told.playing is not None
    assert (told.playing.file, told.playing.paused, told.playing.volume) == (str(path), True, 0.5)
    until("bob sees that ann pauses", lambda: not bob.members()["ann"].playing)
    ann.ask(Resume())
    ann.ask(PlayVolume(1.0))
    until("bob hears it as loud as that", lambda: strength(bob) == pytest.approx(0.2, rel=0.15))
    ann.ask(Mute())
    assert refusal(ann, Play(str(path))) == "you are muted: nobody would hear it"
    until("bob hears nothing", lambda: strength(bob) < 0.001)
    ann.ask(Unmute())
    ann.ask(PlayStop())
    assert ann.status().playing is None
    until("events told of both", lambda: {e["member"]["playing"] for e in events.of("member_changed")} == {True, False})
    ann.ask(Play(str(path)))
    ann.ask(Leave())
    until("nothing is played outside a room", lambda: ann.status().playing is None)
    assert "not in a room" in refusal(ann, Play(str(path)))
    events.end()
