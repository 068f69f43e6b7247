"""Signs of life in virtual time: what is lost of them is not sent again, and they keep no order."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tests.villager import Villager

if TYPE_CHECKING:
    from tests.simulation import Village


def breathe(village: Village, peer: Villager, others: Iterable[Villager]) -> None:
    """One on its way to each of them."""
    for other in others:
        village.sent[peer.name] += 1
        village.load[peer.name, int(village.now)] += 1
        if village.rng.random() >= village.loss:
            pause = village.latency_s * village.rng.uniform(0.5, 1.5)
            village.after(pause, functools.partial(_came, village, peer, other))


def _came(village: Village, sender: Villager, peer: Villager) -> None:
    if not peer.alive or not village.passes(sender.name, peer.name) or peer.asleep_since is not None:
        return
    if peer.frozen:
        peer.held.append(lambda: _came(village, sender, peer))
        return
    village.load[peer.name, int(village.now)] += 1
    peer.node.heard(sender.id, village.clock(peer))
    if peer.node.has_effects:
        village._tick_now(peer)
