"""What the listeners of a stream tell its sender, and what a sender makes of what it is told.

RTCP receiver reports (RFC 3550 section 6.4.2) once a second, and questions for lost packets, in QUIC datagrams. The
worst listener of the last seconds sets how well our sound is protected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meshchat.calling.heard import Hearers
from meshchat.calling.incoming import Incoming
from meshchat.calling.losses import Losses
from meshchat.calling.outgoing import Outgoing
from meshchat.errors import WireError
from meshchat.media.nack import parse_nack
from meshchat.media.reception import Reception
from meshchat.units import PeerId, Seconds
from meshchat.wire import ReportBlock, encode_receiver_report, music_ssrc, parse_receiver_report

REPORT_S: Seconds = 1.0
"""Between two receiver reports to one sender; RFC 3550 section 6.2 allows faster ones, a LAN needs none."""

ASK_APART_S: Seconds = 0.001
"""Between two sayings of one question: so far apart they travel, and are lost, each for itself."""

LOSS_WEIGHT = 0.3
"""Share of the newest second in the loss shown: a burst fades from sight within some ten seconds."""


@dataclass(slots=True)
class Reported:
    """What was last said of one stream of a member."""

    packets: int = 0
    """Received so far, at the last report."""
    loss_percent: float = 0.0
    """Smoothed."""


class Reports:
    """Both directions of what is told."""

    def __init__(self, incoming: Incoming, outgoing: Outgoing, music: Outgoing, frame_ms: float) -> None:
        """What comes here; what we say and what we play; and how much sound one packet of what we say holds."""
        self._incoming = incoming
        self._outgoing, self._losses = outgoing, Losses()
        self._music, self._music_losses = music, Losses()
        self._hearers = Hearers(frame_ms)
        self._reported: dict[PeerId, dict[int, Reported]] = {}
        """What was last said of each stream, by its number."""

    def begin(self, peer: PeerId) -> None:
        """A member came."""
        self._hearers.told(peer, self._outgoing.packets_sent)

    def forget(self, peer: PeerId) -> None:
        """A member went."""
        self._hearers.left(peer)
        self._losses.forget(peer)
        self._music_losses.forget(peer)
        self._outgoing.forget(peer)
        self._music.forget(peer)
        self._reported.pop(peer, None)

    def loss_percent(self, peer: PeerId) -> float:
        """Packets of that member's voice lost on the way among those of late."""
        flow, reported = self._incoming.inflow(peer), self._reported.get(peer, {})
        last = reported.get(flow.ssrc) if flow and flow.ssrc is not None else None
        return last.loss_percent if last else 0.0

    def lost_there_percent(self, peer: PeerId, now: Seconds) -> float | None:
        """What that member loses of ours; None while it has told nothing of late."""
        return self._losses.of(peer, now)

    def hears_us(self, peer: PeerId) -> bool:
        """Whether that member tells of our sound, if there was some to tell of."""
        return self._hearers.hears(peer, self._outgoing.packets_sent)

    def due(self, ssrc: int) -> Iterator[tuple[PeerId, bytes]]:
        """A report by us, who send as `ssrc`, for each member that sent since the last one."""
        for flow in self._incoming.inflows:
            reported, blocks = self._reported.setdefault(flow.peer, {}), []
            for number, voice in flow.streams():
                last = reported.setdefault(number, Reported())
                if voice.reception.received != last.packets:
                    blocks.append(_block(voice.reception, number, last))
            if blocks:
                yield flow.peer, encode_receiver_report(ssrc, blocks)

    def came(self, peer: PeerId, ssrc: int, data: bytes, now: Seconds) -> None:
        """A member tells how our stream `ssrc` arrives, and our music: the worst sets how each is protected.

        `WireError` for nonsense.
        """
        if self._incoming.inflow(peer) is None:
            raise WireError("a report from outside the room")
        for block in parse_receiver_report(data)[1]:
            if block.ssrc == ssrc:
                self._losses.came(peer, block, now)
                self._hearers.told(peer, self._outgoing.packets_sent)
            elif block.ssrc == music_ssrc(ssrc):
                self._music_losses.came(peer, block, now)
        self._outgoing.protect(*self._losses.worst(now))
        self._music.protect(*self._music_losses.worst(now))

    def asked(self, peer: PeerId, ssrc: int, data: bytes) -> list[bytes]:
        """A member asks for packets of our stream `ssrc`, or of our music: those that we still have.

        `WireError` for nonsense.
        """
        if self._incoming.inflow(peer) is None:
            raise WireError("a question from outside the room")
        stream, sequences = parse_nack(data)
        (self._losses if stream == ssrc else self._music_losses).asked(peer, len(sequences))
        return (self._outgoing if stream == ssrc else self._music).again(peer, stream, sequences)


def _block(reception: Reception, ssrc: int, last: Reported) -> ReportBlock:
    report = reception.report()
    last.packets = reception.received
    last.loss_percent += LOSS_WEIGHT * (100.0 * report.fraction_lost / 256 - last.loss_percent)
    return ReportBlock(
        ssrc=ssrc,
        fraction_lost=report.fraction_lost,
        packets_lost=report.cumulative_lost,
        highest_sequence=report.extended_highest_sequence,
        jitter=report.jitter,
        last_sender_report=0,
        delay_since_last_sender_report=0,
        longest_run=report.longest_run,
    )
