"""What can befall a simulated room, drawn by lot: each fault a sentence, so that a failing run reads as a story."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from tests.chatting import next_serial, say
from tests.simulation import Village
from tests.villager import NOON_MS, Villager

Fault = Callable[[Village, random.Random], str | None]
"""Does something to the village and says what; None where it could not."""


def _pick(rng: random.Random, peers: list[Villager]) -> Villager | None:
    return rng.choice(peers) if peers else None


def here(village: Village) -> list[Villager]:
    """Everybody who is in the room and awake."""
    return [peer for peer in village.peers.values() if peer.awake and peer.honest and peer.node.room]


def crash(village: Village, rng: random.Random) -> str | None:
    peer = _pick(rng, here(village))
    if peer is None:
        return None
    village.crash(peer.name)
    return f"{peer.name} crashes"


def crash_coordinator(village: Village, rng: random.Random) -> str | None:
    peer = _pick(rng, [each for each in here(village) if each.coordinator() == each.id])
    if peer is None:
        return None
    village.crash(peer.name)
    return f"{peer.name}, a coordinator, crashes"


def restart(village: Village, rng: random.Random) -> str | None:
    peer = _pick(rng, [each for each in village.peers.values() if not each.alive and each.honest])
    if peer is None:
        return None
    village.restart(peer.name)
    return f"{peer.name} starts again"


def quick_restart(village: Village, rng: random.Random) -> str | None:
    peer = _pick(rng, here(village))
    if peer is None:
        return None
    village.restart(peer.name)
    return f"{peer.name} crashes and starts again at once"


def leave(village: Village, rng: random.Random) -> str | None:
    peer = _pick(rng, here(village))
    if peer is None:
        return None
    village.leave(peer.name)
    return f"{peer.name} leaves"


def enter(village: Village, rng: random.Random) -> str | None:
    outside = [peer for peer in village.peers.values() if peer.awake and peer.honest and not peer.node.room]
    peer = _pick(rng, outside)
    if peer is None:
        if len(village.peers) >= 40:
            return None
        peer = village.born(f"p{len(village.peers)}", host=rng.choice([0, 0, 0, 5]))
    village.enter([peer.name])
    return f"{peer.name} enters"


def split(village: Village, rng: random.Random) -> str | None:
    names = list(village.peers)
    rng.shuffle(names)
    at = rng.randint(0, len(names))
    one, other = names[:at], names[at:]
    village.cut(one, other)
    return f"a split: {' '.join(sorted(one))} | {' '.join(sorted(other))}"


def isolate(village: Village, rng: random.Random) -> str | None:
    peer = _pick(rng, here(village))
    if peer is None:
        return None
    village.cut([peer.name], [name for name in village.peers if name != peer.name])
    return f"{peer.name} is cut off"


def block_pair(village: Village, rng: random.Random) -> str | None:
    if len(village.peers) < 2:
        return None
    a, b = rng.sample(list(village.peers), 2)
    one_way = rng.random() < 0.5
    village.cut([a], [b], one_way=one_way)
    return f"nothing passes {'from' if one_way else 'between'} {a} {'to' if one_way else 'and'} {b}"


def heal(village: Village, rng: random.Random) -> str | None:
    village.heal()
    return "all packets pass again"


def flap(village: Village, rng: random.Random) -> str | None:
    names = list(village.peers)
    one = rng.sample(names, rng.randint(1, len(names)))
    other = [name for name in names if name not in one]
    for number in range(rng.randint(2, 6)):
        act = (lambda: village.cut(one, other)) if number % 2 == 0 else village.heal
        village.after(number * rng.uniform(0.2, 3.0), act)
    village.after(20.0, village.heal)
    village.busy_until = max(village.busy_until, village.now + 20.0)
    return f"the network to {' '.join(sorted(one))} flaps"


def freeze(village: Village, rng: random.Random) -> str | None:
    peer = _pick(rng, here(village))
    if peer is None:
        return None
    seconds = rng.choice([0.3, 1.0, 1.0, 1.5, 5.0, 5.0, 20.0, 60.0])
    village.freeze(peer.name)
    village.busy_until = max(village.busy_until, village.now + seconds)
    village.after(seconds, lambda: village.thaw(peer.name) if peer.frozen else None)
    return f"{peer.name} is stopped for {seconds:g} s"


def sleep(village: Village, rng: random.Random) -> str | None:
    peer = _pick(rng, here(village))
    if peer is None:
        return None
    seconds = rng.choice([1.0, 1.0, 3.0, 3.0, 10.0, 10.0, 60.0, 600.0])
    village.sleep(peer.name)
    village.busy_until = max(village.busy_until, village.now + seconds)
    village.after(seconds, lambda: village.rouse(peer.name))
    return f"{peer.name} sleeps for {seconds:g} s"


def jump(village: Village, rng: random.Random) -> str | None:
    """Somebody's time of day is set, years wrong at times; nothing may depend on it but what new lines are dated."""
    peer = _pick(rng, here(village))
    if peer is None:
        return None
    hours = rng.choice([-24, -1, 1, 24, 24 * 365, -24 * 365 * 30])
    now_ms = NOON_MS + int(village.now * 1000) + hours * 3_600_000
    village.tell(peer.name, lambda node: node.set_time_of_day(now_ms, village.clock(peer)))
    return f"the clock of {peer.name} is set {hours} h wrong"


def mute(village: Village, rng: random.Random) -> str | None:
    peer = _pick(rng, here(village))
    if peer is None:
        return None
    village.tell(peer.name, lambda node: node.set_silence(not node.muted, node.deafened))
    return f"{peer.name} changes its mute"


def write(village: Village, rng: random.Random) -> str | None:
    """Some write, one after the other; whoever has gone or stopped by then writes nothing."""
    peers = [peer for peer in (_pick(rng, here(village)) for _ in range(rng.randint(1, 4))) if peer]
    serial = next_serial(village)  # several may write in one instant, and no two texts may be alike
    for number, peer in enumerate(peers):
        pause = number * rng.choice([0.0, 0.3, 2.0])
        village.after(pause, partial(_write, village, peer, f"{village.now:.2f} {serial}.{number}"))
        village.busy_until = max(village.busy_until, village.now + pause)
    return f"{' '.join(peer.name for peer in peers)} write" if peers else None


def _write(village: Village, peer: Villager, text: str) -> None:
    if peer in here(village):
        say(village, peer.name, text)


FAULTS: tuple[Fault, ...] = (
    crash,
    crash_coordinator,
    restart,
    restart,
    quick_restart,
    leave,
    enter,
    enter,
    split,
    isolate,
    block_pair,
    heal,
    heal,
    flap,
    freeze,
    sleep,
    mute,
    write,
    write,
    write,
)
