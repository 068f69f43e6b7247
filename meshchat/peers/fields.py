"""What several messages have fields of: ids and addresses, bounded in length and in what may stand in them."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

Hex64: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
"""A peer."""

Hex32: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
"""A room."""

HostAndPort: TypeAlias = Annotated[str, Meta(max_length=80)]
"""As `units.parse_address` reads it."""
