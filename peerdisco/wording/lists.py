"""Lists of names in messages, shortened to a readable length. Pure."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["listed"]

MOST = 10
"""The number of names that are written out."""


def listed(names: Iterable[str], *, empty: str = "none", most: int = MOST) -> str:
    """Names separated by commas; of a long list the first ones, and the number of the others.

    Args:
        names: The names, in order.
        empty: The text for an empty list.
        most: The number of names to write out.
    """
    every = list(names)
    if len(every) <= most + 1:  # "and 1 more" is no shorter than the name
        return ", ".join(every) or empty
    return f"{', '.join(every[:most])} and {len(every) - most} more"
