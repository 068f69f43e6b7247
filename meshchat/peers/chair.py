"""The room's chair: whose claim we follow, the roster that comes with it, and the duties while it is ours.

A claim counts when its leader says it on a link of its own, or when somebody who takes that leader for alive hands on a
roster that the leader signed. So a liar can claim the chair for itself, which any member may, but for nobody else; and
a member without a link to the coordinator still gets the same list as everybody.
"""

from __future__ import annotations

from collections.abc import Callable

from meshchat.errors import WireError
from meshchat.peers import effects as out
from meshchat.peers.circle import Circle, told_addresses
from meshchat.peers.election import Election
from meshchat.peers.lines import Tally
from meshchat.peers.links import Link
from meshchat.peers.liveness import State
from meshchat.peers.messages import MEMBERS_MAX, Beat, Claim, Entry, Handover, Mark, Roster, Want, epoch_after
from meshchat.peers.roster import RosterBook, is_ahead, signed_part
from meshchat.peers.watch import Watch
from meshchat.units import PeerId, RoomId, Seconds, safe_text, short

PUBLISH_PAUSE_S: Seconds = 0.3
"""Between two rosters: a room of 100 that fills at once would otherwise be told 100 lists of 100 members each."""

TURNS_MAX = 5
"""How often one whose turn it is lets somebody before it go first who has not noticed yet that the coordinator is gone:
members notice up to a beat and an answer apart."""

WANT_PAUSE_S: Seconds = 0.5
"""Before the same roster is asked for again."""

ROSTER_PAUSE_S: Seconds = 0.2
"""Between two rosters handed on to one member at its wish: whoever asks without end is not served without end."""


class Chair:
    """Claims and rosters, for one stay in one room."""

    def __init__(
        self,
        circle: Circle,
        room: RoomId,
        members: Callable[[], list[Link]],
        barred: Callable[[PeerId], bool],
        tally: Callable[[Link], Tally],
    ) -> None:
        """`members` are the links of those in the room; `barred` tells whom nobody lets in; `tally` gives what each
        beat tells of the chat."""
        self.election = Election(circle.me)
        self.book = RosterBook(room)
        self.watch = Watch(circle, self._is_listed, barred)
        self._circle = circle
        self._room = room
        self._members = members
        self._tally = tally
        self._publish_at: Seconds | None = None
        self._published_at: Seconds = 0.0
        self._turns_left = 0
        self._wanted: Claim | None = None
        self._wanted_at: Seconds = 0.0

    @property
    def timer(self) -> Seconds | None:
        """When `tick` wants to be called."""
        times = [time for time in (self.election.timer, self._publish_at) if time is not None]
        return min(times, default=None)

    def hears_leader(self) -> bool:
        """Whether we take the coordinator for alive: ourselves, heard by us, or heard by others."""
        leader = self.election.leader
        return leader is not None and (leader == self._circle.me or self.watch.hears(leader))

    def rank(self, peer: PeerId, said: int | None = None) -> tuple[int, int, PeerId]:
        """Where a member stands in the succession: standing, order of admission, id."""
        entry = self.book.entries.get(peer)
        known = said if said is not None else (entry.standing if entry else 1 << 30)
        return (known, self.book.order(peer), peer)

    def list(self, link: Link) -> None:
        """Brings that member's line in the roster up to date, if it is ours to keep."""
        if self.election.leading and self._admit(link):
            self.publish_soon()

    def list_self(self) -> None:
        """The same for our own line."""
        if self.election.leading and self._admit_self():
            self.publish_soon()

    def list_unlinked(self, entry: Entry) -> None:
        """The same for a member that only others are linked with."""
        peer = PeerId(entry.peer)
        if not self._is_alive(peer) or len(self.book.entries) >= MEMBERS_MAX:
            return
        alias = safe_text(entry.alias) or short(peer)
        if self.book.admit(peer, alias, entry.addresses, entry.standing):
            self.publish_soon()

    def strike(self, peer: PeerId) -> None:
        """Takes a member that is gone off the list, if it is ours to keep."""
        if self.election.leading and self.book.strike(peer):
            self.publish_soon()

    def hear(self, link: Link) -> None:
        """Weighs what a member says that it follows, and what list it holds."""
        claim = link.claim
        if claim and claim.leader == link.peer:
            self._hear_leader(link, claim)
        elif claim and claim.leader == self._circle.me and claim != self.election.claim:
            self.election.hear(claim, link.peer, self._circle.now)
        followed = self.election.followed
        stale = claim and followed and followed.leader == link.peer and followed.outranks(claim)
        if stale and not self.election.is_fresh(self._circle.now):
            self.lose_leader(deserted=True)  # it has restarted, or been replaced: what it claimed once is void
        if claim and claim.leader != self._circle.me and link.hears_leader and link.roster:
            self._compare(link, claim, link.roster)
        self._meet(link)

    def roster_came(self, link: Link, roster: Roster) -> bool:
        """A signed list, from its coordinator or handed on; returns whether we took it over.

        Raises `WireError` if the coordinator did not sign it: nobody hands on what it did not check.
        """
        claim, now = roster.claim, self._circle.now
        known = claim == self.election.followed
        if claim.leader == self._circle.me or not (known or claim.outranks(self.election.claim)):
            return False
        if known and not self.book.is_newer(roster):
            return False
        if not self._circle.notary.verify(PeerId(claim.leader), signed_part(self._room, roster), roster.proof):
            raise WireError("a roster that its coordinator did not sign")
        if not known:
            if self._is_denied(claim) or self.watch.distrusts(PeerId(claim.leader)):
                return False
            vouched = link.peer == claim.leader or (link.hears_leader and link.claim == claim)
            if not vouched or not self.election.hear(claim, link.peer, now):
                return False
        self.book.accept(roster)
        if not known:
            self._changed()
        return True

    def want_came(self, link: Link, want: Want) -> None:
        """A member lacks the list that we hold."""
        now, signed = self._circle.now, self.book.signed
        if signed and signed.claim == want.claim and now - link.roster_sent_at >= ROSTER_PAUSE_S:
            link.roster_sent_at = now
            self._circle.send(link.peer, signed)

    def handover_came(self, link: Link, handover: Handover) -> None:
        """The coordinator goes and names the next: only it may, and only the next epoch."""
        followed, claim = self.election.followed, handover.claim
        if followed is None or followed.leader != link.peer or claim.epoch != epoch_after(followed.epoch):
            return
        if self.election.take_over(claim, self._circle.now):
            self._changed()

    def hand_over(self) -> None:
        """We go: names the best of those whom we hear, so that the room is never without a coordinator."""
        claim = self.election.followed
        heard = [link for link in self._members() if self.watch.state(link.peer) is State.ALIVE]
        if not self.election.leading or claim is None or not heard:
            return
        best = min(heard, key=self._rank_of)
        told = Claim(epoch_after(claim.epoch), self.book.order(best.peer), best.peer, self._rank_of(best)[0])
        for link in heard:
            self._circle.send(link.peer, Handover(told))

    def lose_leader(self, *, deserted: bool = False) -> None:
        """The coordinator is gone: whoever is best placed follows it."""
        self._turns_left = TURNS_MAX
        mine = self.rank(self._circle.me, self._circle.standing)
        alive = (State.ALIVE, State.UNREACHABLE)
        present = [record for record in self.watch.present() if record.state in alive]
        before = sum((self._rank_of(each.link) if each.link else self.rank(each.peer)) < mine for each in present)
        self.election.lose_leader(before, self._circle.now, deserted=deserted)
        self._circle.wishes.append(out.CoordinatorChanged(None))

    def check_leader(self) -> None:
        """Gives up a coordinator whom nobody here knows, or knows any more."""
        leader = self.election.leader
        if leader and not self._is_alive(leader) and self.watch.state(leader) is State.GONE:
            self.lose_leader()

    def wake(self) -> None:
        """We were away: our claim may be outdated, so it is given up until we have listened."""
        if self.election.wake(self._circle.now):
            self._circle.wishes.append(out.CoordinatorChanged(None))

    def tick(self, now: Seconds) -> None:
        """Claims and publishes when it is time."""
        alone = not self.watch.present()
        order, standing = self.book.order(self._circle.me), self._circle.standing
        timer = self.election.timer
        if timer is not None and now >= timer and self._turns_left and self._somebody_lags():
            self._turns_left -= 1
            self.election.give_way(now)
        if self.election.tick(order, now, standing=standing, alone=alone):
            self._changed()
        if self._publish_at is not None and now >= self._publish_at:
            self._publish()

    def publish_soon(self) -> None:
        """Tells the list again, in a moment: half a big room may come at once, when a split ends."""
        if self._publish_at is None:
            every, now = self._circle.every, self._circle.now
            self._publish_at = max(now + every / 4, self._published_at + max(PUBLISH_PAUSE_S, every))

    def beat(self, link: Link) -> None:
        """A sign of life to that peer, with all there is to tell."""
        self._circle.beat(link, self._beat_for(link))

    def pulse(self, link: Link) -> bool:
        """It is time for a sign of life to that peer; False where there is nothing to tell: a breath will do."""
        beat, circle = self._beat_for(link), self._circle
        if link.admitted and link.will_do_with_a_breath(beat, circle.every, circle.now):
            return False
        circle.beat(link, beat)
        return True

    # Inside

    def _beat_for(self, link: Link) -> Beat:
        claim = self.election.followed
        mark = self._own_mark(claim) if claim else None
        circle, tally = self._circle, self._tally(link) if link.admitted else None
        return link.beat(claim, self.hears_leader(), mark, circle.every, circle.now, circle.book, tally)

    def _somebody_lags(self) -> bool:
        """Whether a member that comes before us may not have noticed yet: it still follows the leader whom we lost,
        or we have no link to it, so that its claim takes longer to us."""
        lost, mine = self.election.claim, self.rank(self._circle.me, self._circle.standing)
        following = (self._rank_of(link) < mine for link in self._members() if lost and link.claim == lost)
        present = self.watch.present()
        unlinked = (self.rank(each.peer) < mine for each in present if each.state is State.UNREACHABLE)
        return any(following) or any(unlinked)

    def _is_alive(self, peer: PeerId) -> bool:
        return peer == self._circle.me or self.watch.state(peer) in (State.ALIVE, State.UNREACHABLE)

    def _is_listed(self, peer: PeerId) -> bool:
        """Whether a living coordinator other than us lists that member; itself it cannot vouch for."""
        leader = self.election.leader
        if leader is None or leader in (peer, self._circle.me) or not self._is_alive(leader):
            return False
        return peer in self.book.entries

    def _own_mark(self, claim: Claim) -> Mark | None:
        signed = self.book.signed
        return self.book.mark if signed and signed.claim == claim else None

    def _hear_leader(self, link: Link, claim: Claim) -> None:
        """A member claims to coordinate."""
        if self.election.hear(claim, link.peer, self._circle.now):
            self._changed()

    def _is_denied(self, claim: Claim) -> bool:
        """Whether its leader itself, whom we hear, says that it holds another claim or follows one."""
        link = self._circle.links.get(PeerId(claim.leader))
        return link is not None and link.admitted and link.claim is not None and link.claim != claim

    def _compare(self, link: Link, claim: Claim, mark: Mark) -> None:
        """Whoever follows a better claim than we, or holds a newer list, is asked for the signed list."""
        better = claim.outranks(self.election.claim)
        newer = claim == self.election.followed and is_ahead(mark, self._own_mark(claim))
        now = self._circle.now
        if (better or newer) and (claim != self._wanted or now - self._wanted_at >= WANT_PAUSE_S):
            self._wanted, self._wanted_at = claim, now
            self._circle.send(link.peer, Want(claim))

    def _meet(self, link: Link) -> None:
        """While we coordinate alone: whoever has no better claim than ours makes ours count."""
        claim, circle = self.election.followed, self._circle
        if not self.election.leading or claim is None or not link.greeted:
            return
        if link.claim is None:  # it has not made up its mind: it will follow us, or tell us of somebody better
            return
        weaker = claim.outranks(link.claim) or link.claim.leader == circle.me
        # Somebody holds a newer list under our claim: a former life of ours made the same claim.
        twice = link.claim == claim and link.roster is not None and is_ahead(link.roster, self.book.mark)
        order, standing = self.book.order(circle.me), circle.standing
        if (weaker or twice) and self.election.meet(order, standing, circle.now, twice=twice):
            self._changed()

    def _changed(self) -> None:
        """Another claim is in force: whoever does not say that it follows it hears of it at once."""
        claim = self.election.followed
        assert claim is not None
        self._circle.wishes.append(out.CoordinatorChanged(claim))
        if claim.leader != self._circle.me:
            self._publish_at = None
        else:
            self._open_book()
        for link in self._members():
            if link.claim != claim:
                self.beat(link)

    def _open_book(self) -> None:
        """The list is ours from now on: who is gone is struck, who is here is admitted, best placed first."""
        for peer in list(self.book.entries):
            if peer != self._circle.me and self.watch.state(peer) is State.GONE:
                self.book.strike(peer)
        self._admit_self()
        for link in sorted(self._members(), key=self._rank_of):
            self._admit(link)
        self._publish()

    def _admit_self(self) -> bool:
        circle = self._circle
        return self.book.admit(circle.me, circle.alias, circle.addresses, circle.standing)

    def _admit(self, link: Link) -> bool:
        alias = safe_text(link.presence.alias if link.presence else "") or short(link.peer)
        said = link.presence.standing if link.presence else 0
        return self.book.admit(link.peer, alias, told_addresses(link), said)

    def _rank_of(self, link: Link) -> tuple[int, int, PeerId]:
        return self.rank(link.peer, link.presence.standing if link.presence else None)

    def _publish(self) -> None:
        self._publish_at, self._published_at = None, self._circle.now
        claim = self.election.followed
        if not self.election.leading or claim is None:
            return
        roster = self.book.publish(claim, self._circle.notary.sign)
        for link in self._members():
            self._circle.send(link.peer, roster)
