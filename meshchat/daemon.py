"""The daemon: introduces discovery, mesh, call and control socket to each other, and owns every task.

It starts them in the order in which each needs the one before, and ends them in the reverse, so that the members hear
a goodbye, files are finished and the profile is free again, whatever ended it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable

from meshchat import control, host, interfaces
from meshchat.answers import Answers
from meshchat.call import Call
from meshchat.calling.reports import ASK_APART_S, REPORT_S
from meshchat.chronicle import Chronicle
from meshchat.config import Config
from meshchat.devices import Devices
from meshchat.discovery import Discovery, PeerForgotten, PeerFound
from meshchat.entrance import Entrance
from meshchat.errors import NetworkError
from meshchat.herald import Herald
from meshchat.identity import ProfileLock, load_identity
from meshchat.locks.trust import KnownPeers
from meshchat.mesh import Mesh
from meshchat.moderation import Moderation
from meshchat.news import News
from meshchat.parts import Parts
from meshchat.peers.directory import RoomHint
from meshchat.peers.effects import Event
from meshchat.peers.room import open_room
from meshchat.playing import Playing
from meshchat.screens import Screens
from meshchat.service import Service
from meshchat.talking import Talking
from meshchat.trust import Trust
from meshchat.units import PeerId, Seconds, short
from meshchat.urgency import make_way_for_sound
from meshchat.wire import is_screen

log = logging.getLogger(__name__)

METER_S: Seconds = 0.1
"""Between two looks at who speaks while somebody watches: quick enough for an eye, cheap enough for thirty members."""

LIFE_S: Seconds = 0.25
"""The same while nobody watches: whose sound came is a sign of life, and beats come no more often."""

PARTING_S: Seconds = 0.1
"""From being told to stop until it does: time for an answer to get out."""

WATCH_S: Seconds = 3.0
"""Between two looks at the network interfaces: a dock or a tunnel is followed within this."""


class Daemon:
    """One peer at work."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._identity = load_identity(config.profile)
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._control = control.ControlServer(config.profile, self._handle, self._snapshot)
        self.parts = self._made(config, Herald(self._control.publish, lambda: self._control.is_watched))
        self._news = News(self.parts, self._announce)
        self._service = Service(self.parts, self.stop)
        self._discovery: Discovery | None = None
        self._addresses: tuple[interfaces.LocalAddress, ...] = ()

    def _made(self, config: Config, herald: Herald) -> Parts:
        """The parts, each with those that it stands on."""
        started_at, notice = time.monotonic(), herald.notice
        mesh = Mesh(
            self._identity, config.alias, on_event=self._on_event, on_media=self._on_media, on_report=self._on_report
        )
        call = Call(config, mesh.send_media, self._notify_from_thread, self._ask)
        mesh.breath = call.breath.datagram
        trust = Trust(KnownPeers(config.profile), mesh, notice)
        answers = Answers(mesh, call, trust, started_at)

        def changed(peer: PeerId) -> None:
            herald.member(answers, peer, control.MemberChanged)

        return Parts(
            mesh=mesh,
            call=call,
            trust=trust,
            answers=answers,
            entrance=Entrance(mesh, answers, self._identity.private_key, started_at),
            moderation=Moderation(mesh, call, answers, notice),
            screens=Screens(mesh, answers, notice),
            devices=Devices(config.profile, call, lambda: herald.myself(answers)),
            talking=Talking(config.profile, call, answers, lambda: herald.myself(answers)),
            playing=Playing(mesh, call, answers, herald.publish, changed, notice),
            chronicle=Chronicle(mesh, herald.publish),
            herald=herald,
        )

    async def run(self) -> None:
        """Works until it is told to stop. Raises `MeshchatError` if it cannot begin."""
        async with contextlib.AsyncExitStack() as closing:
            await self._start(closing)
            self._tell_ready()
            async with asyncio.TaskGroup() as tasks:
                periodic = [
                    tasks.create_task(_every(REPORT_S, self._report)),
                    tasks.create_task(self._look()),
                    tasks.create_task(_every(WATCH_S, self._watch_interfaces)),
                ]
                await self._stopping.wait()
                for task in periodic:
                    task.cancel()
            log.info("stopping")

    def stop(self) -> None:
        """Ends `run`, politely: after the answer to whoever asked for it."""
        self._loop.call_later(PARTING_S, self._stopping.set)

    async def _start(self, closing: contextlib.AsyncExitStack) -> None:
        config = self._config
        present = await asyncio.to_thread(interfaces.present)
        interfaces.check(config.interfaces, present)
        self._addresses = interfaces.chosen(config.interfaces, present)
        names = [address.interface for address in self._addresses]
        self.parts.mesh.node.set_host(await asyncio.to_thread(host.mark, names))
        self.parts.mesh.open(self._addresses, config.port)
        closing.callback(self.parts.trust.close)
        closing.callback(self.parts.mesh.close)
        self.parts.answers.control = await self._control.start()
        closing.push_async_callback(self._control.close)
        self.parts.mesh.set_silence(config.muted, deafened=False)
        self.parts.call.set_silence(config.muted, deafened=False)
        self.parts.call.start()
        closing.push_async_callback(asyncio.to_thread, self.parts.call.stop)
        if config.mdns:
            self._discovery = Discovery(
                self._identity.peer_id, self.parts.mesh.port.number, self._addresses, self._on_discovery
            )
            closing.push_async_callback(self._discovery.close)
        if config.room:
            self.parts.mesh.enter(open_room(config.room), config.room)
            self._announce()
        for address in config.peers:
            self.parts.mesh.add_seed(address)
        closing.push_async_callback(self.parts.screens.close)
        await self.parts.screens.open(config.share)
        await self._start_discovery()
        for each in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # Windows delivers SIGINT as KeyboardInterrupt
                self._loop.add_signal_handler(each, self.stop)

    async def _start_discovery(self) -> None:
        """mDNS that does not work is bad luck, not the end: peers can still be named, and can still call us."""
        if self._discovery is None:
            return
        try:
            await self._discovery.start()
        except NetworkError as error:
            self.parts.herald.notice("warning", f"{error}; peers can still be reached with --peer")
            self._discovery = None

    def _tell_ready(self) -> None:
        node, port = self.parts.mesh.node, self.parts.mesh.port
        ready = {
            "event": "ready",
            "peer_id": node.me,
            "alias": node.alias,
            "addresses": [str(address) for address in self.parts.mesh.addresses],
            "port": port.number,
            "control": self.parts.answers.control,
        }
        with contextlib.suppress(OSError):  # whoever started us may not be there to read it
            print(json.dumps(ready), flush=True)
        # Said whatever the verbosity: without it nobody knows what to type on the other machine.
        where = ", ".join(str(address) for address in self.parts.mesh.addresses)
        print(f"meshchat: {node.alias} ({short(node.me)}) listens on {where}", file=sys.stderr, flush=True)

    # What the parts tell

    def _on_event(self, event: Event) -> None:
        self._news.came(event)

    def _on_media(self, data: bytes, _route: object, now: Seconds) -> None:
        (self.parts.screens if is_screen(data) else self.parts.call.incoming).datagram(data, now)

    def _on_report(self, peer: PeerId, data: bytes) -> None:
        if not self.parts.screens.report_came(peer, data, self._loop.time()):
            route = self.parts.mesh.media_routes.get(peer)
            for datagram in self.parts.call.report_came(peer, data, self._loop.time()):
                if route:
                    self.parts.mesh.port.send(datagram, route)

    def _ask(self, peer: PeerId, data: bytes, times: int) -> None:
        """Sends a question for lost sound, from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: we are being torn down
            self._loop.call_soon_threadsafe(self._ask_now, peer, data, times)

    def _ask_now(self, peer: PeerId, data: bytes, times: int) -> None:
        self.parts.mesh.send_report(peer, data)
        if times > 1:
            self._loop.call_later(ASK_APART_S, self._ask_now, peer, data, times - 1)

    def _on_discovery(self, event: PeerFound | PeerForgotten) -> None:
        match event:
            case PeerFound(notice):
                rooms = tuple(
                    RoomHint(each.id, each.name, each.locked, each.members, each.sharing) for each in notice.rooms
                )
                self.parts.mesh.found(notice.peer_id, notice.addresses, rooms)
            case PeerForgotten(peer):
                self.parts.mesh.forgotten(peer)
        self.parts.herald.rooms(self.parts.answers)

    def _notify_from_thread(self, part: str, text: str) -> None:
        """A sound thread has something to say."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._sound_changed, f"{part}: {text}")

    def _sound_changed(self, text: str) -> None:
        """A device came or went: what it is now goes with the sentence."""
        self.parts.herald.notice("warning", text)
        self.parts.herald.myself(self.parts.answers)

    # What time brings

    async def _look(self) -> None:
        """Looks at who spoke and who breathed, for an eye or for the control plane alone."""
        while True:
            await asyncio.sleep(METER_S if self._control.is_watched else LIFE_S)
            for peer, at in self.parts.call.signs_of_life():
                self.parts.mesh.heard(peer, at)
            self.parts.herald.levels(self.parts.answers.speaking())
            self.parts.talking.look()
            self.parts.playing.look()

    async def _report(self) -> None:
        for peer, data in self.parts.call.reports():
            self.parts.mesh.send_report(peer, data)
        if self._discovery:
            self._discovery.keep(self.parts.mesh.node.links)

    async def _watch_interfaces(self) -> None:
        try:
            present = await asyncio.to_thread(interfaces.present)
        except NetworkError as error:
            log.warning("%s", error)
            return
        chosen = interfaces.chosen(self._config.interfaces, present)
        if chosen == self._addresses:
            return
        log.info("addresses are now %s", ", ".join(address.host for address in chosen) or "none")
        self._addresses = chosen
        self.parts.mesh.set_addresses(chosen)
        if self._discovery:
            try:
                await self._discovery.set_addresses(chosen)
            except NetworkError as error:
                self._addresses = ()  # so that the next look tries again
                log.warning("%s", error)

    async def _handle(self, command: control.Command) -> control.Answer:
        return await self._service.handle(command)

    def _snapshot(self) -> control.Snapshot:
        return control.Snapshot(self.parts.answers.status(), self.parts.answers.rooms())

    def _announce(self) -> None:
        if self._discovery is None:
            return
        self._discovery.announce(self.parts.entrance.notices())


def run(config: Config) -> int:
    """Works in the foreground until SIGINT, SIGTERM or `meshchat stop`; the exit status."""
    make_way_for_sound()
    with ProfileLock(config.profile):
        asyncio.run(_run(config))
    return 0


async def _run(config: Config) -> None:
    await Daemon(config).run()


async def _every(period_s: Seconds, act: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(period_s)
        await act()
