"""The contenders: each finds the names and addresses of its pods, in its own way.

Each is an async context manager that gives a function: one lookup. What it sets up before is kept
from lookup to lookup, as an application would keep it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiodns
import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.rdatatype
import pycares

from peerdisco.dns.aiodns_resolver import AiodnsResolver
from peerdisco.dns.resolver import Resolver, ResolverProtocol
from peerdisco.exceptions import DiscoveryError
from peerdisco.membership.snapshots import SnapshotBuilder
from peerdisco.model import Peer
from peerdisco.names import Endpoint, parse_service
from peerdisco.sources.headless_dns import HeadlessDNS
from peerdisco.sources.once import snapshot_from_observation

from . import golang, network
from .floor import Bare, Floor
from .services import Service

AT_ONCE = 100
"""Questions for addresses that are under way, for those who have to ask name by name."""

TIMEOUT = 20.0
"""Seconds a lookup may take."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a lookup has found.

    Attributes:
        names: How many pods by name.
        addresses: How many pods with an address.
        complete: Whether it says that it found everything; None where it does not say.
    """

    names: int
    addresses: int
    complete: bool | None = None


NOTHING = Found(0, 0)

GO = "Go"

Lookup = Callable[[], Awaitable[Found]]
Contender = Callable[[Service, Endpoint], AbstractAsyncContextManager[Lookup]]


@asynccontextmanager
async def floor(service: Service, server: Endpoint) -> AsyncIterator[Lookup]:
    """One bare exchange, and one for each address that is missing."""
    bare = await Bare.connect(server)
    its = Floor(bare, service)

    async def lookup() -> Found:
        return _found(await its.lookup())

    yield lookup
    bare.transport.abort()


@asynccontextmanager
async def peerdisco(
    service: Service,
    server: Endpoint,
    resolver: Callable[[Sequence[Endpoint]], ResolverProtocol] = Resolver,
) -> AsyncIterator[Lookup]:
    """What `discover` does, with the source kept, as a watcher keeps it."""
    source = HeadlessDNS(parse_service(service.fqdn), [server], resolver=resolver)
    view = SnapshotBuilder()
    counted: tuple[tuple[Peer, ...], int] = ((), 0)
    """The peers of the last lookup, and how many of them have an address."""

    async def lookup() -> Found:
        nonlocal counted
        try:
            snapshot = snapshot_from_observation(
                await source.observe(timeout=TIMEOUT), source.service, view
            )
        except DiscoveryError:
            return NOTHING
        if snapshot.peers is not counted[0]:
            counted = snapshot.peers, sum(1 for peer in snapshot if peer.addresses)
        return Found(len(snapshot), counted[1], snapshot.complete)

    yield lookup
    await source.aclose()


def peerdisco_on_aiodns(service: Service, server: Endpoint) -> AbstractAsyncContextManager[Lookup]:
    """The same with ``resolver="aiodns"``."""
    return peerdisco(service, server, AiodnsResolver)


@asynccontextmanager
async def dnspython(service: Service, server: Endpoint) -> AsyncIterator[Lookup]:
    """SRV with glue, and a question for each address that is missing."""
    resolver = _dnspython(server)

    async def address(name: str) -> list[str]:
        try:
            return [record.address for record in await resolver.resolve(name, "A")]
        except dns.exception.DNSException:
            return []

    async def lookup() -> Found:
        try:
            answer = await resolver.resolve(f"{service.fqdn}.", "SRV")
        except dns.exception.DNSException:
            return NOTHING
        found: dict[str, list[str]] = {str(record.target): [] for record in answer}
        for rrset in answer.response.additional:
            if rrset.rdtype == dns.rdatatype.A and str(rrset.name) in found:
                found[str(rrset.name)] += [record.address for record in rrset]
        return _found(await _completed(found, address))

    yield lookup


@asynccontextmanager
async def dnspython_srv(service: Service, server: Endpoint) -> AsyncIterator[Lookup]:
    """SRV alone: names, and what `dns.asyncresolver` reads of it."""
    resolver = _dnspython(server)

    async def lookup() -> Found:
        try:
            answer = await resolver.resolve(f"{service.fqdn}.", "SRV")
        except dns.exception.DNSException:
            return NOTHING
        return Found(len(answer), 0)

    yield lookup


@asynccontextmanager
async def aiodns_fresh(service: Service, server: Endpoint) -> AsyncIterator[Lookup]:
    """SRV with glue and what is missing; by a fresh resolver, since its cache hides changes."""

    async def lookup() -> Found:
        async with aiodns.DNSResolver(
            nameservers=[server.address], udp_port=server.port, tcp_port=server.port
        ) as resolver:

            async def address(name: str) -> list[str]:
                try:
                    result = await resolver.query_dns(name, "A")
                except aiodns.error.DNSError:
                    return []
                return [record.data.addr for record in result.answer]

            try:
                result = await resolver.query_dns(service.fqdn, "SRV")
            except aiodns.error.DNSError:
                return NOTHING
            found: dict[str, list[str]] = {record.data.target: [] for record in result.answer}
            for record in result.additional:
                if record.type == pycares.QUERY_TYPE_A and record.name in found:
                    found[record.name].append(record.data.addr)
            return _found(await _completed(found, address))

    yield lookup


@asynccontextmanager
async def getaddrinfo(service: Service, server: Endpoint) -> AsyncIterator[Lookup]:
    """The C library's way, in a thread as asyncio does it: addresses, and no names."""
    loop = asyncio.get_running_loop()

    async def lookup() -> Found:
        try:
            found = await loop.getaddrinfo(f"{service.fqdn}.", 3306, type=socket.SOCK_STREAM)
        except socket.gaierror:
            return NOTHING
        return Found(0, len({address[0] for *_, address in found}))

    yield lookup


def go(kind: str) -> Contender:
    """Go's own resolver, in a process that is kept: SRV and the address of each, or ``host``."""

    @asynccontextmanager
    async def contender(service: Service, server: Endpoint) -> AsyncIterator[Lookup]:
        async with golang.running(service, server, kind) as process:

            async def lookup() -> Found:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(b"\n")
                names, addresses = (await process.stdout.readline()).split()
                return Found(int(names), int(addresses))

            yield lookup

    return contender


CONTENDERS: dict[str, Contender] = {
    "floor": floor,
    "peerdisco": peerdisco,
    "peerdisco on aiodns": peerdisco_on_aiodns,
    "aiodns": aiodns_fresh,
    "dnspython": dnspython,
    "dnspython, SRV alone": dnspython_srv,
    "getaddrinfo": getaddrinfo,
    GO: go("srv"),
    "Go, LookupHost": go("host"),
}


def missing(who: str) -> str | None:
    """Why this contender cannot take part here; None if it can."""
    if who == "getaddrinfo" and network.directory() is None:
        return network.WITHOUT
    if who.startswith(GO) and golang.TOOLCHAIN is None:
        return golang.WITHOUT
    return None


def _dnspython(server: Endpoint) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [dns.nameserver.Do53Nameserver(server.address, server.port)]
    resolver.lifetime = TIMEOUT
    return resolver


async def _completed(
    found: dict[str, list[str]], address: Callable[[str], Awaitable[list[str]]]
) -> dict[str, list[str]]:
    """With the addresses that were missing, each asked for by its name."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def ask(name: str) -> None:
        async with slots:
            found[name] = await address(name)

    await asyncio.gather(*(ask(name) for name, addresses in found.items() if not addresses))
    return found


def _found(pods: Mapping[str, Iterable[Any]]) -> Found:
    return Found(len(pods), sum(1 for addresses in pods.values() if addresses))
