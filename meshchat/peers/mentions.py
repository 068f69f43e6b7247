"""Who is named in a text: `@ann` names ann, and `@ann 2` names ann 2 and not ann."""

from __future__ import annotations

from collections.abc import Iterable


def mentions(text: str, alias: str, others: Iterable[str]) -> bool:
    """Whether `text` names `alias`, in whatever case, and not one of `others` that begins with it."""
    folded, name = text.casefold(), "@" + alias.casefold()
    longer = ["@" + other.casefold() for other in others if len(other) > len(alias)]
    at = folded.find(name)
    while at >= 0:
        if _ends(folded, at + len(name)) and not any(_names(folded, at, other) for other in longer):
            return True
        at = folded.find(name, at + 1)
    return False


def _names(folded: str, at: int, name: str) -> bool:
    return folded.startswith(name, at) and _ends(folded, at + len(name))


def _ends(folded: str, at: int) -> bool:
    """Whether no word goes on there."""
    return at == len(folded) or not (folded[at].isalnum() or folded[at] == "_")
