"""The door to mDNS: announces this peer and its rooms, and tells who else announces itself.

python-zeroconf (RFC 6762, 6763) sends, answers, caches. Three things are done here instead, with reasons:

- *The instance name is the peer's id*, so it is unique without asking: no probing (`cooperating_responders`), which
  saves 0.75 s at every start.
- *The first question leaves from a port of its own* (a one-shot question, RFC 6762 section 5.1). Whoever runs answers
  at once and straight to that port. A question from port 5353 waits 20..120 ms for its answers, or over a second when
  the same answer was multicast less than a second ago; asking for unicast answers on 5353 does not help, as only one
  of the processes that share the port on a host gets them. In the other direction the newcomer's own announcement
  is enough. Lost packets are made good by the repeats, and by questions from 5353 that go on for ever, more rarely.
- *Packets are read as they arrive*, not through `ServiceBrowser`, whose list of refreshes to come grows with every
  name that a stranger invents. One peer's announcement fits one packet, so nothing is ever looked up or waited for.
  After each packet the library's cache is cleared of all but our own records and one pointer per known peer.

Whatever a record says is a hint that anyone on the network can forge; who a peer is, its key says.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from zeroconf import (  # type: ignore[attr-defined]  # kept there for this use, but not marked as exported
    DNSIncoming,
    DNSOutgoing,
    DNSQuestion,
    DNSRecord,
    Error,
    RecordUpdate,
    RecordUpdateListener,
    ServiceInfo,
    Zeroconf,
    current_time_millis,
)
from zeroconf.asyncio import AsyncZeroconf

from meshchat.errors import NetworkError, WireError
from meshchat.interfaces import LocalAddress
from meshchat.mdns.hearsay import Hearsay, PeerForgotten, PeerFound, Said
from meshchat.mdns.notices import PeerNotice, RoomNotice, label_of, likeliest, parse_record, write_record
from meshchat.mdns.oneshot import OneShot
from meshchat.mdns.opening import cannot_multicast, choices, doors_of, ip_version, opened
from meshchat.mdns.records import INTERNET, POINTER, SERVICE, pointed_peer, pointer_to, read
from meshchat.units import PeerId, RoomId, Seconds

__all__ = ["Discovery", "PeerForgotten", "PeerFound", "PeerNotice", "RoomNotice", "parse_record", "write_record"]

QUERY = 0x0000
"""Flags of a question (RFC 1035 section 4.1.1)."""

RECORD_TTL_S = 1200
"""Life of our pointer and record: a crashed peer's hint lingers 20 minutes, not the customary 75 (RFC 6762 section 10).
python-zeroconf raises what is under 1125 s anyway."""

QUESTION_GAP_MIN_S: Seconds = 1.0
QUESTION_GAP_MAX_S: Seconds = 300.0
"""Pauses between multicast questions, doubling from the one to the other (RFC 6762 section 5.2); the longest leaves
three tries to refresh a record before it expires."""

KNOWN_ANSWERS_MAX = 64
"""Pointers told in a question so that their owners stay silent (RFC 6762 section 7.1): four packets full. On a larger
network the others answer again, which is a few packets every five minutes."""

KNOWN_ANSWERS_ONE_SHOT_MAX = 16
"""The same in a one-shot question, which has to be a single packet."""

UPDATE_GAP_MIN_S: Seconds = 0.2
UPDATE_GAP_MAX_S: Seconds = 3.2
"""Pauses between announcements of changed rooms. The first change leaves at once; while changes go on the pause
doubles, because a multicast holds up a whole Wi-Fi cell at its lowest rate (RFC 9119 section 3.1.2)."""

NUMBER_PAUSE_S: Seconds = 0.25
"""Between two announcements that tell no more than how many are in a room now, for each of them: so all of its members
together tell it four times a second at most. (While fifty came, each of them told each new number to all others, three
times: two thousand packets a second for somebody to read.)"""

REPEATS_S: tuple[Seconds, ...] = (0.25, 1.0)
"""Pauses before an announcement is repeated against loss (RFC 6762 section 8.3), unless a newer one replaces it."""


class _Ear(RecordUpdateListener):
    """Hands on the records of each packet, and then says that the library's cache has stored them."""

    def __init__(self, heard: Callable[[float, list[DNSRecord]], None], stored: Callable[[], None]) -> None:
        self._heard = heard
        self._stored = stored

    def async_update_records(self, zc: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        self._heard(now, [update.new for update in records])

    def async_update_records_complete(self) -> None:
        self._stored()


class Discovery:
    """Announces one peer and hears the others; everything happens on the running event loop."""

    def __init__(
        self,
        me: PeerId,
        port: int,
        addresses: Sequence[LocalAddress],
        listen: Callable[[PeerFound | PeerForgotten], None],
    ) -> None:
        """`me` listens on UDP `port` of `addresses`; `listen` is called from the event loop."""
        self.dropped = 0
        """Hostile or malformed records dropped so far."""
        self._me = me
        self._port = port
        self._addresses = tuple(addresses)
        self._listen = listen
        self._rooms: tuple[RoomNotice, ...] = ()
        self._told: tuple[RoomNotice, ...] = ()
        """Those of the last announcement."""
        self._hearsay = Hearsay(self._evicted)
        name = label_of(me)
        self._info = ServiceInfo(
            SERVICE,
            f"{name}.{SERVICE}",
            port=port,
            server=f"{name}.local.",
            other_ttl=RECORD_TTL_S,
        )
        self._mdns: AsyncZeroconf | None = None
        self._ear = _Ear(self._heard, self._stored)
        self._own: set[DNSRecord] = set()
        self._passing: list[DNSRecord] = []
        self._one_shots: list[OneShot] = []
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._update_gap_s = UPDATE_GAP_MIN_S
        self._updated_at: Seconds = float("-inf")

    @property
    def peers(self) -> Mapping[PeerId, PeerNotice]:
        """The peers known now, a live view; hints, not proofs."""
        return self._hearsay.notices

    def keep(self, peer_ids: Iterable[PeerId]) -> None:
        """From now on exactly these, which have proved their keys, are never evicted by a flood of names."""
        self._hearsay.keep(peer_ids)

    async def start(self) -> None:
        """Announces this peer and asks who is there; returns once both are sent, within milliseconds.

        Raises NetworkError when multicast cannot be opened on any address.
        """
        doors = await self._open_one_shots()
        try:
            self._mdns = await opened(doors)
        except NetworkError:
            await self.close()
            raise
        self._zeroconf.async_add_listener(self._ear, None)
        self._zeroconf.registry.async_add(self._info)
        self._update()
        self._ask_everyone()

    def announce(self, rooms: Sequence[RoomNotice]) -> None:
        """Tells the network the rooms that this peer sits in; may be called as often as they change.

        A room that is new, or gone, or another in kind, is told soon; how many are in it, in its time.
        """
        waits = _unnumbered(rooms) == _unnumbered(self._rooms) and "update" in self._timers
        self._rooms = tuple(rooms)
        if self._mdns is None or waits or self._rooms == self._told:
            return
        is_news = _unnumbered(rooms) != _unnumbered(self._told)
        update = self._update if is_news else partial(self._update, ())  # the next number is as good as a repeat
        pause_s = 0.0 if is_news else NUMBER_PAUSE_S * max(room.members for room in rooms)
        wait_s = self._updated_at + max(self._update_gap_s, pause_s) - asyncio.get_running_loop().time()
        if wait_s > 0:
            self._later("update", wait_s, update)
            self._update_gap_s = min(2 * self._update_gap_s, UPDATE_GAP_MAX_S)
        else:
            self._update_gap_s = UPDATE_GAP_MIN_S
            update()

    async def set_addresses(self, addresses: Sequence[LocalAddress]) -> None:
        """Moves to these addresses, now that interfaces came or went, and announces and asks anew.

        Takes up to half a second, over which the library repeats itself on new interfaces. Raises NetworkError when the
        system refuses them; worth another try when the addresses are read again.
        """
        self._addresses = tuple(addresses)
        if self._mdns is None:
            return
        doors = await self._open_one_shots()
        self._update()
        self._ask_everyone()
        try:
            await self._mdns.async_update_interfaces(choices(doors), ip_version(doors))
        except (OSError, RuntimeError, Error) as error:
            raise cannot_multicast(doors, error) from error

    async def close(self) -> None:
        """Says goodbye, which takes a quarter of a second, and lets go of everything; may be called twice.

        Not while `start` or `set_addresses` runs: cancel them first.
        """
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for one_shot in self._one_shots:
            one_shot.close()
        mdns, self._mdns = self._mdns, None
        if mdns is not None:
            mdns.zeroconf.async_remove_listener(self._ear)
            await mdns.async_close()

    @property
    def _zeroconf(self) -> Zeroconf:
        assert self._mdns is not None, "only between start and close"
        return self._mdns.zeroconf

    def _later(self, what: str, after_s: Seconds, act: Callable[[], None]) -> None:
        """Acts once, later, unless the same thing is put off anew before."""
        if what in self._timers:
            self._timers[what].cancel()

        def due() -> None:
            del self._timers[what]
            act()

        self._timers[what] = asyncio.get_running_loop().call_later(after_s, due)

    def _update(self, repeats_s: tuple[Seconds, ...] = REPEATS_S) -> None:
        """Writes our records and announces them, now and again after a while."""
        self._updated_at = asyncio.get_running_loop().time()
        self._describe()
        self._zeroconf.registry.async_update(self._info)
        self._own = {self._info.dns_pointer(), self._info.dns_service(), self._info.dns_text()}
        self._own |= self._info.get_address_and_nsec_records()
        self._told = self._rooms
        for waiting in (self._zeroconf.out_queue, self._zeroconf.out_delay_queue):
            waiting.queue.clear()  # answers held back up to 1.3 s; they would tell old rooms after this announcement
        self._broadcast(repeats_s)

    def _describe(self) -> None:
        """Writes rooms and addresses into the one description that every repeat reads, so that none tells old news."""
        self._info.text = write_record(self._me, self._port, self._rooms)
        self._info.addresses = likeliest(address.bare for address in self._addresses)
        self._info.async_clear_cache()

    def _broadcast(self, pauses_s: tuple[Seconds, ...]) -> None:
        self._zeroconf.async_send(self._zeroconf.generate_service_broadcast(self._info, None))
        if pauses_s:
            self._later("repeat", pauses_s[0], lambda: self._broadcast(pauses_s[1:]))

    async def _open_one_shots(self) -> list[LocalAddress]:
        """Opens a port for a one-shot question on each interface; returns the addresses where that worked.

        Raises NetworkError when there are addresses and it worked on none.
        """
        for one_shot in self._one_shots:
            one_shot.close()
        wanted = doors_of(self._addresses)
        tried = [OneShot(door, self._one_shot_question, self._answered) for door in wanted]
        refusals = [await one_shot.open() for one_shot in tried]
        self._one_shots = [one_shot for one_shot, refusal in zip(tried, refusals, strict=True) if refusal is None]
        if wanted and not self._one_shots:
            raise cannot_multicast(wanted, refusals[0])
        return [one_shot.address for one_shot in self._one_shots]

    def _ask_everyone(self) -> None:
        for one_shot in self._one_shots:
            one_shot.ask()
        self._later("question", QUESTION_GAP_MIN_S, lambda: self._ask(2 * QUESTION_GAP_MIN_S))

    def _ask(self, gap_s: Seconds) -> None:
        """Asks by multicast, and again after `gap_s` and a little, lest a crowd that started together ask together."""
        self._zeroconf.async_send(self._question(0, KNOWN_ANSWERS_MAX))
        self._later("question", gap_s * random.uniform(1.0, 1.1), lambda: self._ask(min(2 * gap_s, QUESTION_GAP_MAX_S)))

    def _question(self, question_id: int, known_max: int) -> DNSOutgoing:
        """Who is there, except these? Pointers past half their life are left out, so that they are refreshed."""
        question = DNSOutgoing(QUERY, multicast=not question_id, id_=question_id)
        question.add_question(DNSQuestion(SERVICE, POINTER, INTERNET))
        now = current_time_millis()
        known = self._zeroconf.cache.get_all_by_details(SERVICE, POINTER, INTERNET)
        for record in [record for record in known if not record.is_stale(now)][:known_max]:
            question.add_answer_at_time(record, now)
        return question

    def _one_shot_question(self, question_id: int) -> bytes:
        return self._question(question_id, KNOWN_ANSWERS_ONE_SHOT_MAX).packets()[0]

    def _answered(self, packet: bytes, scope: int) -> None:
        """Takes the answer to a one-shot question as if it had come by multicast."""
        message = DNSIncoming(packet, None, scope or None)
        if message.valid and message.is_response():
            self._zeroconf.record_manager.async_updates_from_response(message)

    def _heard(self, now: float, records: list[DNSRecord]) -> None:
        """Takes in one packet, or the records that expire at `now` (milliseconds)."""
        self._passing = records
        packet = read(records, now, any(address.is_loopback for address in self._addresses))
        self.dropped += packet.nonsense
        changes: list[PeerFound | PeerForgotten] = [
            change for peer_id in packet.gone for change in self._hearsay.forget(peer_id)
        ]
        for peer_id, said in packet.said.items():
            changes += self._learn(peer_id, said)
        for change in changes:
            self._listen(change)

    def _learn(self, peer_id: PeerId, said: Said) -> list[PeerFound | PeerForgotten]:
        try:
            return [] if peer_id == self._me else self._hearsay.hear(peer_id, said)
        except WireError:
            self.dropped += 1
            return []

    def _evicted(self, peer_id: PeerId) -> None:
        self._passing.append(pointer_to(peer_id))

    def _stored(self) -> None:
        """Clears the cache of what just passed, but for our own records and the pointers of known peers.

        The library bounds its cache in records, not in bytes, and evicts what expires first: our own records would
        be among the first to go, and with them its memory of when it last multicast them.
        """
        cache = self._zeroconf.cache
        for record in self._passing:
            known = record in self._own or pointed_peer(record) in self._hearsay
            if not known and cache.async_get_unique(record) is not None:  # type: ignore[arg-type]  # any record will do
                cache.async_remove_records((record,))
        self._passing = []


def _unnumbered(rooms: Iterable[RoomNotice]) -> tuple[tuple[RoomId, str, bool, bool], ...]:
    """The rooms, however many are in them."""
    return tuple((room.id, room.name, room.locked, room.sharing) for room in rooms)
