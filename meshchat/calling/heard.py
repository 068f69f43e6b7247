"""Whether each member hears us: it reports once a second what came of our sound, and one that hears nothing never does.

Silence needs no report, so the measure is not time but what was sent: whoever has told of none of the packets of some
seconds of speech gets none of them, most likely because a firewall on its side or ours drops them.
"""

from __future__ import annotations

from meshchat.units import PeerId, Seconds

UNHEARD_S: Seconds = 5.0
"""So much speech without a report: five reports would have to be lost one after the other."""


class Hearers:
    """When each member last told of our sound, counted in packets that we had sent by then."""

    def __init__(self, frame_ms: float) -> None:
        self._unheard_packets = 1000 * UNHEARD_S / frame_ms
        self._sent_then: dict[PeerId, int] = {}

    def told(self, peer: PeerId, sent: int) -> None:
        """A member came, or reported, when we had sent so many packets."""
        self._sent_then[peer] = sent

    def left(self, peer: PeerId) -> None:
        """A member went."""
        self._sent_then.pop(peer, None)

    def hears(self, peer: PeerId, sent: int) -> bool:
        """Whether there is no reason to doubt that it hears us; `sent` begins at zero again with each stream."""
        then = self._sent_then.get(peer, sent)
        if sent < then:
            then = self._sent_then[peer] = 0
        return sent - then < self._unheard_packets
