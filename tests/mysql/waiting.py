"""Waiting for what other processes do: for the event itself, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE = 20.0
"""Seconds; far more than anything takes, and less than a test may."""


def until(
    condition: Callable[[], T],
    timeout: float = DEADLINE,
    what: str | Callable[[], str] = "",
    pause: float = 0.02,
) -> T:
    """Ask again and again, with pauses in seconds, until the answer is true; the answer.

    Raises:
        AssertionError: It was not true in time.
    """
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        if time.monotonic() > deadline:
            wanted = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {timeout:g} s: {wanted or condition}: {answer!r}")
        time.sleep(pause)
    return answer
