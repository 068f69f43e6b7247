"""Microphones and speakers as clients see them: which there are, which are in use, and another one from now on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from meshchat import config, control
from meshchat.audio import SoundDevice, list_devices
from meshchat.call import Call
from meshchat.errors import UsageError
from meshchat.sound.driver import Way


class Devices:
    """The commands about sound devices."""

    def __init__(self, profile: Path, call: Call, changed: Callable[[], None]) -> None:
        """`changed` is called on the event loop when another microphone or speaker is in use."""
        self._profile = profile
        self._call = call
        self._changed = changed
        self._turn = asyncio.Lock()
        """One change at a time: each takes up to some seconds, and the last one asked for is to win."""

    async def act(self, command: control.Command) -> control.Answer | None:
        """Does what a command asks for; None if it is about something else. Raises `AudioError`, `Refused` and more."""
        match command:
            case control.Devices():
                return await asyncio.to_thread(listed, self._call)
            case control.UseMicrophone(source=spec):
                await self._use(self._call.use_microphone, "microphone", spec, command.keep)
            case control.UseSpeaker(sink=spec):
                await self._use(self._call.use_speaker, "speaker", spec, command.keep)
            case control.TestSpeaker():
                self._call.chime.ring()
            case control.Music():
                await self._use_music(command)
            case _:
                return None
        return control.Done()

    async def _use(self, use: Callable[[str], None], key: str, spec: str, keep: bool) -> None:
        if not spec.isprintable():  # it is shown to people, and may come to stand in a file of settings
            raise UsageError(f"{spec!r} names no {key}: it has characters that cannot be shown")
        async with self._turn:
            await asyncio.to_thread(use, spec)
            self._changed()
            if keep:
                await asyncio.to_thread(config.remember, self._profile, **{key: spec})

    async def _use_music(self, command: control.Music) -> None:
        async with self._turn:
            try:
                await asyncio.to_thread(self._call.use_music, command.on)
            finally:
                self._changed()
            if command.keep:
                await asyncio.to_thread(config.remember, self._profile, music=command.on)


def listed(call: Call | None) -> control.DeviceList:
    """The devices of this machine, and what the call uses of them if there is one. Raises `AudioError`.

    The sound system may take up to a second: not for an event loop.
    """
    devices = list_devices()
    return control.DeviceList(
        microphones=_of(devices, "input", call.microphone.device if call else None),
        speakers=_of(devices, "output", call.speaker.device if call else None),
        microphone=call.microphone.describe() if call else None,
        speaker=call.speaker.describe() if call else None,
    )


def _of(devices: tuple[SoundDevice, ...], way: Way, used: SoundDevice | None) -> tuple[control.DeviceStatus, ...]:
    return tuple(
        control.DeviceStatus(
            number=each.index,
            name=each.name,
            host=each.host,
            channels=each.channels(way),
            rate_hz=each.rate_hz,
            default=each.is_default(way),
            used=used is not None and (each.index, each.name) == (used.index, used.name),
        )
        for each in devices
        if each.channels(way)
    )
