"""How things stand, put together from mesh and call for whoever asks over the control socket."""

from __future__ import annotations

import time
from collections.abc import Iterator

from msgspec import structs

from meshchat import __version__
from meshchat.call import Call
from meshchat.control import MemberStatus, PlayStatus, ProcessingStatus, RoomStatus, RoomSummary, SelfChanged, Status
from meshchat.errors import UsageError
from meshchat.lobby import RoomAround, rooms_around
from meshchat.mesh import Mesh
from meshchat.peers.directory import RoomHint
from meshchat.peers.members import Member
from meshchat.trust import Trust
from meshchat.units import PeerId, RoomId, Seconds, safe_text


class Answers:
    """Reads mesh and call; changes nothing."""

    def __init__(self, mesh: Mesh, call: Call, trust: Trust, started_at: Seconds) -> None:
        self.control = ""
        """The address of the control socket, once it is known."""
        self._mesh = mesh
        self._call = call
        self._trust = trust
        self._started_at = started_at

    def status(self) -> Status:
        """This peer and its room."""
        node = self._mesh.node
        return Status(
            **structs.asdict(self.oneself()),
            peer_id=node.me,
            addresses=tuple(map(str, self._mesh.addresses)),
            port=self._mesh.port.number,
            control=self.control,
            room=self.room(),
            uptime_s=round(time.monotonic() - self._started_at, 3),
            version=__version__,
            playing=self.playing(),
            counters=self._counters(),
            unanswered=self._unanswered(),
            evened=self._call.incoming.evened,
            processing=self.processing(),
        )

    def processing(self) -> ProcessingStatus:
        """What is done to what the microphone hears."""
        processing = self._call.processing
        wanted, done = processing.wanted, processing.done
        return ProcessingStatus(
            echo=wanted.echo,
            noise=wanted.noise,
            gain=wanted.gain,
            done=done.named(),
            delay_ms=round(processing.late_ms, 1),
            lacking=processing.lacking,
        )

    def oneself(self) -> SelfChanged:
        """What of it a person changes, or a device that comes and goes: each is in `Status` under the same name."""
        node, front = self._mesh.node, self._call.front
        return SelfChanged(
            alias=node.alias,
            muted=node.muted,
            deafened=node.deafened,
            microphone=self._call.microphone.describe(),
            speaker=self._call.speaker.describe(),
            transmit=front.rule.mode,
            threshold_db=front.rule.threshold_db,
            talking=front.talking,
            music=front.music,
        )

    def playing(self) -> PlayStatus | None:
        """What we play into the room."""
        playing = self._call.player.playing
        if playing is None:
            return None
        return PlayStatus(
            file=str(playing.path),
            position_s=round(playing.position, 2),
            length_s=round(playing.length, 2),
            paused=playing.paused,
            volume=playing.volume,
        )

    def plays(self) -> frozenset[PeerId]:
        """The members whose music comes here."""
        now = time.monotonic()
        return frozenset(flow.peer for flow in self._call.incoming.inflows if self._call.plays(flow.peer, now))

    def room(self) -> RoomStatus | None:
        """The room that we are in."""
        room = self._mesh.node.room
        if room is None:
            return None
        claim = room.election.followed
        return RoomStatus(
            name=room.name,
            id=room.id,
            epoch=claim.epoch if claim else 0,
            coordinator=claim.leader if claim else None,
            members=self.members(),
            locked=room.gate.locked,
        )

    def rooms(self) -> tuple[RoomSummary, ...]:
        """The rooms around."""
        node = self._mesh.node
        hints: dict[PeerId, tuple[RoomHint, ...]] = node.directory.hints()
        for link in node.links.values():
            if link.presence:
                hints[link.peer] = (RoomHint(RoomId(link.presence.room), safe_text(link.presence.name)),)
        room = node.room
        own = None
        if room:
            own = RoomAround(room.id, room.name, room.gate.locked, 1 + len(room.members()), True, self.sharing())
        return tuple(
            RoomSummary(each.room, each.name, each.locked, each.members, each.joined, each.sharing)
            for each in rooms_around(hints, own)
        )

    def sharing(self) -> bool:
        """Whether anybody in the room shares a screen."""
        return any(each.sharing for each in self._mesh.node.members())

    def members(self) -> tuple[MemberStatus, ...]:
        """Everybody in the room, ourselves first."""
        return tuple(self._member(member) for member in self._mesh.node.members())

    def member(self, peer: PeerId) -> MemberStatus | None:
        """One member of the room."""
        return next((self._member(each) for each in self._mesh.node.members() if each.peer == peer), None)

    def speaking(self) -> Iterator[tuple[PeerId, bool, float]]:
        """Who speaks, and how loud, in dB below full scale; ourselves outside a room too, to try the microphone."""
        yield self._mesh.node.me, self._call.outgoing.speaking, self._call.front.level_db
        for flow in self._call.incoming.inflows:
            yield flow.peer, flow.voice.speaking, flow.voice.level_db

    def named(self, wanted: str) -> tuple[PeerId, str]:
        """The member that `find_member` finds, and what the room calls it."""
        peer = self.find_member(wanted)
        return peer, next(each.alias for each in self._mesh.node.members() if each.peer == peer)

    def find_member(self, wanted: str) -> PeerId:
        """The member of that alias, id, or beginning of an id. Raises `UsageError` if there is none, or several."""
        members = [each for each in self._mesh.node.members() if not each.you]
        exact = [each.peer for each in members if wanted.casefold() == each.alias.casefold() or wanted == each.peer]
        found = exact or [each.peer for each in members if each.peer.startswith(wanted)]
        if len(found) != 1:
            raise UsageError(f"{'several members are' if found else 'no member is'} called {wanted}")
        return found[0]

    def _member(self, member: Member) -> MemberStatus:
        if member.you:
            return MemberStatus(
                id=member.peer,
                alias=member.alias,
                you=True,
                coordinator=member.coordinator,
                speaking=self._call.outgoing.speaking,
                muted=member.muted,
                deafened=member.deafened,
                level_db=round(self._call.front.level_db, 1),
                addresses=member.addresses,
                moderator=member.moderator,
                muted_by=member.muted_by,
                sharing=member.sharing,
                playing=self._is_heard(),
            )
        quality = self._call.quality(member.peer, time.monotonic())
        voice = quality.voice if quality else None
        return MemberStatus(
            id=member.peer,
            alias=member.alias,
            you=False,
            coordinator=member.coordinator,
            speaking=voice.speaking if voice else False,
            muted=member.muted,
            deafened=member.deafened,
            level_db=round(voice.level_db, 1) if voice else None,
            rtt_ms=_rounded(member.rtt_ms),
            loss_percent=round(quality.loss_percent, 2) if quality else None,
            jitter_ms=round(voice.jitter_ms, 2) if voice else None,
            playout_delay_ms=round(voice.playout_delay_ms, 1) if voice else None,
            packets_received=voice.packets_received if voice else None,
            packets_lost=voice.packets_lost if voice else None,
            concealed_ms=round(voice.concealed_ms, 1) if voice else None,
            volume=self._call.volume(member.peer),
            music_volume=self._call.music_volume(member.peer),
            addresses=member.addresses,
            reachable=member.reachable,
            moderator=member.moderator,
            muted_by=member.muted_by,
            sharing=member.sharing,
            playing=self._call.plays(member.peer, time.monotonic()),
            verified=self._trust.verified(member.peer),
            impostor=member.impostor,
            bytes_received=quality.bytes_received if quality else None,
            lost_there_percent=_rounded(quality.lost_there_percent) if quality else None,
            hears_you=quality.hears_us if quality else True,
        )

    def _unanswered(self) -> int:
        """How many of those who should answer do not: those announced in our room, and while nobody does, addresses."""
        node, room = self._mesh.node, self._mesh.node.room
        here = node.directory.in_room(room.id) if room else []
        wanted = (peer for peer in here if peer not in node.links and room and peer not in room.court.excluded)
        return node.directory.unanswered(wanted, seeds=not node.links)

    def _is_heard(self) -> bool:
        """Whether we play something that others hear."""
        playing = self._call.player.playing
        return playing is not None and not playing.paused and not self._mesh.node.muted

    def _counters(self) -> dict[str, int]:
        drops, mesh = self._call.incoming.drops, self._mesh
        return {
            "links": len(mesh.node.links),
            "packets_sent": self._call.outgoing.packets_sent,
            "late_turns": self._call.late_turns,
            "media_malformed": drops.malformed,
            "media_without_key": drops.no_key,
            "media_not_opened": drops.not_opened,
            "datagrams_unknown": mesh.port.received_unknown,
            "datagrams_dropped": mesh.port.waiting_dropped,
            "quic_refused": mesh.endpoint.refused,
            "send_errors": mesh.port.send_errors,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
