"""Where an observation comes from: DNS, or a static list; and `discover`, which makes one lookup.

``discovery`` and everything above may import it. Begin with `Source`, then `headless_dns`.
`options` has the options of a lookup; `large` enumerates services too large for one answer.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..model import Observation

__all__ = ["Source", "verify_all"]


@runtime_checkable
class Source(Protocol):
    """The interface between the membership and the outside world.

    A source makes a lookup when `observe` is called, never on its own. It returns a failure of the
    outside world as a `Failed` observation and raises nothing for it. If it does raise a
    `DiscoveryError`, or an `asyncio.CancelledError` although the lookup was not cancelled, this
    counts as a failed lookup too. Any other exception is a bug: it ends the `peerdisco.Discovery`
    that uses the source, and every waiting consumer gets a `WatcherError`.
    """

    @property
    def service(self) -> str:
        """The service's fully qualified name, without the trailing dot."""
        ...

    async def observe(self, *, timeout: float) -> Observation:
        """Make one lookup.

        Args:
            timeout: Seconds after which the lookup is a `Failed` one.
        """
        ...

    async def aclose(self) -> None:
        """Close everything that is kept between lookups. A second call does nothing."""
        ...


@runtime_checkable
class _Refreshable(Protocol):
    def refresh(self) -> None: ...


def verify_all(source: Source) -> None:
    """Have the next lookup of a source of this package rest on nothing that earlier ones learned.

    A source whose lookups use what earlier ones learned has a method ``refresh()`` for that.
    """
    if isinstance(source, _Refreshable):
        source.refresh()
