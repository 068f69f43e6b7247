"""What the receivers of one of our streams say of their losses: the worst of late sets how it is protected."""

from __future__ import annotations

from dataclasses import dataclass

from meshchat.units import PeerId, Seconds
from meshchat.wire import ReportBlock

LOSS_MEMORY_S: Seconds = 5.0
"""How long a receiver's report counts."""

ASKED_SHARE = 0.5
"""Who asks for this share of what it loses, or more, needs nothing else; who tries only now and then asks for less."""

LOSS_KEPT = 0.5
"""What a report leaves of the loss reported before: up at once, down in some seconds, as one second tells little."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What one member said of ours, of late."""

    at: Seconds = -LOSS_MEMORY_S
    """When."""
    percent: float = 0.0
    longest_run: int = 0
    """Packets lost at once."""
    lost: int = 0
    """Since the beginning."""
    asks: bool = False
    """Whether it asked for most of what it lost, which is then repaired."""


class Losses:
    """The reports on one stream."""

    def __init__(self) -> None:
        self._losses: dict[PeerId, Loss] = {}
        self._asked: dict[PeerId, int] = {}
        """Packets asked for since the last report."""

    def came(self, peer: PeerId, block: ReportBlock, now: Seconds) -> None:
        """A member reported."""
        before = self._losses.get(peer, Loss())
        percent = max(100.0 * block.fraction_lost / 256, LOSS_KEPT * before.percent)
        run = max(block.longest_run, int(LOSS_KEPT * before.longest_run))
        lost, asked = block.packets_lost - before.lost, self._asked.pop(peer, 0)
        asks = before.asks if lost <= 0 else asked >= ASKED_SHARE * lost
        self._losses[peer] = Loss(now, percent, run, block.packets_lost, asks)

    def forget(self, peer: PeerId) -> None:
        """A member went."""
        self._losses.pop(peer, None)
        self._asked.pop(peer, None)

    def asked(self, peer: PeerId, packets: int) -> None:
        """A member asked for so many packets."""
        self._asked[peer] = self._asked.get(peer, 0) + packets

    def of(self, peer: PeerId, now: Seconds) -> float | None:
        """What that member loses, in percent; None while it has told nothing of late."""
        loss = self._losses.get(peer, Loss())
        return loss.percent if now - loss.at < LOSS_MEMORY_S else None

    def worst(self, now: Seconds) -> tuple[float, int]:
        """The most that one loses, in percent, and the longest run of packets that one lost at once.

        Of those who ask for what they lose nothing is said: that is repaired.
        """
        recent = [loss for loss in self._losses.values() if now - loss.at < LOSS_MEMORY_S and not loss.asks]
        percent = max((loss.percent for loss in recent), default=0.0)
        return percent, max((loss.longest_run for loss in recent), default=0)
