"""Signs with this device's key, and checks what other peers signed with theirs.

A proof is the signer's public key followed by its Ed25519 signature (RFC 8032), so that it can be checked by anybody
who knows nothing but the signer's id: the id is the hash of that key.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from meshchat.identity import Identity
from meshchat.units import PeerId

KEY_BYTES = 32


class DeviceNotary:
    """The control plane's `Notary`, with real keys."""

    def __init__(self, identity: Identity) -> None:
        self._private_key = identity.private_key
        self._public_bytes = identity.private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, data: bytes) -> bytes:
        """A proof that we said this: 96 bytes."""
        return self._public_bytes + self._private_key.sign(data)

    def verify(self, peer: PeerId, data: bytes, proof: bytes) -> bool:
        """Whether `peer` said this."""
        try:
            key = Ed25519PublicKey.from_public_bytes(proof[:KEY_BYTES])
            spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            if hashlib.sha256(spki).hexdigest() != peer:
                return False
            key.verify(proof[KEY_BYTES:], data)
        except (ValueError, InvalidSignature):
            return False
        return True
