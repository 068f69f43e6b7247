"""The room's chat: every member writes to every member, and what somebody lacks it gets from whoever holds it.

Intuition: the chat is a pile of signed notes that everybody sorts by the same rule. A note goes straight to all
members. Every beat tells a digest of the pile, of all but the last second; whoever sees another digest than its own
says which notes it has, and is given the others. So no coordinator is needed, nothing is lost with one, and the two
sides of a split end with one pile.

Who comes gets nothing that was said before: each member remembers what the room's clock read when it first saw another
in the room, or in the coordinator's list, and hands it nothing older; and each takes nothing older than its own coming
from anybody but the author itself. Being lost from sight does not count as going, so that whoever was cut off gets what
it missed.

Of two members one may have known of the other first: whoever is cut off while somebody comes stands in the newcomer's
list, and sees the newcomer later. So the beats compare what was said since both knew each other, which both should
hold; and where there is something from between, whoever knew first tells a second digest, of what it has for the other.

Not taken: an order given by the coordinator, which stops with it and forks in a split. Not taken: numbers for each
author's lines, by which a liar who writes two lines under one number divides the room.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from meshchat.errors import Refused, UsageError, WireError
from meshchat.peers import effects as out
from meshchat.peers.arrivals import Arrivals
from meshchat.peers.budget import Budget, Rate
from meshchat.peers.circle import Circle
from meshchat.peers.history import DIGEST_OF_NOTHING, History
from meshchat.peers.lines import (
    LINES_MAX,
    Early,
    Lack,
    Line,
    LineId,
    Lines,
    Tally,
    id_of,
    signed_part,
    size_of,
)
from meshchat.peers.links import Link
from meshchat.peers.messages import Beat, Message
from meshchat.peers.roomclock import FREE_MAX, RoomClock
from meshchat.units import TEXT_CHARACTERS_MAX, TEXT_LINES_MAX, PeerId, RoomId, Seconds, bound, safe_lines

OWN = Rate(burst=8, per_s=1.0)
"""How fast we may write: faster than anybody types."""

LIVE = Rate(burst=20, per_s=2.0)
"""How fast another may write: twice what it allows itself, and what a pause of the network holds back."""

CAUGHT_UP = Rate(burst=256, per_s=4.0)
"""How many lines of one author we take when we ask for what we lack; more take more rounds."""

LAG_MS = 1000
"""Lines younger than this are left out of a tally: they are on their way."""

ASK_PAUSE_S: Seconds = 0.3
"""Before anybody is asked again: the first answer may have brought all that the others would send too."""

ASK_PAUSE_S_MAX: Seconds = 10.0
"""Before the same member is asked again that had nothing new; each time twice as long, up to this."""

EARLY_TRIES_MAX = 4
"""How often a member is asked for what it holds from before we knew it, while nothing new comes of it: we may hold more
there than it may be told, and then the digests stay apart for good."""

ANSWER_S: Seconds = 5.0
"""So long after a question its answer is taken; lines of others that nobody asked for are not."""

SERVE_PAUSE_S: Seconds = 0.25
"""Between two answers to one member: whoever asks without end is not served without end."""

SERVE_BYTES_MAX = 48 * 1024
"""Most in one answer: a third of what a message may have."""

TABLE_MAX = 512
"""Most authors whose pace is remembered; the oldest is forgotten first, and may write a few at once again."""

FLOOD_SAID_S: Seconds = 10.0
"""Between two complaints about floods."""


@dataclass(slots=True)
class View:
    """What one linked member told of its pile, and what passed between us."""

    tally: Tally | None = None
    asked_at: Seconds = -ANSWER_S
    ask_at: Seconds = 0.0
    pause: Seconds = ASK_PAUSE_S
    served_at: Seconds = -SERVE_PAUSE_S
    early_tries: int = 0
    """How often it was asked for what is before the floor, since its tally of that changed or it had something new."""


class Chat:
    """The chat of one stay in one room."""

    def __init__(self, circle: Circle, room: RoomId, members: Callable[[], list[Link]], now: Seconds) -> None:
        self.history = History()
        self.clock = RoomClock(circle.time_of_day_ms(now), now)
        self.dropped = 0
        """Lines not taken: of a flood, nobody's wish, too old, or too far ahead."""
        self._circle = circle
        self._room = room
        self._members = members
        self._arrivals = Arrivals(self.clock.read(now))
        self._views: dict[PeerId, View] = {}
        self._own = Budget(OWN, now)
        self._live: dict[PeerId, Budget] = {}
        self._caught_up: dict[PeerId, Budget] = {}
        self._ask_at: Seconds = now
        self._complain_at: Seconds = now

    def say(self, text: str, now: Seconds) -> tuple[LineId, int]:
        """Writes a line; its id, and to how many members it went.

        Raises `UsageError` for a text that is empty or too long, `Refused` for one that comes too fast.
        """
        cleaned = safe_lines(text)
        if not cleaned or len(text) > TEXT_CHARACTERS_MAX or len(text.splitlines()) > TEXT_LINES_MAX:
            raise UsageError(
                f"a text has 1 to {TEXT_CHARACTERS_MAX} characters that can be shown, on {TEXT_LINES_MAX} lines at most"
            )
        circle, wait = self._circle, self._own.wait(now)
        if not self._own.take(now):
            raise Refused(f"that is too fast for the others to read; wait {wait:.1f} s")
        circle.now = now
        line = Line(circle.me, self.clock.stamp(now), circle.time_of_day_ms(now), circle.alias, cleaned)
        signed = signed_part(self._room, line)
        line = msgspec.structs.replace(line, proof=circle.notary.sign(signed))
        links = self._members()
        for link in links:
            circle.send(link.peer, Lines((line,)))
        self._keep(id_of(signed), line)
        return id_of(signed), len(links)

    def noticed(self, peer: PeerId) -> None:
        """A member is here, linked with us or not; if it was here before and only out of sight, nothing changes."""
        self._arrivals.note(peer, self.clock.read(self._circle.now), self._circle.now)

    def wake(self) -> None:
        """The machine slept."""
        self._arrivals.slept()

    def unlinked(self, peer: PeerId, *, goodbye: bool) -> None:
        """The link to a member is gone, or (`goodbye`) the member itself."""
        self._views.pop(peer, None)
        if goodbye:
            self._arrivals.forget(peer)

    def tally(self, link: Link) -> Tally:
        """What to tell in a beat; it sets the clocks too, so it is told even where there is nothing to compare."""
        told, ours = self._view(link).tally, self._floor(link)
        floor = max(ours, told.floor if told else 0)
        upto = max(floor, self.clock.read(self._circle.now) - LAG_MS)
        return Tally(floor, upto, self.history.digest(floor, upto), self._early(ours, floor))

    def received(self, link: Link, message: Message) -> None:
        """A member wrote, lacks something, or tells what it holds. `WireError` for what its author did not sign."""
        match message:
            case Lines(lines):
                self._take_all(link, lines)
            case Lack():
                self._serve(link, message)
            case Beat(tally=Tally() as tally):
                self._compare(link, tally)

    # Inside

    def _compare(self, link: Link, tally: Tally) -> None:
        """Asks whoever holds other lines than we for those that we lack, if we do."""
        now, view = self._circle.now, self._view(link)
        before, view.tally = view.tally, tally
        self._follow(tally.upto)
        if tally.floor < self._floor(link):  # it does not know yet how far back we go together: the next beat will
            return
        if before is None or _digests(before)[1] != _digests(tally)[1]:
            view.early_tries = 0
        early = self._lacks_early(tally, view)
        if not early and tally.digest == self.history.digest(tally.floor, tally.upto):
            view.pause = ASK_PAUSE_S
            return
        if before is None or _digests(before) != _digests(tally):
            view.ask_at, view.pause = min(view.ask_at, now + ASK_PAUSE_S), ASK_PAUSE_S
        if now >= self._ask_at and now >= view.ask_at:
            view.early_tries += early
            self._ask(link, view, tally.early.floor if early and tally.early else tally.floor, tally.upto)

    def _follow(self, told_ms: int) -> bool:
        """Sets our clock by what somebody shows; False if that is too far ahead, for the moment."""
        now, backed_ms = self._circle.now, 0
        if told_ms > FREE_MAX:
            shown = sorted(view.tally.upto for view in self._views.values() if view.tally)
            backed_ms = shown[(len(shown) - 1) // 2] if len(shown) > 1 else 0
        before = self.clock.read(now)
        reached = self.clock.follow(told_ms, now, backed_ms=backed_ms)
        self._arrivals.met(self.clock.read(now) - before, now)
        return reached

    def _early(self, ours: int, floor: int) -> Early | None:
        """What we hold for a member from before it knew us; it may be ahead of our clock."""
        upto = min(floor, self.clock.read(self._circle.now) - LAG_MS)
        digest = self.history.digest(ours, upto)
        return None if digest == DIGEST_OF_NOTHING else Early(ours, upto, digest)

    def _lacks_early(self, tally: Tally, view: View) -> bool:
        """Whether that member may have lines for us from before we knew it."""
        told = tally.early
        ours = max(self._arrivals.own, self.history.floor)
        if told is None or view.early_tries >= EARLY_TRIES_MAX or told.upto <= ours:
            return False
        return told.digest != self.history.digest(told.floor, told.upto)

    def _ask(self, link: Link, view: View, floor: int, upto: int) -> None:
        now = self._circle.now
        self._ask_at, view.asked_at = now + max(ASK_PAUSE_S, self._circle.every), now
        view.ask_at, view.pause = now + view.pause, min(2 * view.pause, ASK_PAUSE_S_MAX)
        floor = max(floor, self._arrivals.own, self.history.floor)
        self._circle.send(link.peer, Lack(floor, upto, tuple(self.history.held(floor, upto))))

    def _view(self, link: Link) -> View:
        return self._views.setdefault(link.peer, View())

    def _floor(self, link: Link) -> int:
        """What is older than this does not concern that member and us both."""
        self.noticed(link.peer)
        return max(self._arrivals.own, self._arrivals.of(link.peer), self.history.floor)

    def _take_all(self, link: Link, lines: tuple[Line, ...]) -> None:
        view, before = self._view(link), len(self.history)
        asked = self._circle.now - view.asked_at <= ANSWER_S
        for line in lines:
            self._take(link, line, asked=asked)
        if asked and len(self.history) > before:  # it may have more
            view.early_tries, view.pause = 0, ASK_PAUSE_S

    def _take(self, link: Link, line: Line, *, asked: bool) -> None:
        """Keeps a line that is new, wanted, not too fast, and signed; the cheap questions come first."""
        signed = signed_part(self._room, line)
        line_id = id_of(signed)
        if line_id in self.history:
            return
        own_words = line.author == link.peer
        wanted = own_words or (asked and line.clock > self._arrivals.own)
        if not wanted or line.clock <= self.history.floor or not self._affords(PeerId(line.author), asked=asked):
            self.dropped += 1
        elif not self._circle.notary.verify(PeerId(line.author), signed, line.proof):
            raise WireError("a line of the chat that its author did not sign")
        elif self._follow(line.clock):
            self._keep(line_id, line)
        else:
            self.dropped += 1

    def _affords(self, author: PeerId, *, asked: bool) -> bool:
        now = self._circle.now
        table, rate = (self._caught_up, CAUGHT_UP) if asked else (self._live, LIVE)
        if author not in table:
            table[author] = Budget(rate, now)
            bound(table, TABLE_MAX)
        if table[author].take(now):
            return True
        if now >= self._complain_at:
            self._complain_at = now + FLOOD_SAID_S
            self._circle.wishes.append(out.Flooded(author))
        return False

    def _keep(self, line_id: LineId, line: Line) -> None:
        self.history.add(line_id, line)
        self._circle.wishes.append(out.LineAdded(line_id, line))

    def _serve(self, link: Link, lack: Lack) -> None:
        """Hands a member what it lacks, the oldest first, as much as one answer may have."""
        now, view = self._circle.now, self._view(link)
        if now - view.served_at < SERVE_PAUSE_S:
            return
        held = set(lack.held)
        missing = [
            each for each in self.history.held(max(lack.floor, self._floor(link)), lack.upto) if each not in held
        ]
        told: list[Line] = []
        size = 0
        for line in self.history.lines(missing[:LINES_MAX]):
            size += size_of(line)
            if size > SERVE_BYTES_MAX:
                break
            told.append(line)
        if told:
            view.served_at = now
            self._circle.send(link.peer, Lines(tuple(told)))


def _digests(tally: Tally) -> tuple[str, str]:
    return tally.digest, tally.early.digest if tally.early else DIGEST_OF_NOTHING
