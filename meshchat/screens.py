"""Shared screens: ours to whoever watches, theirs to whoever looks here, and the commands that begin and end both.

screen process  -> showing/outflow -> mesh, to each watcher        another process, two threads
port's thread   -> showing/inflow  -> web/server -> page or program      undecoded
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from meshchat import control
from meshchat.answers import Answers
from meshchat.capture.protocol import Spec
from meshchat.errors import MeshchatError, Refused
from meshchat.media.feedback import is_feedback, parse_feedback
from meshchat.media.parts import Slice
from meshchat.mesh import Mesh
from meshchat.peers import effects
from meshchat.peers.messages import Watch
from meshchat.showing.inflow import Inflow, Inflows
from meshchat.showing.meter import Meter
from meshchat.showing.outflow import Outflow
from meshchat.units import PeerId, Seconds
from meshchat.web.server import Gallery

log = logging.getLogger(__name__)

TOLD_S: Seconds = 0.004
"""Between two reports to one sharer of which something was lost: a burst of datagrams is reported on once."""

CALM_S: Seconds = 0.02
"""Between two reports to one of whom all came: each costs both ends as much as thirty parts of a screen."""

TICK_S: Seconds = 0.012
"""Between two looks at what is missing, while something is."""

RTT_S: Seconds = 0.005
"""Assumed for a link whose round trip is not known yet."""

MBIT = 1e6


class Screens:
    """What is shared and what is watched here."""

    def __init__(self, mesh: Mesh, answers: Answers, notice: control.Tell) -> None:
        """`notice` tells people something, on the event loop."""
        self._mesh = mesh
        self._answers = answers
        self._notice = notice
        self._loop = asyncio.get_running_loop()
        self._out = Outflow(self._send, self._warn, self._share_ended)
        self._in = Inflows(self._deliver)
        self._gallery = Gallery(self._came, self._went)
        self._meter = Meter()
        self._ssrc = 0
        self._wanted: set[PeerId] = set()
        """Members whose screens a person asked for, here or not."""
        self._due: set[PeerId] = set()
        self._urgent: set[PeerId] = set()
        self._closing: set[asyncio.Task[None]] = set()

    async def open(self, share: str) -> None:
        """Begins to serve viewers, and to share `share` if that names a source."""
        await self._gallery.open()
        if share:
            try:
                await self._share(control.ShareStart(source=share))
            except MeshchatError as error:
                self._notice("error", f"no screen is shared: {error}")

    async def close(self) -> None:
        """Ends both."""
        await self._gallery.close()
        await asyncio.to_thread(self._out.stop)

    def datagram(self, data: bytes, now: Seconds) -> None:
        """A datagram of somebody's screen, on the port's thread."""
        flow = self._in.datagram(data, now)
        if flow and flow.is_hurt and flow.peer not in self._urgent:
            self._urgent.add(flow.peer)
            self._due.add(flow.peer)
            self._call_soon(self._tell_soon, flow, TOLD_S)
        elif flow and flow.peer not in self._due:
            self._due.add(flow.peer)
            self._call_soon(self._tell_soon, flow, CALM_S)

    def report_came(self, peer: PeerId, data: bytes, now: Seconds) -> bool:
        """What a watcher of our screen reports; False for a report on something else. May raise `WireError`."""
        if is_feedback(data):
            self._out.heard(peer, parse_feedback(data), now)
        return is_feedback(data)

    def on_event(self, event: effects.Event) -> None:
        """Something happened in the control plane."""
        match event:
            case effects.SendKeyChanged(ssrc, key_id, base_key):
                self._ssrc = ssrc
                self._out.use_key(ssrc, key_id, base_key)
            case effects.KeyReceived(peer, ssrc, key_id, base_key):
                self._in.use_key(peer, ssrc, key_id, base_key)
                self._update(peer)
            case effects.WatchAsked(peer, on):
                self._out.watch(peer, on)
            case effects.MemberChanged(peer):
                member = self._answers.member(peer)
                if member and not member.sharing:
                    self._look_away(peer, "it is shared no more")
            case effects.MemberLeft(peer):
                self._out.watch(peer, on=False)
                self._look_away(peer, "its member left")
                self._in.forget(peer)
            case effects.RoomLeft():
                for flow in self._in.watched:
                    self._look_away(flow.peer, "you left the room")

    async def act(self, command: control.Command) -> control.Answer | None:
        """Does what a command wants; None for one that is about something else. Raises `MeshchatError`."""
        match command:
            case control.ShareStart():
                self._must_be_in_room()
                await self._share(command)
            case control.ShareStop():
                await self._unshare()
            case control.Watch(member=member):
                return self._watch(member)
            case control.Unwatch(member=member):
                self._must_be_in_room()
                self._look_away(self._answers.find_member(member), "you had it sent no more")
            case control.Screens():
                return self._list()
            case _:
                return None
        return control.Done()

    async def _share(self, wanted: control.ShareStart) -> None:
        if self._out.is_sharing:
            raise Refused("a screen is shared already")
        spec = Spec(wanted.source, wanted.monitor, wanted.region, wanted.fps, wanted.quality)
        await asyncio.to_thread(self._out.start, spec, wanted.max_mbit * MBIT)
        self._tell_sharing(True)
        self._notice("info", f"you share your {self._out.shared.title}")

    async def _unshare(self) -> None:
        if not self._out.is_sharing:
            raise Refused("no screen is shared")
        self._tell_sharing(False)
        await asyncio.to_thread(self._out.stop)
        self._notice("info", "you share nothing any more")

    def _tell_sharing(self, sharing: bool) -> None:
        self._mesh.node.set_sharing(sharing)
        self._mesh.pump()

    def _watch(self, name: str) -> control.Watching:
        self._must_be_in_room()
        peer = self._answers.find_member(name)
        member = self._answers.member(peer)
        if member is None or not member.sharing:
            raise Refused(f"{name} shares no screen")
        already = peer in self._wanted
        self._wanted.add(peer)
        self._update(peer)
        page, feed = self._gallery.links(peer, member.alias)
        return control.Watching(peer, member.alias, page, feed, already)

    def _look_away(self, peer: PeerId, why: str) -> None:
        """That screen is watched here no more; whoever looks at it is told why."""
        self._wanted.discard(peer)
        self._gallery.end(peer, why)
        self._update(peer)

    def _went(self, peer: PeerId) -> None:
        """A viewer closed its window or page: with the last one the screen is asked for no more."""
        if not self._gallery.viewers(peer):
            self._wanted.discard(peer)
        self._update(peer)

    def _update(self, peer: PeerId) -> None:
        """Asks a member for its screen, or to send it no more."""
        on = peer in self._wanted or self._gallery.viewers(peer) > 0
        flow = self._in.flow(peer)
        if flow and flow.watched != on and self._in.watch(peer, on):
            self._mesh.node.tell(peer, Watch(on))
            self._mesh.pump()

    def _came(self, peer: PeerId) -> None:
        """A viewer wants the whole picture."""
        self._update(peer)
        flow = self._in.flow(peer)
        if flow and flow.watched:
            self._in.start_over(peer)
            self._tell(flow)

    def _deliver(self, peer: PeerId, whole: Slice) -> None:
        """A slice is whole, on the port's thread."""
        if self._gallery.viewers(peer):
            self._call_soon(self._gallery.show, peer, whole)

    def _tell_soon(self, flow: Inflow, apart: Seconds) -> None:
        self._loop.call_later(max(0.0, flow.told_at + apart - self._loop.time()), self._tell, flow)

    def _tell(self, flow: Inflow) -> None:
        """Reports to a sharer, and again soon if something is missing."""
        self._due.discard(flow.peer)
        self._urgent.discard(flow.peer)
        if not flow.watched or self._in.flow(flow.peer) is not flow:
            return
        link = self._mesh.node.links.get(flow.peer)
        rtt = link.rtt_ms / 1000 if link and link.rtt_ms is not None else RTT_S
        self._mesh.send_report(flow.peer, self._in.feedback(flow, self._ssrc, rtt, self._loop.time()))
        if flow.assembly.waits:
            self._due.add(flow.peer)
            self._loop.call_later(TICK_S, self._tell, flow)

    def _send(self, peer: PeerId, datagrams: Sequence[bytes]) -> None:
        """Sends parts of our screen to a watcher, on the sending thread."""
        route = self._mesh.media_routes.get(peer)
        if route:
            self._mesh.port.send_all(datagrams, route)

    def _list(self) -> control.ScreenList:
        self._must_be_in_room()
        return control.ScreenList(
            self._meter.share(self._out, self._loop.time()) if self._out.is_sharing else None,
            tuple(
                self._meter.screen(member, self._in.flow(peer), self._gallery.viewers(peer), self._loop.time())
                for member in self._answers.members()
                if member.sharing and not member.you
                for peer in (PeerId(member.id),)
            ),
        )

    def _must_be_in_room(self) -> None:
        if self._mesh.node.room is None:
            raise Refused("not in a room")

    def _warn(self, text: str) -> None:
        self._call_soon(self._notice, "warning", f"screen: {text}")

    def _share_ended(self) -> None:
        """The screen process ended by itself."""
        self._call_soon(self._clear_share)

    def _clear_share(self) -> None:
        if self._out.is_sharing:
            self._tell_sharing(False)
            task = self._loop.create_task(asyncio.to_thread(self._out.stop))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._notice("error", "your screen is shared no more: its process ended")

    def _call_soon(self, act: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(act, *arguments)
        except RuntimeError:  # the loop is closed: nobody listens any more
            log.debug("too late for %s", act)
