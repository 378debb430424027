"""The options that `discover`, `Discovery`, their blocking twins and the command share.

For each of them an explicit argument wins over a variable, and a variable over what is detected.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ..exceptions import ConfigurationError, IdentityConflict, IdentityError
from ..membership.snapshots import SnapshotBuilder
from ..model import Identity, PrimaryPolicy
from ..names import PROTOCOLS, ServiceName, is_label, parse_port_name, parse_protocol
from ..pod.environment import PodEnvironment
from ..pod.identity import local_identity
from ..pod.service import find_service
from ..pod.settings import (
    find_cluster_domain,
    find_nameservers,
    find_server_timeout,
    find_statefulset,
)
from ..primary.policies import ordinal
from . import Source
from .query import RESOLVERS, ServiceQuery, resolver_class
from .static import parse_static

__all__ = ["TIMEOUT", "LookupOptions", "LookupPlan"]

TIMEOUT = 5.0
"""Seconds a lookup may take by default: several rounds of queries to three name servers."""


@dataclass(frozen=True, slots=True)
class LookupPlan:
    """The lookup that the options describe in this pod.

    Attributes:
        target: The query to send; or the caller's own source, which makes the lookups itself.
        builder: Turns the peers of an answer into a snapshot.
    """

    target: ServiceQuery | Source
    builder: SnapshotBuilder

    @property
    def service(self) -> str:
        """The service's fully qualified name, without the trailing dot."""
        if isinstance(self.target, ServiceQuery):
            return self.target.service.fqdn
        return self.target.service

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Source]:
        """A source for the block. The caller's own source stays open after it."""
        if not isinstance(self.target, ServiceQuery):
            yield self.target
            return
        source = self.target.open()
        try:
            yield source
        finally:
            await source.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupOptions:
    """The options of a lookup as the caller gave them; `peerdisco.discover` documents each one.

    None, or an empty list of name servers, stands for an option that was not given.
    """

    service: str | None = None
    namespace: str | None = None
    cluster_domain: str | None = None
    statefulset: str | None = None
    cluster: str | None = None
    port_name: str | Sequence[str] | None = None
    protocol: str | None = None
    primary: PrimaryPolicy | None = None
    identity: Identity | None = None
    nameservers: Sequence[str] = ()
    resolver: str | None = None
    source: Source | str | None = None

    def plan(self, pod: PodEnvironment) -> LookupPlan:
        """Complete the options from the pod's environment.

        Raises:
            IdentityError: A part of the service's name is required and not known.
            IdentityConflict: Two facts about this pod contradict each other.
            ConfigurationError: An argument or a variable has an invalid value.
        """
        statefulset = find_statefulset(self.statefulset, pod)
        cluster = _find_cluster(self.cluster, pod)
        target: ServiceQuery | Source
        service: ServiceName | None = None
        if isinstance(self.source, Source):
            target = self.source
            self._reject("a Source object", "service", "namespace", "cluster_domain", *_DNS_ONLY)
        else:
            service = find_service(self.service, self.namespace, self.cluster_domain, pod)
            target = self._query(self.source, service, cluster, pod)
        identity = self.identity
        if identity is None:
            identity = self._detect_identity(service, pod)
        policy = self.primary or ordinal(0)
        return LookupPlan(target, SnapshotBuilder(identity, statefulset, policy, cluster))

    def _query(
        self, source: str | None, service: ServiceName, cluster: str | None, pod: PodEnvironment
    ) -> ServiceQuery:
        text = source or pod.variable("PEERDISCO_SOURCE") or "dns"
        kind, _, peers = text.partition(":")
        if kind == "static" and peers:
            self._reject("a static source", *_DNS_ONLY)
            parse_static(peers, service)
            return ServiceQuery(service, static=peers)
        if text != "dns":
            what = "source" if source else "PEERDISCO_SOURCE"
            raise ConfigurationError(what, text, "'dns' or 'static:NAME=IP[:PORT],...'")
        port_names, protocol = _find_ports(self.port_name, self.protocol, pod)
        return ServiceQuery(
            service,
            nameservers=find_nameservers(self.nameservers, pod),
            port_names=port_names,
            protocol=protocol,
            resolver=_find_resolver(self.resolver, pod),
            clusters=service.spans_clusters or cluster is not None,
            server_timeout=find_server_timeout(pod),
            known_nameservers=pod.resolv_conf.nameservers,
        )

    def _reject(self, source: str, *options: str) -> None:
        """Reject options that this kind of source would silently ignore."""
        for name in options:
            value = getattr(self, name)
            if value:
                raise ConfigurationError(name, value, f"no {name} with {source}, which ignores it")

    def _detect_identity(self, service: ServiceName | None, pod: PodEnvironment) -> Identity | None:
        """The identity of this pod; None if it is not known.

        A pod with the node's network and without a service account does not show its namespace:
        it is taken to be in the namespace of the service that it looks up.
        """
        try:
            return local_identity(pod_environment=pod)
        except IdentityConflict:
            raise
        except IdentityError as error:
            if error.missing != "namespace" or service is None or service.namespace is None:
                return None
        domain = self.cluster_domain
        if domain is None and find_cluster_domain(None, pod) is None and not service.spans_clusters:
            domain = service.cluster_domain
        return local_identity(
            namespace=service.namespace, cluster_domain=domain, pod_environment=pod
        )


_DNS_ONLY = ("port_name", "protocol", "nameservers", "resolver")
"""The options that only a lookup over DNS uses."""


def _find_cluster(given: str | None, pod: PodEnvironment) -> str | None:
    """The cluster whose pods are listed; None for every cluster.

    Raises:
        ConfigurationError: It is not a cluster's name.
    """
    chosen = given or pod.variable("PEERDISCO_CLUSTER") or None
    if chosen is not None and not is_label(chosen):
        what = "cluster" if given else "PEERDISCO_CLUSTER"
        raise ConfigurationError(what, chosen, "a cluster's name, such as 'east'")
    return chosen


def _find_ports(
    port_name: str | Sequence[str] | None, protocol: str | None, pod: PodEnvironment
) -> tuple[tuple[str, ...], str]:
    """The named ports to query, none of them for every port, and their protocol.

    Raises:
        ConfigurationError: One of them is invalid, or there is a protocol without a port name.
    """
    what, what_protocol = "port name", "protocol"
    names = [port_name] if isinstance(port_name, str) else list(port_name or ())
    if not all(isinstance(name, str) for name in names):
        raise ConfigurationError("port_name", port_name, "the name of a port, or several")
    if not names:
        what = "PEERDISCO_PORT_NAME"
        variable = pod.variable(what)
        names = [] if variable is None else [name.strip() for name in variable.split(",")]
    if protocol is None:
        what_protocol = "PEERDISCO_PROTOCOL"
        protocol = pod.variable(what_protocol)
    known = parse_protocol(protocol, what_protocol) if protocol else PROTOCOLS[0]
    if not names and protocol:
        raise ConfigurationError(
            what_protocol, protocol, "a port's name with it (port_name=, --port-name)"
        )
    return tuple(dict.fromkeys(parse_port_name(name, what) for name in names)), known


def _find_resolver(given: str | None, pod: PodEnvironment) -> str:
    """The resolver to use, which is installed.

    Raises:
        ConfigurationError: There is no such resolver, or it is not installed.
    """
    what = "resolver" if given else "PEERDISCO_RESOLVER"
    name = given or pod.variable("PEERDISCO_RESOLVER") or "builtin"
    if name not in RESOLVERS:
        raise ConfigurationError(what, name, " or ".join(map(repr, RESOLVERS)))
    try:
        resolver_class(name)
    except ImportError as error:
        raise ConfigurationError(
            what,
            name,
            f"'builtin', or the package installed: pip install 'peerdisco[aiodns]' ({error})",
        ) from None
    return name
