"""How well each member arrives, in numbers, with the last minute as a line; and what goes on with screens.

Pure lines of pieces, as in `view.lines`.
"""

from __future__ import annotations

from collections.abc import Callable

from meshchat.control import MemberStatus, ScreenStatus, ShareStatus
from meshchat.units import Seconds, short
from meshchat.view.lines import LOSS_BAD_PERCENT, ROW_COLUMNS_MAX, RTT_BAD_MS, Pieces, Role, fitted
from meshchat.view.signs import Signs, sparkline
from meshchat.view.state import TRAIL_MAX, Reading, State

HEADS = ("", "rtt", "loss", "delay", "jitter", "kbit/s", "guess", "there", "pkt/s")
UNITS = ("", "ms", "%", "ms", "ms", "", "ms", "loss %", "")
"""The columns, the most telling first: a narrow terminal shows as many as it has room for. `delay` is how long sound
waits here before it is heard, `guess` how much of it had to be made up, `there` what the member loses of ours."""

COLUMN = 7
NAME_COLUMNS_MIN = 9
SPARK_COLUMNS = 30

RATE_S: Seconds = 5.0
"""Rates are those of the last seconds."""


def figure_lines(state: State, columns: int, signs: Signs) -> list[Pieces]:
    """The figures of each member as a table, and below each how the last minute went."""
    members = [each for each in state.room.members if not each.you] if state.room else []
    if not members:
        return [(("Nobody else is here, so there is nothing to measure.", "dim"),)]
    columns = min(columns, ROW_COLUMNS_MAX)
    count = 1 + max(0, min(len(HEADS) - 1, (columns - NAME_COLUMNS_MIN) // COLUMN))
    drawn = [_row(heads[:count], columns, signs, "dim") for heads in (HEADS, UNITS)]
    for member in members:
        trail = state.trails.get(member.id, ())
        drawn.append(_row(figures(member, trail)[:count], columns, signs, "text"))
        drawn.append(_sparks(trail, columns, signs))
    return drawn + screen_lines(state, columns, signs)


def figures(member: MemberStatus, trail: tuple[Reading, ...]) -> tuple[str, ...]:
    """A member's figures as text, in the order of HEADS."""
    bytes_a_second = rate(trail, lambda each: each.bytes)
    return (
        member.alias, number(member.rtt_ms), number(member.loss_percent), number(member.playout_delay_ms),
        number(member.jitter_ms), number(None if bytes_a_second is None else bytes_a_second * 8 / 1000),
        number(member.concealed_ms), number(member.lost_there_percent), number(rate(trail, lambda each: each.packets)),
    )  # fmt: skip


def screen_lines(state: State, columns: int, signs: Signs) -> list[Pieces]:
    """One's own shared screen and who watches it, and those that one watches."""
    texts = [] if state.share is None else list(_share_texts(state, state.share))
    texts += [_screen_text(state, each) for each in state.screens.values() if each.watched]
    return [((f"{signs.sharing} ", "warn"), (fitted(text, columns - 2, signs).rstrip(), "text")) for text in texts]


def _share_texts(state: State, share: ShareStatus) -> list[str]:
    watchers = share.watchers
    count = "nobody watches" if not watchers else f"{len(watchers)} watch{'es' if len(watchers) == 1 else ''}"
    said = [f"you share {_stream(share)}; {count}"]
    for each in watchers:
        delay = "" if each.delay_ms is None else f", {each.delay_ms:.0f} ms"
        said.append(f"  {_alias(state, each.id)} {'is behind' if each.behind else 'keeps up'}{delay}")
    return said


def _screen_text(state: State, screen: ScreenStatus) -> str:
    looks = "" if screen.viewers else "; nobody looks at it here"
    return f"screen of {_alias(state, screen.id)}: {_stream(screen)}{', exact' if screen.exact else ''}{looks}"


def _stream(screen: ShareStatus | ScreenStatus) -> str:
    return f"{screen.width}x{screen.height}, {screen.fps:.0f} fps, {screen.mbit:.1f} Mbit/s"


def _alias(state: State, member_id: str) -> str:
    member = state.member(member_id)
    return member.alias if member else short(member_id)


def _row(cells: tuple[str, ...], columns: int, signs: Signs, role: Role) -> Pieces:
    name = fitted(cells[0], columns - COLUMN * (len(cells) - 1), signs)
    return (name, "own"), ("".join(f"{cell:>{COLUMN}}" for cell in cells[1:]), role)


def _sparks(trail: tuple[Reading, ...], columns: int, signs: Signs) -> Pieces:
    """Loss and round trip over the last minute."""
    wide = max(4, min(SPARK_COLUMNS, (columns - 16) // 2))
    step = -(-TRAIL_MAX // wide)
    loss = sparkline(tuple(each.loss_percent for each in trail[::step]), wide, signs, 2 * LOSS_BAD_PERCENT)
    rtt = sparkline(tuple(each.rtt_ms for each in trail[::step]), wide, signs, RTT_BAD_MS)
    return ("  loss ", "dim"), (loss, "warn"), ("   rtt ", "dim"), (rtt, "good")


def rate(trail: tuple[Reading, ...], count: Callable[[Reading], int | None]) -> float | None:
    """How much a count grew a second over the last readings; None before there are two."""
    known = [
        (each.at, seen) for each in trail if each.at >= trail[-1].at - RATE_S and (seen := count(each)) is not None
    ]
    if len(known) < 2 or known[-1][0] <= known[0][0]:
        return None
    return max(0.0, (known[-1][1] - known[0][1]) / (known[-1][0] - known[0][0]))


def number(value: float | None) -> str:
    """At most five characters for what is likely."""
    return "-" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"
