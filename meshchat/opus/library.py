"""The functions of libopus, taken from the library that opuslib loads, with their arguments declared.

opuslib's own wrapper is passed by, because it forbids in-band FEC, does not know DTX, allocates on every call, and
calls the variadic `opus_encoder_ctl` without declaring its fixed arguments, which on Apple arm64 puts the value where
the library does not look. Each function here is a fresh object taken from that handle (`handle["name"]`), so that what
is declared here changes nothing for others.
"""

from __future__ import annotations

import ctypes
import sys
import warnings
import weakref
from functools import cache

from meshchat.errors import AudioError

_REMEDIES = {
    "linux": "`sudo apt install libopus0` on Debian or Ubuntu, `sudo dnf install opus` on Fedora, "
    "`sudo pacman -S opus` on Arch",
    "darwin": "`brew install opus`, and where Python still does not find it, "
    "`export DYLD_FALLBACK_LIBRARY_PATH=$(brew --prefix)/lib`",
    "win32": "put `opus.dll` (the package `opus` of vcpkg or MSYS2) in a folder that is on PATH",
}


class Library:
    """The functions of libopus that are used, with their fixed arguments declared.

    Declaring them is what makes the variadic `opus_encoder_ctl` right on every platform: ctypes then knows which
    arguments are the variable ones.
    """

    def __init__(self, handle: ctypes.CDLL) -> None:
        address, number = ctypes.c_void_p, ctypes.c_int32
        # To decode takes some 20 microseconds; to let go of the interpreter for them and win it back takes longer, and
        # now and then a whole turn of another thread.
        held = ctypes.PyDLL(handle._name, handle=handle._handle)
        self.encoder_create = function(handle, "opus_encoder_create", address, number, number, number, address)
        self.encoder_destroy = function(handle, "opus_encoder_destroy", None, address)
        self.encoder_ctl = function(handle, "opus_encoder_ctl", number, address, number)
        self.encode = function(handle, "opus_encode_float", number, address, address, number, address, number)
        self.decoder_create = function(handle, "opus_decoder_create", address, number, number, address)
        self.decoder_destroy = function(handle, "opus_decoder_destroy", None, address)
        self.decode = function(
            held, "opus_decode_float", number, address, ctypes.c_char_p, number, address, number, number
        )
        self.strerror = function(handle, "opus_strerror", ctypes.c_char_p, number)

    def reason(self, code: int) -> str:
        """What a negative result means, in libopus's words."""
        return bytes(self.strerror(code)).decode()


def function(handle: ctypes.CDLL, name: str, result: type | None, *arguments: type) -> ctypes._NamedFuncPointer:
    """One function of the library as a new object, with these types."""
    found = handle[name]
    found.restype = result
    found.argtypes = arguments
    return found


@cache
def library() -> Library:
    """The one loaded libopus; `AudioError` says how to get it where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # opuslib compares integers by identity, which Python remarks on
            from opuslib.api import libopus
    except Exception as error:  # opuslib raises a bare Exception where it finds no library
        remedy = _REMEDIES.get(sys.platform, "install the package that brings `libopus`")
        raise AudioError(f"sound needs the Opus library, which cannot be loaded ({error}): {remedy}") from error
    return Library(libopus)


def created(create: ctypes._NamedFuncPointer, *arguments: int) -> int:
    """The state that an `opus_*_create` returns; `AudioError` if it returns none."""
    code = ctypes.c_int32()
    state = create(*arguments, ctypes.byref(code))
    if not state:
        raise AudioError(f"Opus cannot start (code {code.value}): free some memory and try again")
    return int(state)


def freed_with(owner: object, destroy: ctypes._NamedFuncPointer, state: int) -> None:
    """Gives the state back when its owner goes, but not at exit, where a sound thread may still be inside it."""
    weakref.finalize(owner, destroy, state).atexit = False
