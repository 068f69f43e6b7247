"""Guessers: peers that nobody knows, who try passphrase after passphrase at a room and never wait as they are told.

Each has a key of its own, made on the spot as anybody can, speaks the protocol as it is, and rings again the moment it
is answered. After some tries it goes, and another with a new key takes its place.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from pathlib import Path

from aioquic.quic import events as quic

from benchmarks.clients import Client
from meshchat.identity import Identity, load_identity
from meshchat.locks.pake import Guest
from meshchat.peers.entry import Confirm, Opened, Reply, Ring, Shut
from meshchat.peers.messages import PROTOCOL, Hello, Message, Reader, encode
from meshchat.transport.mutual import MutualConnection, configuration
from meshchat.units import PeerId, RoomId, Seconds

AT_ONCE = 8
"""Guessers at work at the same time."""

TRIES_PER_KEY = 200
"""After which a guesser comes back with a new key."""

BREATH_S: Seconds = 0.0005
"""Pause between two looks at all sockets."""

SILENCE_S: Seconds = 3.0
"""One that was not answered for so long gives up, and another comes."""

LIMIT_S: Seconds = 600.0
"""All of them stop after this."""


class Guesser(Client):
    """One connection, one key."""

    def __init__(self, identity: Identity, door: PeerId, room: RoomId, to: tuple[str, int], now: Seconds) -> None:
        self.told: Counter[str] = Counter()
        """What came of its tries: a reason, or `opened`."""
        self._me, self._door, self._room = identity.peer_id, door, room
        self._heard_at = now
        self._guest: Guest | None = None
        self._reader = Reader()
        self._over = False
        super().__init__(MutualConnection(configuration=configuration(identity, is_client=True)), to, now)

    def step(self, now: Seconds) -> bool:
        """Goes on; returns whether it still has something to say."""
        self._receive(now)
        while (event := self._core.next_event()) is not None:
            self._take(event, now)
        self._over = self._over or now - self._heard_at > SILENCE_S or self.told.total() >= TRIES_PER_KEY
        if self._over:
            self._core.close()
        self._send(now)
        return not self._over

    def _take(self, event: quic.QuicEvent, now: Seconds) -> None:
        match event:
            case quic.HandshakeCompleted():
                self._say(Hello(PROTOCOL, ()))
                self._ring()
            case quic.StreamDataReceived():
                for message in self._reader.feed(event.data):
                    self._hear(message, now)
            case quic.ConnectionTerminated():
                self._over = True

    def _hear(self, message: Message, now: Seconds) -> None:
        match message:
            case Reply() if self._guest:
                self._say(Confirm(self._room, self._guest.confirm(message.point)))
            case Shut():
                self.told[message.reason] += 1
                self._ring()
            case Opened():
                self.told["opened"] += 1
                self._over = True
            case _:
                return
        self._heard_at = now

    def _ring(self) -> None:
        """Another passphrase each time; most are turned away before it matters, so the point is made once for ten."""
        if self._guest is None or self.told.total() % 10 == 0:
            self._guest = Guest(os.urandom(32), self._room, self._me, self._door, os.urandom)
        self._say(Ring(self._room, self._guest.knock))

    def _say(self, message: Message) -> None:
        self._core.send_stream_data(2, encode(message))


class Crowd:
    """Guessers on a thread of their own, until they have made so many tries."""

    def __init__(self, door: PeerId, room: RoomId, port: int, tries: int, folder: Path) -> None:
        self.told: Counter[str] = Counter()
        self.keys = 0
        self.seconds: Seconds = 0.0
        self._door, self._room, self._to, self._tries, self._folder = door, room, ("127.0.0.1", port), tries, folder
        self._thread = threading.Thread(target=self._rage, name="guessers", daemon=True)

    def start(self) -> None:
        """Lets them begin."""
        self._thread.start()

    def join(self) -> None:
        """Waits until they have done."""
        self._thread.join()

    @property
    def busy(self) -> bool:
        """Whether they are at it."""
        return self._thread.is_alive()

    def _rage(self) -> None:
        began = time.monotonic()
        guessers: list[Guesser] = []
        while (now := time.monotonic()) - began < LIMIT_S:
            if self.told.total() + sum(each.told.total() for each in guessers) >= self._tries:
                break
            while len(guessers) < AT_ONCE:
                self.keys += 1
                identity = load_identity(self._folder / f"guesser{self.keys}")
                guessers.append(Guesser(identity, self._door, self._room, self._to, now))
            for each in [each for each in guessers if not each.step(now)]:
                self._dismiss(each)
                guessers.remove(each)
            time.sleep(BREATH_S)
        for each in guessers:
            self._dismiss(each)
        self.seconds = time.monotonic() - began

    def _dismiss(self, guesser: Guesser) -> None:
        self.told += guesser.told
        guesser.close()
