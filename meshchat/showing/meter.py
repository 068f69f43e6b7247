"""How shared screens go, in numbers: pictures and bits in the time since they were asked for last."""

from __future__ import annotations

from meshchat.control import MemberStatus, ScreenStatus, ShareStatus, WatcherStatus
from meshchat.showing.inflow import Inflow
from meshchat.showing.outflow import Outflow
from meshchat.units import Seconds

MBIT = 1e6

AGE_S: Seconds = 0.5
"""Figures younger than this are told again: a shorter time says little."""


class Meter:
    """Remembers what was counted when, for each screen."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[Seconds, int, int]] = {}
        self._rates: dict[str, tuple[float, float]] = {}

    def share(self, out: Outflow, now: Seconds) -> ShareStatus:
        """The screen that is shared here."""
        shared = out.shared
        fps, mbit = self._rate("", shared.pictures, out.chain.bytes_made, now)
        watchers = tuple(
            WatcherStatus(
                id=peer,
                mbit_max=round(each.rate.bits / MBIT, 2),
                delay_ms=None if each.delay is None else round(each.delay * 1000, 2),
                behind=each.behind,
                merged=each.merged,
                resent=each.resent,
            )
            for peer, each in list(out.chain.backlogs.items())
        )
        return ShareStatus(shared.title, shared.width, shared.height, shared.pictures, fps, mbit, watchers)

    def screen(self, member: MemberStatus, flow: Inflow | None, viewers: int, now: Seconds) -> ScreenStatus:
        """A screen that a member shares."""
        if flow is None or not flow.watched:
            return ScreenStatus(member.id, member.alias, False)
        fps, mbit = self._rate(member.id, flow.pictures, flow.bytes_received, now)
        return ScreenStatus(
            id=member.id,
            alias=member.alias,
            watched=True,
            viewers=viewers,
            width=flow.size.width if flow.size else 0,
            height=flow.size.height if flow.size else 0,
            pictures=flow.pictures,
            fps=fps,
            mbit=mbit,
            slices=flow.slices,
            nacks=flow.nacks,
            given_up=flow.assembly.given_up,
            exact=flow.settled,
        )

    def _rate(self, name: str, pictures: int, size: int, now: Seconds) -> tuple[float, float]:
        at, pictures_then, size_then = self._last.get(name, (now, pictures, size))
        passed = now - at
        if passed >= AGE_S:
            self._rates[name] = (
                round((pictures - pictures_then) / passed, 1),
                round((size - size_then) * 8 / passed / MBIT, 3),
            )
        if passed >= AGE_S or name not in self._last:
            self._last[name] = (now, pictures, size)
        return self._rates.get(name, (0.0, 0.0))
