"""One remote speaker: packets go in as the network brings them, sound comes out as the loudspeaker asks.

Intuition: a reel of the speaker's timeline is played with a finger on it. `_end` is the timestamp up to which
sound lies on the tape; the loudspeaker pulls the tape. Each time it runs short there are four cases:

- the next packet is there: play it, and let the shaper shorten or lengthen it a little;
- nothing is there: it may be late, lost, or the speaker may be silent (DTX), and nobody can know yet. Guess, without
  moving along the timeline. If the packet turns out to be late, it is played whole and the delay has grown, which
  it had to; if it turns out to be lost, the guess has been played in its place and the timeline leaps over it;
  if the speaker was silent, nothing is owed;
- a later packet is there and sequence numbers are missing: lost. Read the copy in the later packet, else guess. (Whole
  frames that a later packet carries again are put in their place as they come, and then nothing is missing;)
- a later packet is there and none is missing: the speaker was silent. Silence has no length that matters: the
  next sound begins as soon as its packets have the slack they need. Here delay is set anew, unheard.

After 120 ms of guessing there is silence until something comes. Waiting for a fixed number of packets before the first
sound (as aiortc does), or for the whole worst case before each FEC repair (as GStreamer does), was not taken: both
are paid by every sound ever heard.

Threads: `put` only appends to a bounded deque and may be called from the network's thread; `pull` belongs to the
loudspeaker's; `stats`, `gain` and `reception.report` are plain reads and writes, good from anywhere.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from meshchat.media.arrivals import Arrival, Arrivals
from meshchat.media.asking import Asking
from meshchat.media.decoding import GUESS_SAMPLES, Decoder, Decoding
from meshchat.media.intake import Intake, Packet
from meshchat.media.jitter import HELD_PACKETS_MAX, JitterBuffer
from meshchat.media.level import Meter
from meshchat.media.pace import Pace
from meshchat.media.reception import Reception
from meshchat.media.shaping import Shaper
from meshchat.media.tape import Tape
from meshchat.units import SAMPLE_RATE, Samples, Seconds, sequence_distance

BACKLOG_MAX = 12_000
"""Delay beyond the wish that is still worked off by shortening: 250 ms. More (a network that froze, a machine that
slept) is skipped: the packets count as late, and talk is current again at once."""

_SAMPLES_PER_MS = SAMPLE_RATE / 1000


@dataclass(frozen=True, slots=True)
class VoiceStats:
    """What can be said about one speaker's sound; counts and sums are since the beginning."""

    packets_received: int
    """Everything that came, copies, nonsense and what was sent again included."""
    packets_lost: int
    """Sent, and not arrived the first time in a state to be understood."""
    packets_late: int
    """Arrived after their moment, or dropped because too many waited."""
    packets_duplicated: int
    """Copies of what had come."""
    packets_damaged: int
    """Not decodable, or of no believable time."""
    jitter_ms: float
    """Interarrival jitter as RFC 3550 has it."""
    playout_delay_ms: float
    """How long after the luckiest packet would have arrived its sound left, most recently."""
    target_delay_ms: float
    """The wait that the arrivals ask for; playout adds what blocks and frames need."""
    concealed_ms: float
    """Sound that was guessed, or missing, while the speaker talked; not the speaker's own silence."""
    recovered_ms: float
    """Lost sound that was read from a copy in a later packet, or sent again."""
    waits: int
    """How often the sound had to stop for late packets; the delay grew each time."""
    shortened_ms: float
    """Sound left out to bring the delay down."""
    lengthened_ms: float
    """Sound repeated to let the delay grow."""
    restarts: int
    """How often the sender began a new timeline."""
    level_db: float
    """Loudness now, -127..0 dB relative to overload, before `gain`."""
    speaking: bool
    """Whether that is speech."""


class Voice:
    """Plays one speaker."""

    def __init__(self, decoder: Decoder, gain: float = 1.0) -> None:
        self.gain = gain
        """The listener's factor for this speaker, 0 or more; the mixer applies it."""
        self.reception = Reception()
        """For the reports to the sender. Copies are not counted, and what cannot be understood was not received."""
        self._asking = Asking()
        self._inbox: deque[Arrival] = deque(maxlen=HELD_PACKETS_MAX)  # full: the oldest goes, its moment is over
        self._intake = Intake(decoder.packet_samples)
        self._arrivals = Arrivals()
        self._jitter = JitterBuffer()
        self._decoding = Decoding(decoder)
        self._tape = Tape()
        self._pace = Pace()
        self._shaper = Shaper(self._tape, self._pace)
        self._meter = Meter()
        self._restarts = 0
        self._silent = True
        self._resting = False  # nothing happens until a packet comes: most of a full room, most of the time
        self._end: int | None = None
        self._edge = 0  # the timestamp up to which sound came from packets; guesses may have moved `_end` past it
        self._expected = 0
        self._frame = 0
        self._waited = 0  # samples guessed, or silent, without moving along the timeline
        self._concealed = 0
        self._restored = 0
        self._waits = 0
        self._delay = 0.0  # samples, when a packet was last played; while guessing nobody knows

    def put(self, arrival: Arrival) -> tuple[int, ...]:
        """Takes a packet from the network's thread; the next pull looks at it. Which to ask its sender for again."""
        asked = self._asking.came(arrival.sequence, tuple(copy.steps for copy in arrival.copies), arrival.at)
        self._inbox.append(replace(arrival, asked=True) if asked else arrival)
        return self._asking.due(arrival.at)

    @property
    def asking_times(self) -> int:
        """How often to say what `put` wants asked."""
        return self._asking.times

    def came_again(self, sequence: int) -> None:
        """A packet came twice, on the network's thread: if it had been asked for, then needlessly."""
        self._asking.came_again(sequence)
        self.reception.overtaken = self._asking.needless

    def pull(self, samples: int, now: Seconds) -> Samples | None:
        """The next `samples` (1 or more), float32, valid until the next pull; None while there is nothing to hear."""
        if self._inbox:
            self._drain()
        elif self._resting:
            self._waited += samples
            return None
        block = None
        if not self._silent or len(self._jitter) or self._tape.pending or self._tape.ending:
            block = self._block(samples, now)
        else:
            self._waited += samples
        if block is not None or not self._meter.at_rest:
            self._meter.hear(block, samples)
        self._resting = block is None and self._silent and not len(self._jitter) and self._meter.at_rest
        return block

    @property
    def level_db(self) -> float:
        """Loudness now, as in `VoiceStats`."""
        return self._meter.level_db

    @property
    def speaking(self) -> bool:
        """Whether that is speech."""
        return self._meter.speaking

    def stats(self) -> VoiceStats:
        """A picture of this moment."""
        intake = self._intake
        return VoiceStats(
            packets_received=intake.received,
            packets_lost=max(0, self.reception.lost),
            packets_late=self._jitter.late,
            packets_duplicated=intake.duplicated,
            packets_damaged=intake.damaged + intake.strayed + self._decoding.damaged,
            jitter_ms=self.reception.jitter_ms,
            playout_delay_ms=self._delay / _SAMPLES_PER_MS,
            target_delay_ms=1000 * self._arrivals.target,
            concealed_ms=self._concealed / _SAMPLES_PER_MS,
            recovered_ms=(self._restored + self._decoding.recovered) / _SAMPLES_PER_MS,
            waits=self._waits,
            shortened_ms=self._shaper.cut / _SAMPLES_PER_MS,
            lengthened_ms=self._shaper.added / _SAMPLES_PER_MS,
            restarts=intake.restarts,
            level_db=self.level_db,
            speaking=self.speaking,
        )

    @property
    def _wish(self) -> float:
        return self._arrivals.target * SAMPLE_RATE

    def _drain(self) -> None:
        for _ in range(len(self._inbox)):
            arrival = self._inbox.popleft()
            for packet in self._intake.accept(arrival):
                if self._restarts != self._intake.restarts:
                    self._begin_anew()
                if arrival.asked:
                    self._restore(packet)
                    continue
                self.reception.put(packet.sequence, packet.timestamp & 0xFFFF_FFFF, packet.at)
                if not self._intake.was_restored(packet.sequence, packet.timestamp):
                    self._arrivals.add(packet.at, packet.timestamp, packet.samples)
                    self._jitter.put(packet, self._end)
            for packet in self._intake.restore(arrival):
                self._restore(packet)

    def _restore(self, packet: Packet) -> None:
        """Takes a copy of what was lost, or itself sent again, unless its moment is over: a guess was played instead.

        Before the first sound, and after silence, the moment is over when the wait that the arrivals ask for is.
        """
        lateness = self._arrivals.add_repair(packet.at, packet.timestamp, packet.samples)
        if self._end is None or self._silent:
            in_time = lateness <= self._arrivals.target and (self._end is None or packet.timestamp >= self._end)
        else:
            in_time = packet.timestamp >= self._end and packet.end > self._end + self._waited
        if in_time:
            self._restored += packet.samples
            self._jitter.put(packet, self._end)

    def _begin_anew(self) -> None:
        """The sender has a new timeline; nothing of the old one compares with it."""
        self._restarts = self._intake.restarts
        self._jitter.clear()
        self._arrivals = Arrivals()
        self._fall_silent()
        self._end = None
        self._waited = 0

    def _block(self, samples: int, now: Seconds) -> Samples | None:
        if not self._silent and self._end is not None:
            self._pace.observe(now, self._arrivals.base, self._end - self._tape.pending, samples)
            spare = self._pace.slack(self._frame, self._tape.pending) - self._wish
            if spare > BACKLOG_MAX + 2 * samples and len(self._jitter) > 1:
                self._fall_silent()
        while self._tape.pending < samples:
            if not self._silent:
                self._step(samples)
            elif not self._start(samples, now):
                break
        missing = samples - self._tape.pending
        if missing == samples and not self._tape.ending:
            self._waited += samples
            return None
        if missing > 0:
            self._waited += missing
            self._tape.append_silence(missing)
        return self._tape.take(samples)

    def _start(self, block: int, now: Seconds) -> bool:
        """Begins to play after silence, as soon as the packets to come have their slack; whether it did."""
        waited_since = (now - self._arrivals.base) * SAMPLE_RATE
        self._skip_backlog(waited_since - block)
        packet = self._jitter.first()
        if packet is None:
            return False
        lead = self._recoverable_onset(packet)
        begin = packet.timestamp - lead
        place = self._pace.first_place(waited_since - begin, block, packet.samples, self._tape.pending, self._wish)
        if place >= block:
            return False
        self._settle_silence(packet, lead)
        if not (self._tape.pending or self._tape.ending):
            self._decoding.set_channels(self._decoding.wants(packet.payload))
            self._tape.clear(self._decoding.channels)
        self._tape.append_silence(place - self._tape.pending)
        self._pace.start(waited_since - begin + place)
        if lead:
            self._tape.append(self._decoding.recover(packet.payload, packet.samples, lead))
        self._end = self._edge = packet.timestamp
        self._expected = packet.sequence
        self._frame = packet.samples
        self._silent = False
        return True

    def _skip_backlog(self, waited_since: float) -> None:
        first = self._jitter.first()
        if first is None or waited_since - first.timestamp - self._wish <= BACKLOG_MAX:
            return
        while (second := self._jitter.first(1)) and waited_since - second.timestamp >= self._wish:
            self._jitter.drop()

    def _recoverable_onset(self, packet: Packet) -> int:
        """How much lost sound just before `packet`, at the beginning of speech, its copy can bring back."""
        if self._end is None or packet.marker or sequence_distance(packet.sequence, self._expected) <= 0:
            return 0
        room = packet.timestamp - self._end >= packet.samples
        return packet.samples if room and self._decoding.has_copy(packet.payload) else 0

    def _settle_silence(self, packet: Packet, lead: int) -> None:
        """Now that speech begins again it is known what the silence was: owed to loss, to lateness, or to nobody."""
        if self._end is not None:
            gap = packet.timestamp - self._end
            if sequence_distance(packet.sequence, self._expected) > 0:
                self._concealed += max(0, min(self._lost_before(packet, gap), gap) - lead)
            elif gap <= 0:
                self._late(self._waited)
        self._waited = 0

    def _step(self, block: int) -> None:
        """Adds some sound to the tape, or falls silent."""
        packet = self._jitter.first()
        if packet is None or self._end is None:
            self._wait(block - self._tape.pending)
        elif packet.timestamp < self._end:
            self._jitter.drop()
        elif packet.timestamp == self._end:
            self._play(packet)
        else:
            self._bridge(packet, self._end, packet.timestamp - self._end)

    def _wait(self, samples: int) -> None:
        samples = min(GUESS_SAMPLES, samples)
        self._tape.append(self._decoding.guess(samples))
        self._waited += samples
        self._pace.moved(samples)
        self._silent = self._decoding.faded

    def _play(self, packet: Packet) -> None:
        if self._waited:
            self._late(self._waited)
            self._waited = 0
        if sequence_distance(packet.sequence, self._expected) > 0 and self._decoding.has_copy(packet.payload):
            before = packet.timestamp - packet.samples
            if not self._intake.was_restored((packet.sequence - 1) & 0xFFFF, before):
                self._arrivals.add_repair(packet.at, before, packet.samples)
        place = self._tape.pending
        fresh = self._unreel()
        if self._shaper.wants_room(fresh, place, packet.samples, self._wish) and self._next_follows():
            fresh += self._unreel()
        self._shaper.shape(fresh, place, packet.samples, self._wish)
        self._delay = self._pace.delay

    def _unreel(self) -> int:
        """Decodes the first packet onto the tape; how many samples that is."""
        packet = self._jitter.pop()
        if self._decoding.channels == 1 and self._decoding.wants(packet.payload) == 2:
            self._decoding.set_channels(2)
            self._tape.widen()
        sound = self._tape.append(self._decoding.play(packet.payload, packet.samples))
        self._end = self._edge = packet.end
        self._expected = (packet.sequence + 1) & 0xFFFF
        self._frame = packet.samples
        return len(sound)

    def _next_follows(self) -> bool:
        packet = self._jitter.first()
        return packet is not None and packet.timestamp == self._end and packet.sequence == self._expected

    def _bridge(self, packet: Packet, end: int, gap: int) -> None:
        """Covers some of the `gap` from `end` to `packet`."""
        lost = self._lost_before(packet, gap)
        silence_first = lost < gap and not packet.marker
        if lost <= 0 or silence_first or self._decoding.faded:
            self._fall_silent()
            return
        if self._waited:
            covered = min(self._waited, lost)
            self._waited -= covered
            self._pace.moved(-covered)
            self._concealed += covered
        else:
            covered = self._replace_lost(packet, lost, lost == gap)
        self._end = end + covered

    def _replace_lost(self, packet: Packet, lost: int, adjacent: bool) -> int:
        """Puts sound for some of the `lost` samples on the tape, the copy in `packet` where it is its turn."""
        copied = packet.samples if adjacent and self._decoding.has_copy(packet.payload) else 0
        if copied >= lost:
            return len(self._tape.append(self._decoding.recover(packet.payload, packet.samples, lost)))
        guessed = min(lost - copied, GUESS_SAMPLES)
        self._concealed += guessed
        return len(self._tape.append(self._decoding.guess(guessed)))

    def _lost_before(self, packet: Packet, gap: int) -> int:
        """How much of the `gap` before `packet` was sent and is missing; the rest of it is the speaker's silence."""
        packets = sequence_distance(packet.sequence, self._expected)
        if packets <= 0 or self._end is None:
            return 0
        lost = packets * self._frame - (self._end - self._edge)
        return gap if gap <= lost + self._frame else max(0, lost)

    def _fall_silent(self) -> None:
        tail = self._decoding.fade_out()
        if tail is not None:
            self._tape.let_end(tail)
        self._silent = True

    def _late(self, samples: int) -> None:
        self._concealed += samples
        self._waits += 1
