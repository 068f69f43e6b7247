"""The signs that stand for things: one set for good fonts, one in plain ASCII for terminals without them.

No emoji: their width is a matter of opinion between terminals, and a wrong one shifts the rest of the line.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signs:
    """Each sign takes one column; `meter` and `spark` go from least to most."""

    speaking: str
    quiet: str
    muted: str
    away: str
    here: str
    locked: str
    coordinator: str
    sharing: str
    meter_empty: str
    meter: str
    spark: str
    dot: str
    ellipsis: str
    rule: str
    mark: str


DRAWN = Signs(
    speaking="●", quiet="○", muted="×", away="?", here="▸", locked="≡", coordinator="◆", sharing="▣",
    meter_empty="·", meter="▏▎▍▌▋▊▉█", spark="▁▂▃▄▅▆▇█", dot="·", ellipsis="…", rule="─", mark="┃",
)  # fmt: skip

PLAIN = Signs(
    speaking="*", quiet="o", muted="x", away="?", here=">", locked="=", coordinator="#", sharing="%",
    meter_empty=".", meter="#", spark="_.-=+*%#", dot="-", ellipsis="~", rule="-", mark="|",
)  # fmt: skip


def bar(share: float, columns: int, signs: Signs) -> tuple[str, str]:
    """A bar of `columns` of which `share` (0..1) is full: the full part and the rest."""
    steps = round(min(max(share, 0.0), 1.0) * columns * len(signs.meter))
    whole, part = divmod(steps, len(signs.meter))
    full = signs.meter[-1] * whole + (signs.meter[part - 1] if part else "")
    return full, signs.meter_empty * (columns - len(full))


def sparkline(values: tuple[float | None, ...], columns: int, signs: Signs, top: float) -> str:
    """The last `columns` values as a line of small columns, `top` and above being the highest; blanks where unknown."""
    shown = values[-columns:]
    heights = len(signs.spark) - 1
    drawn = (" " if each is None else signs.spark[round(min(max(each / top, 0.0), 1.0) * heights)] for each in shown)
    return "".join(drawn).rjust(columns)
