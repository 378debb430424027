"""Queries each name server on its own, and gathers the replies. Every wait has a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from ..dns import wire
from ..dns.evidence import judge
from ..dns.transport import TcpConnection, exchange_udp
from ..model import Outcome
from ..names import Endpoint, ServiceName
from ..timing.stalls import TimeLimit
from .facts import LONG_TTL, Exchange, ServerFacts, caching_of

__all__ = ["Timing", "examine_server"]

_NS = 2
_ABSENT = "peerdisco-doctor-absent"
"""A service that cannot exist: the reply names the zone."""
_TYPES = {**wire.TYPE_NAMES, _NS: "NS"}


@dataclass(frozen=True, slots=True)
class Timing:
    """The time limits, and the pauses between samples.

    Attributes:
        timeout: Seconds that one query may take.
        burst: Queries for the service in a row, each from a new port, which may reach another
            replica of the name server.
        later: Further queries, one after each pause.
        longest: The same if their TTL is long, until they show whether a cache counts it down.
        pause: Seconds between them. A cache counts its TTLs down meanwhile.
    """

    timeout: float = 2.0
    burst: int = 6
    later: int = 2
    longest: int = 5
    pause: float = 1.1


class _Reply(NamedTuple):
    message: wire.Message
    size: int


async def examine_server(server: Endpoint, service: ServiceName, timing: Timing) -> ServerFacts:
    """Query one name server; a query without a reply takes `Timing.timeout` seconds."""
    name = wire.name_from_text(service.fqdn)
    domain = service.cluster_domain or service.fqdn.partition(".")[2] or service.fqdn
    space = f"{service.namespace}.svc.{domain}" if service.namespace else domain
    absent = wire.name_from_text(f"{_ABSENT}.{space}")
    client = _Client(server, timing.timeout)
    async with asyncio.TaskGroup() as group:

        def ask(
            name: bytes, rtype: int, *, tcp: bool = False, edns: bool = True
        ) -> asyncio.Task[Exchange]:
            return group.create_task(client.ask(name, rtype, tcp=tcp, edns=edns))

        udp, plain = ask(name, wire.SRV), ask(name, wire.SRV, edns=False)
        tcp = ask(name, wire.SRV, tcp=True)
        both = [ask(name, wire.A), ask(name, wire.AAAA)]
        unknown, root = ask(absent, wire.SRV), ask(b"\0", _NS)
    ways = (udp.result(), plain.result(), tcp.result())
    return ServerFacts(
        name=str(server),
        udp=ways[0],
        plain=ways[1],
        tcp=ways[2],
        absent=unknown.result(),
        root=root.result(),
        addresses=tuple(task.result() for task in both),
        samples=await _samples(client, name, ways, timing),
    )


async def _samples(
    client: _Client, name: bytes, ways: tuple[Exchange, Exchange, Exchange], timing: Timing
) -> tuple[Exchange, ...]:
    """The service's records, several times; none from a server that does not answer."""
    udp, plain, tcp = ways
    usable = [way for way in (udp, tcp, plain) if way.usable]
    if not usable:
        return ()
    whole = next((way for way in usable if not way.truncated), usable[0])
    rtype = wire.A if whole.outcome is Outcome.NO_DATA else wire.SRV

    def ask() -> Awaitable[Exchange]:
        return client.ask(name, rtype, tcp=whole is tcp, edns=whole is not plain)

    samples = list(await asyncio.gather(*(ask() for _ in range(timing.burst))))
    for number in range(timing.longest):
        if not samples[-1].outcome.replied or (number >= timing.later and _decided(samples)):
            break
        await asyncio.sleep(timing.pause)
        samples.append(await ask())
    return tuple(samples)


def _decided(samples: list[Exchange]) -> bool:
    """Whether the answers show if there is a cache, or none could hide a change for long."""
    caching = caching_of(samples)
    return caching.largest <= LONG_TTL or caching.counts_down or caching.none_seen


class _Client:
    """Sends single queries to one name server."""

    def __init__(self, server: Endpoint, timeout: float) -> None:
        self._server = server
        self._timeout = timeout

    async def ask(
        self, name: bytes, rtype: int, *, tcp: bool = False, edns: bool = True
    ) -> Exchange:
        """One query, and its reply or the reason why there is none."""
        now = asyncio.get_running_loop().time
        question = wire.query(0, name, rtype, payload=wire.EDNS_PAYLOAD if edns else None)
        reader = _reader(wire.Question(name, rtype, wire.IN))
        exchange = self._tcp if tcp else self._udp
        start = now()
        reply: _Reply | None = None
        detail = ""
        try:
            async with TimeLimit(self._timeout):
                reply = await exchange(question, reader)
            outcome, detail = judge(reply.message, name, rtype, None, True)
        except TimeoutError as error:
            outcome, detail = Outcome.TIMEOUT, str(error)
        except wire.MalformedMessage as error:
            outcome, detail = Outcome.MALFORMED, str(error)
        except OSError as error:
            outcome, detail = Outcome.UNREACHABLE, (error.strerror or str(error)).lower()
        return Exchange(
            server=str(self._server),
            transport="tcp" if tcp else "udp",
            question=f"{_TYPES[rtype]} {wire.name_to_text(name).removesuffix('.')}.",
            outcome=outcome,
            at=now(),
            seconds=now() - start,
            detail=detail,
            message=reply.message if reply else None,
            size=reply.size if reply else 0,
        )

    async def _udp(self, question: bytes, read: Callable[[bytes, bytes], _Reply | None]) -> _Reply:
        return await exchange_udp(self._server, question, read)

    async def _tcp(self, question: bytes, read: Callable[[bytes, bytes], _Reply | None]) -> _Reply:
        connection = await TcpConnection.open(self._server)
        try:
            return await connection.exchange(question, read)
        finally:
            connection.abort()
            await connection.aclose()


def _reader(asked: wire.Question) -> Callable[[bytes, bytes], _Reply | None]:
    """Reads a reply to a question, or an error that does not repeat it."""

    def read(question: bytes, reply: bytes) -> _Reply | None:
        if not wire.answers_to(reply, question):
            return None
        repeated = wire.question_of(reply)
        if repeated not in (asked, None):
            return None
        message = wire.read(reply)
        if repeated is None and message.rcode in (wire.NOERROR, wire.NXDOMAIN):
            return None
        return _Reply(message, len(reply))

    return read
