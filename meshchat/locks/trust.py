"""Whom this profile has met before: a familiar name with a strange key is a reason to stop.

A key is trusted on first use, because a stranger has nothing better to show. From then on the key is the person: the
file remembers when a peer was first met, what it called itself, and whether somebody compared words with it
(`verify MEMBER`). If the alias of a verified peer comes back with another key, that is either a new device or somebody
who pretends, and only the person at the keyboard can tell which.

`PROFILE/known.json` is a small file for people to read and keep. It is replaced as a whole, so that a crash leaves the
old one or the new one; a damaged one is an error and is never replaced, because starting afresh would make every
impostor a new acquaintance.

Aliases are compared without regard to case, width (NFKC) and blanks. That does not catch letters of two scripts that
look alike: the mark of a verified member does, which no look-alike has.
"""

from __future__ import annotations

import os
import shlex
import stat
import sys
import unicodedata
from enum import Enum, auto
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from meshchat.errors import MeshchatError, Refused
from meshchat.units import PeerId, safe_text, short

KNOWN_FILE = "known.json"

PEERS_MAX = 4096
"""Peers that are remembered. When full, whoever was met longest ago is forgotten, but nobody verified."""

BANNED_MAX = 4096
"""Keys on the list of one's own bans; beyond, a ban is refused in words."""

KNOWN_BYTES_MAX = 4 << 20
"""A full file has under 2 MB; a larger one is not ours and is not read whole."""

_Hex64 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
_Alias = Annotated[str, Meta(max_length=32)]
_Day = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d$")]


class Verdict(Enum):
    """What to think of a peer that shows up under an alias."""

    NEW = auto()
    """Never met."""
    KNOWN = auto()
    """Met before, under this alias."""
    ALIAS_CHANGED = auto()
    """Met before, under another alias."""
    IMPOSTOR = auto()
    """It calls itself what a verified peer does, and has another key: stop and ask."""


class Acquaintance(Struct, frozen=True, forbid_unknown_fields=True):
    """One peer in the file."""

    first_seen: _Day
    last_seen: _Day
    alias: _Alias
    verified_as: _Alias = ""
    """Its alias when somebody compared words with it; empty if nobody has."""


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    version: Annotated[int, Meta(ge=1, le=1)]
    peers: Annotated[dict[_Hex64, Acquaintance], Meta(max_length=PEERS_MAX)]
    banned: Annotated[list[_Hex64], Meta(max_length=BANNED_MAX)]


class KnownPeers:
    """The peers that one profile knows. Hold the profile's lock; not for two threads."""

    def __init__(self, profile: Path) -> None:
        """Reads `profile/known.json`; none is an empty one. Raises `MeshchatError` if it cannot be used."""
        self._path = profile / KNOWN_FILE
        told = _read(self._path)
        self._peers: dict[PeerId, Acquaintance] = {PeerId(peer): known for peer, known in told.peers.items()}
        self._banned = {PeerId(peer) for peer in told.banned}
        self._changed = False

    @property
    def banned(self) -> frozenset[PeerId]:
        """Keys that this profile wants nothing to do with, in whatever room."""
        return frozenset(self._banned)

    def known(self, peer: PeerId) -> Acquaintance | None:
        """What is remembered of a peer."""
        return self._peers.get(peer)

    def verified(self, peer: PeerId) -> bool:
        """Whether somebody compared words with it."""
        known = self._peers.get(peer)
        return known is not None and known.verified_as != ""

    def meet(self, peer: PeerId, alias: str, today: str) -> Verdict:
        """A peer is here under that alias; `today` is a date such as 2026-07-31. Remembers it; `save` writes it down.

        An impostor is not remembered: it is one again the next time.
        """
        alias = safe_text(alias)
        before = self._peers.get(peer)
        if self.pretends(peer, alias):
            return Verdict.IMPOSTOR
        if before is None:
            self._make_room()
            if len(self._peers) < PEERS_MAX:
                self._remember(peer, Acquaintance(today, today, alias))
            return Verdict.NEW
        self._remember(peer, msgspec.structs.replace(before, last_seen=today, alias=alias))
        return Verdict.KNOWN if _folded(alias) == _folded(before.alias) else Verdict.ALIAS_CHANGED

    def pretends(self, peer: PeerId, alias: str) -> bool:
        """Whether that peer calls itself what a verified one does, and is none itself."""
        return not self.verified(peer) and self.owner_of(safe_text(alias)) not in (None, peer)

    def owner_of(self, alias: str) -> PeerId | None:
        """The verified peer that has this alias, if there is one: the one that an impostor pretends to be."""
        folded = _folded(alias)
        return next(
            (peer for peer, known in self._peers.items() if known.verified_as and _folded(known.verified_as) == folded),
            None,
        )

    def mark_verified(self, peer: PeerId, alias: str, today: str) -> None:
        """The words agreed: from now on that alias is this peer's. Written down at once; `MeshchatError` if it cannot
        be, or if too many peers are verified already."""
        alias = safe_text(alias) or short(peer)
        known = self._peers.get(peer) or Acquaintance(today, today, alias)
        if peer not in self._peers:
            self._make_room()
            if len(self._peers) >= PEERS_MAX:
                raise Refused(f"{PEERS_MAX} peers are verified already; take some out of {self._path}")
        self._remember(peer, msgspec.structs.replace(known, last_seen=today, alias=alias, verified_as=alias))
        self.save()

    def forget_verified(self, peer: PeerId) -> None:
        """That peer is no longer vouched for, for instance because its device is gone. Written down at once."""
        if known := self._peers.get(peer):
            self._remember(peer, msgspec.structs.replace(known, verified_as=""))
            self.save()

    def ban(self, peer: PeerId) -> None:
        """Nothing more to do with that key. Written down at once."""
        if peer not in self._banned and len(self._banned) >= BANNED_MAX:
            raise Refused(f"{BANNED_MAX} peers are banned already; take some out of {self._path}")
        self._banned.add(peer)
        self._changed = True
        self.save()

    def pardon(self, peer: PeerId) -> None:
        """The ban is lifted. Written down at once."""
        self._banned.discard(peer)
        self._changed = True
        self.save()

    def save(self) -> None:
        """Writes what has changed, if anything; `MeshchatError` if it cannot be written, and then nothing is lost:
        call it again."""
        if not self._changed:
            return
        told = _File(1, dict(sorted(self._peers.items())), sorted(self._banned))
        try:
            _write(self._path, msgspec.json.format(msgspec.json.encode(told)) + b"\n")
        except OSError as error:
            raise MeshchatError(
                f"the list of known peers {self._path} cannot be written: {error.strerror or error}. "
                "Check that the folder belongs to you and the disk has room"
            ) from error
        self._changed = False

    def _remember(self, peer: PeerId, known: Acquaintance) -> None:
        self._changed |= self._peers.get(peer) != known
        self._peers[peer] = known

    def _make_room(self) -> None:
        if len(self._peers) < PEERS_MAX:
            return
        idle = [(known.last_seen, peer) for peer, known in self._peers.items() if not known.verified_as]
        if idle:
            del self._peers[min(idle)[1]]
            self._changed = True


def _folded(alias: str) -> str:
    return "".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", alias).casefold()).split())


def _read(path: Path) -> _File:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(KNOWN_BYTES_MAX + 1)
    except FileNotFoundError:
        return _File(1, {}, [])
    except OSError as error:
        raise MeshchatError(
            f"the list of known peers {path} cannot be read: {error.strerror or error}. Check that it belongs to you"
        ) from error
    # Windows keeps no such bits: there the folder inherits the user profile's access list.
    if sys.platform != "win32" and mode & 0o077:
        raise MeshchatError(
            f"the list of known peers {path} can be read or changed by other users (mode {mode:04o}); "
            f"run: chmod 600 {shlex.quote(str(path))}"
        )
    try:
        if len(text) > KNOWN_BYTES_MAX:
            raise ValueError(f"it has more than {KNOWN_BYTES_MAX} bytes")
        return msgspec.json.decode(text, type=_File)
    except (ValueError, RecursionError) as error:
        raise MeshchatError(
            f"the list of known peers {path} is damaged ({safe_text(str(error), 120, 400)}). Put your backup in its "
            "place, or repair it; without it an impostor could not be told from the peers you verified"
        ) from error


def _write(path: Path, text: bytes) -> None:
    """Writes beside the place, then renames: after a crash the file is the old one or the new one."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)  # left by a crash under the same process number
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
