"""Codes music, of one channel or two from frame to frame: what the source has is what is sent.

A device that is pulled out may come back with other channels than it had, and meanwhile silence of one channel stands
in for it. So there is an encoder for each, and the frame's shape says which is its own; the packet tells the listener.
"""

from __future__ import annotations

from meshchat.calling.outgoing import PAYLOAD_BYTES_MAX
from meshchat.codec import OpusEncoder
from meshchat.units import Samples


class MusicEncoder:
    """An `outgoing.Encoder` for frames of shape (frame_samples,) and (frame_samples, 2)."""

    def __init__(self, frame_ms: float, bitrate: int, complexity: int) -> None:
        """As of `OpusEncoder`."""
        self._encoders = {
            channels: OpusEncoder(
                frame_ms=frame_ms,
                bitrate=bitrate,
                complexity=complexity,
                dtx=False,
                packet_bytes_max=PAYLOAD_BYTES_MAX,
                music=True,
                channels=channels,
            )
            for channels in (1, 2)
        }
        self.frame_samples = self._encoders[1].frame_samples

    def encode(self, frame: Samples) -> bytes:
        """One packet."""
        return self._encoders[frame.ndim].encode(frame)

    def begin_anew(self) -> None:
        """Forgets what was coded."""
        for encoder in self._encoders.values():
            encoder.begin_anew()

    def set_expected_loss(self, percent: float) -> None:
        """How much the worst receiver loses, 0..100."""
        for encoder in self._encoders.values():
            encoder.set_expected_loss(percent)
