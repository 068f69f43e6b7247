"""The words after `meshchat mic` and `meshchat speaker`, and `meshchat devices` where no daemon runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from meshchat import control
from meshchat.errors import NoDaemon
from meshchat.sound.specs import parse_microphone, parse_speaker, seen_from_anywhere


def add(parser: argparse.ArgumentParser, word: str) -> None:
    """Teaches the words after `mic` or `speaker` to `parser`; other words have none of these."""
    if word == "mic":
        parser.add_argument(
            "spec", metavar="SRC", help="default, a device, a sound file, loop:FILE, tone:HZ or silence"
        )
    elif word == "speaker":
        parser.add_argument("spec", metavar="SINK", help="default, a device, FILE.wav or null")
    else:
        return
    parser.add_argument("--keep", action="store_true", help="begin with it the next time, too")


def command(words: argparse.Namespace) -> control.Command:
    """The command to change microphone or speaker. AudioError for words that mean none."""
    if words.word == "mic":
        return control.UseMicrophone(seen_from_anywhere(words.spec, parse_microphone(words.spec)), keep=words.keep)
    return control.UseSpeaker(seen_from_anywhere(words.spec, parse_speaker(words.spec)), keep=words.keep)


async def devices(profile: Path) -> control.Answer:
    """The daemon's list of devices, or where none runs, ours."""
    try:
        async with await control.ControlClient.connect(profile) as daemon:
            return await daemon.call(control.Devices())
    except NoDaemon:
        from meshchat.devices import listed

        return listed(None)
