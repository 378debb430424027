"""The DNS source: lookups of a headless service.

CoreDNS and kube-dns have SRV records at the service's bare name. The Kubernetes DNS specification
promises them only for ``_port._proto`` names, which ``port_name=`` queries.
`peerdisco.sources.service_lookup` makes each lookup.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ..dns import wire
from ..dns.resolver import Resolver, ResolverProtocol
from ..model import Answered, Failed, Observation
from ..names import Endpoint, ServiceName, parse_port_name, parse_protocol, srv_prefix
from .large.questions import EnumerationState
from .leftovers import Leftovers
from .peer_factory import PeerFactory
from .service_lookup import LookupContext, ServiceLookup
from .usual_answer import UsualAnswer

__all__ = ["HeadlessDNS"]

_log = logging.getLogger(__name__)

_MOST_LOGGED = 1000
"""The most names that are logged as not being peers: a broken server must not fill a log."""


class HeadlessDNS:
    """Looks up a headless service over DNS.

    It belongs to one event loop, and keeps a TCP connection between lookups once an answer was too
    large for UDP. Close it with `aclose`.

    Args:
        service: The service.
        nameservers: Queried in order until one answers; or a function that returns them before
            each lookup.
        port_name: Query only this named port; None for every port, without their names.
        protocol: The named port's protocol: ``tcp``, ``udp`` or ``sctp``.
        clusters: Whether the pods' names contain their clusters' names (KEP-1645); None to derive
            it from the service's domain.
        resolver: Makes the resolver that sends the queries.

    Raises:
        ConfigurationError: The port name or the protocol is invalid, or too long for DNS.
    """

    def __init__(
        self,
        service: ServiceName,
        nameservers: Sequence[Endpoint] | Callable[[], Sequence[Endpoint]],
        *,
        port_name: str | None = None,
        protocol: str = "tcp",
        clusters: bool | None = None,
        resolver: Callable[[Sequence[Endpoint]], ResolverProtocol] = Resolver,
    ) -> None:
        self._service = service
        self._port_name = None if port_name is None else parse_port_name(port_name)
        self._protocol = parse_protocol(protocol)
        prefix = "" if self._port_name is None else srv_prefix(self._port_name, self._protocol)
        self._srv_name = wire.name_from_text(prefix + service.fqdn)
        self._zone = _zone_of(service)
        self._peer_factory = PeerFactory(
            service.fqdn,
            self._port_name,
            clusters=service.spans_clusters if clusters is None else clusters,
        )
        self._nameservers = nameservers if callable(nameservers) else None
        self._resolver = resolver(nameservers() if callable(nameservers) else nameservers)
        self._context = LookupContext(
            service.fqdn,
            self._srv_name,
            None if self._port_name is None else (self._port_name, self._protocol),
            self._peer_factory,
            self._resolver,
            UsualAnswer(self._srv_name, self._peer_factory.suffix),
            EnumerationState(),
        )
        self._large = False
        self._refreshes = 0
        self._verified = 0
        """The value of `_refreshes` at the start of the last lookup that verified every pod."""
        self._logged: set[str] = set()
        """The names that were logged as not being peers."""

    @property
    def service(self) -> str:
        return self._service.fqdn

    @property
    def port_name(self) -> str | None:
        """The named port that is queried; None for every port."""
        return self._port_name

    async def aclose(self) -> None:
        """Close the kept connections."""
        await self._resolver.aclose()

    def forget(self) -> None:
        """Forget earlier answers, so that the next lookup reads everything again.

        This changes the cost of a lookup, and not its result. Connections are kept.
        """
        self._peer_factory.forget()
        self._context = self._context._replace(
            usual=UsualAnswer(self._srv_name, self._peer_factory.suffix), state=EnumerationState()
        )

    def refresh(self) -> None:
        """Verify every pod in the next lookup, whatever earlier lookups learned.

        Most lookups of a service that is too large for one answer verify only a part.
        """
        self._refreshes += 1

    async def observe(self, *, timeout: float) -> Observation:
        """Look up the service once; see `peerdisco.sources.Source`."""
        if self._nameservers is not None:
            self._resolver.use(self._nameservers())
        self._resolver.begin(self._zone)
        refreshes = self._refreshes
        whole = refreshes > self._verified
        lookup = ServiceLookup(self._context, timeout, self._large, whole=whole)
        try:
            observation = await lookup.run()
        finally:
            self._large = lookup.large
        if not isinstance(observation, Failed):
            self._verified = max(self._verified, refreshes)
        if isinstance(observation, Answered) and lookup.leftovers:
            self._log(lookup.leftovers)
        return observation

    def _log(self, leftovers: Leftovers) -> None:
        """Log the records that name no peer, each name once."""
        for name, why in leftovers.found.items():
            if name not in self._logged and len(self._logged) < _MOST_LOGGED:
                self._logged.add(name)
                _log.warning("%s: not a peer: %s: %s", self.service, name, why)


def _zone_of(service: ServiceName) -> bytes | None:
    """The zone whose servers may answer that the service has no pods; None if not known.

    For a name outside a cluster this is the domain of its last two labels; above it there are only
    registries and the root.
    """
    domain = service.cluster_domain
    if domain is None:
        labels = service.fqdn.split(".")
        domain = ".".join(labels[-2:]) if len(labels) > 2 else None
    return None if domain is None else wire.name_from_text(domain)
