"""Words about sound: what is heard and how loud, and through which microphone and speaker."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from pathlib import Path
from typing import get_args

from meshchat import control
from meshchat.errors import NoDaemon, UsageError
from meshchat.sound.specs import parse_microphone, parse_speaker, seen_from_anywhere
from meshchat.units import THRESHOLD_DB_MAX, THRESHOLD_DB_MIN, ProcessingWish, TransmitMode
from meshchat.words.word import Word, add_member, as_json, asks, plainly


def _use_microphone(words: argparse.Namespace) -> control.Command:
    """Raises `AudioError` for words that mean none."""
    return control.UseMicrophone(seen_from_anywhere(words.spec, parse_microphone(words.spec)), keep=words.keep)


def _use_speaker(words: argparse.Namespace) -> control.Command:
    """Raises `AudioError` for words that mean none."""
    return control.UseSpeaker(seen_from_anywhere(words.spec, parse_speaker(words.spec)), keep=words.keep)


async def _devices(profile: Path, words: argparse.Namespace) -> control.Answer | None:
    """The daemon's list of devices, or where none runs, ours; with --test, three notes, or what came of trying one."""
    if words.test:
        await _try(words)
        return None
    if words.name is not None:
        raise UsageError(f"devices {words.name}: a name goes with --test mic or --test speaker")
    if words.test is not None:
        return await plainly(control.TestSpeaker)(profile, words)
    try:
        return await plainly(control.Devices)(profile, words)
    except NoDaemon:
        from meshchat.devices import listed

        return listed(None)


async def _try(words: argparse.Namespace) -> None:
    """Raises `AudioError` where no sound comes through it."""
    from meshchat.words import trying

    if words.test == "mic":
        print("Say something.", file=sys.stderr)
    attempt = trying.try_microphone if words.test == "mic" else trying.try_speaker
    tried = await asyncio.to_thread(attempt, words.name or "default")
    print(as_json(tried) if words.json else tried.text)


def _add_devices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--test",
        nargs="?",
        const=False,  # a text would have to be one of the choices
        choices=("mic", "speaker"),
        help="try a microphone or a speaker, with or without a daemon; or play three notes through the speaker in use",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="which one to try, else the system's default")


def _add_microphone(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SRC", help="default, a device, a sound file, loop:FILE, tone:HZ or silence")
    _add_keep(parser)


def _add_speaker(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SINK", help="default, a device, FILE.wav, stereo:FILE.wav or null")
    _add_keep(parser)


def _add_keep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keep", action="store_true", help="begin with it the next time, too")


def _add_transmit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("mode", choices=get_args(TransmitMode), help="always, while somebody speaks, or with `talk`")
    parser.add_argument(
        "--threshold", metavar="DB", type=_threshold,
        help=f"the level over which it opens by voice, {THRESHOLD_DB_MIN:g} to {THRESHOLD_DB_MAX:g}; else as it was",
    )  # fmt: skip
    _add_keep(parser)


def _add_processing(parser: argparse.ArgumentParser) -> None:
    for name, about in (("echo", "the loudspeaker's echo"), ("noise", "the room's noise"), ("gain", "loudness")):
        parser.add_argument(
            f"--{name}", dest=f"{name}_wish", choices=get_args(ProcessingWish),
            help=f"see to {about}; auto: where there is a sound device and the library",
        )  # fmt: skip
    _add_keep(parser)


def _add_talk(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "on", nargs="?", choices=["on", "off"], help="press the key or let it go; the other way round if neither"
    )


def _threshold(text: str) -> float:
    return _from_to(THRESHOLD_DB_MIN, THRESHOLD_DB_MAX, text)


def _add_state(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("state", metavar="on|off", choices=("on", "off"))


def _add_music(parser: argparse.ArgumentParser) -> None:
    _add_state(parser)
    _add_keep(parser)


def _add_volume(parser: argparse.ArgumentParser) -> None:
    add_member(parser)
    parser.add_argument("factor", metavar="GAIN", type=_gain, help=f"a factor from 0 to {control.GAIN_MAX:g}")
    parser.add_argument("--music", dest="of_music", action="store_true", help="only of what the member plays")


def _play(words: argparse.Namespace) -> control.Command:
    """Raises `UsageError` for words that contradict each other."""
    given = [words.file is not None, words.pause, words.resume, words.stop]
    if sum(given) > 1 or (words.volume is not None and any(given[1:])):
        raise UsageError("play takes a file, or one of --pause, --resume and --stop, or --volume alone")
    if words.file is not None:
        return control.Play(str(Path(words.file).expanduser().absolute()), words.volume or 1.0)
    if words.volume is not None:
        return control.PlayVolume(words.volume)
    if words.pause:
        return control.Pause()
    if words.resume:
        return control.Resume()
    return control.PlayStop() if words.stop else control.GetPlaying()


def _add_play(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", help="a sound file (WAV, FLAC, Ogg, Opus, MP3, AIFF)")
    parser.add_argument(
        "--volume", metavar="X", type=_gain, help=f"for everybody: a factor from 0 to {control.GAIN_MAX:g}"
    )
    parser.add_argument("--pause", action="store_true", help="pause what is played")
    parser.add_argument("--resume", action="store_true", help="play on")
    parser.add_argument("--stop", action="store_true", help="play it no more")


def _gain(text: str) -> float:
    return _from_to(0.0, control.GAIN_MAX, text, "a factor ")


def _from_to(low: float, high: float, text: str, what: str = "") -> float:
    with contextlib.suppress(ValueError):
        if low <= (number := float(text)) <= high:
            return number
    raise argparse.ArgumentTypeError(f"must be {what}from {low:g} to {high:g}, not {text!r}")


WORDS = (
    Word("deafen", "play no sound", plainly(control.Deafen)),
    Word("undeafen", "play sound again", plainly(control.Undeafen)),
    Word(
        "volume",
        "play one member louder or softer (1 is as sent)",
        asks(lambda words: control.Volume(words.member, words.factor, music=words.of_music)),
        _add_volume,
    ),
    Word(
        "even",
        "bring all voices toward one loudness, or play them as loud as they are",
        asks(lambda words: control.Even(words.state == "on")),
        _add_state,
    ),
    Word("play", "play a sound file into the room, or tell what is played", asks(_play), _add_play),
    Word("devices", "list the microphones and speakers of this machine, and which are in use", _devices, _add_devices),
    Word(
        "transmit",
        "send what the microphone hears always, by voice, or by key",
        asks(lambda words: control.Transmit(words.mode, words.threshold, keep=words.keep)),
        _add_transmit,
    ),
    Word(
        "talk",
        "press the key of `transmit push`, or let it go",
        asks(lambda words: control.Talk(None if words.on is None else words.on == "on")),
        _add_talk,
    ),
    Word(
        "processing",
        "tell or set how echo, noise and loudness of the microphone's sound are seen to",
        asks(lambda words: control.Processing(words.echo_wish, words.noise_wish, words.gain_wish, keep=words.keep)),
        _add_processing,
    ),
    Word(
        "music",
        "send what the microphone hears as music, or as a voice again",
        asks(lambda words: control.Music(words.state == "on", keep=words.keep)),
        _add_music,
    ),
    Word("mic", "send sound from another microphone or source", asks(_use_microphone), _add_microphone),
    Word("speaker", "play sound through another speaker or sink", asks(_use_speaker), _add_speaker),
)
