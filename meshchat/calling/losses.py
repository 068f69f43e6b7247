"""What the receivers of one of our streams say of their losses: the worst of late sets how it is protected."""

from __future__ import annotations

from dataclasses import dataclass

from meshchat.units import PeerId, Seconds
from meshchat.wire import ReportBlock

LOSS_MEMORY_S: Seconds = 5.0
"""How long a receiver's report counts."""

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


class Losses:
    """The reports on one stream."""

    def __init__(self) -> None:
        self._losses: dict[PeerId, Loss] = {}

    def came(self, peer: PeerId, block: ReportBlock, now: Seconds) -> None:
        """A member reported."""
        before = self._losses.get(peer, Loss())
        percent = max(100.0 * block.fraction_lost / 256, LOSS_KEPT * before.percent)
        self._losses[peer] = Loss(now, percent, max(block.longest_run, int(LOSS_KEPT * before.longest_run)))

    def forget(self, peer: PeerId) -> None:
        """A member went."""
        self._losses.pop(peer, None)

    def of(self, peer: PeerId, now: Seconds) -> float | None:
        """What that member loses, in percent; None while it has told nothing of late."""
        loss = self._losses.get(peer, Loss())
        return loss.percent if now - loss.at < LOSS_MEMORY_S else None

    def worst(self, now: Seconds) -> tuple[float, int]:
        """The most that one loses, in percent, and the longest run of packets that one lost at once."""
        recent = [loss for loss in self._losses.values() if now - loss.at < LOSS_MEMORY_S]
        percent = max((loss.percent for loss in recent), default=0.0)
        return percent, max((loss.longest_run for loss in recent), default=0)
