"""The herald: tells the clients what they want to know without asking, and each thing only when it is new."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from meshchat import control
from meshchat.answers import Answers
from meshchat.units import PeerId

log = logging.getLogger(__name__)


class Herald:
    """Says to every client, through `publish`, what changed.

    What has to be put together first, from everybody in the room, is left alone while nobody looks: in a room of fifty
    that was a good part of what a daemon did when somebody came. Whoever begins to look is shown the whole.
    """

    def __init__(self, publish: Callable[[control.Event], None], is_watched: Callable[[], bool]) -> None:
        self.publish = publish
        self._is_watched = is_watched
        self._speaking: set[PeerId] = set()
        self._rooms: tuple[control.RoomSummary, ...] = ()

    def notice(self, severity: control.Severity, text: str) -> None:
        """A sentence for whoever looks."""
        log.warning("%s", text)
        self.publish(control.Notice(severity, text))

    def myself(self, answers: Answers) -> None:
        """How it stands with our own name and sound."""
        self.publish(answers.oneself())

    def rooms(self, answers: Answers) -> None:
        """Which rooms are around, if that changed."""
        if self._is_watched() and (rooms := answers.rooms()) != self._rooms:
            self._rooms = rooms
            self.publish(control.RoomsChanged(rooms))

    def member(
        self, answers: Answers, peer: PeerId, event: type[control.MemberJoined] | type[control.MemberChanged]
    ) -> None:
        """How that member is now."""
        member = answers.member(peer) if self._is_watched() else None
        if member:
            self.publish(event(member))

    def levels(self, heard: Iterable[tuple[PeerId, bool, float]]) -> None:
        """How loud everybody is, in dB of full scale, and who began or ceased to speak."""
        if not self._is_watched():
            return
        levels: dict[str, float | None] = {}
        for peer, speaking, level_db in heard:
            levels[peer] = round(level_db, 1)
            if speaking != (peer in self._speaking):
                self._speaking ^= {peer}
                self.publish(control.Speaking(peer, speaking))
        if levels:
            self.publish(control.Levels(levels))

    def left(self, peer: PeerId, alias: str, reason: str) -> None:
        """A member is gone, and what it said with it."""
        self._speaking.discard(peer)
        self.publish(control.MemberLeft(peer, alias, reason))
