"""When a sign of life is due on which link: one heap, so that a room of a hundred costs little to wait for."""

from __future__ import annotations

import heapq
import math

from meshchat.peers import effects as out
from meshchat.peers.circle import Circle
from meshchat.peers.links import BREATHS, Link
from meshchat.peers.messages import Beat, Message
from meshchat.units import PeerId, Seconds

EARLY = 0.25
"""Part of an interval by which a beat may go earlier than it is due, to go together with others: soon all of them do,
and a full room wakes us once in an interval."""

FULL = 33
BREATHLESS_S: Seconds = 5.0
"""Among more links than this, a new one does so long with one breath of three: its greeting took four messages, and who
has a hundred of them at once (two halves of a room meet again, somebody starts anew) is over the bound as it is."""


class Pulse:
    """The beats that are due."""

    def __init__(self, circle: Circle) -> None:
        self._circle = circle
        self._heap: list[tuple[Seconds, PeerId]] = []
        """When to look at each link; one that sent something else meanwhile is looked at again later."""

    @property
    def due(self) -> Seconds:
        """When `tick` wants to be called."""
        return self._heap[0][0] if self._heap else math.inf

    def start(self, link: Link) -> None:
        """A new link: a hello went out on it, so its first beat is due an interval later."""
        link.beaten_at = self._circle.now
        link.beat_at = link.planned_at = self._circle.now + self._circle.every
        heapq.heappush(self._heap, (link.planned_at, link.peer))

    def tick(self, now: Seconds) -> list[Link]:
        """The links on which to beat now; the next beat of each is planned an interval later."""
        due: list[Link] = []
        early = EARLY * self._circle.every if self._heap and self._heap[0][0] <= now else 0.0
        while self._heap and self._heap[0][0] <= now + early:
            planned, peer = heapq.heappop(self._heap)
            link = self._circle.links.get(peer)
            if link is None or link.planned_at != planned:
                continue
            if link.beat_at <= now + early:
                link.beat_at = now + self._circle.every
                due.append(link)
            link.planned_at = link.beat_at
            heapq.heappush(self._heap, (link.planned_at, peer))
        return due

    def breathe(self, content: list[Link]) -> None:
        """Wishes that these be told that we live and nothing more.

        Where there was much to say of late it is left out, twice at most: nobody is suspected for that.
        """
        circle = self._circle
        now, high = circle.now, circle.load.is_high(circle.now, circle.beats_per_s)
        told = [link for link in content if not ((high or self._is_new(link)) and self._may_wait(link))]
        for link in told:
            link.spoken_at = now
        if told:
            circle.count(len(told))
            circle.wishes.append(out.Breathe(tuple(link.peer for link in told)))

    def _is_new(self, link: Link) -> bool:
        return len(self._circle.links) > FULL and self._circle.now - link.up_at < BREATHLESS_S

    def _may_wait(self, link: Link) -> bool:
        return self._circle.now - link.spoken_at < BREATHS * self._circle.every

    def hear(self, message: Message) -> None:
        """Somebody said that: if it is more than a sign of life, it counts."""
        if not isinstance(message, Beat):
            self._circle.count(1)
