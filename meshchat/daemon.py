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
from typing import Literal

from meshchat import control, host, interfaces
from meshchat.answers import Answers
from meshchat.call import REPORT_S, Call
from meshchat.chronicle import Chronicle
from meshchat.config import Config
from meshchat.devices import Devices
from meshchat.discovery import Discovery, PeerForgotten, PeerFound
from meshchat.entrance import Entrance, cleaned
from meshchat.errors import NetworkError, Refused
from meshchat.identity import ProfileLock, load_identity
from meshchat.locks.trust import KnownPeers
from meshchat.mesh import Mesh
from meshchat.moderation import Moderation
from meshchat.peers import effects
from meshchat.peers.directory import RoomHint
from meshchat.peers.room import open_room
from meshchat.screens import Screens
from meshchat.trust import Trust
from meshchat.units import PeerId, Seconds, short
from meshchat.urgency import make_way_for_sound
from meshchat.wire import is_screen

log = logging.getLogger(__name__)

METER_S: Seconds = 0.1
"""Between two looks at who speaks: quick enough for an eye, cheap enough for thirty members."""

LIFE_S: Seconds = 0.25
"""Between two looks at whose sound came: as often as beats come."""

WATCH_S: Seconds = 3.0
"""Between two looks at the network interfaces: a dock or a tunnel is followed within this."""


_SEEN_FROM_OUTSIDE = (
    effects.MemberJoined, effects.MemberLeft, effects.RoomEntered, effects.RoomLeft, effects.Ordered,
)  # fmt: skip
"""What changes the room as it is announced."""


class Daemon:
    """One peer at work."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._identity = load_identity(config.profile)
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._started_at = time.monotonic()
        self.mesh = Mesh(
            self._identity, config.alias, on_event=self._on_event, on_media=self._on_media, on_report=self._on_report
        )
        self.call = Call(config, self.mesh.send_media, self._notify_from_thread)
        self.trust = Trust(KnownPeers(config.profile), self.mesh, self._notice)
        self.answers = Answers(config, self.mesh, self.call, self.trust, self._started_at)
        self.entrance = Entrance(self.mesh, self.answers, self._identity.private_key, self._started_at)
        self.moderation = Moderation(self.mesh, self.call, self.answers, self._notice)
        self.screens = Screens(self.mesh, self.answers, self._notice)
        self.devices = Devices(config.profile, self.call, self._tell_self)
        self.control = control.ControlServer(config.profile, self._handle, self._snapshot)
        self.chronicle = Chronicle(self.mesh, self.control.publish)
        self.discovery: Discovery | None = None
        self._addresses: tuple[interfaces.LocalAddress, ...] = ()
        self._speaking: set[PeerId] = set()
        self._rooms_told: tuple[control.RoomSummary, ...] = ()

    async def run(self) -> None:
        """Works until it is told to stop. Raises `MeshchatError` if it cannot begin."""
        async with contextlib.AsyncExitStack() as closing:
            await self._start(closing)
            self._tell_ready()
            async with asyncio.TaskGroup() as tasks:
                periodic = [
                    tasks.create_task(_every(METER_S, self._meter)),
                    tasks.create_task(_every(REPORT_S, self._report)),
                    tasks.create_task(_every(LIFE_S, self._tell_life)),
                    tasks.create_task(_every(WATCH_S, self._watch_interfaces)),
                ]
                await self._stopping.wait()
                for task in periodic:
                    task.cancel()
            log.info("stopping")

    def stop(self) -> None:
        """Ends `run`, politely."""
        self._stopping.set()

    async def _start(self, closing: contextlib.AsyncExitStack) -> None:
        config = self._config
        present = await asyncio.to_thread(interfaces.present)
        interfaces.check(config.interfaces, present)
        self._addresses = interfaces.chosen(config.interfaces, present)
        names = [address.interface for address in self._addresses]
        self.mesh.node.set_host(await asyncio.to_thread(host.mark, names))
        self.mesh.open(self._addresses, config.port)
        closing.callback(self.trust.close)
        closing.callback(self.mesh.close)
        self.answers.control = await self.control.start()
        closing.push_async_callback(self.control.close)
        self.mesh.set_silence(config.muted, deafened=False)
        self.call.set_silence(config.muted, deafened=False)
        self.call.start()
        closing.push_async_callback(asyncio.to_thread, self.call.stop)
        if config.mdns:
            self.discovery = Discovery(
                self._identity.peer_id, self.mesh.port.number, self._addresses, self._on_discovery
            )
            closing.push_async_callback(self.discovery.close)
        if config.room:
            self.mesh.enter(open_room(config.room), config.room)
            self._announce()
        for address in config.peers:
            self.mesh.add_seed(address)
        closing.push_async_callback(self.screens.close)
        await self.screens.open(config.share)
        await self._start_discovery()
        for each in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # Windows delivers SIGINT as KeyboardInterrupt
                self._loop.add_signal_handler(each, self.stop)

    async def _start_discovery(self) -> None:
        """mDNS that does not work is bad luck, not the end: peers can still be named, and can still call us."""
        if self.discovery is None:
            return
        try:
            await self.discovery.start()
        except NetworkError as error:
            self._notice("warning", f"{error}; peers can still be reached with --peer")
            self.discovery = None

    def _tell_ready(self) -> None:
        node, port = self.mesh.node, self.mesh.port
        ready = {
            "event": "ready",
            "peer_id": node.me,
            "alias": node.alias,
            "addresses": [str(address) for address in self.mesh.addresses],
            "port": port.number,
            "control": self.answers.control,
        }
        with contextlib.suppress(OSError):  # whoever started us may not be there to read it
            print(json.dumps(ready), flush=True)
        # Said whatever the verbosity: without it nobody knows what to type on the other machine.
        where = ", ".join(str(address) for address in self.mesh.addresses)
        print(f"meshchat: {node.alias} ({short(node.me)}) listens on {where}", file=sys.stderr, flush=True)

    # What the parts tell

    def _on_media(self, data: bytes, _route: object, now: Seconds) -> None:
        (self.screens if is_screen(data) else self.call.incoming).datagram(data, now)

    def _on_report(self, peer: PeerId, data: bytes) -> None:
        if not self.screens.report_came(peer, data, self._loop.time()):
            self.call.report_came(peer, data, self._loop.time())

    def _on_discovery(self, event: PeerFound | PeerForgotten) -> None:
        match event:
            case PeerFound(notice):
                rooms = tuple(RoomHint(each.id, each.name, each.locked, each.members) for each in notice.rooms)
                self.mesh.found(notice.peer_id, notice.addresses, rooms)
            case PeerForgotten(peer):
                self.mesh.forgotten(peer)
        self._tell_rooms()

    def _on_event(self, event: effects.Event) -> None:
        """Something happened in the control plane: the call follows, then the clients hear of it."""
        self.chronicle.on_event(event)
        self.screens.on_event(event)
        match event:
            case effects.SendKeyChanged(ssrc, key_id, base_key):
                self.call.send_key(ssrc, key_id, base_key)
            case effects.KeyReceived(peer, ssrc, key_id, base_key):
                self.call.incoming.use_key(peer, ssrc, key_id, base_key)
            case effects.MemberJoined(peer, alias):
                self.call.member_joined(peer)
                self.moderation.hush(peer)
                self.trust.met(peer, alias)
                log.info("%s (%s) joined", alias, short(peer))
                self._publish_member(peer, control.MemberJoined)
            case effects.MemberLeft(peer, alias, reason):
                self.call.member_left(peer)
                self.moderation.left(peer, alias)
                self.trust.left(peer)
                self._speaking.discard(peer)
                log.info("%s (%s) left: %s", alias, short(peer), reason)
                self.control.publish(control.MemberLeft(peer, alias, reason))
            case effects.MemberChanged(peer):
                self.moderation.hush(peer)
                self._publish_member(peer, control.MemberChanged)
            case effects.KeyInUse(peer):
                self._notice(
                    "error",
                    f"{short(peer)} turned us away: another running meshchat shows our key; "
                    "a copied profile needs a key of its own: stop one, and move its identity.pem away",
                )
            case _:
                self._on_room_event(event)
        if isinstance(event, _SEEN_FROM_OUTSIDE):
            self._announce()
            self._tell_rooms()

    def _on_room_event(self, event: effects.Event) -> None:
        match event:
            case effects.RoomEntered(_, name):
                log.info("entered %s", name)
                room = self.answers.room()
                if room:
                    self.control.publish(control.RoomEntered(room))
            case effects.RoomLeft(room_id, name, reason):
                log.info("left %s: %s", name, reason)
                self.call.room_left()
                self.control.publish(control.RoomLeft(name, room_id, reason))
            case effects.DoorOpened() | effects.DoorShut():
                self.entrance.answered(event)
            case effects.CoordinatorChanged(claim):
                log.info("coordinator: %s", short(claim.leader) if claim else "none yet")
                told = (claim.epoch, claim.leader) if claim else (0, None)
                self.control.publish(control.CoordinatorChanged(*told))
            case _:
                self._on_order(event)

    def _on_order(self, event: effects.Event) -> None:
        match event:
            case effects.Ordered():
                self.moderation.ordered(event)
            case effects.SecretChanged(secret, words):
                self.entrance.renew(secret, words)
            case effects.Silenced():
                self.call.set_silence(True, self.mesh.node.deafened)
                self._tell_self()
            case effects.ImpostorCame():
                self.trust.impostor_came(event)
            case effects.WordsShown(peer, words):
                self.trust.words_shown(event)
                self.control.publish(control.WordsShown(*self.answers.named(peer), words))

    def _publish_member(self, peer: PeerId, event: type[control.MemberJoined] | type[control.MemberChanged]) -> None:
        member = self.answers.member(peer)
        if member:
            self.control.publish(event(member))

    def _notify_from_thread(self, part: str, text: str) -> None:
        """A sound thread has something to say."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._sound_changed, f"{part}: {text}")

    def _sound_changed(self, text: str) -> None:
        """A device came or went: what it is now goes with the sentence."""
        self._notice("warning", text)
        self._tell_self()

    def _notice(self, severity: Literal["info", "warning", "error"], text: str) -> None:
        log.warning("%s", text)
        self.control.publish(control.Notice(severity, text))

    # What time brings

    async def _meter(self) -> None:
        levels: dict[str, float | None] = {}
        for peer, speaking, level_db in self.answers.speaking():
            levels[peer] = round(level_db, 1)
            if speaking != (peer in self._speaking):
                self._speaking ^= {peer}
                self.control.publish(control.Speaking(peer, speaking))
        if levels:
            self.control.publish(control.Levels(levels))

    async def _tell_life(self) -> None:
        """Sound is a sign of life as good as any."""
        for peer, at in self.call.signs_of_life():
            self.mesh.heard(peer, at)

    async def _report(self) -> None:
        for peer, data in self.call.reports():
            self.mesh.send_report(peer, data)
        if self.discovery:
            self.discovery.keep(self.mesh.node.links)

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
        self.mesh.set_addresses(chosen)
        if self.discovery:
            try:
                await self.discovery.set_addresses(chosen)
            except NetworkError as error:
                self._addresses = ()  # so that the next look tries again
                log.warning("%s", error)

    # What the clients want

    async def _handle(self, command: control.Command) -> control.Answer:
        match command:
            case control.Rooms():
                return control.RoomList(self.answers.rooms())
            case control.GetStatus():
                return self.answers.status()
            case control.Members():
                self._must_be_in_room()
                return control.MemberList(self.answers.members())
            case control.Say(text=text):
                return await self.chronicle.say(text)
            case control.Chat():
                return self.chronicle.told()
        answer = await self.entrance.handle(command) or await self.screens.act(command)
        answer = answer or await self.devices.act(command)
        if answer is None and isinstance(command, control.Verify):
            answer = await self.trust.verify(*self.answers.named(command.member), agreed=command.agreed)
        if answer is None:
            self._obey(command)
        return answer or control.Done()

    def _obey(self, command: control.Command) -> None:
        match command:
            case control.Leave():
                self.mesh.leave()
            case control.Alias(name=name):
                self.mesh.rename(cleaned(name))
                self._tell_self()
            case control.Volume(member=member, gain=gain):
                self._must_be_in_room()
                self.call.set_volume(self.answers.find_member(member), gain)
            case _ if self.moderation.obey(command):
                pass
            case control.Stop():
                self._loop.call_later(METER_S, self.stop)  # after the answer
            case _:
                self.moderation.set_silence(command)
                self._tell_self()

    def _must_be_in_room(self) -> None:
        if self.mesh.node.room is None:
            raise Refused("not in a room")

    def _snapshot(self) -> control.Snapshot:
        return control.Snapshot(self.answers.status(), self.answers.rooms())

    def _tell_self(self) -> None:
        status = self.answers.status()
        self.control.publish(
            control.SelfChanged(status.alias, status.muted, status.deafened, status.microphone, status.speaker)
        )

    def _tell_rooms(self) -> None:
        rooms = self.answers.rooms()
        if rooms != self._rooms_told:
            self._rooms_told = rooms
            self.control.publish(control.RoomsChanged(rooms))

    def _announce(self) -> None:
        if self.discovery is None:
            return
        self.discovery.announce(self.entrance.notices())


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
