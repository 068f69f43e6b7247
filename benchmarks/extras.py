"""Members of a room without a daemon around each, many in one process, so that a room is full for the one measured.

    python -m benchmarks.extras NUMBER --room NAME --folder DIR --address HOST --to HOST:PORT [--speak N]

Each has a key, a UDP port, links and the control plane of a real peer (`Mesh`): whoever shares a room with it has as
much to do with it as with a daemon. Those who speak code, seal and send by a daemon's own way out, but to the one that
is measured alone; nobody plays anything. They are called to one address and find each other by the room's list.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import signal
import sys
import time
from pathlib import Path

from benchmarks.speech import SPEAKERS, clip_path
from meshchat import interfaces
from meshchat.audio import Microphone, open_microphone
from meshchat.calling.breath import Breath
from meshchat.calling.incoming import Incoming
from meshchat.calling.outgoing import PAYLOAD_BYTES_MAX, Outgoing
from meshchat.codec import OpusDecoder, OpusEncoder
from meshchat.identity import load_identity
from meshchat.media.mixer import Mixer
from meshchat.media.voice import Voice
from meshchat.mesh import Mesh
from meshchat.peers import effects
from meshchat.peers.room import open_room
from meshchat.transport.port import Route
from meshchat.units import Address, Seconds, parse_address
from meshchat.urgency import make_way_for_sound

LIFE_S: Seconds = 0.25
"""Between two looks at who breathed, as in a daemon."""

APART_S: Seconds = 0.15
"""Between two that come in: each makes a handshake with everybody who is there."""


class Extra:
    """One of them."""

    def __init__(self, profile: Path, to: Address) -> None:
        self._to = to
        self._outgoing: Outgoing | None = None
        self._microphone: Microphone | None = None
        self._breath = Breath()
        self._incoming = Incoming(Mixer(), lambda: Voice(OpusDecoder()), lambda *_: None)
        self._mesh = Mesh(
            load_identity(profile),
            profile.name,
            on_event=self._event,
            on_media=lambda data, _route, now: self._incoming.datagram(data, now),
            on_report=lambda _peer, _data: None,
        )
        self._mesh.breath = self._breath.datagram

    def enter(self, room: str, address: str, speaks: str, frame_ms: float) -> None:
        """Comes into the room; with `speaks`, the path of a clip, it says that over and over."""
        given = (address,)
        self._mesh.open(interfaces.chosen(given, interfaces.present()), None)
        route = self._mesh.port.route_to(self._to)
        if speaks and route:
            self._speak(speaks, frame_ms, route)
        self._mesh.enter(open_room(room), room)
        self._mesh.add_seed(self._to)

    def close(self) -> None:
        """Leaves."""
        if self._microphone:
            self._microphone.stop()
        self._mesh.close()

    def _speak(self, clip: str, frame_ms: float, route: Route) -> None:
        encoder = OpusEncoder(frame_ms=frame_ms, packet_bytes_max=PAYLOAD_BYTES_MAX)
        self._outgoing = Outgoing(encoder, lambda datagram: self._mesh.port.send(datagram, route))
        self._microphone = open_microphone(
            f"loop:{clip}", encoder.frame_samples, functools.partial(print, file=sys.stderr)
        )
        self._microphone.start(self._outgoing.frame)

    def look(self) -> None:
        """Notices who breathed."""
        for flow in self._incoming.inflows:
            if flow.heard_at is not None:
                self._mesh.heard(flow.peer, flow.heard_at)

    def _event(self, event: effects.Event) -> None:
        match event:
            case effects.SendKeyChanged(ssrc, key_id, base_key):
                self._breath.use_key(ssrc, key_id, base_key)
                if self._outgoing:
                    self._outgoing.use_key(ssrc, key_id, base_key)
            case effects.KeyReceived(peer, ssrc, key_id, base_key):
                self._incoming.use_key(peer, ssrc, key_id, base_key)
            case effects.MemberJoined(peer, _):
                self._incoming.join(peer)
            case effects.MemberLeft(peer, _, _):
                self._incoming.leave(peer)


def main() -> int:
    """Fills the room until SIGTERM; the exit status."""
    parser = argparse.ArgumentParser(description=main.__doc__, allow_abbrev=False)
    parser.add_argument("number", type=int)
    parser.add_argument("--room", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--to", type=parse_address, required=True)
    parser.add_argument("--speak", type=int, default=0, metavar="N", help="how many of them speak")
    parser.add_argument("--frame-ms", type=float, default=10.0, metavar="MS")
    asyncio.run(_fill(parser.parse_args()))
    return 0


async def _fill(words: argparse.Namespace) -> None:
    make_way_for_sound()
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    extras: list[Extra] = []
    come_at = 0.0
    with contextlib.ExitStack() as leaving:
        while not over.is_set():
            now = time.monotonic()
            if len(extras) < words.number and now >= come_at:
                come_at = now + APART_S
                extras.append(_entered(words, len(extras)))
                leaving.callback(extras[-1].close)
            for extra in extras:
                extra.look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), LIFE_S if len(extras) == words.number else APART_S)


def _entered(words: argparse.Namespace, number: int) -> Extra:
    extra = Extra(words.folder / f"extra{number}", words.to)
    clip = str(clip_path(SPEAKERS[number % len(SPEAKERS)])) if number < words.speak else ""
    extra.enter(words.room, words.address, clip, words.frame_ms)
    return extra


if __name__ == "__main__":
    sys.exit(main())
