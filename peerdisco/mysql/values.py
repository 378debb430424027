"""Values in a server's replies, which another party may have chosen. Pure."""

from __future__ import annotations

import re

__all__ = ["number", "text"]

_SHOWN = 80
"""Characters of a value that is refused that are shown."""
_NUMBER = re.compile(r"-?[0-9]{1,20}")
"""A number of 64 bits. Longer ones cannot be written again in every place, and a DECIMAL such as
1E+1000000 takes minutes to convert."""


def number(value: object) -> int:
    """An integer, which drivers give as a number, as text or as bytes.

    Raises:
        ValueError: It is none that a server has.
    """
    found = text(int(value) if isinstance(value, bool) else value)
    if not _NUMBER.fullmatch(found):
        raise ValueError(f"no number of a server: {found[:_SHOWN]!r}")
    return int(found)


def text(value: object) -> str:
    """A value as text; empty for NULL."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)
