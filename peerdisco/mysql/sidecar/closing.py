"""Making the pod's own server read-only while something keeps it from that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from ...clock import Clock
from ...exceptions import DiscoveryError
from ..dialects import Dialect
from ..facts import Executor
from ..versions import Version
from ..waiting_commits import end_waiting_commits
from .peers import Connection

__all__ = ["Closing"]

_PATIENCE = 2.0
"""Seconds for which replicas may still acknowledge what waits for them."""
_AGAIN = 0.2
"""Seconds between two times that sessions are ended: the next group of commits waits then."""


class Closing:
    """The connection to the pod's own server, over which it becomes read-only in any case.

    The statement for that waits for commits, and with semi-synchronous replication commits wait
    for a replica, for ever if none comes. Meanwhile no other commit begins, so that those sessions
    can be ended over a second connection.

    Args:
        server: The connection.
        connect: Makes another one.
        clock: Time.
        version: The server's.
        name: What to call it in an error.
    """

    def __init__(
        self,
        server: Executor,
        connect: Callable[[], Awaitable[Connection]],
        clock: Clock,
        version: Version,
        name: str,
    ) -> None:
        self._server = server
        self._connect = connect
        self._clock = clock
        self._closing = Dialect(version).close().sql
        self._flavour = version.flavour
        self._name = name
        self._second: Connection | None = None
        self._error: DiscoveryError | None = None
        """Why no session could be ended last; None if there is no reason."""

    async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
        if sql != self._closing:
            return await self._server.execute(sql)
        releasing = asyncio.create_task(self._release())
        try:
            return await self._server.execute(sql)
        except Exception:
            if self._error is not None:
                raise self._error from None
            raise
        finally:
            releasing.cancel()
            await asyncio.wait({releasing})
            if self._second is not None:
                self._second.close()

    async def _release(self) -> None:
        """End what waits for a replica, until it is cancelled."""
        never = asyncio.Event()
        await self._clock.wait(never, _PATIENCE)
        while True:
            try:
                await self._release_once()
                self._error = None
            except DiscoveryError as error:
                self._error = error
            await self._clock.wait(never, _AGAIN)

    async def _release_once(self) -> None:
        if self._second is None or self._second.closed:
            self._second = await self._connect()
        await end_waiting_commits(self._second, self._name, self._flavour, self._closing)
