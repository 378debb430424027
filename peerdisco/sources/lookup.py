"""One lookup through any source: what a source may raise, and what follows from it."""

from __future__ import annotations

import asyncio

from ..exceptions import DiscoveryError, SourceFailed
from ..model import Answered, Empty, Failed, Observation
from . import Source

__all__ = ["lookup"]


async def lookup(source: Source, timeout: float) -> Observation:
    """Have a source make one lookup.

    A source should return every failure as `Failed`. One that raises a `DiscoveryError`, or ends
    in `asyncio.CancelledError` although the calling task was not cancelled, has failed to look up
    the service as well: what nobody cancelled must not end, or silently stop, whoever waits.

    Args:
        source: Makes the lookup.
        timeout: Seconds after which the lookup is a `Failed` one.

    Raises:
        TypeError: The source returned something that is no observation.
        Exception: Any other error of the source, which is a bug.
    """
    task = asyncio.current_task()
    try:
        observation = await source.observe(timeout=timeout)
    except DiscoveryError as error:
        return Failed(error)
    except asyncio.CancelledError as error:
        if task is None or task.cancelling():
            raise
        failed = SourceFailed(source.service, repr(error))
        failed.__cause__ = error
        return Failed(failed)
    if not isinstance(observation, Answered | Empty | Failed):
        raise TypeError(
            f"{type(source).__name__}.observe() returned {observation!r}, expected an observation: "
            "Answered, Empty or Failed"
        )
    return observation
