"""Who this device is: one Ed25519 key in the profile folder, and the certificate that QUIC shows of it.

A peer id is the SHA-256 of the public key, so nobody hands ids out and nobody can claim another's. The key
file holds the private key and nothing else. The certificate is only the envelope in which TLS 1.3 carries a
public key: it is made anew at each start and signed by the same key, and peers look at nothing in it but the
key (the handshake itself proves that the sender holds the private half). So there is nothing to renew, and a
laptop whose clock is wrong can still talk.

A key file that others can read, or that does not hold a key, is an error with its remedy, and never replaced:
a new key is a new person to everybody who knew the old one.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import os
import shlex
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from meshchat.errors import MeshchatError, WireError
from meshchat.units import PeerId, short

KEY_FILE = "identity.pem"
LOCK_FILE = "lock"

KEY_FILE_BYTES_MAX = 4096
"""An Ed25519 key in PEM is 119 bytes; a larger file is not ours and is not read whole."""

# Nobody checks these dates, because trust hangs on the key alone; they are as wide as X.509 can say, so that a
# library that does look never refuses a device with a wrong clock (RFC 5280 section 4.1.2.5: year 9999 = no end).
_VALID_FROM = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_VALID_UNTIL = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)


# What a lock that somebody else holds is called: EAGAIN by flock, EACCES or EDEADLK by Windows.
_HELD = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})


@dataclass(frozen=True, slots=True)
class Identity:
    """This device's key, with the id and the certificate that follow from it."""

    peer_id: PeerId
    certificate: x509.Certificate
    private_key: Ed25519PrivateKey


def load_identity(profile: Path) -> Identity:
    """The identity kept in the folder `profile`; folder (mode 0700) and key (mode 0600) are made on first use.

    Hold the `ProfileLock` while calling, or two first starts could each make a key. Raises `MeshchatError` if
    the folder or file cannot be used, others can read the key, or the file holds no Ed25519 key.
    """
    path = profile / KEY_FILE
    _make_folder(profile)
    try:
        if not path.exists():
            _write_key(path, Ed25519PrivateKey.generate())
        private_key = _read_key(path)
    except OSError as error:
        raise MeshchatError(
            f"the key file {path} cannot be used: {error.strerror or error}. "
            "Check that the folder belongs to you and the disk has room"
        ) from error
    return _identity(private_key)


def peer_id_of(certificate: x509.Certificate) -> PeerId:
    """The id of whoever proves this certificate's key; `WireError` if that key is not Ed25519."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise WireError(f"certificate with a key that cannot be read: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise WireError(f"certificate with a key of type {type(key).__name__}, not Ed25519")
    return _peer_id(key)


def _peer_id(key: Ed25519PublicKey) -> PeerId:
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PeerId(hashlib.sha256(spki).hexdigest())


def _identity(private_key: Ed25519PrivateKey) -> Identity:
    peer_id = _peer_id(private_key.public_key())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, short(peer_id))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_VALID_FROM)
        .not_valid_after(_VALID_UNTIL)
        .sign(private_key, algorithm=None)  # Ed25519 brings its own hash (RFC 8410 section 3)
    )
    return Identity(peer_id, certificate, private_key)


def _make_folder(profile: Path) -> None:
    try:
        profile.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise MeshchatError(
            f"the profile folder {profile} cannot be made: {error.strerror or error}. Choose another place for it"
        ) from error


def _write_key(path: Path, key: Ed25519PrivateKey) -> None:
    """Writes beside the place, then renames: after a crash the file is whole or absent."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)  # left by a crash under the same process number
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _read_key(path: Path) -> Ed25519PrivateKey:
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        # Windows keeps no such bits: there the folder inherits the user profile's access list.
        if sys.platform != "win32" and mode & 0o077:
            raise MeshchatError(
                f"the key file {path} can be read or changed by other users (mode {mode:04o}); "
                f"run: chmod 600 {shlex.quote(str(path))}"
            )
        pem = file.read(KEY_FILE_BYTES_MAX + 1)
    try:
        # TypeError: the key is protected by a password.
        key = load_pem_private_key(pem, password=None) if len(pem) <= KEY_FILE_BYTES_MAX else None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise MeshchatError(
            f"the key file {path} is damaged or holds no plain Ed25519 key; put your backup in its place. Without one, "
            "move the file away and start again: you will be a new peer to everybody"
        )
    return key


class ProfileLock:
    """One profile, one daemon: a lock of the operating system on `profile/lock`, freed even by a crash.

    The file stays when the lock is gone: removing it would let a third process lock a file that has no name.
    """

    def __init__(self, profile: Path) -> None:
        self._path = profile / LOCK_FILE
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Takes the lock at once, or raises `MeshchatError` naming the process that holds it, if it can be told."""
        _make_folder(self._path.parent)
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise MeshchatError(
                f"the lock file {self._path} cannot be opened: {error.strerror or error}. "
                "Check that the profile folder belongs to you"
            ) from error
        try:
            _lock(descriptor)
        except OSError as error:
            message = self._why_not(descriptor, error)
            os.close(descriptor)
            raise MeshchatError(message) from error
        self._descriptor = descriptor
        with contextlib.suppress(OSError):  # a full disk costs the next one the number, not us the start
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Gives the lock back; harmless when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)  # closing frees the lock on every system
            self._descriptor = None

    def _why_not(self, descriptor: int, error: OSError) -> str:
        if error.errno not in _HELD:
            return (
                f"the lock file {self._path} cannot be locked: {error.strerror or error}. "
                "Put the profile on a disk of this machine"
            )
        return (
            f"the profile {self._path.parent} is in use by another meshchat{_holder(descriptor)}. "
            "Stop that one, or start this one with a profile of its own"
        )

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _holder(descriptor: int) -> str:
    """` (process 123)` as the holder wrote it, or nothing: between its lock and its writing there is no number."""
    text = os.read(descriptor, 20).strip()
    return f" (process {text.decode()})" if text.isdigit() else ""


if sys.platform == "win32":
    import msvcrt

    # Windows forbids others to read a locked range, so the byte locked lies far behind the process number.
    _LOCKED_BYTE = 1 << 20

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        # flock and not lockf: it belongs to this descriptor, so it holds against a second lock in one process too.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
