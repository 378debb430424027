"""Questions put to name servers, with failover and a deadline, and outcomes that are typed.

No cache, no search list, no ``/etc/hosts``: what is returned is what a server said just now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from functools import lru_cache
from typing import Any, Self

from ..model import Attempt, Outcome
from ..names import Endpoint
from . import wire
from .quick import Listing
from .reply import Asks, ReadListing, Reply
from .transport import Batch, TcpConnection, exchange_udp

__all__ = ["Asks", "ReadListing", "Reply", "Resolver"]

FIRST_PATIENCE = 1.0
"""Seconds to wait for a server the first time round; doubled with each round, up to `MAX_PATIENCE`.

A lost datagram costs this much, a slow server is asked twice: a name server inside a cluster
answers in milliseconds, and a forwarding one gives up on its upstream after two seconds.
"""

MAX_PATIENCE = 60.0
"""The longest time in seconds to wait for one server: a lookup may be given hours."""

_MOST_CONNECTIONS = 4
"""So many connections to one server are used up by one batch: a server that hangs up after each
few questions is asked over UDP instead."""

_Answer = wire.Message | Listing

_USABLE = frozenset({Outcome.ANSWER, Outcome.NO_DATA, Outcome.NXDOMAIN})

_RCODES = {
    wire.NXDOMAIN: Outcome.NXDOMAIN,
    wire.SERVFAIL: Outcome.SERVFAIL,
    wire.REFUSED: Outcome.REFUSED,
}
_RCODE_NAMES = {wire.FORMERR: "FORMERR", wire.NOTIMP: "NOTIMP", wire.BADVERS: "BADVERS"}
_NO_EDNS = frozenset(_RCODE_NAMES)
"""What servers that do not know EDNS may answer to it (RFC 6891, 7)."""


class Resolver:
    """Asks name servers; in turn, until one of them answers.

    It remembers which server answered last and asks that one first, keeps one TCP connection a
    server, and belongs to one event loop. Close it with `aclose` or ``async with``.

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
        self._connections: dict[Endpoint, TcpConnection] = {}
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
        connections = list(self._connections.values())
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
            for server in set(self._connections) - set(nameservers):
                self._connections.pop(server).abort()

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

        NXDOMAIN and no data are answers. A server that fails in any way is followed by the next
        one; as long as any of them just keeps silent they are asked again, with doubled patience.
        An answer that was cut over UDP is asked for over TCP, and returned as it was if that fails.

        Args:
            name: In wire form.
            rtype: The record type's number.
            deadline: In the event loop's time.
            tcp: Ask over TCP at once; UDP then serves only where TCP fails.
            read: Reads the answer about a service where it can, instead of the message; it checks
                the question too.
        """
        ask = _Ask(self, name, rtype, deadline, tcp, read)
        return await ask.run()

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
                    self._connections[server].retire()
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
                    try:
                        async with asyncio.timeout_at(min(deadline, now() + FIRST_PATIENCE)):
                            connection = await self._connection(server)
                        kept = connection.used
                        if await connection.run(batch, FIRST_PATIENCE, deadline):
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
        self, server: Endpoint, question: bytes, judge: _Judge, when: float
    ) -> _Answer:
        """One exchange on the kept connection, or on a new one; TimeoutError at that time."""
        connection = self._connections.get(server)
        if connection is not None and connection.usable:
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
        return await connection.exchange(question, judge, when)


class _Ask:
    """One question on its way round the servers."""

    def __init__(
        self,
        resolver: Resolver,
        name: bytes,
        rtype: int,
        deadline: float,
        tcp: bool,
        read: ReadListing | None,
    ) -> None:
        self.resolver = resolver
        self.name = name
        self.rtype = rtype
        self.deadline = deadline
        self.tcp = tcp
        self.read = read
        self.attempts: list[Attempt] = []
        self.cut: tuple[Attempt, _Answer] | None = None
        """The best there is if no server gives the whole answer."""

    async def run(self) -> Reply:
        resolver = self.resolver
        now = asyncio.get_running_loop().time
        patience = FIRST_PATIENCE
        while True:
            silent = False
            for server in resolver.order():
                answer = await self._ask_server(server, patience)
                if answer is not None:
                    resolver.prefer(server)
                    return self._reply(self.attempts[-1], answer)
                silent = silent or self.attempts[-1].outcome is Outcome.TIMEOUT
                if now() >= self.deadline:
                    return self._give_up()
            if not silent or self.cut is not None:
                return self._give_up()
            patience = min(2 * patience, MAX_PATIENCE)

    def _give_up(self) -> Reply:
        return self._reply(*(self.cut or (self.attempts[-1], None)))

    def _reply(self, attempt: Attempt, answer: _Answer | None) -> Reply:
        if isinstance(answer, Listing):
            return Reply(tuple(self.attempts), attempt, None, answer)
        return Reply(tuple(self.attempts), attempt, answer)

    async def _ask_server(self, server: Endpoint, patience: float) -> _Answer | None:
        """The server's whole answer over either transport; None if it gives none."""
        if self.tcp or server.tcp or self.cut is not None:
            message = await self._attempt(server, "tcp", patience)
            no_tcp = self.attempts[-1].outcome in (Outcome.UNREACHABLE, Outcome.TIMEOUT)
            if self.cut is not None or not no_tcp:
                return message
        message = await self._attempt(server, "udp", patience)
        if message is None or not message.truncated:
            return message
        self.cut = (self.attempts[-1], message)
        if self.tcp or server.tcp:
            return None
        return await self._attempt(server, "tcp", patience)

    async def _attempt(self, server: Endpoint, transport: str, patience: float) -> _Answer | None:
        """One exchange, noted among the attempts; None if it gave no usable answer."""
        now = asyncio.get_running_loop().time
        start = now()
        when = min(self.deadline, start + patience)
        message: _Answer | None = None
        judge = _Judge(self.name, self.rtype, self.read)
        try:
            message = await self._exchange(server, transport, judge, when)
            if not isinstance(message, Listing) and message.rcode in _NO_EDNS:
                message = await self._exchange(server, transport, judge, when, payload=None)
            outcome, detail = _outcome(message, self.rtype)
        except TimeoutError:
            outcome, detail = Outcome.TIMEOUT, ""
            if judge.strays:
                outcome = Outcome.MALFORMED
                detail = f"{judge.strays} messages that are no reply to the question"
        except wire.MalformedMessage as error:
            outcome, detail = Outcome.MALFORMED, str(error)
        except OSError as error:
            outcome, detail = Outcome.UNREACHABLE, (error.strerror or str(error)).lower()
        self.attempts.append(
            Attempt(
                server=self.resolver.texts[server],
                transport=transport,
                name=_fqdn(self.name),
                type=wire.TYPE_NAMES.get(self.rtype, f"TYPE{self.rtype}"),
                outcome=outcome,
                seconds=now() - start,
                detail=detail,
            )
        )
        return message if outcome in _USABLE else None

    def _exchange(
        self,
        server: Endpoint,
        transport: str,
        judge: _Judge,
        when: float,
        *,
        payload: int | None = wire.EDNS_PAYLOAD,
    ) -> Coroutine[Any, Any, _Answer]:
        question = _question(self.name, self.rtype, payload)
        if transport == "tcp":
            return self.resolver.exchange_tcp(server, question, judge, when)
        return _exchange_udp(server, question, judge, when)


async def _exchange_udp(server: Endpoint, question: bytes, judge: _Judge, when: float) -> _Answer:
    async with asyncio.timeout_at(when):
        return await exchange_udp(server, question, judge)


@lru_cache(maxsize=64)
def _question(name: bytes, rtype: int, payload: int | None) -> bytes:
    return wire.query(0, name, rtype, payload=payload)


@lru_cache(maxsize=64)
def _fqdn(name: bytes) -> str:
    return wire.name_to_text(name) + "."


class _Judge:
    """Reads the replies to one question, and counts what is none."""

    def __init__(self, name: bytes, rtype: int, read: ReadListing | None) -> None:
        self.question = (wire.Question(name, rtype, wire.IN),)
        self.read = read
        self.strays = 0

    def __call__(self, question: bytes, reply: bytes) -> _Answer | None:
        if not wire.answers_to(reply, question):
            self.strays += 1
            return None
        if self.read is not None and (listing := self.read(reply)) is not None:
            return listing
        message = wire.read(reply)
        # A server that cannot read EDNS, or will not, may leave the question out.
        unread = not message.questions and message.rcode in _NO_EDNS
        if message.questions != self.question and not unread:
            self.strays += 1
            return None
        return message


def _outcome(message: _Answer, rtype: int) -> tuple[Outcome, str]:
    if isinstance(message, Listing):
        return Outcome.ANSWER, ""
    if message.rcode != wire.NOERROR:
        outcome = _RCODES.get(message.rcode, Outcome.ERROR)
        if outcome is not Outcome.ERROR:
            return outcome, ""
        return outcome, _RCODE_NAMES.get(message.rcode, f"RCODE{message.rcode}")
    wanted = _RECORDS.get(rtype, wire.Opaque)
    found = any(type(record) is wanted for record in message.answers)
    return (Outcome.ANSWER if found or message.truncated else Outcome.NO_DATA), ""


_RECORDS: dict[int, type[wire.Record]] = {
    wire.A: wire.Address,
    wire.AAAA: wire.Address,
    wire.SRV: wire.Srv,
    wire.PTR: wire.Pointer,
    wire.SOA: wire.Soa,
}
