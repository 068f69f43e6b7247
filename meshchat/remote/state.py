"""How things stand, as the daemon tells it: rooms, members, this peer, and the answers made of them."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from meshchat.units import THRESHOLD_DB, ProcessingWish, TransmitMode


class RoomSummary(Struct, frozen=True):
    """A room as it is seen from outside."""

    id: str
    name: str
    locked: bool
    members: int
    """How many are in it, as far as is known."""
    joined: bool
    """Whether this peer is in it."""
    sharing: bool = False
    """Whether somebody shares a screen there; a locked room tells only its members."""


class MemberStatus(Struct, frozen=True):
    """A member of the room that this peer is in; null stands for what is not known, about oneself above all."""

    id: str
    alias: str
    you: bool
    coordinator: bool
    speaking: bool = False
    muted: bool = False
    deafened: bool = False
    level_db: float | None = None
    """How loud, in dB below full scale: -127..0 (RFC 6464)."""
    rtt_ms: float | None = None
    loss_percent: float | None = None
    """Packets lost on the way here among those of late, 0..100."""
    jitter_ms: float | None = None
    playout_delay_ms: float | None = None
    """How long a packet waits in the jitter buffer before it is heard."""
    packets_received: int | None = None
    packets_lost: int | None = None
    concealed_ms: float | None = None
    """How much sound had to be made up, in all."""
    volume: float = 1.0
    music_volume: float = 1.0
    """The further factor for what it plays."""
    addresses: tuple[str, ...] = ()
    reachable: bool = True
    """Whether this peer hears the member itself; if not, other members do."""
    moderator: bool = False
    """Whether it gives orders in this room."""
    muted_by: str | None = None
    """The id of the moderator that muted it; null if none has."""
    sharing: bool = False
    """Whether it shares a screen."""
    playing: bool = False
    """Whether it plays a sound file."""
    verified: bool = False
    """Whether words were compared with it, at whatever time."""
    impostor: bool = False
    """Whether it calls itself what a verified peer does: it hears nothing from here, and is not played."""
    bytes_received: int | None = None
    """Of its sound, with headers and seal."""
    lost_there_percent: float | None = None
    """What it loses of this peer's sound, as it reports: 0..100; null while it has reported nothing of late."""
    hears_you: bool = True
    """False once this peer has sent seconds of speech and the member has reported none of it."""


class RoomStatus(Struct, frozen=True):
    """The room that this peer is in."""

    name: str
    id: str
    epoch: int
    coordinator: str | None
    """The id of the coordinator; null while one is being elected."""
    members: tuple[MemberStatus, ...]
    locked: bool = False
    """Whether only those come in who were invited."""


class Done(Struct, frozen=True, tag_field="answer", tag="done"):
    """It is done, and there is nothing to tell."""


class Invited(Struct, frozen=True, tag_field="answer", tag="invited"):
    """How others get into the locked room."""

    link: str
    """`meshchat://...`; whoever has it can come in."""


class Words(Struct, frozen=True, tag_field="answer", tag="words"):
    """Words to compare with a member: the same on both sides, if nobody sits between."""

    id: str
    alias: str
    words: str


class RoomList(Struct, frozen=True, tag_field="answer", tag="rooms"):
    """The rooms around, this peer's own among them."""

    rooms: tuple[RoomSummary, ...]


class MemberList(Struct, frozen=True, tag_field="answer", tag="members"):
    """The members of the room, oneself among them."""

    members: tuple[MemberStatus, ...]


class PlayStatus(Struct, frozen=True):
    """The sound file that this peer plays into the room."""

    file: str
    """Its path."""
    position_s: float
    length_s: float
    paused: bool
    volume: float
    """A factor: 1 as it is in the file."""


class Playing(Struct, frozen=True, tag_field="answer", tag="playing"):
    """What this peer plays."""

    playing: PlayStatus | None
    """Null for nothing."""


class ProcessingStatus(Struct, frozen=True, tag_field="answer", tag="processing"):
    """What is done to what the microphone hears."""

    echo: ProcessingWish = "off"
    """Whether the loudspeaker's echo is to be taken out; auto: of a sound device, once one is heard."""
    noise: ProcessingWish = "off"
    """Whether the room's noise is; auto: of a sound device."""
    gain: ProcessingWish = "off"
    """Whether it is to be brought to an even loudness."""
    done: tuple[Literal["echo", "noise", "gain"], ...] = ()
    """What of it is done now."""
    delay_ms: float = 0.0
    """By how much the sound is late through that."""
    lacking: str = ""
    """What would have to be installed for it, in words; empty where it is."""


class Status(Struct, frozen=True, tag_field="answer", tag="status"):
    """This peer: who it is, where it is, what it does."""

    peer_id: str
    alias: str
    addresses: tuple[str, ...]
    port: int
    control: str
    """Where the control socket is, as in the daemon's ready line."""
    room: RoomStatus | None
    muted: bool
    deafened: bool
    microphone: str
    speaker: str
    uptime_s: float
    version: str
    playing: PlayStatus | None = None
    """The sound file that is played; null for none."""
    counters: dict[str, int] = {}
    """What the daemon counts, by name, since it started; the set of names may grow."""
    unanswered: int = 0
    """Peers announced in this room that several calls have not reached; while nobody answers, addresses given too."""
    transmit: TransmitMode = "continuous"
    """When the microphone's sound goes out: always, by voice, or while a key is held."""
    threshold_db: float = THRESHOLD_DB
    """The level over which it opens by voice, in dB below full scale."""
    music: bool = False
    """Whether what the microphone hears goes out as it is, as music."""
    evened: bool = False
    """Whether the members' voices are brought toward one loudness."""
    talking: bool = True
    """Whether it goes out now, but for the mute: by voice, whether it is open; by key, whether that is held."""
    processing: ProcessingStatus = ProcessingStatus()
    """What is done to it before."""


class WatcherStatus(Struct, frozen=True):
    """Somebody who watches the screen that this peer shares."""

    id: str
    mbit_max: float
    """What its link is found to take, in Mbit/s."""
    delay_ms: float | None
    """From sending a slice of the picture to hearing that it came."""
    behind: bool
    """Whether it was slower than the pictures, and waits for the newest state."""
    merged: int
    """How often that happened."""
    resent: int
    """Datagrams sent again."""


class ShareStatus(Struct, frozen=True):
    """The screen that this peer shares."""

    title: str
    width: int
    height: int
    pictures: int
    """Pictures so far that changed something."""
    fps: float
    """Of the last second."""
    mbit: float
    """Made in the last second, in Mbit/s, to be sent to each watcher that keeps up."""
    watchers: tuple[WatcherStatus, ...] = ()


class ScreenStatus(Struct, frozen=True):
    """A screen that somebody else shares."""

    id: str
    alias: str
    watched: bool
    """Whether it is sent here."""
    viewers: int = 0
    """Windows and pages that look at it here."""
    width: int = 0
    height: int = 0
    pictures: int = 0
    fps: float = 0.0
    mbit: float = 0.0
    slices: int = 0
    nacks: int = 0
    """Gaps that were asked for."""
    given_up: int = 0
    """How often asking did not help, and the newest state was asked for."""
    exact: bool = False
    """Whether the picture is, at this moment, as exact as it will be."""


class Watching(Struct, frozen=True, tag_field="answer", tag="watching"):
    """A member's screen is sent here."""

    id: str
    alias: str
    page: str
    """The address of a page that shows it, on this machine, once: `http://127.0.0.1:PORT/?token=...`."""
    feed: str
    """The address of the same for a program, as a WebSocket, once: `ws://127.0.0.1:PORT/feed?token=...`."""
    already: bool
    """Whether it was watched before."""


class ScreenList(Struct, frozen=True, tag_field="answer", tag="screens"):
    """Who shares a screen."""

    sharing: ShareStatus | None
    """Null while this peer does not."""
    screens: tuple[ScreenStatus, ...]


CLOCK_OFF_MS_MAX = 86_400_000
"""A time of day further from ours than a day is not shown."""


class ChatLine(Struct, frozen=True):
    """Something written to the room, or somebody who came or went. All lines sort by `order`, `author`, `id`."""

    id: str
    """Stays the same; no two lines have the same."""
    kind: Literal["said", "came", "went"]
    order: int
    """The place in the chat, the same everywhere for what was said; a line may come late, for an earlier place."""
    author: str
    """The peer who wrote, came or went."""
    alias: str
    """What it was called at that time."""
    you: bool
    """Whether it is this peer."""
    text: str
    """What was written, or why somebody went; may have several lines."""
    said_ms: int
    """The time of day by the author's clock, in ms since 1970: a hint, for clocks may be wrong, and people lie."""
    received_ms: int
    """The time of day at which it arrived here."""
    mention: bool = False
    """Whether it names this peer, as in `@ann`."""

    @property
    def shown_ms(self) -> int:
        """The time of day to show, in ms since 1970: the author's, or, if that is a day off, when it came here."""
        is_odd = abs(self.said_ms - self.received_ms) > CLOCK_OFF_MS_MAX
        return self.received_ms if is_odd else self.said_ms


class Said(Struct, frozen=True, tag_field="answer", tag="said"):
    """It is written."""

    id: str
    """The line's."""
    reached: int
    """To how many members it went at once; the others get it when they are found."""


class ChatHistory(Struct, frozen=True, tag_field="answer", tag="chat"):
    """What was written since this peer entered the room and who came and went, in order."""

    lines: tuple[ChatLine, ...]


class DeviceStatus(Struct, frozen=True):
    """One microphone or speaker of this machine."""

    number: int
    """Good until something is plugged in or out; the name is for keeps."""
    name: str
    host: str
    """The system's interface by which it is reached: ALSA, Core Audio, Windows WASAPI."""
    channels: int
    rate_hz: float
    """The rate it runs at by itself."""
    default: bool
    """Whether the system prefers it."""
    used: bool
    """Whether the daemon's sound goes through it now."""


class DeviceList(Struct, frozen=True, tag_field="answer", tag="devices"):
    """What sound could come from and go to, and what is in use, which need be none of these."""

    microphones: tuple[DeviceStatus, ...]
    speakers: tuple[DeviceStatus, ...]
    microphone: str | None
    """The one in use, as in `Status`; null where no daemon runs."""
    speaker: str | None


Answer: TypeAlias = (
    Done
    | Words
    | Invited
    | RoomList
    | MemberList
    | Said
    | ChatHistory
    | Watching
    | ScreenList
    | DeviceList
    | ProcessingStatus
    | Playing
    | Status
)
