"""What a client may ask of the daemon: one struct for each command, strict about every argument."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from meshchat.units import (
    FPS_MAX,
    NAME_CHARACTERS_MAX,
    QUALITY_MAX,
    QUALITY_MIN,
    TEXT_CHARACTERS_MAX,
    THRESHOLD_DB_MAX,
    THRESHOLD_DB_MIN,
    ProcessingWish,
    TransmitMode,
)

GAIN_MAX = 4.0
"""Loudest gain for one member: 12 dB more than was sent, beyond which the limiter only distorts."""

LINK_CHARACTERS_MAX = 512
"""Longer than any invite link; an open room's name never gets near it."""

ADDRESS_CHARACTERS_MAX = 300
"""A host's name has up to 253 characters (RFC 1035 section 2.3.4), and a port follows."""

PASSPHRASE_CHARACTERS_MAX = 1024
"""Longest that is looked at; `locks.passphrase` says how long it may be, once it is cleaned."""

SPEC_CHARACTERS_MAX = 4096
"""As long as a path can be on Linux."""

MONITORS_MAX = 64
"""Highest number of a monitor that may be shared: nobody has so many."""

MBIT_MIN, MBIT_MAX = 0.5, 1000.0
"""Between these lies what the bits to each watcher of a shared screen are bounded to."""

Words: TypeAlias = Annotated[str, Meta(max_length=PASSPHRASE_CHARACTERS_MAX)]
"""A passphrase."""

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
"""A room's name or an alias; the daemon cleans it with `units.safe_text` and refuses what is then empty."""


Gain: TypeAlias = Annotated[float, Meta(ge=0.0, le=GAIN_MAX)]


class _Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="command", tag=str.lower):
    id: int = 0
    """Chosen by the client; the reply carries it back."""


class Rooms(_Request, frozen=True):
    """Which rooms are around? Answer: `RoomList`."""


class Create(_Request, frozen=True):
    """Open a room of this name and enter it. Refused: `room already exists`. Answer for a locked one: `Invited`."""

    name: Name
    locked: bool = False
    """Whether only those with the invite link can come in."""
    shown: Annotated[str, Meta(max_length=NAME_CHARACTERS_MAX)] = ""
    """What strangers see of a locked room instead of its name; empty: only that there is one."""
    passphrase: Words = ""
    """Opens the room too, which is locked then; empty for none."""


class Enter(_Request, frozen=True):
    """Enter the locked room that this invite link leads to. Refused: `room already joined`."""

    link: Annotated[str, Meta(min_length=1, max_length=LINK_CHARACTERS_MAX)]


class Peer(_Request, frozen=True):
    """Call the peer at this address until somebody answers there; its rooms are listed then. Answer: `Done` at once."""

    address: Annotated[str, Meta(min_length=1, max_length=ADDRESS_CHARACTERS_MAX)]
    """`HOST:PORT`, as after `--peer`."""


class Invite(_Request, frozen=True):
    """How do others get into this locked room? Answer: `Invited`. Refused: `room is open`, `not in a room`."""


class Join(_Request, frozen=True):
    """Enter the room of this name. Refused: `room not found`, `room already joined`, `room is locked`.

    With a passphrase: the locked room that shows this name, or whose id begins so. Refused too: `wrong passphrase`,
    `too many wrong passphrases`, `no passphrase opens`, `nobody ... answered`.
    """

    name: Name
    passphrase: Words = ""


class Passphrase(_Request, frozen=True):
    """Let another passphrase open this locked room, and another link. Answer: `Invited`.

    Refused: `only a moderator ...`, `room is open`, `not in a room`.
    """

    passphrase: Words


class Leave(_Request, frozen=True):
    """Go out of the room. Refused: `not in a room`."""


class Members(_Request, frozen=True):
    """Who is in the room, oneself included? Answer: `MemberList`. Refused: `not in a room`."""


class Alias(_Request, frozen=True):
    """Be shown to others under this name. Refused: `alias already taken`."""

    name: Name


class _AboutAny(_Request, frozen=True):
    member: Annotated[str, Meta(max_length=64)] = ""
    """The alias or the id of a member, or the first digits of the id; empty for oneself."""


class Mute(_AboutAny, frozen=True):
    """Send no sound; or, as a moderator, have a member send none. Refused then: as `kick`."""


class Unmute(_AboutAny, frozen=True):
    """Send sound again; or, as a moderator, allow a member to. Refused: where the room holds a moderator's mute."""


class Rule(_Request, frozen=True):
    """Set what holds in the room. Refused: `only a moderator ...`, `the room is set like that already`."""

    mutes_hold: bool
    """Whether only a moderator unmutes whom a moderator muted."""


class Deafen(_Request, frozen=True):
    """Play no sound."""


class Undeafen(_Request, frozen=True):
    """Play sound again."""


class Even(_Request, frozen=True):
    """Bring all members' voices toward one loudness, here only; or play them as loud as they are."""

    on: bool


class _AboutMember(_Request, frozen=True):
    member: Annotated[str, Meta(min_length=1, max_length=64)]
    """The alias or the id of a member, or the first digits of the id where they name one only."""


class Volume(_AboutMember, frozen=True):
    """Play one member louder or softer, here only."""

    gain: Gain
    """A factor: 1 as it was sent, 0 silent."""
    music: bool = False
    """Whether only what the member plays is meant, which then gets this factor besides that of the member."""


Spec: TypeAlias = Annotated[str, Meta(min_length=1, max_length=SPEC_CHARACTERS_MAX)]
"""A microphone or a speaker, in the words of `--mic` and `--speaker`."""


class Devices(_Request, frozen=True):
    """Which microphones and speakers has this machine? Answer: `DeviceList`."""


class UseMicrophone(_Request, frozen=True, tag="mic"):
    """Send sound from here on. Failed where it cannot be had, or gives no sound; then the old one stays in use."""

    source: Spec
    keep: bool = False
    """Whether the next daemon of this profile begins with it."""


class UseSpeaker(_Request, frozen=True, tag="speaker"):
    """Play sound there from now on. Failed as `mic`. Refused: `... is being recorded already`."""

    sink: Spec
    keep: bool = False


class Transmit(_Request, frozen=True):
    """Send what the microphone hears always, by voice, or while `talk` is on; the latter is off afterwards."""

    mode: TransmitMode
    threshold_db: Annotated[float, Meta(ge=THRESHOLD_DB_MIN, le=THRESHOLD_DB_MAX)] | None = None
    """The level over which the microphone opens by voice; null: as it was."""
    keep: bool = False
    """Whether the next daemon of this profile begins with it."""


class Music(_Request, frozen=True):
    """Send what the microphone hears as it is, in stereo where it has two channels; or as a voice again.

    Failed where it cannot be opened another time: then it is music of the channels that it gives.
    """

    on: bool
    keep: bool = False


class Processing(_Request, frozen=True):
    """How is the microphone's sound processed? What is not null is set first. Answer: `ProcessingStatus`.

    Failed: `... pip install 'meshchat[voice]' brings it`, where something is to be on and the library is not there.
    """

    echo: ProcessingWish | None = None
    noise: ProcessingWish | None = None
    gain: ProcessingWish | None = None
    keep: bool = False
    """Whether the next daemon of this profile begins with it."""


class Talk(_Request, frozen=True):
    """Press or let go the key. Refused: `talk is for transmit push ...`."""

    on: bool | None = None
    """Null: the other way round."""


class TestSpeaker(_Request, frozen=True, tag="test_speaker"):
    """Play three notes through the speaker, here only, at once."""


class Kick(_AboutMember, frozen=True):
    """Send a member out of the room. Refused: `only a moderator ...`, and what else `locks.rights` has against it."""


class Ban(_AboutMember, frozen=True):
    """The same, and nobody is asked about it again."""


class Pardon(_AboutMember, frozen=True):
    """Let somebody in again who was kicked or banned."""


class Appoint(_AboutMember, frozen=True):
    """Make a member a moderator; the founder may."""


class Dismiss(_AboutMember, frozen=True):
    """Take that back; what it ordered stays."""


class Verify(_AboutMember, frozen=True):
    """Show words on both sides, for two people to compare aloud. Answer: `Words`, or `Done` once they `agreed`."""

    agreed: bool = False
    """Whether the person has compared the words, and they are the same: remembers that member's key under its name."""


class Lock(_Request, frozen=True):
    """Let in only those with the invite link; the ones made before do not fit any more."""


class Unlock(_Request, frozen=True):
    """Let in everybody who is not banned."""


class Say(_Request, frozen=True):
    """Write this to the room. Answer: `Said`. Refused: `not in a room`, `that is too fast for the others to read`."""

    text: Annotated[str, Meta(min_length=1, max_length=TEXT_CHARACTERS_MAX)]


class Chat(_Request, frozen=True):
    """What was written since we came, and who came and went? Answer: `ChatHistory`. Refused: `not in a room`."""


class ShareStart(_Request, frozen=True, tag="share_start"):
    """Share a screen with the room. Refused: `a screen is shared already`, `not in a room`."""

    source: Annotated[str, Meta(min_length=1, max_length=1024)] = "screen"
    """`screen`, `test-pattern` with `:` and a kind, or the path of a picture or a folder of pictures."""
    monitor: Annotated[int, Meta(ge=0, le=MONITORS_MAX)] = 0
    """Which monitor, counted from 1; 0 for all of them."""
    region: tuple[int, int, int, int] | None = None
    """A part: x, y, width, height in pixels; null for the whole."""
    fps: Annotated[int, Meta(ge=1, le=FPS_MAX)] = 30
    quality: Annotated[int, Meta(ge=QUALITY_MIN, le=QUALITY_MAX)] = 75
    """JPEG quality of what moves; what rests is exact."""
    max_mbit: Annotated[float, Meta(ge=MBIT_MIN, le=MBIT_MAX)] = 200.0
    """Most Mbit/s to each watcher."""


class ShareStop(_Request, frozen=True, tag="share_stop"):
    """Share it no more. Refused: `no screen is shared`."""


class Watch(_AboutMember, frozen=True):
    """Have a member's screen sent here. Answer: `Watching`. Refused: `not in a room`, `shares no screen`."""


class Unwatch(_AboutMember, frozen=True):
    """Have it sent no more."""


class Screens(_Request, frozen=True):
    """Who shares a screen, and how does it arrive? Answer: `ScreenList`. Refused: `not in a room`."""


class Play(_Request, frozen=True):
    """Play a sound file into the room, as a second stream beside our voice; another one that is played ends.

    Refused: `not in a room`, `you are muted`. Failed where the file cannot be read.
    """

    file: Annotated[str, Meta(min_length=1, max_length=SPEC_CHARACTERS_MAX)]
    """The path of the file, as the daemon sees it."""
    volume: Gain = 1.0
    """How loud for everybody: 1 is as it is in the file."""


class Pause(_Request, frozen=True):
    """Pause what is played. Refused: `nothing is played`."""


class Resume(_Request, frozen=True):
    """Play on. Refused: `nothing is played`."""


class PlayVolume(_Request, frozen=True, tag="play_volume"):
    """Play it louder or softer for everybody. Refused: `nothing is played`."""

    volume: Gain


class PlayStop(_Request, frozen=True, tag="play_stop"):
    """Play it no more. Refused: `nothing is played`."""


class GetPlaying(_Request, frozen=True, tag="playing"):
    """What is played? Answer: `Playing`."""


class GetStatus(_Request, frozen=True, tag="status"):
    """How does everything stand? Answer: `Status`."""


class Subscribe(_Request, frozen=True):
    """From now on send events on this connection, a `Snapshot` first."""


class Stop(_Request, frozen=True):
    """Leave the room and end the daemon."""


Command: TypeAlias = (
    Rooms | Create | Join | Enter | Peer | Invite | Leave | Members | Alias | Mute | Unmute | Deafen | Undeafen
    | Volume | Even | Kick | Ban | Pardon | Appoint | Dismiss | Verify | Lock | Unlock | Rule | Say | Chat | ShareStart
    | ShareStop | Watch | Unwatch | Screens | Devices | TestSpeaker | UseMicrophone | UseSpeaker | Music | Transmit
    | Talk | Play | Pause | Processing | Resume | PlayVolume | PlayStop | GetPlaying | Passphrase | GetStatus
    | Subscribe | Stop
)  # fmt: skip
