"""A lookup through any source: what a source may raise, and what follows from it."""

from __future__ import annotations

import asyncio

from ..exceptions import DiscoveryError, SourceFailed
from ..model import Answered, Empty, Failed, Observation
from ..timing.stalls import LEAST_STALL, Stalls
from . import Source
from .shared import SharedSource

__all__ = ["lookup"]


_MOST_REPEATS = 3
"""So often a lookup is repeated at once because the process could not run. One that never runs
freely has to come to an end as well."""


async def lookup(source: Source, timeout: float) -> Observation:
    """Have a source make a lookup, and another one if the process could not run meanwhile.

    A lookup that failed while the event loop was blocked or the process stopped says nothing about
    DNS, nor does a list that is incomplete for that reason; an answer that could not be taken in
    for as long as a lookup may take is too old to be one. The next lookup decides, which is made
    at once, and gets as much more time as was lost.

    Args:
        source: Makes the lookup.
        timeout: Seconds after which a lookup is a `Failed` one.

    Raises:
        TypeError: The source returned something that is no observation.
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
        lost += stalled
        if isinstance(source, SharedSource):
            source.refresh()  # else it would give the same one once more
    return await _lookup(source, timeout + lost)


async def _lookup(source: Source, timeout: float) -> Observation:
    """Have a source make one lookup.

    A source should return every failure as `Failed`. One that raises a `DiscoveryError`, or ends
    in `asyncio.CancelledError` although the calling task was not cancelled, has failed to look up
    the service as well: what nobody cancelled must not end, or silently stop, whoever waits. A
    `Failed` with another error than a `DiscoveryError` gets one.
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
