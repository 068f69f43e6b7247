"""What is wrong at the moment, each in one sentence with what to do about it: shown where one looks, and told in lines.

Pure: made from the `State` anew each time, so that a worry is gone from sight as soon as its reason is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from meshchat.control import MemberStatus
from meshchat.units import Seconds
from meshchat.view.state import Room, State

NOT_THERE = "not there"
"""What the description of a device says that cannot be used."""

DEVICE = "microphone "
"""How the description of a real microphone begins; a file or `silence` may well be quiet."""

SILENT_S: Seconds = 15.0
"""A real microphone that is quieter than its own noise for so long is switched off, or the wrong one."""

MUTED_S: Seconds = 3.0
"""How long one is told that one speaks into a muted microphone, after the last word."""

ALONE_S: Seconds = 20.0
"""Whoever is on this network is found within two seconds; so long without anybody has another reason."""

LOST_THERE_PERCENT = 5.0
"""Above that a listener hears holes, or words at half their quality."""


@dataclass(frozen=True, slots=True)
class Worry:
    """One thing that is wrong. `key` stays the same while it lasts; `text` says what to do, too.

    Where that is to be done in this program, `by` is the action, which each surface spells in its own way.
    """

    key: str
    text: str
    grave: bool = True
    by: Literal["", "sound", "mute"] = ""


def worries(state: State) -> tuple[Worry, ...]:
    """What is wrong, the gravest for a person who wants to talk first."""
    if state.link != "live" or not state.peer_id:  # the daemon has told nothing yet
        return ()
    return (*_network(state), *_own_sound(state), *_members(state))


def _network(state: State) -> Iterator[Worry]:
    if not state.addresses:
        yield Worry("network", "No network: nobody can be found. Connect one; it is noticed by itself.")
    elif state.unanswered:
        yield Worry("unanswered", _unanswered(state))


def _unanswered(state: State) -> str:
    one = state.unanswered == 1
    who = "somebody who is" if one else f"{state.unanswered} peers who are"
    where = "announced in this room" if state.room else "at the address that was given"
    return (
        f"No answer from {who} {where}. Gone, or behind a firewall: on both machines let in UDP port "
        f"{state.port or 47474} (sudo ufw allow {state.port or 47474}/udp)."
    )


def _own_sound(state: State) -> Iterator[Worry]:
    if NOT_THERE in state.microphone:
        yield Worry("microphone", "Your microphone is not there, so nobody hears you. Plug one in.", by="sound")
    if NOT_THERE in state.speaker:
        yield Worry("speaker", "Your speaker is not there, so you hear nobody. Plug one in.", by="sound")
    if state.room is None:
        return
    if state.muted and state.now - state.spoke_muted_at < MUTED_S:
        yield Worry("muted", "You speak, but your microphone is muted.", grave=False, by="mute")
    elif not state.muted and state.microphone.startswith(DEVICE) and state.now - state.heard_at > SILENT_S:
        yield Worry("silent", "Your microphone hears nothing. Is it switched off?", grave=False, by="sound")


def _members(state: State) -> Iterator[Worry]:
    for member in state.room.members if state.room else ():
        worry = None if member.you or member.impostor else _member(member)
        if worry:
            yield worry


def _member(member: MemberStatus) -> Worry | None:
    name = member.alias
    if not member.reachable:
        return Worry(
            f"unreached {member.id}",
            f"You and {name} cannot hear each other, though others hear both. A firewall or a network that keeps "
            "machines apart: let in UDP on both, or meet in another network.",
        )
    if not member.hears_you:
        return Worry(
            f"unheard {member.id}",
            f"{name} does not hear you: your sound does not get there. Let {name} allow UDP for meshchat in the "
            "firewall, or join again.",
        )
    if (lost := member.lost_there_percent or 0.0) > LOST_THERE_PERCENT:
        return Worry(
            f"lost {member.id}",
            f"{name} loses {lost:.0f} % of what you say. A cable in place of Wi-Fi helps, on either side.",
            grave=False,
        )
    return None


def alone(state: State, room: Room) -> str:
    """What to say while nobody else is in the room."""
    if len(room.members) > 1:
        return ""
    said = "Nobody else is here yet. Others see this room by themselves when they open meshchat."
    if state.now - state.live_since < ALONE_S or any(not each.joined for each in state.rooms):
        return said
    return f"{said} If they do not: a guest network may keep machines apart; j calls one by its address."
