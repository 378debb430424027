"""Where an observation comes from: DNS, a list, or a script."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..model import Observation

__all__ = ["Source"]


@runtime_checkable
class Source(Protocol):
    """The one seam between the world and the membership.

    A source looks when it is told to, never by itself, and says what it saw. It raises nothing
    for what goes wrong out there: that is a `Failed` observation.
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
