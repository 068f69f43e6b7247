"""What several messages have fields of: ids, addresses, names and proofs, bounded in length and in what they hold."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

PROOF_BYTES_MAX = 96
"""A public key and a signature of it: Ed25519 takes 32 and 64 bytes (RFC 8032 section 5.1)."""

Hex64: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
"""A peer."""

Hex32: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
"""A room, or a line of the chat."""

DIGEST_DIGITS = 16
"""Of what two sides compare: 64 bits, for nobody gains by a collision of what others signed."""

Digest: TypeAlias = Annotated[str, Meta(pattern=f"^[0-9a-f]{{{DIGEST_DIGITS}}}$")]
"""Tells two lists apart."""

Name: TypeAlias = Annotated[str, Meta(max_length=32)]
"""An alias or a room's name, not cleaned yet."""

HostAndPort: TypeAlias = Annotated[str, Meta(max_length=80)]
"""As `units.parse_address` reads it."""

Natural: TypeAlias = Annotated[int, Meta(ge=0, lt=1 << 53)]
"""Every number below this is exact in any language that reads JSON (RFC 8259 section 6)."""

Proof: TypeAlias = Annotated[bytes, Meta(max_length=PROOF_BYTES_MAX)]
"""What a `Notary` made."""
