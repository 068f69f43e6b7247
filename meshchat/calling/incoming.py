"""Datagrams from the others on their way in: parsed, opened with their sender's key, handed to that sender's voice.

Opening runs on the port's thread, playing on the speaker's; between them stands each voice's bounded inbox. A packet
that does not parse, has no key here, does not open, or came before is dropped and counted, never answered.

What a member plays besides is a stream of its own, with a number and keys that come of those of its voice. It gets a
place in the mix when the first packet of it opens: nearly nobody plays anything, nearly all the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from meshchat.calling.breath import BREATH_WINDOW
from meshchat.calling.derived import DerivedKeys
from meshchat.errors import WireError
from meshchat.media.arrivals import Arrival
from meshchat.media.copies import Copy, split_copies
from meshchat.media.evening import Evened
from meshchat.media.mixer import Mixer
from meshchat.media.voice import Voice
from meshchat.sframe import REPLAY_WINDOW, STEP_BITS, ReceiveKey, breath_key, music_key, peek, ratchet
from meshchat.units import PeerId, Seconds
from meshchat.wire import (
    PAYLOAD_TYPE_BREATH,
    PAYLOAD_TYPE_COPIES,
    PAYLOAD_TYPE_OPUS,
    MediaPacket,
    music_ssrc,
    parse_media,
)

_TAKEN = (PAYLOAD_TYPE_OPUS, PAYLOAD_TYPE_COPIES, PAYLOAD_TYPE_BREATH)

KEYS_MAX = 4
"""Keys kept for one stream: the one in use, one told ahead, and those whose packets may still be under way."""

Missing = tuple[int, ...]
"""Sequence numbers of packets to be asked for, oldest first."""

STREAMS_PER_SSRC_MAX = 4
"""Members whose streams may share an SSRC; 32 random bits make two unlikely, and only the right key opens."""


@dataclass(slots=True)
class Inflow:
    """What one member sends: its keys and its voice."""

    peer: PeerId
    voice: Voice
    ssrc: int | None = None
    keys: dict[int, ReceiveKey] = field(default_factory=dict)
    """Those that we were told, by key id, oldest first; replaced as a whole."""
    ahead: dict[int, ReceiveKey] = field(default_factory=dict)
    """Those that come of them by the ratchet; only the port's thread adds to it."""
    breath_keys: DerivedKeys = field(default_factory=lambda: DerivedKeys(breath_key, BREATH_WINDOW))
    heard_at: Seconds | None = None
    """When a packet last opened."""
    bytes_received: int = 0
    """Of packets that opened, headers and seal included."""
    music: Voice | None = None
    """What it plays besides, or has played."""
    music_keys: DerivedKeys = field(default_factory=lambda: DerivedKeys(music_key, REPLAY_WINDOW))
    music_gain: float = 1.0
    """The gain for what it plays, whether it does or not."""
    played_at: Seconds | None = None
    """When a packet of that last opened."""

    def set_gain(self, gain: float, music_gain: float) -> None:
        """Plays its voice and its music so loud."""
        self.voice.gain, self.music_gain = gain, music_gain
        if self.music:
            self.music.gain = music_gain

    def held(self) -> Iterator[ReceiveKey]:
        """The keys of its voice."""
        yield from self.keys.values()
        yield from self.ahead.values()

    def streams(self) -> Iterator[tuple[int, Voice]]:
        """What comes from it, with the number of each stream."""
        if self.ssrc is not None:
            yield self.ssrc, self.voice
            if self.music:
                yield music_ssrc(self.ssrc), self.music


@dataclass(slots=True)
class Drops:
    """Media datagrams that were not taken, by reason."""

    malformed: int = 0
    no_key: int = 0
    not_opened: int = 0
    """Forged, garbled or replayed."""


class Incoming:
    """What the others say."""

    def __init__(
        self, mixer: Mixer, voice: Callable[[], Voice], ask: Callable[[PeerId, int, Missing, int], None]
    ) -> None:
        """`voice` makes the player of a member that joins, and of what it plays.

        `ask(peer, ssrc, sequences, times)` wants packets of a stream again; it is called on the port's thread.
        """
        self.drops = Drops()
        self._mixer = mixer
        self._make_voice = voice
        self._evened = False
        self._ask = ask
        self._inflows: dict[PeerId, Inflow] = {}
        self._by_ssrc: dict[int, tuple[Inflow, ...]] = {}

    @property
    def inflows(self) -> tuple[Inflow, ...]:
        """What each member sends."""
        return tuple(self._inflows.values())

    def inflow(self, peer: PeerId) -> Inflow | None:
        """What that member sends."""
        return self._inflows.get(peer)

    def join(self, peer: PeerId) -> None:
        """A member came."""
        inflow = Inflow(peer, self._make_voice())
        self._inflows[peer] = inflow
        self._mixer.add(peer, Evened(inflow.voice) if self._evened else inflow.voice)

    @property
    def evened(self) -> bool:
        """Whether the members' loudness is evened out."""
        return self._evened

    def even(self, on: bool) -> None:
        """Evens it out from now on, or plays everybody as loud as they are."""
        self._evened = on
        for flow in self.inflows:
            self._mixer.add(flow.peer, Evened(flow.voice) if on else flow.voice)

    def leave(self, peer: PeerId) -> None:
        """A member went: its keys are forgotten with it."""
        if self._inflows.pop(peer, None):
            self._mixer.remove(peer)
            self._mixer.remove((peer, "music"))
            self._index()

    def use_key(self, peer: PeerId, ssrc: int, key_id: int, base_key: bytes) -> None:
        """A member told the key that it seals with, now or in a moment.

        A key id names one key for good: told again, it must not forget which packets have come.
        """
        inflow = self._inflows.get(peer)
        if inflow is None or (inflow.ssrc == ssrc and (key_id in inflow.keys or key_id in inflow.ahead)):
            return
        if inflow.ssrc != ssrc:
            inflow.ssrc, inflow.keys, inflow.ahead = ssrc, {}, {}
        keys = {**inflow.keys, key_id: ReceiveKey(key_id, base_key)}
        inflow.keys = dict(list(keys.items())[-KEYS_MAX:])
        self._index()

    def datagram(self, data: bytes, now: Seconds) -> None:
        """A media datagram from anybody, on the port's thread."""
        try:
            packet = parse_media(data)
            key_id = peek(packet.payload)[0]
        except WireError:
            self.drops.malformed += 1
            return
        known = False
        for flow in self._by_ssrc.get(packet.ssrc, ()) if packet.payload_type in _TAKEN else ():
            key = flow.keys.get(key_id) or _stepped(flow, key_id)
            known = known or key is not None
            if key is not None and self._open(flow, packet, key, now):
                return
        self.drops.not_opened += known
        self.drops.no_key += not known

    def _open(self, flow: Inflow, packet: MediaPacket, key: ReceiveKey, now: Seconds) -> bool:
        if packet.payload_type == PAYLOAD_TYPE_BREATH:
            return self._breathed(flow, packet, key, now)
        is_music = packet.ssrc != flow.ssrc
        key = flow.music_keys.of(key, flow.held()) if is_music else key
        before = key.replayed
        try:
            payload = key.open(packet.header, packet.payload)
        except WireError:
            voice = flow.music if is_music else flow.voice
            if key.replayed != before and voice:
                voice.came_again(packet.sequence)
            return False
        flow.heard_at = now
        flow.bytes_received += len(packet.header) + len(packet.payload)
        voice = self._music(flow, now) if is_music else flow.voice
        copies: tuple[Copy, ...] = ()
        if packet.payload_type == PAYLOAD_TYPE_COPIES:
            try:
                copies, payload = split_copies(payload)
            except WireError:
                self.drops.malformed += 1
                return True
        missing = voice.put(Arrival(packet.sequence, packet.timestamp, packet.marker, payload, now, copies))
        if missing:
            self._ask(flow.peer, packet.ssrc, missing, voice.asking_times)
        return True

    def _breathed(self, flow: Inflow, packet: MediaPacket, key: ReceiveKey, now: Seconds) -> bool:
        try:
            flow.breath_keys.of(key, flow.held()).open(packet.header, packet.payload)
        except WireError:
            return False
        flow.heard_at = now
        return True

    def _music(self, flow: Inflow, now: Seconds) -> Voice:
        """The player of what a member plays, in the mix from its first packet on."""
        flow.played_at = now
        if flow.music is None:
            flow.music = self._make_voice()
            flow.music.gain = flow.music_gain
            self._mixer.add((flow.peer, "music"), flow.music)
            if self._inflows.get(flow.peer) is not flow:  # it left meanwhile
                self._mixer.remove((flow.peer, "music"))
        return flow.music

    def _index(self) -> None:
        table: dict[int, tuple[Inflow, ...]] = {}
        for flow in self._inflows.values():
            for ssrc in (flow.ssrc, music_ssrc(flow.ssrc)) if flow.ssrc is not None else ():
                table[ssrc] = (*table.get(ssrc, ()), flow)[:STREAMS_PER_SSRC_MAX]
        self._by_ssrc = table


def _stepped(flow: Inflow, key_id: int) -> ReceiveKey | None:
    """The key of a later step of one that we were told, each step computed once.

    The id stands in clear, so anybody can ask for steps that nobody took: at most `STEPS_MAX` for each key that we
    were told, once, and half a millisecond in all.
    """
    if key_id in flow.ahead:
        return flow.ahead[key_id]
    told = flow.keys
    older = [each for each in (*told, *flow.ahead) if _same(each, key_id) and each < key_id]
    if not older:
        return None
    newest = max(older)
    key = told.get(newest) or flow.ahead[newest]
    flow.ahead = {each: kept for each, kept in flow.ahead.items() if any(_same(each, other) for other in told)}
    for step in range(newest + 1, key_id + 1):
        key = flow.ahead[step] = ReceiveKey(step, ratchet(key.base_key))
    return key


def _same(one: int, other: int) -> bool:
    """Whether two keys are steps of one that was drawn."""
    return one >> STEP_BITS == other >> STEP_BITS
