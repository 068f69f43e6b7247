"""A device keeps its key, shows it to nobody, and is never two daemons at once."""

from __future__ import annotations

import datetime
import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from meshchat.errors import MeshchatError, WireError
from meshchat.identity import KEY_FILE, LOCK_FILE, ProfileLock, load_identity, peer_id_of

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no mode bits")


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """A folder that does not exist yet, two levels deep."""
    return tmp_path / "share" / "my profile"


# The key


def test_the_first_start_makes_a_key_and_the_next_finds_it(profile: Path) -> None:
    first, second = load_identity(profile), load_identity(profile)
    assert first.peer_id == second.peer_id
    assert len(first.peer_id) == 64
    assert [path.name for path in profile.iterdir()] == [KEY_FILE]


def test_two_profiles_are_two_peers(tmp_path: Path) -> None:
    assert load_identity(tmp_path / "ann").peer_id != load_identity(tmp_path / "bob").peer_id


@posix
def test_folder_and_key_are_for_the_owner_only(profile: Path) -> None:
    before = os.umask(0)
    try:
        load_identity(profile)
    finally:
        os.umask(before)
    assert stat.S_IMODE(profile.stat().st_mode) == 0o700
    assert stat.S_IMODE((profile / KEY_FILE).stat().st_mode) == 0o600


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_key_that_others_can_read_is_refused_with_the_remedy(profile: Path, mode: int) -> None:
    load_identity(profile)
    (profile / KEY_FILE).chmod(mode)
    with pytest.raises(MeshchatError, match="chmod 600") as refusal:
        load_identity(profile)
    remedy = str(refusal.value).rpartition("run: ")[2]
    subprocess.run(["sh", "-c", remedy], check=True)
    load_identity(profile)


def pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey, password: bytes | None = None) -> bytes:
    """A private key as a file holds it."""
    protection = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a key",
        pem(Ed25519PrivateKey.generate())[:70],
        pem(Ed25519PrivateKey.generate()) + b"#" * 5000,
        pem(Ed25519PrivateKey.generate(), b"password"),
        pem(ec.generate_private_key(ec.SECP256R1())),
        Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ],
    ids=["empty", "words", "cut", "too long", "password", "another kind of key", "public key"],
)
def test_a_damaged_key_is_reported_and_never_replaced(profile: Path, content: bytes) -> None:
    profile.mkdir(parents=True)
    path = profile / KEY_FILE
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(MeshchatError, match=r"damaged.*backup.*new peer"):
        load_identity(profile)
    assert path.read_bytes() == content


def test_a_start_that_crashed_while_writing_leaves_no_half_key(profile: Path) -> None:
    profile.mkdir(parents=True)
    left_over = profile / f"{KEY_FILE}.{os.getpid()}.part"
    left_over.write_bytes(b"-----BEGIN PRIV")
    identity = load_identity(profile)
    assert not left_over.exists()
    assert load_identity(profile).peer_id == identity.peer_id


def test_a_profile_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MeshchatError, match="cannot be made"):
        load_identity(tmp_path / "file" / "profile")
    with pytest.raises(MeshchatError, match="cannot be made"):
        ProfileLock(tmp_path / "file").acquire()


def test_a_key_file_that_is_a_folder_says_so(profile: Path) -> None:
    (profile / KEY_FILE).mkdir(parents=True)
    with pytest.raises(MeshchatError, match="cannot be used"):
        load_identity(profile)


# The certificate


def test_the_certificate_names_the_key_and_outlives_every_clock(profile: Path) -> None:
    identity, again = load_identity(profile), load_identity(profile)
    certificate = identity.certificate
    certificate.verify_directly_issued_by(certificate)
    assert peer_id_of(certificate) == identity.peer_id
    assert certificate.subject.rfc4514_string() == f"CN={identity.peer_id[:8]}"
    assert certificate.not_valid_before_utc.year == 2000
    assert certificate.not_valid_after_utc.year == 9999
    assert certificate.serial_number != again.certificate.serial_number


def test_a_peer_id_is_the_hash_of_the_public_key(profile: Path) -> None:
    identity = load_identity(profile)
    public = identity.private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    # RFC 8410 section 4: 12 bytes that say Ed25519, then the 32 bytes of the key.
    assert public.hex().startswith("302a300506032b6570032100")
    assert identity.peer_id == hashlib.sha256(public).hexdigest()


def test_a_certificate_of_another_kind_of_key_is_the_peers_nonsense() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mallory")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    dated = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    with pytest.raises(WireError, match="not Ed25519"):
        peer_id_of(dated.public_key(key.public_key()).sign(key, SHA256()))


def test_a_certificate_whose_key_cannot_be_read_is_the_peers_nonsense(profile: Path) -> None:
    der = load_identity(profile).certificate.public_bytes(Encoding.DER)
    algorithm = bytes.fromhex("302a300506032b6570")
    unknown = der.replace(algorithm, bytes.fromhex("302a300506032b657f"))
    assert unknown != der
    with pytest.raises(WireError, match="cannot be read"):
        peer_id_of(x509.load_der_x509_certificate(unknown))


# The lock

HOLD = "import sys; from pathlib import Path; from meshchat.identity import ProfileLock\n"
HOLD += "with ProfileLock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"


def test_a_second_daemon_is_told_who_has_the_profile(profile: Path) -> None:
    with (
        ProfileLock(profile),
        pytest.raises(MeshchatError, match=rf"in use by another meshchat \(process {os.getpid()}\)"),
        ProfileLock(profile),
    ):
        pytest.fail("two locks on one profile")
    with ProfileLock(profile):
        assert (profile / LOCK_FILE).read_text() == f"{os.getpid()}\n"


def test_other_profiles_are_free(tmp_path: Path) -> None:
    with ProfileLock(tmp_path / "ann"), ProfileLock(tmp_path / "bob"):
        assert (tmp_path / "bob" / LOCK_FILE).exists()


def test_a_release_without_a_lock_is_harmless(profile: Path) -> None:
    lock = ProfileLock(profile)
    lock.release()
    lock.acquire()
    lock.release()
    lock.release()
    lock.acquire()
    lock.release()


def test_the_lock_of_a_killed_daemon_is_free_again(profile: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(profile)],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout
        assert other.stdout.readline().strip() == b"held"
        with pytest.raises(MeshchatError, match=f"process {other.pid}"):
            ProfileLock(profile).acquire()
        other.kill()
        other.wait(10)
    with ProfileLock(profile):
        assert (profile / LOCK_FILE).read_text() == f"{os.getpid()}\n"


@posix
def test_a_holder_that_left_no_number_is_still_a_holder(profile: Path) -> None:
    with ProfileLock(profile):
        (profile / LOCK_FILE).write_text("")
        with pytest.raises(MeshchatError, match=r"in use by another meshchat\. Stop"):
            ProfileLock(profile).acquire()
