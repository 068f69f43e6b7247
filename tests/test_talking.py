"""A microphone that opens by voice and by key, in a running daemon: what clients set, see, and what the others hear."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from meshchat.control import Talk, Transmit
from meshchat.errors import Refused
from meshchat.units import SAMPLE_RATE
from tests.peers_lab import LOOPBACK, Daemon, Events, Lab, clip, lab, own_name, until

ROOM = own_name("gate")


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Ann says a word every 2 s, and opens by voice; bob listens."""
    with lab(tmp_path_factory.mktemp("talking")) as running:
        word = np.concatenate([clip("ann")[: int(0.6 * SAMPLE_RATE)], np.zeros(int(1.4 * SAMPLE_RATE), np.float32)])
        word += 1e-3 * np.random.default_rng(1).standard_normal(len(word)).astype(np.float32)
        soundfile.write(running.folder / "word.wav", word, SAMPLE_RATE, subtype="PCM_16")
        mic = ("--mic", f"loop:{running.folder / 'word.wav'}", "--speaker", "null")
        running.start("ann", *LOOPBACK, "--room", ROOM, *mic, "--transmit", "voice", "--threshold", "-40")
        running.start("bob", *LOOPBACK, "--room", ROOM, "--mic", "silence", "--speaker", "null")
        ann, bob = running.daemons
        for each in running.daemons:
            each.ready()
        until("they meet", lambda: ann.sees("ann", "bob") and bob.hears("ann"), 30)
        yield running


def packets(daemon: Daemon) -> int:
    return daemon.status().counters["packets_sent"]


def test_by_voice_it_opens_and_closes_with_each_word_and_says_so(peers: Lab) -> None:
    ann = peers.daemons[0]
    status = ann.status()
    assert (status.transmit, status.threshold_db) == ("voice", -40.0)
    stream = Events(ann, peers.folder / "events.jsonl")
    try:
        until("it opened and closed", lambda: {e["talking"] for e in stream.of("self_changed")} == {True, False}, 15)
        until("levels came", lambda: stream.of("levels"))
    finally:
        stream.end()
    assert all(event["transmit"] == "voice" for event in stream.of("self_changed"))
    assert "by voice over -40 dB: " in ann.told("status").out


def test_under_the_threshold_nothing_leaves_and_the_meter_goes_on(peers: Lab) -> None:
    ann, bob = peers.daemons
    assert ann.told("transmit", "voice", "--threshold", "-10").status == 0
    until("it closed", lambda: not ann.status().talking)
    before = packets(ann)
    until("a word is seen on the meter", lambda: (ann.members()["ann"].level_db or -127) > -40, 10)
    assert packets(ann) == before
    until("bob sees ann silent", lambda: not bob.members()["ann"].speaking)


def test_by_key_sound_leaves_while_it_is_held(peers: Lab) -> None:
    ann, bob = peers.daemons
    assert ann.told("transmit", "push").status == 0
    assert not ann.status().talking
    assert ann.status().threshold_db == -10, "as it was"
    assert ann.told("talk", "on").status == 0
    assert ann.status().talking
    until("bob hears ann", lambda: bob.members()["ann"].speaking, 10)
    assert ann.told("talk").status == 0
    assert not ann.status().talking
    until("bob hears no more", lambda: not bob.members()["ann"].speaking, 10)
    assert "by key: closed" in ann.told("status").out


def test_talk_without_a_key_and_a_threshold_that_is_none_are_refused(peers: Lab) -> None:
    ann = peers.daemons[0]
    ann.ask(Transmit("continuous"))
    with pytest.raises(Refused, match="talk is for transmit push, and this is transmit continuous"):
        ann.ask(Talk(on=True))
    wrong = ann.told("transmit", "voice", "--threshold", "5")
    assert wrong.status == 2
    assert "must be from -90 to -10" in wrong.err
    assert ann.status().transmit == "continuous"


def test_what_is_to_be_kept_stands_in_the_settings_file(peers: Lab) -> None:
    ann = peers.daemons[0]
    assert ann.told("transmit", "voice", "--threshold", "-38.5", "--keep").status == 0
    written = tomllib.loads((Path(ann.profile) / "config.toml").read_text())
    assert (written["transmit"], written["threshold_db"]) == ("voice", -38.5)
