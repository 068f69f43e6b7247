"""A patched client, for the tests: it stays when it is sent away, forgets no key, and reads every packet on loopback.

    python -m tests.stubborn --profile P --headless ...

For each packet that it can open it adds a byte to `P/opened`, and for each one that it reads, to `P/read`.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from meshchat.calling.incoming import Incoming
from meshchat.cli import main
from meshchat.peers.discipline import Discipline
from meshchat.sframe import ReceiveKey

ETHERNET_BYTES, UDP_BYTES, FRAME_BYTES_MAX = 14, 8, 65536


def tap(incoming: Incoming, read: Path) -> None:
    """Hands on what anybody sends to anybody on this machine, if it looks like media."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as wire, read.open("ab", 0) as log:
        wire.bind(("lo", 0))
        while True:
            packet = wire.recv(FRAME_BYTES_MAX)[ETHERNET_BYTES:]
            data = packet[(packet[0] & 15) * 4 + UDP_BYTES :]
            if data and 128 <= data[0] < 192:
                log.write(b".")
                incoming.datagram(data, time.monotonic())


def patch(profile: Path) -> None:
    """Makes the program what its user should not be able to make of it."""
    begin, open_one = Incoming.__init__, ReceiveKey.open

    def eavesdrop(self: Incoming, *what: Any) -> None:
        begin(self, *what)
        threading.Thread(target=tap, args=(self, profile / "read"), daemon=True).start()

    def opened(self: ReceiveKey, metadata: bytes, frame: bytes) -> bytes:
        plaintext = open_one(self, metadata, frame)
        with (profile / "opened").open("ab") as log:
            log.write(b".")
        return plaintext

    profile.mkdir(mode=0o700, parents=True, exist_ok=True)
    Incoming.__init__ = eavesdrop  # type: ignore[method-assign,assignment]
    Incoming.leave = lambda self, peer: None  # type: ignore[method-assign]
    ReceiveKey.open = opened  # type: ignore[method-assign]
    Discipline.obey = lambda self: None  # type: ignore[method-assign]


if __name__ == "__main__":
    patch(Path(sys.argv[sys.argv.index("--profile") + 1]))
    sys.exit(main())
