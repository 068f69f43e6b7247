"""The last packets of a stream, sealed as they were sent, for whoever asks for them again.

The very same bytes go out once more, and to the one who asked alone: nothing is sealed twice, a listener who got both
opens one of them, and who came since can open neither. What one listener may be sent again is as much as the stream
brings it anyway, so that asking for everything, all the time, doubles what the liar itself is sent, and does nothing
else.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshchat.units import PeerId

KEPT_PACKETS = 64
"""Packets kept: 0.16 s of the shortest frames. Who asks for an older one gets nothing; it would come too late."""

CREDIT_MAX = 32
"""Packets that one listener may be sent again at once, after a while without a question."""


class Kept:
    """The ring of one stream. `add` is for the thread that seals, `again` for the event loop."""

    def __init__(self) -> None:
        self._ring: list[tuple[int, bytes] | None] = [None] * KEPT_PACKETS
        self._added = 0
        self._credit: dict[PeerId, tuple[int, int]] = {}
        """By listener: what it may still be sent, when so many had been added."""

    def add(self, sequence: int, datagram: bytes) -> None:
        """A packet was sent."""
        self._ring[sequence % KEPT_PACKETS] = (sequence, datagram)
        self._added += 1

    def again(self, peer: PeerId, sequences: Iterable[int]) -> list[bytes]:
        """Those of the packets that are still there, as far as that listener's credit goes."""
        credit, added = self._credit.get(peer, (CREDIT_MAX, self._added))
        credit = min(CREDIT_MAX, credit + self._added - added)
        found: list[bytes] = []
        for sequence in sequences:
            kept = self._ring[sequence % KEPT_PACKETS]
            if kept is not None and kept[0] == sequence and len(found) < credit:
                found.append(kept[1])
        self._credit[peer] = (credit - len(found), self._added)
        return found

    def forget(self, peer: PeerId) -> None:
        """A listener went."""
        self._credit.pop(peer, None)
