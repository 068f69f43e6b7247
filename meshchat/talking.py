"""What the microphone's sound goes through and when it goes out, as clients set it and are told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from meshchat import config, control
from meshchat.answers import Answers
from meshchat.call import Call
from meshchat.calling.processing import Wanted
from meshchat.errors import Refused


class Talking:
    """The commands about it."""

    def __init__(self, profile: Path, call: Call, answers: Answers, changed: Callable[[], None]) -> None:
        """`changed` is called on the event loop when something is no longer as clients were told."""
        self._profile = profile
        self._front = call.front
        self._processing = call.processing
        self._answers = answers
        self._changed = changed
        self._told = call.front.talking

    async def act(self, command: control.Command) -> control.Answer | None:
        """Does what a command asks for; None if it is about something else. Raises `MeshchatError`."""
        match command:
            case control.Transmit():
                await self._transmit(command)
            case control.Talk(on=on):
                self._talk(on)
            case control.Processing():
                await self._process(command)
                return self._answers.processing()
            case _:
                return None
        return control.Done()

    def look(self) -> None:
        """Tells if the microphone opened or closed since it was told."""
        if self._front.talking != self._told:
            self._tell()

    async def _transmit(self, command: control.Transmit) -> None:
        old = self._front.rule
        threshold_db = old.threshold_db if command.threshold_db is None else command.threshold_db
        self._front.rule = replace(old, mode=command.mode, threshold_db=threshold_db, pressed=False)
        self._tell()
        if command.keep:
            await asyncio.to_thread(config.remember, self._profile, transmit=command.mode, threshold_db=threshold_db)

    async def _process(self, command: control.Processing) -> None:
        old = self._processing.wanted
        wanted = Wanted(command.echo or old.echo, command.noise or old.noise, command.gain or old.gain)
        if wanted != old:
            await asyncio.to_thread(self._processing.use, wanted)
            self._changed()
        if command.keep:
            await asyncio.to_thread(config.remember, self._profile, **asdict(wanted))

    def _talk(self, on: bool | None) -> None:
        rule = self._front.rule
        if rule.mode != "push":
            raise Refused(f"talk is for transmit push, and this is transmit {rule.mode}")
        self._front.rule = replace(rule, pressed=not rule.pressed if on is None else on)
        self._tell()

    def _tell(self) -> None:
        self._told = self._front.talking
        self._changed()
