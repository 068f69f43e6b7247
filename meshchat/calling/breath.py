"""Signs of life between beats: a few sealed bytes, the same to every member, for whom there is nothing else to say.

Intuition: in a room at peace a beat says what the last one said. QUIC makes of each a packet of its own for each
member, acknowledged by another, and both ends work on both for most of a millisecond. A breath is sealed once, sent as
sound is sent, opened on the port's thread in 30 us, and wakes nobody: the event loop looks at whose came when it looks
at whose sound came. It may get lost: four signs of life must be missed before anybody is suspected.

The key comes of the one for the sender's sound, so a member could breathe in another's name, as it could speak in it
(RFC 9605 section 7.2); replayed ones do not open.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshchat.errors import WireError
from meshchat.sframe import ReceiveKey, SendKey, breath_key
from meshchat.wire import LEVEL_SILENT, PAYLOAD_TYPE_BREATH, MediaPacket, media_header

WINDOW = 64
"""Breaths behind the newest that may still come."""


class Breath:
    """Ours on its way out; everything on the event loop."""

    def __init__(self) -> None:
        self._ssrc = 0
        self._key: SendKey | None = None
        self._sequence = 0

    def use_key(self, ssrc: int, key_id: int, base_key: bytes) -> None:
        """Seals with what comes of this key; one that is in use stays as it is, with its count."""
        if self._key is None or (self._ssrc, self._key.key_id) != (ssrc, key_id):
            self._ssrc, self._key = ssrc, SendKey(key_id, breath_key(base_key))

    def stop(self) -> None:
        """We are in no room."""
        self._key = None

    def datagram(self) -> bytes | None:
        """The next one for everybody; None outside a room."""
        if self._key is None:
            return None
        self._sequence = (self._sequence + 1) & 0xFFFF
        header = media_header(PAYLOAD_TYPE_BREATH, False, self._sequence, 0, self._ssrc, LEVEL_SILENT, False)
        return header + self._key.seal(header, b"")


class Breathing:
    """One member's, as they come; everything on the port's thread."""

    def __init__(self) -> None:
        self._keys: dict[bytes, ReceiveKey] = {}
        """By the base key of the sound's. Each stays for as long as that one, for it knows which breaths have come."""

    def opens(self, packet: MediaPacket, key: ReceiveKey, held: Iterable[ReceiveKey]) -> bool:
        """Whether that is a fresh breath of the member that seals its sound with `key`, one of those `held`."""
        ours = self._keys.get(key.base_key)
        if ours is None:
            bases = {each.base_key for each in held}
            self._keys = {base: known for base, known in self._keys.items() if base in bases}
            ours = self._keys[key.base_key] = ReceiveKey(key.key_id, breath_key(key.base_key), WINDOW)
        try:
            ours.open(packet.header, packet.payload)
        except WireError:
            return False
        return True
