"""A lookup through any source, including one that raises, and one in a process that stalls."""

from __future__ import annotations

import asyncio

from ..exceptions import DiscoveryError, SourceFailed
from ..model import Answered, Empty, Failed, Observation
from ..timing.stalls import LEAST_STALL, Stalls
from . import Source
from .shared import SharedSource

__all__ = ["lookup"]


_MOST_REPEATS = 3
"""How often a lookup is repeated immediately because the process could not run. A process that
always stalls must get a result too."""
_MOST_LOST = 5.0
"""Seconds of lost time that are added to the timeout, unless that is longer itself."""


async def lookup(source: Source, timeout: float) -> Observation:
    """Make a lookup, and repeat it if the process could not run in the meantime.

    A lookup that failed while the event loop was blocked or the process stopped says nothing about
    DNS, and neither does a list that is incomplete for that reason. An answer that was not read for
    the whole timeout is too old. The lookup is repeated immediately, with the lost time added to
    its timeout. That is limited: an overloaded process would otherwise wait longer each time, until
    its list is minutes old and nothing says so.

    Args:
        source: Makes the lookup.
        timeout: Seconds after which a lookup is a `Failed` one.

    Raises:
        TypeError: The source returned something other than an observation.
        Exception: Any other error of the source, which is a bug.
    """
    lost = 0.0
    for _ in range(_MOST_REPEATS):
        with Stalls(timeout + lost) as stalls:
            observation = await _lookup(source, timeout + lost)
            stalled = stalls.seconds
        whole = isinstance(observation, Empty) or (
            isinstance(observation, Answered) and observation.incomplete_reason is None
        )
        if stalled < (timeout if whole else max(timeout / 10, LEAST_STALL)):
            return observation
        lost = min(lost + stalled, max(timeout, _MOST_LOST))
        if isinstance(source, SharedSource):
            source.ignore_past()  # otherwise it would return the same observation again
    return await _lookup(source, timeout + lost)


async def _lookup(source: Source, timeout: float) -> Observation:
    """Have a source make one lookup.

    A source should return every failure as `Failed`. If it raises a `DiscoveryError`, or
    `asyncio.CancelledError` although the calling task was not cancelled, that is a failed lookup
    too: otherwise the caller would end, or silently stop, without a cancellation. The error of a
    `Failed` that is not a `DiscoveryError` is wrapped in one.
    """
    task = asyncio.current_task()
    try:
        observation = await source.observe(timeout=timeout)
    except DiscoveryError as error:
        return Failed(error)
    except asyncio.CancelledError as error:
        if task is None or task.cancelling():
            raise
        return _failed(source, error)
    if not isinstance(observation, Answered | Empty | Failed):
        raise TypeError(
            f"{type(source).__name__}.observe() returned {observation!r}, expected an observation: "
            "Answered, Empty or Failed"
        )
    reason: object = getattr(observation, "error", None)
    if isinstance(observation, Failed) and not isinstance(reason, DiscoveryError):
        return _failed(source, reason)
    return observation


def _failed(source: Source, error: object) -> Failed:
    failed = SourceFailed(source.service, repr(error))
    failed.__cause__ = error if isinstance(error, BaseException) else None
    return Failed(failed)
