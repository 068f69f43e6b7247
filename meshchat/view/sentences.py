"""What changed from one `State` to the next, in sentences: what the linear mode prints, line after line.

Pure. Levels and figures change all the time and are told to those who ask; who speaks is heard.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from meshchat.control import MemberStatus, RoomSummary
from meshchat.units import short
from meshchat.view.lines import happening_text
from meshchat.view.reduce import transmit_sentence
from meshchat.view.state import Compared, State
from meshchat.view.story import Line
from meshchat.view.worries import Worry, worries

COMMANDS = {"": "", "sound": "/devices lists others, /mic or /speaker takes one.", "mute": "/unmute opens it."}
"""How to do what a worry asks for."""

BY_KEY = "Your sound goes out from one empty line, or /talk, to the next."


def changes(old: State, new: State) -> Iterator[str]:
    """The sentences, in the order in which they matter."""
    if new.link != old.link or (new.link == "lost" and new.trouble != old.trouble):
        yield {"live": "The daemon is there.", "starting": "Starting the daemon."}.get(new.link, new.trouble)
    if new.story is not old.story:
        known = {line.key for line in old.story.lines}
        yield from (_line(line) for line in new.story.lines if line.key not in known)
    told = new.compared != old.compared or new.transmit != old.transmit  # in words of this mode, further down
    if new.notice and new.notice != old.notice and new.notice.severity == "info" and not told:
        yield new.notice.text
    if new.compared and new.compared != old.compared:
        yield words_sentence(new.compared)
    yield from _worries(old, new)
    yield from _own_sound(old, new)
    yield from _rooms(old, new)
    yield from _members(old, new)


def room_sentence(room: RoomSummary) -> str:
    """A room of the list."""
    name = room.name or f"locked room {short(room.id)}"
    words = ("locked" if room.locked else "", f"{room.members} in it", "you are here" if room.joined else "")
    return f"{name}: {', '.join(filter(None, words))}."


def member_sentence(member: MemberStatus) -> str:
    """A member of the room."""
    said = {
        "you": member.you, "coordinator": member.coordinator, "moderator": member.moderator, "muted": member.muted,
        "deafened": member.deafened, "speaking": member.speaking, "shares a screen": member.sharing,
        "plays": member.playing,
        "not reached from here": not member.reachable, "does not hear you": not member.hears_you,
        "verified": member.verified, "an impostor, who is not played and hears nothing from you": member.impostor,
    }  # fmt: skip
    figures = "" if member.rtt_ms is None else f"; {_figures(member)}"
    return f"{member.alias}: {', '.join(word for word, is_so in said.items() if is_so) or 'listening'}{figures}."


def _figures(member: MemberStatus) -> str:
    arrives = f"{member.rtt_ms or 0.0:.0f} ms away, loss {member.loss_percent or 0.0:.1f} %"
    waits = f"jitter {member.jitter_ms or 0.0:.1f} ms, delay {member.playout_delay_ms or 0.0:.0f} ms"
    return f"{arrives}, {waits}, guessed {member.concealed_ms or 0.0:.0f} ms"


def worry_sentence(worry: Worry) -> str:
    """What is wrong, and by which command it is mended."""
    return f"{worry.text} {COMMANDS[worry.by]}".strip()


def words_sentence(compared: Compared) -> str:
    """Words to compare with a member."""
    name = compared.alias
    return (
        f"{name} sees two words too. Read them to each other: {compared.words}. "
        f"The same on both sides? /agreed {name}. Different: that is not {name}, or somebody sits between."
    )


def forward_sentence(page: str) -> str:
    """How to see a page of this machine from another one."""
    port = urlsplit(page).port
    return (
        f"If you are here over SSH, run this on the machine in front of you first: ssh -L {port}:127.0.0.1:{port} HOST"
    )


def _line(line: Line) -> str:
    if line.kind != "said":
        return happening_text(line)
    stamp = time.strftime("%H:%M", time.localtime(line.at_ms / 1000))
    return f"{stamp} {line.who}: " + line.text.replace("\n", "\n      ")


def _worries(old: State, new: State) -> Iterator[str]:
    """What has become wrong, once while it lasts."""
    known = {worry.key for worry in worries(old)}
    yield from (worry_sentence(worry) for worry in worries(new) if worry.key not in known)


def _own_sound(old: State, new: State) -> Iterator[str]:
    if old.peer_id == "":
        return
    if new.muted != old.muted:
        yield "Your microphone is muted." if new.muted else "Your microphone is on."
    if new.deafened != old.deafened:
        yield "You hear nobody." if new.deafened else "You hear the others."
    if (new.transmit, new.threshold_db) != (old.transmit, old.threshold_db):
        yield transmit_sentence(new, BY_KEY)
    elif new.transmit == "push" and new.talking != old.talking:
        yield "You talk." if new.talking else "You talk no more."
    if new.music != old.music:
        yield "What the microphone hears goes out as music." if new.music else "It goes out as a voice."
    if (new.playing and new.playing.file) != (old.playing and old.playing.file):
        yield f"You play {new.playing.file}." if new.playing else "You play nothing any more."


def _rooms(old: State, new: State) -> Iterator[str]:
    before = {room.id for room in old.rooms}
    here = {room.id for room in new.rooms}
    yield from (f"There is a room: {room_sentence(room)}" for room in new.rooms if room.id not in before)
    if new.link == "live":
        yield from (f"The room {room.name} is gone." for room in old.rooms if room.id not in here)


def _members(old: State, new: State) -> Iterator[str]:
    """Mutes and screens of others, and who was there already when one came in."""
    if new.room is None:
        return
    if old.room is None or old.room.id != new.room.id:
        others = [each.alias for each in new.room.members if not each.you]
        yield f"In {new.room.name}: {', '.join(others) or 'nobody else yet'}."
        return
    for member in new.room.members:
        before = old.member(member.id)
        if before and not member.you and before.muted != member.muted:
            yield f"{member.alias} {'is muted' if member.muted else 'can be heard again'}."
        if not member.you and member.sharing != (before is not None and before.sharing):
            yield f"{member.alias} {'shares a screen' if member.sharing else 'shares no screen any more'}."
