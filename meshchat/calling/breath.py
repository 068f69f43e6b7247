"""Signs of life between beats: a few sealed bytes, the same to every member, for whom there is nothing else to say.

Intuition: in a room at peace a beat says what the last one said. QUIC makes of each a packet of its own for each
member, acknowledged by another, and both ends work on both for most of a millisecond. A breath is sealed once, sent as
sound is sent, opened on the port's thread in 30 us, and wakes nobody: the event loop looks at whose came when it looks
at whose sound came. It may get lost: four signs of life must be missed before anybody is suspected.

The key comes of the one for the sender's sound, so a member could breathe in another's name, as it could speak in it
(RFC 9605 section 7.2); replayed ones do not open.
"""

from __future__ import annotations

from meshchat.sframe import SendKey, breath_key
from meshchat.wire import LEVEL_SILENT, PAYLOAD_TYPE_BREATH, media_header

BREATH_WINDOW = 64
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
