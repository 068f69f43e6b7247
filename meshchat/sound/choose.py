"""Which of the devices that are plugged in is meant by a name, a number or nothing at all."""

from __future__ import annotations

from meshchat.errors import AudioError
from meshchat.sound.driver import SoundDevice, Way

SHOWN_DEVICES_MAX = 8
"""Names in one message: what fits a few lines."""

LAST_HOSTS = ("MME", "Windows DirectSound", "Windows WDM-KS")
"""Windows lists each device once for every way to reach it; these add 50 ms and more, or lock others out."""

WORDS: dict[Way, str] = {"input": "microphone", "output": "speaker"}


def choose(devices: tuple[SoundDevice, ...], wanted: str | int | None, way: Way) -> SoundDevice:
    """The device meant; a whole name (`name` or `name, host`, any case) beats a part. AudioError says what is there."""
    usable = [device for device in devices if device.channels(way) > 0]
    if wanted is None:
        found = [device for device in usable if device.is_default(way)]
    elif isinstance(wanted, int):
        found = [device for device in usable if device.index == wanted]
    else:
        found = _named(usable, wanted)
    if not found:
        missing = f"no {WORDS[way]} is called {wanted}" if wanted is not None else f"there is no default {WORDS[way]}"
        raise AudioError(f"{missing}; plugged in: {_shown(usable)}")
    if len({device.name for device in found}) > 1:
        raise AudioError(f"{wanted} could be any of {_shown(found)}; write more of the name")
    return min(found, key=lambda device: device.host in LAST_HOSTS)


def full_name(device: SoundDevice) -> str:
    """The name by which it is found again, whatever number it has by then."""
    return f"{device.name}, {device.host}"


def _named(usable: list[SoundDevice], wanted: str) -> list[SoundDevice]:
    name = wanted.casefold()
    full = [device for device in usable if full_name(device).casefold() == name]
    exact = [device for device in usable if device.name.casefold() == name]
    part = [device for device in usable if name in full_name(device).casefold()]
    return full[:1] or exact or part


def _shown(devices: list[SoundDevice]) -> str:
    names = list(dict.fromkeys(device.name for device in devices))
    more = f" and {len(names) - SHOWN_DEVICES_MAX} more" if len(names) > SHOWN_DEVICES_MAX else ""
    return (", ".join(names[:SHOWN_DEVICES_MAX]) or "nothing") + more
