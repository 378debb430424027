"""What to look at, and how: chosen from arguments, the environment and the pod's files.

An explicit argument wins over a variable, a variable over what is detected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..dns.resolver import Resolver, ResolverProtocol
from ..exceptions import ConfigurationError, IdentityConflict, IdentityError
from ..membership.snapshots import SnapshotBuilder
from ..model import Identity, PrimaryPolicy
from ..names import (
    PROTOCOLS,
    Endpoint,
    ServiceName,
    is_label,
    parse_port_name,
    parse_protocol,
)
from ..pod.environment import PodEnvironment, ResolvConfFile
from ..pod.identity import local_identity
from ..pod.service import find_service
from ..pod.settings import find_nameservers, find_statefulset
from ..primary.policies import ordinal
from . import Source
from .headless_dns import HeadlessDNS
from .static import parse_static

__all__ = ["ServiceQuery", "choose_snapshot_builder"]


@dataclass(frozen=True, slots=True)
class ServiceQuery:
    """A service, and the way to look at it. Equal ones see the same.

    Attributes:
        service: The service.
        static: The peers, where they are given and not looked up; None for DNS.
        nameservers: Whom to ask; empty for those of resolv.conf, whatever it says at the time.
        port_name: The named port to ask for; None for all.
        protocol: The named port's protocol.
        resolver: What asks the name servers: ``builtin`` or ``aiodns``.
        clusters: Whether the pods' names hold their clusters'.
    """

    service: ServiceName
    static: str | None = None
    nameservers: tuple[Endpoint, ...] = ()
    port_name: str | None = None
    protocol: str = "tcp"
    resolver: str = "builtin"
    clusters: bool = False

    @classmethod
    def choose(
        cls,
        service: str | None,
        *,
        namespace: str | None = None,
        cluster_domain: str | None = None,
        port_name: str | None = None,
        protocol: str | None = None,
        nameservers: Sequence[str] = (),
        source: str | None = None,
        resolver: str | None = None,
        cluster: str | None = None,
        pod_environment: PodEnvironment,
    ) -> ServiceQuery:
        """The target; arguments and errors are those of `peerdisco.discover`.

        The cluster is as `choose_snapshot_builder` chose it.
        """
        name = find_service(service, namespace, cluster_domain, pod_environment)
        text = source or pod_environment.variable("PEERDISCO_SOURCE") or "dns"
        kind, _, rest = text.partition(":")
        if kind == "static" and rest:
            reject_unused_arguments(
                "a static source",
                port_name=port_name,
                protocol=protocol,
                nameservers=nameservers,
                resolver=resolver,
            )
            parse_static(rest, name)
            return cls(name, static=rest)
        if text != "dns":
            what = "source" if source else "PEERDISCO_SOURCE"
            raise ConfigurationError(what, text, "'dns' or 'static:NAME=IP[:PORT],...'")
        port = _choose_port(port_name, protocol, pod_environment)
        servers = find_nameservers(nameservers, pod_environment)
        clusters = name.spans_clusters or cluster is not None
        return cls(name, None, servers, *port, find_resolver(resolver, pod_environment), clusters)

    def open(self) -> Source:
        """A source that looks at it; the caller closes it."""
        if self.static is not None:
            return parse_static(self.static, self.service)
        return HeadlessDNS(
            self.service,
            self.nameservers or ResolvConfFile().nameservers,
            port_name=self.port_name,
            protocol=self.protocol,
            clusters=self.clusters,
            resolver=_resolver_of(self.resolver),
        )


def _choose_port(
    port_name: str | None, protocol: str | None, pod_environment: PodEnvironment
) -> tuple[str | None, str]:
    """The named port to ask for, None for all, and its protocol.

    Raises:
        ConfigurationError: One of them is none, or there is a protocol and no name.
    """
    what, what_protocol = "port name", "protocol"
    if port_name is None:
        what = "PEERDISCO_PORT_NAME"
        port_name = pod_environment.variable(what) or None
    if protocol is None:
        what_protocol = "PEERDISCO_PROTOCOL"
        protocol = pod_environment.variable("PEERDISCO_PROTOCOL")
    known = parse_protocol(protocol, what_protocol) if protocol else PROTOCOLS[0]
    if port_name is None:
        if protocol:
            raise ConfigurationError(
                what_protocol, protocol, "a port's name with it (port_name=, --port-name)"
            )
        return None, known
    return parse_port_name(port_name, what), known


def find_resolver(given: str | None, pod_environment: PodEnvironment) -> str:
    """What is to ask the name servers, which is installed.

    Raises:
        ConfigurationError: There is no such resolver, or it is not installed.
    """
    what = "resolver" if given else "PEERDISCO_RESOLVER"
    name = given or pod_environment.variable("PEERDISCO_RESOLVER") or "builtin"
    if name not in ("builtin", "aiodns"):
        raise ConfigurationError(what, name, "'builtin' or 'aiodns'")
    try:
        _resolver_of(name)
    except ImportError as error:
        raise ConfigurationError(
            what,
            name,
            f"'builtin', or the package installed: pip install 'peerdisco[aiodns]' ({error})",
        ) from None
    return name


def _resolver_of(name: str) -> Callable[[Sequence[Endpoint]], ResolverProtocol]:
    if name == "aiodns":
        from ..dns.aiodns_resolver import AiodnsResolver  # noqa: PLC0415 - only where it is chosen

        return AiodnsResolver
    return Resolver


def reject_unused_arguments(source: str, **arguments: object) -> None:
    """Refuse arguments that this source would pass over in silence.

    Raises:
        ConfigurationError: One of them was given.
    """
    for name, value in arguments.items():
        if value:
            raise ConfigurationError(
                name, value, f"nothing beside {source}, which has no use for it"
            )


def choose_snapshot_builder(
    statefulset: str | None,
    policy: PrimaryPolicy | None,
    identity: Identity | None,
    pod_environment: PodEnvironment,
    *,
    namespace: str | None = None,
    cluster_domain: str | None = None,
    cluster: str | None = None,
) -> SnapshotBuilder:
    """From where to look; arguments and errors are those of `peerdisco.discover`.

    Where nothing else tells this pod's namespace, it is the one that is given for the service: a
    pod with the node's network and without a service account shows none.
    """
    chosen = find_statefulset(statefulset, pod_environment)
    chosen_cluster = _find_cluster(cluster, pod_environment)
    if identity is None:
        try:
            identity = local_identity(pod_environment=pod_environment)
        except IdentityConflict:
            raise
        except IdentityError as error:
            if error.missing == "namespace" and namespace is not None:
                identity = local_identity(
                    namespace=namespace,
                    cluster_domain=cluster_domain,
                    pod_environment=pod_environment,
                )
    return SnapshotBuilder(identity, chosen, policy or ordinal(0), chosen_cluster)


def _find_cluster(given: str | None, pod_environment: PodEnvironment) -> str | None:
    """The cluster whose pods are to be listed; None for every one."""
    chosen = given or pod_environment.variable("PEERDISCO_CLUSTER") or None
    if chosen is not None and not is_label(chosen):
        what = "cluster" if given else "PEERDISCO_CLUSTER"
        raise ConfigurationError(what, chosen, "a cluster's name, such as 'east'")
    return chosen
