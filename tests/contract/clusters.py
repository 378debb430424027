"""The servers that a lookup is tested against: the testing DNS, BIND, and a CoreDNS if named."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from peerdisco.names import Endpoint, parse_nameserver
from peerdisco.testing import Cluster as Pods
from peerdisco.testing import ClusterDNS, StatefulSet
from tests import bind, coredns

SERVICE = "my-database.default.svc.cluster.local"
TTL = 30


@dataclass(frozen=True)
class Wanted:
    """The service that a server is to have, with pods ``db-0`` and so on.

    Attributes:
        pods: How many.
        ports: Whether it has a port, 3306 under the name ``mysql``.
        dual_stack: Whether the pods have IPv6 addresses too.
    """

    pods: int = 3
    ports: bool = True
    dual_stack: bool = False


class Cluster(Protocol):
    """A server with one headless service."""

    @property
    def nameserver(self) -> Endpoint: ...

    def scale(self, pods: int) -> None:
        """Add or take away pods at the end."""
        ...

    def addresses(self, ordinal: int) -> list[str]:
        """The addresses of a pod, IPv4 first."""
        ...


def _statefulset(cluster: ClusterDNS | Pods, wanted: Wanted) -> StatefulSet:
    return cluster.statefulset(
        "db",
        service="my-database",
        replicas=wanted.pods,
        ports={"mysql": 3306} if wanted.ports else (),
        families=("ipv4", "ipv6") if wanted.dual_stack else ("ipv4",),
    )


class _Testing:
    def __init__(self, dns: ClusterDNS, wanted: Wanted) -> None:
        self._dns = dns
        self._pods = _statefulset(dns, wanted)

    @property
    def nameserver(self) -> Endpoint:
        return parse_nameserver(self._dns.nameserver)

    def scale(self, pods: int) -> None:
        self._pods.scale(pods)

    def addresses(self, ordinal: int) -> list[str]:
        return [str(address) for address in self._pods.pod(ordinal).addresses]


class _CoreDns:
    def __init__(self, server: coredns.CoreDns, pods: StatefulSet) -> None:
        self._server = server
        self._pods = pods

    @property
    def nameserver(self) -> Endpoint:
        return self._server.endpoint

    def scale(self, pods: int) -> None:
        self._pods.scale(pods)
        self._server.publish()

    def addresses(self, ordinal: int) -> list[str]:
        return [str(address) for address in self._pods.pod(ordinal).addresses]


class _Bind:
    def __init__(self, server: bind.Bind, service: bind.HeadlessService, pods: int) -> None:
        self._server = server
        self._service = service
        self._pods = pods

    @property
    def nameserver(self) -> Endpoint:
        return self._server.endpoint

    def scale(self, pods: int) -> None:
        before, self._pods = self._pods, pods
        self._server.update(
            add=self._service.records(range(before, pods)),
            remove=self._service.records(range(pods, before)),
            ttl=TTL,
        )

    def addresses(self, ordinal: int) -> list[str]:
        return [str(address) for address in self._service.addresses(ordinal)]


@asynccontextmanager
async def _testing(wanted: Wanted, directory: Path) -> AsyncIterator[Cluster]:
    async with ClusterDNS(ttl=TTL) as dns:
        yield _Testing(dns, wanted)


@asynccontextmanager
async def _bind(wanted: Wanted, directory: Path) -> AsyncIterator[Cluster]:
    bind.require_named()
    service = bind.HeadlessService(
        port=3306 if wanted.ports else None,
        port_name="mysql",
        dual_stack=wanted.dual_stack,
        ttl=TTL,
    )
    with bind.serving(service.zones(range(wanted.pods)), directory) as server:
        yield _Bind(server, service, wanted.pods)


@asynccontextmanager
async def _coredns(wanted: Wanted, directory: Path) -> AsyncIterator[Cluster]:
    cluster = Pods(ttl=TTL)
    pods = _statefulset(cluster, wanted)
    with coredns.serving(cluster, directory) as server:
        yield _CoreDns(server, pods)


CLUSTERS: dict[str, Callable[[Wanted, Path], AbstractAsyncContextManager[Cluster]]] = {
    "testing": _testing,
    "bind": _bind,
}
if coredns.missing() is None:
    CLUSTERS["coredns"] = _coredns
