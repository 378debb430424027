"""The lock that keeps two pods from being opened at the same time while the role moves.

That the old primary is read-only and that this pod is opened are two moments. In between, another
ordinal may be wanted again, and this process may be stopped for any time. So a pod that is opened
holds the lock of its own server and, if it takes the role from another pod, that of the other
server, from before it reads whether that is read-only. A server gives its lock to one connection
at a time, and takes it back when the connection ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..dialects import OPEN
from ..errors import DatabaseError
from ..facts import Executor
from ..values import number
from .peers import Connection

__all__ = ["RoleLock", "WhileLocked", "release_own", "take_own"]

_NAME = "'peerdisco.role'"
_TAKE = f"SELECT GET_LOCK({_NAME}, 0) AS found"
_TAKE_OWN = f"SELECT GET_LOCK({_NAME}, 1) AS found"
"""A pod that is wanted and waits takes it for a moment in each pass."""
_RELEASE = f"SELECT RELEASE_LOCK({_NAME}) AS found"
_HELD = f"SELECT IS_USED_LOCK({_NAME}) = CONNECTION_ID() AS found"
_IDLE = "SET SESSION wait_timeout = 30"
"""Seconds after which a server takes its lock back from a pod that is no longer heard of."""

_DOING = "taking the lock of the primary's role"


async def take_own(server: Executor, name: str) -> bool:
    """Take the lock of the pod's own server; whether it was free.

    Raises:
        DatabaseError: The server did not answer.
    """
    return await _is_true(server, name, _TAKE_OWN)


async def release_own(server: Executor, name: str) -> None:
    """Give it back. The end of the connection does so, too.

    Raises:
        DatabaseError: The server did not answer.
    """
    await _is_true(server, name, _RELEASE)


async def _is_true(server: Executor, name: str, sql: str) -> bool:
    try:
        rows = await server.execute(sql)
    except Exception as error:
        raise DatabaseError.of(error, name, _DOING) from error
    found = rows[0].get("found") if rows else None
    return found is not None and number(found) == 1


class RoleLock:
    """The lock of the server from which this pod takes the role.

    Attributes:
        busy: Whether another connection had it last.
    """

    def __init__(self) -> None:
        self._link: Connection | None = None
        self._name = ""
        self.busy = False

    async def take(self, link: Connection, name: str) -> None:
        """Take it over this connection, which is kept if it was free.

        Args:
            link: A connection to the other server.
            name: What to call that in an error.

        Raises:
            DatabaseError: The server did not answer.
        """
        self.release()
        await _is_true(link, name, _IDLE)
        self.busy = not await _is_true(link, name, _TAKE)
        if not self.busy:
            self._link, self._name = link, name

    def keeps(self, link: Connection) -> bool:
        """Whether this connection has the lock, and must not be closed."""
        return link is self._link

    def release(self) -> None:
        """Give it back, if it is held."""
        link, self._link, self.busy = self._link, None, False
        if link is not None:
            link.close()

    async def check(self) -> None:
        """Make sure that it is held still, if it was taken.

        Raises:
            DatabaseError: It is not.
        """
        if self._link is not None and not await _is_true(self._link, self._name, _HELD):
            raise DatabaseError(self._name, _DOING, None, "the server has taken it back")


class WhileLocked:
    """The connection to the pod's own server, which is opened only while the lock is held.

    Args:
        server: The connection.
        lock: The lock of the server from which the role is taken.
    """

    def __init__(self, server: Executor, lock: RoleLock) -> None:
        self._server = server
        self._lock = lock

    async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
        if sql == OPEN:
            await self._lock.check()
        return await self._server.execute(sql)
