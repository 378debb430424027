"""A query for a service, complete: equal queries give the same answers, and share their lookups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..dns.resolver import Resolver, ResolverProtocol
from ..names import Endpoint, ServiceName
from ..pod.environment import ResolvConfFile
from . import Source
from .headless_dns import HeadlessDNS
from .several_ports import SeveralPorts
from .static import parse_static

__all__ = ["RESOLVERS", "ServiceQuery", "resolver_class"]

RESOLVERS = ("builtin", "aiodns")


@dataclass(frozen=True, slots=True)
class ServiceQuery:
    """A service, and how it is looked up.

    Attributes:
        service: The service.
        static: The list of peers, for a static source; None for DNS.
        nameservers: The name servers to query; empty for those of resolv.conf at each lookup.
        port_names: The named ports to query; empty for every port.
        protocol: The protocol of the named ports.
        resolver: Sends the queries: ``builtin`` or ``aiodns``.
        clusters: Whether the pods' names contain their clusters' names.
        server_timeout: Seconds that ``aiodns`` waits for a server at first; None for two.
        known_nameservers: Those that resolv.conf had a moment ago; no part of the comparison.
    """

    service: ServiceName
    static: str | None = None
    nameservers: tuple[Endpoint, ...] = ()
    port_names: tuple[str, ...] = ()
    protocol: str = "tcp"
    resolver: str = "builtin"
    clusters: bool = False
    server_timeout: float | None = None
    known_nameservers: tuple[Endpoint, ...] = field(default=(), compare=False)

    def open(self) -> Source:
        """A source that makes the lookups; the caller closes it."""
        if self.static is not None:
            return parse_static(self.static, self.service)
        if len(self.port_names) > 1:
            return SeveralPorts([self._lookups_of(name) for name in self.port_names])
        return self._lookups_of(self.port_names[0] if self.port_names else None)

    def _lookups_of(self, port_name: str | None) -> HeadlessDNS:
        return HeadlessDNS(
            self.service,
            self.nameservers or ResolvConfFile(known=self.known_nameservers).nameservers,
            port_name=port_name,
            protocol=self.protocol,
            clusters=self.clusters,
            resolver=self.make_resolver,
        )

    def make_resolver(self, nameservers: Sequence[Endpoint]) -> ResolverProtocol:
        """The resolver that sends the queries to these name servers."""
        options = {"patience": self.server_timeout} if self.resolver == "aiodns" else {}
        return resolver_class(self.resolver)(nameservers, **options)


def resolver_class(name: str) -> Callable[..., ResolverProtocol]:
    """The class of a resolver in `RESOLVERS`.

    Raises:
        ImportError: The package that it requires is not installed.
    """
    if name == "aiodns":
        from ..dns.aiodns_resolver import AiodnsResolver  # noqa: PLC0415 - only where it is chosen

        return AiodnsResolver
    return Resolver
