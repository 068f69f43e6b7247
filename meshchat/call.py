"""The call: microphone to mesh, mesh to speaker, and the reports that let a sender adapt to what its receivers lose.

    microphone's thread   frame -> cleaned -> gate -> Opus -> RTP -> SFrame, once -> the same to every member
    port's thread         datagram -> RTP -> SFrame -> the sender's voice
    speaker's thread      mix of every voice but our own, pulled by the sound card's clock
    player's thread       while a file is played: frame -> as the microphone's, a stream of its own
    event loop            who is in the room, which keys, mute, volume, reports once a second

The mesh is handed in as functions, so that this file knows sound and keys, and neither links nor rooms.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from meshchat.audio import Microphone, open_microphone, open_speaker
from meshchat.calling.breath import Breath
from meshchat.calling.chime import Chime
from meshchat.calling.exchange import Exchange
from meshchat.calling.incoming import Incoming
from meshchat.calling.musicencoder import MusicEncoder
from meshchat.calling.outgoing import PAYLOAD_BYTES_MAX, Encoder, Outgoing
from meshchat.calling.player import Player
from meshchat.calling.processing import Processing, Wanted
from meshchat.calling.reports import Reports
from meshchat.calling.voicefront import VoiceFront
from meshchat.channels import silence
from meshchat.codec import OpusDecoder, OpusEncoder
from meshchat.config import Config
from meshchat.errors import Refused
from meshchat.media.gate import Rule
from meshchat.media.mixer import Mixer
from meshchat.media.nack import encode_nack, is_nack
from meshchat.media.voice import Voice, VoiceStats
from meshchat.sound.specs import recording_path
from meshchat.units import SAMPLE_RATE, PeerId, Samples, Seconds

BLOCK_MS = 10.0
"""What the speaker asks for at once, if it is not set: a longer frame is no reason for more delay."""

PLAYED_S: Seconds = 1.0
"""Music that came so lately is still being played."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How one member's sound arrives."""

    voice: VoiceStats
    loss_percent: float
    """Packets lost on the way among those of late."""
    bytes_received: int
    """Of its sound, as it came over the network."""
    lost_there_percent: float | None
    """What it loses of ours, by its last reports; None while it has told nothing of late."""
    hears_us: bool
    """Whether it tells of our sound, if there was some to tell of."""


class Call:
    """Our sound and everybody's, for as long as the daemon runs."""

    def __init__(
        self,
        config: Config,
        send_media: Callable[[bytes], object],
        notify: Callable[[str, str], None],
        ask: Callable[[PeerId, bytes, int], None],
    ) -> None:
        """Opens source and sink; `notify(part, text)` is called from any thread when either has something to say.

        `ask(peer, data, times)` sends a member a question for what we lost, at once and so often; any thread calls it.

        Raises `AudioError` for a microphone or speaker that makes no sense.
        """
        self._mixer = Mixer()
        self.incoming = Incoming(self._mixer, lambda: Voice(OpusDecoder()), self._ask)
        encoder = _voice_encoder(config)
        self._encoders: dict[bool, Encoder] = {
            False: encoder,
            True: MusicEncoder(config.frame_ms, max(config.bitrate, config.music_bitrate), config.complexity),
        }
        """For the voice, and for music mode."""
        self.outgoing = Outgoing(self._encoders[config.music], send_media)
        self.front = VoiceFront(self.outgoing, Rule(config.transmit, config.threshold_db))
        self.front.music = config.music
        self.player = Player(config.music_bitrate, config.complexity, send_media, self._mixer)
        self.breath = Breath()
        self._frame_samples = encoder.frame_samples
        self._block_samples = int((config.block_ms or min(config.frame_ms, BLOCK_MS)) * SAMPLE_RATE / 1000)
        self.microphone: Exchange[Samples, None] = Exchange(
            self._opener(config.microphone, config.music),
            self.front.frame,
            lambda _frame: None,
            lambda text: notify("microphone", text),
        )
        self.speaker: Exchange[int, Samples] = Exchange(
            functools.partial(open_speaker, config.speaker, self._block_samples),
            self._pull,
            silence,
            lambda text: notify("speaker", text),
        )
        self.processing = Processing(
            Wanted(config.echo, config.noise, config.gain),
            config.microphone,
            self._frame_samples,
            self.front,
            lambda text: notify("microphone", text),
        )
        self._microphone, self._recording = config.microphone, recording_path(config.speaker)
        self.chime = Chime()
        self._volumes: dict[PeerId, float] = {}
        self._hushed: set[PeerId] = set()
        self._music_volumes: dict[PeerId, float] = {}
        self._reports = Reports(self.incoming, self.outgoing, self.player.outgoing, config.frame_ms)
        self._ssrc = 0
        self._send_question = ask

    def start(self) -> None:
        """Starts to listen and to play."""
        self.speaker.start()
        self.microphone.start()

    def stop(self) -> None:
        """Stops both; a file that is being written is whole afterwards."""
        self.player.stop()
        self.microphone.stop()
        self.speaker.stop()

    def use_microphone(self, spec: str) -> None:
        """Listens to another microphone; blocks, and raises, as `Exchange.replace` and `open_microphone`."""
        self.microphone.replace(self._opener(spec, self.front.music))
        self._microphone = spec
        self.front.begin_anew()
        self.processing.use_microphone(spec)

    def use_music(self, music: bool) -> None:
        """Sends what the microphone hears as it is, in stereo if it can; or as a voice again. Blocks.

        Raises as `use_microphone` where it cannot be opened another time; then music has the channels that it gives.
        Only the encoder for music takes two channels: it comes before them, and goes after them.
        """
        if music:
            self.outgoing.use_encoder(self._encoders[True])
            self.front.music = True
        try:
            self.microphone.replace(self._opener(self._microphone, music))
        finally:
            if not music:
                self.front.music = False
                self.outgoing.use_encoder(self._encoders[False])

    def use_speaker(self, spec: str) -> None:
        """Plays through another speaker; blocks, and raises, as `Exchange.replace` and `open_speaker`.

        Refused where it is the file that is written now, which opening would empty under the writer's hands.
        """
        path = recording_path(spec)
        if path is not None and path == self._recording:
            raise Refused(f"{path} is being recorded already; name another file")
        self.speaker.replace(functools.partial(open_speaker, spec, self._block_samples))
        self._recording = path

    @property
    def late_turns(self) -> int:
        """Turns of microphone and speaker that came late, since the start."""
        return self.microphone.late_turns + self.speaker.late_turns

    def set_silence(self, muted: bool, deafened: bool) -> None:
        """Whether we speak and listen."""
        self.outgoing.muted = self.player.outgoing.muted = muted
        self._mixer.deafened = deafened

    def member_joined(self, peer: PeerId) -> None:
        """Gives a member a place in the mix."""
        self.incoming.join(peer)
        self._reports.begin(peer)
        self._set_gain(peer)

    def member_left(self, peer: PeerId) -> None:
        """Takes it away again; a volume set for it is remembered."""
        self.incoming.leave(peer)
        self._hushed.discard(peer)
        self._reports.forget(peer)

    def room_left(self) -> None:
        """Nobody is to hear us."""
        self.outgoing.stop_stream()
        self.player.outgoing.stop_stream()
        self.breath.stop()

    def send_key(self, ssrc: int, key_id: int, base_key: bytes) -> None:
        """What we seal with from now on."""
        self._ssrc = ssrc
        self.outgoing.use_key(ssrc, key_id, base_key)
        self.player.use_key(ssrc, key_id, base_key)
        self.breath.use_key(ssrc, key_id, base_key)

    def volume(self, peer: PeerId) -> float:
        """The gain for that member, 1 unless set."""
        return self._volumes.get(peer, 1.0)

    def music_volume(self, peer: PeerId) -> float:
        """The further gain for what that member plays, 1 unless set."""
        return self._music_volumes.get(peer, 1.0)

    def set_volume(self, peer: PeerId, gain: float, music: bool = False) -> None:
        """Plays a member louder or softer, or only the `music` it plays, here only."""
        (self._music_volumes if music else self._volumes)[peer] = gain
        self._set_gain(peer)

    def hush(self, peer: PeerId, silenced: bool) -> None:
        """Does not play a member whom a moderator muted; or plays it again."""
        if silenced != (peer in self._hushed):
            self._hushed ^= {peer}
            self._set_gain(peer)

    def quality(self, peer: PeerId, now: Seconds) -> Quality | None:
        """How that member arrives here, and we arrive there; None if it is not here."""
        flow = self.incoming.inflow(peer)
        if flow is None:
            return None
        reports = self._reports
        return Quality(
            flow.voice.stats(),
            reports.loss_percent(peer),
            flow.bytes_received,
            reports.lost_there_percent(peer, now),
            reports.hears_us(peer),
        )

    def plays(self, peer: PeerId, now: Seconds) -> bool:
        """Whether music of that member comes here."""
        flow = self.incoming.inflow(peer)
        return flow is not None and flow.played_at is not None and now - flow.played_at < PLAYED_S

    def signs_of_life(self) -> Iterator[tuple[PeerId, Seconds]]:
        """When each member's sound was last opened."""
        for flow in self.incoming.inflows:
            if flow.heard_at is not None:
                yield flow.peer, flow.heard_at

    def reports(self) -> Iterator[tuple[PeerId, bytes]]:
        """A receiver report for each member that sent since the last one (RFC 3550 section 6.4.2)."""
        yield from self._reports.due(self._ssrc)

    def report_came(self, peer: PeerId, data: bytes, now: Seconds) -> list[bytes]:
        """A member tells how we arrive there, or asks for packets: those that are to be sent to it again.

        The worst of what they tell sets our protection. `WireError` for nonsense.
        """
        if is_nack(data):
            return self._reports.asked(peer, self._ssrc, data)
        self._reports.came(peer, self._ssrc, data, now)
        return []

    def _ask(self, peer: PeerId, ssrc: int, sequences: tuple[int, ...], times: int) -> None:
        self._send_question(peer, encode_nack(self._ssrc, ssrc, sequences), times)

    def _pull(self, samples: int, now: Seconds) -> Samples:
        """The mix, as a copy: while speakers are exchanged one may still hold its last block when the other pulls."""
        sound = self._mixer.pull(samples, now).copy()
        self.chime.add(sound)
        self.front.played(sound)
        return sound

    def _opener(self, spec: str, music: bool) -> Callable[[Callable[[str], None]], Microphone]:
        """Opens that microphone, with as many channels as are of use."""
        channels: Literal[1, 2] = 2 if music else 1
        return lambda notify: open_microphone(spec, self._frame_samples, notify, channels)

    def _set_gain(self, peer: PeerId) -> None:
        flow = self.incoming.inflow(peer)
        if flow:
            gain = 0.0 if peer in self._hushed else self.volume(peer)
            flow.set_gain(gain, gain * self.music_volume(peer))


def _voice_encoder(config: Config) -> OpusEncoder:
    return OpusEncoder(
        frame_ms=config.frame_ms,
        bitrate=config.bitrate,
        complexity=config.complexity,
        rate=config.rate,
        dtx=config.dtx,
        packet_bytes_max=PAYLOAD_BYTES_MAX,
    )
