"""The TCP connections of a resolver: one for each name server, kept between lookups."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TypeVar

from ..names import Endpoint
from .transport import ReplyReader, TcpConnection

__all__ = ["Connections"]

_T = TypeVar("_T")


class Connections:
    """Opens connections when they are needed, and keeps them until they fail or are closed."""

    def __init__(self) -> None:
        self._kept: dict[Endpoint, TcpConnection] = {}
        self._retired: list[TcpConnection] = []
        """Connections that get no new question, and on which somebody may still wait."""
        self._connecting: dict[Endpoint, asyncio.Lock] = {}
        self._closed = False

    async def aclose(self) -> None:
        """Close all of them; pending questions end without a reply."""
        self._closed = True
        connections = [*self._kept.values(), *self._retired]
        self._kept.clear()
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.aclose()

    def keep_only(self, servers: Iterable[Endpoint]) -> None:
        """Abort the connections to all other servers."""
        for server in set(self._kept) - set(servers):
            self.abort(server)

    def abort(self, server: Endpoint) -> None:
        """Abort the connection to this server; the next question opens a new one."""
        connection = self._kept.pop(server, None)
        if connection is not None:
            connection.abort()

    def retire(self, server: Endpoint, connection: TcpConnection) -> None:
        """Send nothing more on this connection: the replica at its other end fails."""
        if self._kept.get(server) is connection:
            del self._kept[server]
        self._retire(connection)

    def _retire(self, connection: TcpConnection) -> None:
        self._retired = [other for other in self._retired if not other.closed]
        self._retired.append(connection)
        connection.retire()

    def usable(self, server: Endpoint) -> TcpConnection | None:
        """The kept connection, if it is open and its server replies; None otherwise."""
        connection = self._kept.get(server)
        return connection if connection is not None and connection.usable else None

    async def get(self, server: Endpoint) -> TcpConnection:
        """The kept connection or a new one; one caller connects while the others wait for it."""
        lock = self._connecting.setdefault(server, asyncio.Lock())
        async with lock:
            connection = self.usable(server)
            if connection is None:
                self._check_open()
                connection = await TcpConnection.open(server)
                try:
                    self._check_open()
                except ConnectionAbortedError:
                    await connection.aclose()
                    raise
                if server in self._kept:
                    self._retire(self._kept[server])
                self._kept[server] = connection
            return connection

    def _check_open(self) -> None:
        if self._closed:
            raise ConnectionAbortedError("the resolver is closed")

    async def exchange(
        self, server: Endpoint, question: bytes, read: ReplyReader[_T], until: float
    ) -> tuple[_T, TcpConnection]:
        """One exchange on the kept connection, or on a new one.

        Returns:
            What the reader made of the reply, and the connection that brought it.

        Raises:
            TimeoutError: No reply came until then, in the event loop's time.
            OSError: There is no connection, or it was closed before the reply came.
            MalformedMessage: The reply cannot be read.
        """
        connection = self.usable(server)
        if connection is not None:
            try:
                return await connection.exchange(question, read, until), connection
            except ConnectionError:
                if not connection.used:
                    raise
            # A server may close an idle connection at any time (RFC 7766, 6.2.3): ask on a new one.
            if self._kept.get(server) is connection:
                del self._kept[server]
        async with asyncio.timeout_at(until):
            connection = await self.get(server)
        return await connection.exchange(question, read, until), connection
