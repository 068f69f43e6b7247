"""Loudness evened out: who is soft comes up, who is loud goes down, slowly and within bounds, and music stays."""

from __future__ import annotations

import numpy as np
import pytest

from meshchat.calling.incoming import Incoming
from meshchat.codec import OpusDecoder, OpusEncoder
from meshchat.media.arrivals import Arrival
from meshchat.media.evening import CHANGE_DB_MAX, TARGET_DB, Evened
from meshchat.media.mixer import Mixer
from meshchat.media.voice import Voice
from meshchat.units import SAMPLE_RATE, PeerId, Samples
from tests.peers_lab import clip

FRAME = 480


def spoken(level_db: float, seconds: float = 8.0) -> Samples:
    """Somebody who speaks without a pause, at that mean power."""
    voice = clip("ann")
    voice = voice[np.abs(voice) > 1e-4]
    voice = np.resize(voice, int(seconds * SAMPLE_RATE)).astype(np.float32)
    return voice * np.float32(10 ** (level_db / 20) / np.sqrt(np.mean(np.square(voice))))


def gains(sound: Samples, evened: Evened, voice: Voice, channels: int = 1) -> list[float]:
    """The gain in dB after each frame."""
    encoder, found = OpusEncoder(bitrate=64_000, dtx=False, channels=channels, music=channels == 2), []
    for number in range(len(sound) // FRAME):
        frame = sound[number * FRAME : (number + 1) * FRAME]
        voice.put(Arrival(number, number * FRAME, number == 0, encoder.encode(frame), number / 100))
        evened.pull(FRAME, number / 100)
        found.append(20 * float(np.log10(evened.gain)))
    return found


@pytest.mark.parametrize("level_db", [-34.0, -28.0, -18.0, -14.0])
def test_soft_and_loud_people_come_to_one_level(level_db: float) -> None:
    voice = Voice(OpusDecoder())
    found = gains(spoken(level_db), Evened(voice), voice)
    assert level_db + found[-1] == pytest.approx(TARGET_DB, abs=3.0)
    assert np.abs(np.diff(found)).max() <= 0.03 + 1e-9, "3 dB a second"
    assert abs(found[10]) < 0.5, "nothing is changed before it is known how somebody speaks"


def test_a_whisper_is_not_made_a_shout_and_a_pause_changes_nothing() -> None:
    voice = Voice(OpusDecoder())
    evened = Evened(voice)
    found = gains(np.concatenate((spoken(-40.5), np.zeros(3 * SAMPLE_RATE, np.float32))), evened, voice)
    assert max(found) == pytest.approx(CHANGE_DB_MAX, abs=0.1)
    assert found[-1] == found[-200]
    voice.gain = 0.5
    assert evened.gain == pytest.approx(0.5 * 10 ** (found[-1] / 20)), "the listener's own gain counts beside it"


def test_two_channels_are_music_and_stay_as_they_are() -> None:
    voice = Voice(OpusDecoder())
    sound = spoken(-36.0, 3.0)
    assert set(gains(np.stack((sound, -sound), axis=1), Evened(voice), voice, 2)) == {0.0}


def test_it_is_switched_for_those_who_are_here_and_those_who_come() -> None:
    mixer = Mixer()
    incoming = Incoming(mixer, lambda: Voice(OpusDecoder()), lambda *_: None)
    ann, bob = PeerId("a" * 64), PeerId("b" * 64)
    incoming.join(ann)
    incoming.even(True)
    incoming.join(bob)
    sources = mixer._channels
    assert all(isinstance(sources[peer].source, Evened) for peer in (ann, bob))
    incoming.even(False)
    assert all(isinstance(sources[peer].source, Voice) for peer in (ann, bob))
