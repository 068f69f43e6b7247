"""The keys of what a member sends beside its voice: each comes of one of those of the voice, and is made once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from meshchat.sframe import ReceiveKey


class DerivedKeys:
    """Those of one kind; everything on the port's thread."""

    def __init__(self, derive: Callable[[bytes], bytes], window: int) -> None:
        """`derive` makes their base keys of the voice's; `window` as of `ReceiveKey`."""
        self._derive = derive
        self._window = window
        self._keys: dict[tuple[int, bytes], ReceiveKey] = {}
        """By what names a key of the voice. Each stays as long as that one, for it knows which packets have come."""

    def of(self, key: ReceiveKey, held: Iterable[ReceiveKey]) -> ReceiveKey:
        """What comes of a `key` of the voice, one of those `held`; what came of others is forgotten."""
        found = self._keys.get(_name(key))
        if found is None:
            names = {_name(each) for each in held}
            self._keys = {name: known for name, known in self._keys.items() if name in names}
            found = self._keys[_name(key)] = ReceiveKey(key.key_id, self._derive(key.base_key), self._window)
        return found


def _name(key: ReceiveKey) -> tuple[int, bytes]:
    return key.key_id, key.base_key
