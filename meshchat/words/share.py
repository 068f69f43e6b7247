"""The word about one's own screen: what to share of it, which part, at what price."""

from __future__ import annotations

import argparse
import contextlib

from meshchat import control
from meshchat.errors import UsageError
from meshchat.units import FPS_MAX, QUALITY_MAX, QUALITY_MIN
from meshchat.words.word import Word, asks


def _add_share(parser: argparse.ArgumentParser) -> None:
    start = control.ShareStart()
    parser.add_argument("what", metavar="start|stop", choices=("start", "stop"))
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--source", metavar="S", help="screen, test-pattern[:KIND], or a picture or folder of pictures (screen)"
    )
    where.add_argument("--monitor", metavar="N", type=int, help="only this monitor, counted from 1")
    parser.add_argument("--region", metavar="X,Y,W,H", type=_region, help="only this part of it, in pixels")
    parser.add_argument(
        "--fps", metavar="N", type=_fps, default=start.fps, help=f"pictures a second, 1 to {FPS_MAX} ({start.fps})"
    )
    parser.add_argument(
        "--quality", metavar="Q", type=_quality, default=start.quality,
        help=f"JPEG quality of what moves, {QUALITY_MIN} to {QUALITY_MAX} ({start.quality}); what rests is exact",
    )  # fmt: skip
    parser.add_argument(
        "--max-mbit", metavar="M", type=_mbit, default=start.max_mbit,
        help=f"most Mbit/s to each who watches ({start.max_mbit:g})",
    )  # fmt: skip


def _share(words: argparse.Namespace) -> control.Command:
    """What the words come to. Raises `UsageError` for a monitor that cannot be."""
    if words.what == "stop":
        return control.ShareStop()
    if words.monitor is not None and not 1 <= words.monitor <= control.MONITORS_MAX:
        raise UsageError(f"--monitor {words.monitor}: monitors are counted from 1")
    return control.ShareStart(
        source=words.source or "screen",
        monitor=words.monitor or 0,
        region=words.region,
        fps=words.fps,
        quality=words.quality,
        max_mbit=words.max_mbit,
    )


def _region(text: str) -> tuple[int, int, int, int]:
    with contextlib.suppress(ValueError):
        x, y, width, height = (int(each) for each in text.split(","))
        if x >= 0 and y >= 0 and width > 0 and height > 0:
            return x, y, width, height
    raise argparse.ArgumentTypeError(f"must be X,Y,WIDTH,HEIGHT in pixels, such as 0,0,1280,720, not {text!r}")


def _fps(text: str) -> int:
    return int(_number(text, 1, FPS_MAX, whole=True))


def _quality(text: str) -> int:
    return int(_number(text, QUALITY_MIN, QUALITY_MAX, whole=True))


def _mbit(text: str) -> float:
    return _number(text, control.MBIT_MIN, control.MBIT_MAX, whole=False)


def _number(text: str, low: float, high: float, *, whole: bool) -> float:
    with contextlib.suppress(ValueError):
        if low <= (number := float(text)) <= high and (not whole or number == int(number)):
            return number
    raise argparse.ArgumentTypeError(f"must be a {'whole ' if whole else ''}number from {low:g} to {high:g}")


WORDS = (Word("share", "share a screen with the room, or share it no more", asks(_share), _add_share),)
