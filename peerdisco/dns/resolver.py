"""Questions put to name servers, with failover and a deadline, and outcomes that are typed.

No cache, no search list, no ``/etc/hosts``: what is returned is what a server said just now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Self

from ..model import Outcome
from ..names import Endpoint
from . import wire
from .asking import FIRST_PATIENCE, Answer, Ask, Judge
from .evidence import USABLE, judge, shows_zone
from .fast_path import Listing
from .reply import ReadListing, Reply, ResolverProtocol
from .transport import Batch, TcpConnection

__all__ = ["FIRST_PATIENCE", "ReadListing", "Reply", "Resolver", "ResolverProtocol"]

_MOST_CONNECTIONS = 4
"""So many connections to one server are used up by one batch: a server that hangs up after each
few questions is asked over UDP instead."""

_PLAIN_FOR = 600.0
"""For so many seconds a server that seems not to know EDNS is asked without; then EDNS is tried
again, which costs one lookup the wait for the first server."""


class Resolver:
    """Asks name servers; in turn, until one of them answers.

    `begin` starts a lookup, and each lookup asks the first server first; within a lookup the one
    that answered last. It remembers which servers serve the zone of the cluster, by their answers,
    and which do not know EDNS; it keeps one TCP connection a server, and belongs to one event loop.
    Close it with `aclose` or ``async with``.

    Args:
        nameservers: In order of preference; at least one.
    """

    def __init__(self, nameservers: Sequence[Endpoint]) -> None:
        if not nameservers:
            raise ValueError("a resolver needs a name server")
        self.nameservers = tuple(nameservers)
        self.texts = {server: str(server) for server in nameservers}
        """How to write each of them."""
        self._first = 0
        self._zone: bytes | None = None
        self._alone = len(set(nameservers)) == 1
        self._serving: set[Endpoint] = set()
        """Those that showed that they serve the zone."""
        self._plain: dict[Endpoint, float] = {}
        """Those to ask without EDNS, and until when."""
        self._connections: dict[Endpoint, TcpConnection] = {}
        self._retired: list[TcpConnection] = []
        """Those to which nothing new is sent, and on which somebody may still wait."""
        self._connecting: dict[Endpoint, asyncio.Lock] = {}
        self._one_batch = asyncio.Lock()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the kept connections; what is being asked ends without an answer."""
        self._closed = True
        connections = [*self._connections.values(), *self._retired]
        self._connections.clear()
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.aclose()

    def use(self, nameservers: Sequence[Endpoint]) -> None:
        """Ask these from now on, if they are others than before."""
        if nameservers and tuple(nameservers) != self.nameservers:
            self.nameservers = tuple(nameservers)
            self.texts.update((server, str(server)) for server in nameservers)
            self._first = 0
            self._alone = len(set(nameservers)) == 1
            self._serving.intersection_update(nameservers)
            for server in set(self._connections) - set(nameservers):
                self._connections.pop(server).abort()

    def begin(self, zone: bytes | None) -> None:
        """A lookup begins: ask the first server first again.

        Args:
            zone: The zone of the cluster, in wire form. That a name in it does not exist, or has
                no records, counts only if a server of this zone says so. None accepts it of any.
        """
        self._first = 0
        if zone != self._zone:
            self._zone = zone
            self._serving.clear()

    async def ask(
        self,
        name: bytes,
        rtype: int,
        *,
        deadline: float,
        tcp: bool = False,
        read: ReadListing | None = None,
    ) -> Reply:
        """Ask until a server answers, all have failed, or the deadline is reached.

        NXDOMAIN and no data are answers, of a server of the zone. A server that fails in any way is
        followed by the next one. As long as any of them keeps silent they are asked again, with
        doubled patience, and the silent ones over TCP and without EDNS too. Where all of them
        fail, and one replica behind a server's address may be the cause, they are asked again from
        new ports, a few times.
        An answer that was cut over UDP is asked for over TCP, and returned as it was if that fails.

        Args:
            name: In wire form.
            rtype: The record type's number.
            deadline: In the event loop's time.
            tcp: Ask over TCP at once; UDP then serves only where TCP fails.
            read: Reads the answer about a service where it can, instead of the message; it checks
                the question too.
        """
        return await Ask(self, name, rtype, deadline, tcp, read).run()

    async def ask_many(
        self,
        questions: Sequence[tuple[bytes, int]],
        *,
        deadline: float,
        tcp: bool = False,
        at_once: int = 64,
    ) -> list[Reply]:
        """`ask` each of them, so many at a time; the replies stand in the questions' order."""
        slots = asyncio.Semaphore(at_once)

        async def one(name: bytes, rtype: int) -> Reply:
            async with slots:
                return await self.ask(name, rtype, deadline=deadline, tcp=tcp)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(name, rtype)) for name, rtype in questions]
        return [task.result() for task in tasks]

    def prefer(self, server: Endpoint) -> None:
        """Ask this server first from now on."""
        if server is not self.nameservers[self._first] and server in self.nameservers:
            self._first = self.nameservers.index(server)

    def order(self) -> tuple[Endpoint, ...]:
        """The servers in the order in which to ask them."""
        return self.nameservers[self._first :] + self.nameservers[: self._first]

    def outcome(
        self, server: Endpoint, answer: Answer, name: bytes, rtype: int
    ) -> tuple[Outcome, str]:
        """What this server's reply to a question says, and a detail."""
        if isinstance(answer, Listing):
            self._serving.add(server)
            return Outcome.ANSWER, ""
        trusted = self._alone or server in self._serving
        outcome, detail = judge(answer, name, rtype, self._zone, trusted)
        if outcome in USABLE and shows_zone(answer, self._zone):
            self._serving.add(server)
        return outcome, detail

    def is_plain(self, server: Endpoint) -> bool:
        """Whether to ask this server without EDNS."""
        until = self._plain.get(server)
        return until is not None and asyncio.get_running_loop().time() < until

    def learn_plain(self, server: Endpoint) -> None:
        """Ask this server without EDNS for a while."""
        self._plain[server] = asyncio.get_running_loop().time() + _PLAIN_FOR

    def retire(self, server: Endpoint, connection: TcpConnection) -> None:
        """Use another connection from now on: this one leads to a replica that fails."""
        if self._connections.get(server) is connection:
            del self._connections[server]
        self._retire(connection)

    def _retire(self, connection: TcpConnection) -> None:
        self._retired = [other for other in self._retired if not other.closed]
        self._retired.append(connection)
        connection.retire()

    async def _connection(self, server: Endpoint) -> TcpConnection:
        """The kept connection, or a new one; one caller connects, the others wait for it."""
        lock = self._connecting.setdefault(server, asyncio.Lock())
        async with lock:
            connection = self._connections.get(server)
            if connection is None or not connection.usable:
                self._check_open()
                connection = await TcpConnection.open(server)
                try:
                    self._check_open()
                except ConnectionAbortedError:
                    await connection.aclose()
                    raise
                if server in self._connections:
                    self._retire(self._connections[server])
                self._connections[server] = connection
            return connection

    def _check_open(self) -> None:
        if self._closed:
            raise ConnectionAbortedError("the resolver is closed")

    async def run(self, batch: Batch, *, deadline: float) -> None:
        """Ask the questions of a batch over TCP, until each has its reply or nothing helps.

        A connection that is lost costs what it had not answered: that is asked on a new one, as
        long as replies come, and then of the next server. What the batch still lacks in the end
        no server answered over TCP.
        """
        now = asyncio.get_running_loop().time
        async with self._one_batch:
            for server in self.order():
                for _ in range(_MOST_CONNECTIONS):
                    if batch.over or now() >= deadline:
                        return
                    taken = batch.taken
                    kept = False
                    batch.server, batch.useful = server, False
                    try:
                        async with asyncio.timeout_at(min(deadline, now() + FIRST_PATIENCE)):
                            connection = await self._connection(server)
                        kept = connection.used
                        if await connection.run(batch, FIRST_PATIENCE, deadline):
                            if batch.useful:
                                self.prefer(server)
                            return
                        kept = False
                    except ConnectionError:
                        self._forget(server)
                    except (OSError, TimeoutError, wire.MalformedMessage):
                        kept = False
                    if batch.taken == taken and not kept:
                        break

    def _forget(self, server: Endpoint) -> None:
        """Connect anew next time: the connection is closed, or about to be."""
        connection = self._connections.pop(server, None)
        if connection is not None:
            connection.abort()

    async def exchange_tcp(
        self, server: Endpoint, question: bytes, judge: Judge, when: float
    ) -> Answer:
        """One exchange on the kept connection, or on a new one; TimeoutError at that time."""
        connection = self._connections.get(server)
        if connection is not None and connection.usable:
            judge.connection = connection
            try:
                return await connection.exchange(question, judge, when)
            except ConnectionError:
                if not connection.used:
                    raise
            # A server closes idle connections when it likes (RFC 7766, 6.2.3): on a new one.
            if self._connections.get(server) is connection:
                del self._connections[server]
        async with asyncio.timeout_at(when):
            connection = await self._connection(server)
        judge.connection = connection
        return await connection.exchange(question, judge, when)
