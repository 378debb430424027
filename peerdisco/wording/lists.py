"""How messages word lists: never longer than a line can be read, and never shortened silently."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["listed"]

MOST = 10
"""So many names of a list are written out."""


def listed(names: Iterable[str], *, nobody: str = "none", most: int = MOST) -> str:
    """Names with commas between them; of a long list the first ones, and how many more there are.

    Args:
        names: The names, in order.
        nobody: What to write where there are none.
        most: How many to write out.
    """
    every = list(names)
    if len(every) <= most + 1:  # "and 1 more" is no shorter than the name
        return ", ".join(every) or nobody
    return f"{', '.join(every[:most])} and {len(every) - most} more"
