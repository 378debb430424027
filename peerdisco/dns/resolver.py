"""Asks name servers, with failover and a deadline, and returns typed outcomes.

There is no cache, no search list and no ``/etc/hosts``: every answer comes from a server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from ..model import Outcome
from ..names import Endpoint
from . import wire
from .batch import Batch
from .connections import Connections
from .query import FIRST_TIMEOUT, Query
from .reply import Answer, ReadServiceRecords, Reply, ResolverProtocol
from .servers import Servers
from .transport import TcpConnection

__all__ = ["FIRST_TIMEOUT", "ReadServiceRecords", "Reply", "Resolver", "ResolverProtocol"]

_MOST_CONNECTIONS = 4
"""Connections to one server that one batch uses at most.

A server that closes each connection after a few questions is asked over UDP instead.
"""

_SIDE_BY_SIDE = 4
"""Connections to one server that share a batch, at most.

CoreDNS answers the questions of one connection one after another, and those of several at the same
time. Behind the address of a service, they lead to different replicas.
"""

_LEAST_EACH = 256
"""Questions for each of these connections, at least: a poll has fewer, and uses one."""


class Resolver:
    """Asks name servers one after another until one of them answers.

    `begin` starts a lookup. A lookup begins with the first server; after an answer, its further
    questions go to the server that answered. A resolver remembers which servers serve the zone of
    the cluster, which do not know EDNS, and which questions failed in the previous lookup. It keeps
    one TCP connection for each server, and up to three more for a lookup of hundreds of questions,
    until the next lookup begins. It belongs to one event loop. Close it with `aclose` or
    ``async with``.

    Args:
        nameservers: In order of preference; at least one.
    """

    def __init__(self, nameservers: Sequence[Endpoint]) -> None:
        self._servers = Servers(nameservers)
        self._connections = Connections()
        self._further: list[Connections] = []
        """The connections beside these that large batches opened."""
        self._one_batch = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the kept connections; pending questions end without an answer."""
        for connections in (self._connections, *self._further):
            await connections.aclose()

    def use(self, nameservers: Sequence[Endpoint]) -> None:
        """Ask these name servers from now on; no change if the list is empty."""
        if self._servers.use(nameservers):
            for connections in (self._connections, *self._further):
                connections.keep_only(nameservers)

    def begin(self, zone: bytes | None) -> None:
        """Start a lookup: ask the first server first again.

        Args:
            zone: The zone of the cluster, in wire form. That a name in it does not exist, or has
                no records, counts only if a server of this zone says so. None accepts it from any.
        """
        self._servers.begin(zone)
        for connections in self._further:
            connections.keep_only(())

    async def ask(
        self,
        name: bytes,
        rtype: int,
        *,
        deadline: float,
        tcp: bool = False,
        read: ReadServiceRecords | None = None,
    ) -> Reply:
        """Ask until a server answers, all have failed, or the deadline is reached.

        NXDOMAIN and no data are answers if the server serves the zone. A server that fails in any
        way is followed by the next one. While a server does not reply, all of them are asked again
        with twice the timeout, and that one over TCP and without EDNS too. If all of them fail with
        SERVFAIL, REFUSED or a lame referral, one replica behind a server's address may be the
        cause: they are asked again from new ports up to eight times; once, and only a single
        server, if the same question failed so in the previous lookup.
        An answer that is truncated over UDP is asked for over TCP, and returned as it was if that
        fails.

        Args:
            name: In wire form.
            rtype: The record type's number.
            deadline: In the event loop's time.
            tcp: Ask over TCP first, and over UDP only where TCP fails.
            read: Reads the usual answer about a service in place of `wire.read`. It must check the
                question too.
        """
        return await Query(self._servers, self._connections, name, rtype, deadline, tcp, read).run()

    async def ask_many(
        self,
        questions: Sequence[tuple[bytes, int]],
        *,
        deadline: float,
        tcp: bool = False,
        at_once: int = 64,
    ) -> list[Reply]:
        """`ask` each question, at most ``at_once`` concurrently.

        Returns:
            The replies, in the order of the questions.
        """
        slots = asyncio.Semaphore(at_once)

        async def one(name: bytes, rtype: int) -> Reply:
            async with slots:
                return await self.ask(name, rtype, deadline=deadline, tcp=tcp)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(name, rtype)) for name, rtype in questions]
        return [task.result() for task in tasks]

    def outcome(
        self, server: Endpoint, answer: Answer, name: bytes, rtype: int
    ) -> tuple[Outcome, str]:
        """The outcome of this server's reply to a question, and its detail."""
        return self._servers.outcome(server, answer, name, rtype)

    async def run(self, batch: Batch, *, deadline: float) -> None:
        """Ask the questions of a batch over TCP until each has its reply or every server failed.

        When a connection is lost, its unanswered questions are asked on a new one as long as
        replies come, then of the next server. Up to `_SIDE_BY_SIDE` connections share the questions
        of a large batch; no more of them are pending than on one.
        """
        now = asyncio.get_running_loop().time
        async with self._one_batch:
            for server in self._servers.order():
                for _ in range(_MOST_CONNECTIONS):
                    if batch.over or now() >= deadline:
                        return
                    taken = batch.taken
                    kept = False
                    batch.server, batch.useful = server, False
                    try:
                        connection = self._connections.usable(server)
                        if connection is None:
                            async with asyncio.timeout_at(min(deadline, now() + FIRST_TIMEOUT)):
                                connection = await self._connections.get(server)
                        kept = connection.used
                        if await self._run(connection, batch, server, deadline):
                            if batch.useful:
                                self._servers.prefer(server)
                            return
                        kept = False
                    except ConnectionError:
                        self._connections.abort(server)
                    except (OSError, TimeoutError, wire.MalformedMessage):
                        kept = False
                    if batch.taken == taken and not kept:
                        break

    async def _run(
        self, connection: TcpConnection, batch: Batch, server: Endpoint, deadline: float
    ) -> bool:
        """Ask on this connection, and on others beside it if there are questions enough.

        Returns:
            Whether there is a reply to each.
        """
        count = min(_SIDE_BY_SIDE, len(batch.left) // _LEAST_EACH)
        if count < 2:
            return await connection.run(batch, FIRST_TIMEOUT, deadline)
        while len(self._further) < count - 1:
            self._further.append(Connections())
        shares = batch.split(count - 1)
        failure: Exception | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for connections, share in zip(self._further, shares, strict=False):
                    group.create_task(_help(connections, share, server, deadline))
                try:
                    await connection.run(batch, FIRST_TIMEOUT, deadline)
                except (OSError, wire.MalformedMessage) as error:
                    failure = error
        finally:
            batch.join()
        if failure is not None:
            raise failure
        return batch.over


async def _help(connections: Connections, share: Batch, server: Endpoint, deadline: float) -> None:
    """Ask questions of a batch on a connection beside its own.

    Whatever fails here is left for that one.
    """
    now = asyncio.get_running_loop().time
    with suppress(OSError, wire.MalformedMessage):
        async with asyncio.timeout_at(min(deadline, now() + FIRST_TIMEOUT)):
            connection = await connections.get(server)
        await connection.run(share, FIRST_TIMEOUT, deadline)
