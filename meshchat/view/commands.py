"""What a line means that is typed in the linear mode: a command of the daemon, a question to this program, or talk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, get_args

from meshchat import control
from meshchat.errors import UsageError
from meshchat.locks.invite import is_link
from meshchat.units import THRESHOLD_DB_MAX, THRESHOLD_DB_MIN, TransmitMode, safe_lines, safe_text

Wanted: TypeAlias = control.Command | str | None
"""What a line asks for: something of the daemon, or the name of something this program tells by itself."""

HELP = """\
/rooms            the rooms around           /who         who is here, and how well they arrive
/join NAME|LINK   go into a room             /leave       out of it
/new NAME         open a room                /locked NAME open one that needs an invite link
/invite           the link of this room      /name NAME   change your name
/peer HOST:PORT   call somebody whom mDNS does not find
/mute /unmute     your microphone            /deafen /undeafen  what you hear
/devices          microphones and speakers   /mic NAME /speaker NAME  use another, from now on and next time
/test             three notes through your speaker
/transmit continuous | voice [-45] | push    when sound goes out: always, over that many dB, or by /talk
/music            send what the microphone hears as music; /voice as a voice again
/talk             begin, or end; where /transmit is push an empty line does the same
/play FILE        a sound file for the room  /pause /resume /stop
/volume NAME N    1 is as sent, 0 is silent  /kick NAME   send somebody out, as a moderator
/verify NAME      two words to compare       /agreed NAME they are the same on both sides
/share /unshare   show your screen, or not   /watch NAME  where to look at somebody's; /unwatch NAME
/trouble          what is wrong, and what to do
/quit             end the call               /detach      leave the call running
Anything else is written to the room."""

WITHOUT_WORDS: dict[str, Callable[[], control.Command]] = {
    "leave": control.Leave, "mute": control.Mute, "unmute": control.Unmute, "deafen": control.Deafen,
    "undeafen": control.Undeafen, "invite": control.Invite, "share": control.ShareStart,
    "unshare": control.ShareStop, "devices": control.Devices, "test": control.TestSpeaker,
    "music": lambda: control.Music(on=True, keep=True), "voice": lambda: control.Music(on=False, keep=True),
     "talk": control.Talk, "pause": control.Pause,
    "resume": control.Resume, "stop": control.PlayStop,
}  # fmt: skip

WITH_A_NAME: dict[str, Callable[[str], control.Command]] = {
    "new": lambda name: control.Create(name=name),
    "locked": lambda name: control.Create(name=name, locked=True),
    "name": lambda name: control.Alias(name=name),
    "kick": lambda name: control.Kick(member=name),
    "watch": lambda name: control.Watch(member=name),
    "unwatch": lambda name: control.Unwatch(member=name),
    "verify": lambda name: control.Verify(member=name),
    "agreed": lambda name: control.Verify(member=name, agreed=True),
}

TOLD_HERE = ("rooms", "who", "help", "trouble", "quit", "detach")


def wanted(line: str) -> Wanted:
    """What a typed line asks for; None for an empty one. Raises `UsageError` for a command that there is not."""
    if not line.startswith("/"):
        text = safe_lines(line)
        return control.Say(text=text) if text else None
    word, _, rest = line[1:].strip().partition(" ")
    rest = rest.strip()
    if word in TOLD_HERE:
        return word
    if word in WITHOUT_WORDS:
        return WITHOUT_WORDS[word]()
    if not rest:
        raise UsageError(f"/{safe_text(word)} is no command, or needs a name; /help lists them")
    return WITH_A_NAME[word](safe_text(rest)) if word in WITH_A_NAME else _with_words(word, rest)


def _with_words(word: str, rest: str) -> control.Command:
    """What takes more than a name, or what must be taken as it was typed."""
    match word:
        case "join":
            return control.Enter(link=rest) if is_link(rest) else control.Join(name=safe_text(rest))
        case "peer":
            return control.Peer(address=rest)
        case "mic":
            return control.UseMicrophone(source=rest, keep=True)
        case "speaker":
            return control.UseSpeaker(sink=rest, keep=True)
        case "play":
            return control.Play(file=str(Path(rest).expanduser().absolute()))
    return _with_number(word, rest)


def _with_number(word: str, rest: str) -> control.Command:
    first, _, last = rest.rpartition(" ")
    number = _number(last)
    if word == "volume":
        if not first or number is None or not 0.0 <= number <= control.GAIN_MAX:
            raise UsageError(f"/volume takes a name and a factor from 0 to {control.GAIN_MAX:g}")
        return control.Volume(member=safe_text(first), gain=number)
    if word == "transmit":
        mode = next((each for each in get_args(TransmitMode) if each == rest.partition(" ")[0]), None)
        if mode is None or (first and (number is None or not THRESHOLD_DB_MIN <= number <= THRESHOLD_DB_MAX)):
            raise UsageError("/transmit takes continuous, voice or push, and a level such as -45 dB after voice")
        return control.Transmit(mode=mode, threshold_db=number, keep=True)
    raise UsageError(f"/{safe_text(word)} is no command; /help lists them")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
