"""Screens on their way in: datagrams opened with their sharer's key, slices put in order, what is missing asked for.

Opening and ordering run on the port's thread, between two packets of sound, and take some 20 µs for a datagram;
nothing is decoded. Whole slices go to the event loop, and from there undecoded to whoever looks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from meshchat.calling.incoming import STREAMS_PER_SSRC_MAX
from meshchat.errors import WireError
from meshchat.media.assembly import Assembly
from meshchat.media.feedback import Feedback, encode_feedback
from meshchat.media.operations import Size, parse_operations
from meshchat.media.parts import Slice, parse_part
from meshchat.media.rate import TICKS
from meshchat.sframe import STEP_BITS, ReceiveKey, peek, ratchet, screen_key
from meshchat.units import PeerId, Seconds
from meshchat.wire import MediaPacket, parse_media, screen_ssrc

KEYS_MAX = 4
"""Keys kept for one member, as for its sound."""

WINDOW = 16_384
"""Packets behind the newest that may still come: two seconds of full motion, in which lost ones are sent again."""

WATCHED_MAX = 16
"""Screens watched at once: each may hold 32 MB of what is under way."""


@dataclass(slots=True)
class Inflow:
    """One member's screen as it arrives here."""

    peer: PeerId
    ssrc: int = 0
    told: dict[int, bytes] = field(default_factory=dict)
    """Base keys that it told, by key id, oldest first; replaced as a whole."""
    keys: dict[int, ReceiveKey] = field(default_factory=dict)
    """Those of its screen that come of them and of their steps; only the port's thread adds to it."""
    watched: bool = False
    assembly: Assembly = field(default_factory=Assembly)
    size: Size | None = None
    bytes_received: int = 0
    pictures: int = 0
    slices: int = 0
    nacks: int = 0
    settled: bool = False
    is_hurt: bool = False
    """Whether the last datagram did not follow the one before: something was lost, or was for somebody else."""
    sequence: int = 0
    told_at: Seconds = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class CameAgain(WireError):
    """A datagram whose number was taken before."""


class Inflows:
    """Every screen that arrives, or could."""

    def __init__(self, deliver: Callable[[PeerId, Slice], None]) -> None:
        """`deliver` is called on the port's thread for each slice, in order."""
        self._deliver = deliver
        self._flows: dict[PeerId, Inflow] = {}
        self._by_ssrc: dict[int, tuple[Inflow, ...]] = {}

    def flow(self, peer: PeerId) -> Inflow | None:
        """That member's screen, if it told a key."""
        return self._flows.get(peer)

    @property
    def watched(self) -> tuple[Inflow, ...]:
        """The screens that are watched."""
        return tuple(flow for flow in self._flows.values() if flow.watched)

    def use_key(self, peer: PeerId, ssrc: int, key_id: int, base_key: bytes) -> None:
        """A member told a key: that of its screen comes of it."""
        flow = self._flows.setdefault(peer, Inflow(peer))
        if flow.ssrc != screen_ssrc(ssrc):
            with flow.lock:
                flow.ssrc, flow.told, flow.keys = screen_ssrc(ssrc), {}, {}
                flow.assembly, flow.size = Assembly(), None
        flow.told = dict(list({**flow.told, key_id: base_key}.items())[-KEYS_MAX:])
        self._index()

    def forget(self, peer: PeerId) -> None:
        """A member went."""
        self._flows.pop(peer, None)
        self._index()

    def watch(self, peer: PeerId, on: bool) -> bool:
        """Begins to take that member's screen, or ends; False if it told no key or too many are watched."""
        flow = self._flows.get(peer)
        if flow is None or (on and len(self.watched) >= WATCHED_MAX):
            return False
        with flow.lock:
            flow.assembly.start_over()
            flow.watched = on
        return True

    def start_over(self, peer: PeerId) -> None:
        """Somebody new looks, who needs the whole picture."""
        flow = self._flows.get(peer)
        if flow:
            with flow.lock:
                flow.assembly.start_over()

    def datagram(self, data: bytes, now: Seconds) -> Inflow | None:
        """A datagram of a screen, on the port's thread; the screen whose sharer is to hear of it, if there is one.

        Also of one that came before: that is how a sharer asks whether its last one came, when our report was lost.
        """
        try:
            packet = parse_media(data)
        except WireError:
            return None
        again: Inflow | None = None
        for flow in self._by_ssrc.get(packet.ssrc, ()):
            if flow.watched:
                try:
                    return self._take(flow, packet, now)
                except CameAgain:  # by its number, which another one with that SSRC may have used as well
                    again = flow
                except WireError:
                    pass
        return again

    def feedback(self, flow: Inflow, ssrc: int, rtt: Seconds, now: Seconds) -> bytes:
        """What is to be told to its sharer now."""
        with flow.lock:
            assembly = flow.assembly
            assembly.check(now)
            gaps = tuple(assembly.gaps(rtt, now))
            ticks = int(assembly.newest_at * TICKS) & 0xFFFF_FFFF
            told = Feedback(0 if assembly.is_empty else assembly.applied, assembly.newest, ticks, assembly.anew, gaps)
        flow.nacks += len(gaps)
        flow.told_at = now
        return encode_feedback(ssrc, told)

    def _take(self, flow: Inflow, packet: MediaPacket, now: Seconds) -> Inflow:
        key_id = peek(packet.payload)[0]
        key = flow.keys.get(key_id) or _derived(flow, key_id)
        before = key.replayed
        try:
            payload = key.open(packet.header, packet.payload)
        except WireError as error:
            if key.replayed == before:
                raise
            raise CameAgain(str(error)) from None
        flow.is_hurt = packet.sequence != flow.sequence + 1 & 0xFFFF
        flow.sequence = packet.sequence
        part = parse_part(payload)
        flow.bytes_received += len(packet.header) + len(packet.payload)
        with flow.lock:
            ready = flow.assembly.put(part, now)
        for each in ready:
            self._check(flow, each)
            self._deliver(flow.peer, each)
        return flow

    def _check(self, flow: Inflow, whole: Slice) -> None:
        """Lets nothing pass that a decoder could stumble over. What is wrong ends the picture: it begins anew."""
        try:
            _, flow.size = parse_operations(whole.operations, flow.size)
        except WireError:
            with flow.lock:
                flow.assembly.start_over()
            raise
        flow.slices += 1
        flow.pictures += whole.is_present
        flow.settled = whole.is_settled

    def _index(self) -> None:
        table: dict[int, tuple[Inflow, ...]] = {}
        for flow in self._flows.values():
            if flow.told:
                table[flow.ssrc] = (*table.get(flow.ssrc, ()), flow)[:STREAMS_PER_SSRC_MAX]
        self._by_ssrc = table


def _derived(flow: Inflow, key_id: int) -> ReceiveKey:
    """The screen's key of that id, from the base key that was told or of a later step of it, each computed once.

    The id stands in clear, so anybody can ask for steps that nobody took: `STEPS_MAX` for each key that we were told,
    half a millisecond each. Raises `WireError` for one that comes of none.
    """
    older = [each for each in flow.told if each >> STEP_BITS == key_id >> STEP_BITS and each <= key_id]
    if not older:
        raise WireError("a screen without a key")
    base_key = flow.told[max(older)]
    for _ in range(max(older), key_id):
        base_key = ratchet(base_key)
    known = {each >> STEP_BITS for each in flow.told}
    key = ReceiveKey(key_id, screen_key(base_key), WINDOW)
    flow.keys = {**{each: kept for each, kept in flow.keys.items() if each >> STEP_BITS in known}, key_id: key}
    return key
