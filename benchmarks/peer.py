"""One peer under observation: the real daemon, with a note taken of what passes through it.

The functions that sound passes through are wrapped, each wrapper appending to a list; nothing of the daemon is
replaced. Without `--log` only events are told (a line of JSON each), which costs nothing between events.
"""

from __future__ import annotations

import argparse
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.notes import Note, Playing, Recording
from meshchat import config, daemon
from meshchat.errors import MeshchatError
from meshchat.media.arrivals import Arrival
from meshchat.media.voice import Voice
from meshchat.peers import effects
from meshchat.units import SAMPLE_RATE, Samples, Seconds

SAMPLES_PER_MS = SAMPLE_RATE / 1000

_TIMESTAMP = struct.Struct("!I")
_TIMESTAMP_AT = 4  # of an RTP header (RFC 3550 section 5.1)


def main() -> int:
    """Runs a daemon with the given knobs until SIGTERM; the exit status."""
    parser = argparse.ArgumentParser(description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--log", type=Path, help="write what was captured and played to this file")
    parser.add_argument("--voices-only", action="store_true", help="of each voice alone, as it goes into the mix")
    for name, _ in config.knobs():
        config.add_option(parser, name)
    words = parser.parse_args()

    class Observed(daemon.Daemon):
        """The daemon, with its observer."""

        def __init__(self, settings: config.Config) -> None:
            super().__init__(settings)
            self._recording = _observe(self, words.log is not None, words.voices_only)

        async def run(self) -> None:
            await super().run()
            if words.log:
                self._recording.save(words.log)

    setattr(daemon, "Daemon", Observed)  # noqa: B010  # `run` makes its own; mypy has no word for replacing a class
    try:
        # No environment: a figure depends on its command alone.
        return daemon.run(config.load(vars(words), {}))
    except MeshchatError as error:
        print(f"{words.alias}: {error}", file=sys.stderr)
        return error.exit_status


def _observe(observed: daemon.Daemon, sound: bool, voices_only: bool) -> Recording:
    recording = Recording()
    _tell_events(observed)
    _watch_voices(observed, recording if sound else None)
    if sound and not voices_only:
        _record(observed, recording)
    return recording


def _watch_voices(observed: daemon.Daemon, recording: Recording | None) -> None:
    """Follows each member's voice from its first packet on: most of a room never says a word, and costs nothing."""

    def added(add: Callable[[str, Voice], None], peer: str, voice: Voice) -> None:
        put = voice.put

        def first(arrival: Arrival) -> None:
            setattr(voice, "put", put)  # noqa: B010  # mypy has no word for a method that is put back
            if recording is not None:
                _record_voice(voice, recording, peer)
            _tell_first_sound(peer, voice)
            put(arrival)

        setattr(voice, "put", first)  # noqa: B010
        add(peer, voice)

    _wrap(observed.parts.call._mixer, "add", added)


def _wrap(owner: object, name: str, around: Callable[..., object]) -> None:
    """Replaces a method of one object by `around(method, *arguments)`."""
    inner = getattr(owner, name)
    setattr(owner, name, lambda *arguments: around(inner, *arguments))


def _say(what: str, who: str = "", alias: str = "") -> None:
    note = msgspec.json.encode(Note(what, time.monotonic(), who, alias)).decode()
    print(note, flush=True)


def _tell_events(observed: daemon.Daemon) -> None:
    def ready(tell: Callable[[], None]) -> None:
        _say("ready", observed.parts.mesh.node.me, observed.parts.mesh.node.alias)
        tell()

    def event(handle: Callable[[effects.Event], None], came: effects.Event) -> None:
        handle(came)
        match came:
            case effects.MemberJoined(peer, alias):
                _say("joined", peer, alias)
            case effects.MemberLeft(peer, alias):
                _say("left", peer, alias)
            case effects.CoordinatorChanged(claim):
                _say("coordinator", claim.leader if claim else "")

    _wrap(observed, "_tell_ready", ready)
    _wrap(observed.parts.mesh, "_on_event", event)


def _tell_first_sound(peer: str, voice: Voice) -> None:
    """Says once when the voice first gives sound, then gets out of the way."""
    pull = voice.pull

    def first(samples: int, now: Seconds) -> Samples | None:
        block = pull(samples, now)
        if block is not None and block.any():
            setattr(voice, "pull", pull)  # noqa: B010
            _say("sound", peer)
        return block

    setattr(voice, "pull", first)  # noqa: B010


def _record(observed: daemon.Daemon, recording: Recording) -> None:
    def frame(take: Callable[[Samples, Seconds], None], samples: Samples, at: Seconds) -> None:
        recording.captured.append((at, samples.copy()))
        take(samples, at)

    def pull(mix: Callable[[int, Seconds], Samples], samples: int, now: Seconds) -> Samples:
        block = mix(samples, now)
        recording.played.append((now, block.copy()))
        return block

    def send(transmit: Callable[[bytes], object], datagram: bytes) -> None:
        transmit(datagram)
        recording.sent.append((_timestamp(datagram), time.monotonic()))

    def datagram(take: Callable[[bytes, Seconds], None], data: bytes, now: Seconds) -> None:
        recording.arrived.append((_timestamp(data), now))
        take(data, now)

    call = observed.parts.call
    _wrap(call.microphone, "_act", frame)
    _wrap(call.outgoing, "_send", send)
    _wrap(call._mixer, "pull", pull)
    _wrap(call.incoming, "datagram", datagram)


def _record_voice(voice: Voice, recording: Recording, peer: str) -> None:
    playing = Playing(peer)
    recording.voices.append(playing)

    def pulled(pull: Callable[[int, Seconds], Samples | None], samples: int, now: Seconds) -> Samples | None:
        block = pull(samples, now)
        playing.sound.append(np.zeros(samples, np.float32) if block is None else block.copy())
        # Read from inside, because to put all of `stats()` together a hundred times a second for each voice would show.
        playing.rows.append(
            (now, voice._delay / SAMPLES_PER_MS, voice._concealed / SAMPLES_PER_MS, voice._waits, voice.reception.lost)
        )
        return block

    _wrap(voice, "pull", pulled)


def _timestamp(datagram: bytes) -> float:
    return float(_TIMESTAMP.unpack_from(datagram, _TIMESTAMP_AT)[0]) if len(datagram) >= 8 else -1.0


if __name__ == "__main__":
    sys.exit(main())
