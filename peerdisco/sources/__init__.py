"""Where an observation comes from: DNS, a list, or a script."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..model import Observation

__all__ = ["Source"]


@runtime_checkable
class Source(Protocol):
    """The one seam between the world and the membership.

    A source looks when it is told to, never by itself, and says what it saw. It raises nothing
    for what goes wrong out there: that is a `Failed` observation. A `DiscoveryError` that it raises
    all the same, and a `asyncio.CancelledError` although nobody cancelled the lookup, count as
    failed lookups too; any other error is a bug, and ends the `peerdisco.Discovery` that uses the
    source with a `WatcherError` for everybody who waits.
    """

    @property
    def service(self) -> str:
        """The service's fully qualified name, without the trailing dot."""
        ...

    async def observe(self, *, timeout: float) -> Observation:
        """Look once.

        Args:
            timeout: Seconds after which the look is a `Failed` one.
        """
        ...

    async def aclose(self) -> None:
        """Close what is kept between looks. A second call does nothing."""
        ...
