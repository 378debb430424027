"""Random numbers for the jitter of polls and retries."""

from __future__ import annotations

import os

__all__ = ["random_fraction"]

_BITS = 53
"""Of the mantissa of a float: with more, the largest number would be rounded to 1."""


def random_fraction() -> float:
    """A random number from 0 up to, but without, 1.

    As `random.random`, whose module takes 0.15 MB of a process that needs nothing else of it.
    """
    return (int.from_bytes(os.urandom(7)) >> (56 - _BITS)) / (1 << _BITS)
