"""Where the control socket is: `PROFILE/control.sock`, or what had to stand in for it.

Whoever may read the profile may command the daemon, and nobody else may. A Unix socket with mode 0600 says that by
itself. Its path must fit the system's `sockaddr_un`; where the profile lies too deep, the socket lies in a folder
of mode 0700 under the runtime folder, named by a hash of the profile. Where there are no Unix sockets (Windows)
it is TCP on the loopback address, which every user of the machine can reach, so the client first shows a token.
Either way the file `PROFILE/control`, mode 0600, tells a client where to go, so there is one way to find it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from meshchat.errors import MeshchatError, NoDaemon
from meshchat.remote.protocol import Door, Greeting, Token, encode_line

DOOR_FILE = "control"
SOCKET_FILE = "control.sock"
LOCK_FILE = "control.lock"

SOCKET_PATH_BYTES_MAX = 103
"""Longest path of a Unix socket: macOS has 104 bytes with the final zero, Linux 108."""

HASH_DIGITS = 16
"""Digits of the profile's hash in a stand-in's name: the folder is the user's own, so chance is the only enemy."""

PROBE_SECONDS = 2.0
"""How long something on an old address may take to show that it is a daemon."""

LISTEN_BACKLOG = 16

HAS_UNIX_SOCKETS = hasattr(socket, "AF_UNIX") and sys.platform != "win32"


def find(profile: Path) -> Door:
    """Where the daemon of this profile says it listens. Raises `NoDaemon`, or `MeshchatError` if it cannot be read."""
    try:
        return msgspec.json.decode((profile / DOOR_FILE).read_bytes(), type=Door)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        raise NoDaemon(nobody_answers(profile)) from None
    except OSError as error:
        raise MeshchatError(f"cannot read {profile / DOOR_FILE}: {error.strerror}; is it another user's?") from error


def nobody_answers(profile: Path) -> str:
    """What to tell a person who wants a daemon that is not there."""
    return f"no daemon runs for the profile {profile}; start one with: meshchat --headless --profile '{profile}'"


def listen(profile: Path, force_tcp: bool = False) -> tuple[socket.socket, Door]:
    """Open the control socket of `profile` and publish it; blocks for as long as an old address takes to be probed.

    Raises `MeshchatError` when a daemon answers for this profile already, or the folder cannot be used.
    """
    try:
        profile.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(profile / LOCK_FILE):
            return _listen(profile, force_tcp)
    except OSError as error:
        reason = error.strerror or str(error)
        raise MeshchatError(f"cannot open the control socket of {profile}: {reason}; is the folder yours?") from error


def withdraw(profile: Path, door: Door) -> None:
    """Remove what `listen` left, unless another daemon has taken the profile over."""
    with contextlib.suppress(OSError, MeshchatError):
        if find(profile) == door:
            (profile / DOOR_FILE).unlink(missing_ok=True)
            if door.address.startswith("unix:"):
                Path(door.address.removeprefix("unix:")).unlink(missing_ok=True)


def connect_details(door: Door) -> tuple[str, int] | str:
    """Host and port of a TCP door, or the path of a Unix socket."""
    if door.address.startswith("unix:"):
        return door.address.removeprefix("unix:")
    host, _, port = door.address.removeprefix("tcp:").rpartition(":")
    return host, int(port)


def _listen(profile: Path, force_tcp: bool) -> tuple[socket.socket, Door]:
    with contextlib.suppress(NoDaemon):
        if _answers(find(profile)):
            raise MeshchatError(f"a daemon runs for the profile {profile} already; use it, or another --profile")
    if force_tcp or not HAS_UNIX_SOCKETS:
        listener = socket.create_server(("127.0.0.1", 0), backlog=LISTEN_BACKLOG)
        door = Door(f"tcp:127.0.0.1:{listener.getsockname()[1]}", secrets.token_urlsafe(32))
    else:
        path = _socket_path(profile)
        if _answers(Door(f"unix:{path}")):
            raise MeshchatError(f"something answers on {path}; end it, or use another --profile")
        listener, door = _listen_unix(path), Door(f"unix:{path}")
    try:
        _write_private(profile / DOOR_FILE, encode_line(door))
    except OSError:
        listener.close()
        raise
    return listener, door


def _listen_unix(path: Path) -> socket.socket:
    """A socket at `path` in place of a dead one. Between bind and listen nobody can connect, so 0600 comes in time."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(LISTEN_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _socket_path(profile: Path) -> Path:
    """The socket in the profile, or its stand-in where that path is too long for the system."""
    path = profile / SOCKET_FILE
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        return path
    name = hashlib.sha256(os.fsencode(profile.resolve())).hexdigest()[:HASH_DIGITS] + ".sock"
    for folder in _runtime_folders():
        if len(os.fsencode(folder / name)) <= SOCKET_PATH_BYTES_MAX and _is_private(folder):
            return folder / name
    raise MeshchatError(f"the path {path} is too long for a socket; choose a --profile with a shorter path")


def _runtime_folders() -> Iterator[Path]:
    """Folders for stand-ins, best first: systemd's own for this user, then one of ours where all may write."""
    user = os.getuid()
    if Path(f"/run/user/{user}").is_dir():
        yield Path(f"/run/user/{user}/meshchat")
    yield Path(tempfile.gettempdir()) / f"meshchat-{user}"
    yield Path(f"/tmp/meshchat-{user}")


def _is_private(folder: Path) -> bool:
    """Make `folder` if need be; whether it is a folder, ours, and closed to others, who may have got there first."""
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _answers(door: Door) -> bool:
    """Whether a daemon listens at `door`. Any listener on our own path is one; a TCP port must greet."""
    where = connect_details(door)
    try:
        if isinstance(where, str):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(PROBE_SECONDS)
                probe.connect(where)
                return True
        with socket.create_connection(where, PROBE_SECONDS) as probe:
            probe.sendall(encode_line(Token(door.token)))
            msgspec.json.decode(probe.recv(4096), type=Greeting)
            return True
    except (OSError, msgspec.DecodeError):
        return False


def _write_private(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one step, readable by the owner only."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    fresh.replace(path)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Only one process at a time looks for a daemon and, finding none, becomes it."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
