"""The state of a small cluster: headless services and their endpoints.

Pure: no sockets, no clock, no random numbers. A change is in the next answer. There is a lock
because the server may run on a thread of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol, get_args

from ..exceptions import ConfigurationError
from ..names import parse_domain
from .state import (
    DEFAULT_PORT,
    ClusterState,
    Endpoint,
    IPAddress,
    PodRecords,
    Ports,
    Service,
    ServiceKey,
    ServicePort,
    check_label,
    to_addresses,
    to_ports,
)
from .statefulset import StatefulSet

__all__ = ["Cluster", "ManualEndpoint"]

_FIRST_ADDRESS = 3
"""In the pod network of a node, .1 is the bridge and .2 is often the DNS server."""
_POOLS: dict[str, IPAddress] = {
    "ipv4": IPv4Address("10.244.0.0"),
    "ipv6": IPv6Address("fd00:10:244::"),
}
_FIRST_SERIAL = 1_700_000_000
"""CoreDNS uses the Unix time of the last change; here each change adds one."""


class _Provider(Protocol):
    """An object that has endpoints behind a service."""

    def endpoints(self, service: Service) -> Iterable[Endpoint]: ...


class Cluster:
    """Headless services and their endpoints.

    Any thread may change it at any time. Each change is visible at once; those within
    ``with cluster.changing():`` become visible together.

    Args:
        cluster_domain: The DNS domain of the cluster.
        ttl: The TTL of every record in seconds: 5 is the default of CoreDNS, kubeadm sets 30.
        pods: ``disabled``, or ``insecure`` to answer every name of the form
            ``10-244-0-3.default.pod.cluster.local`` with the address in it.

    Raises:
        ConfigurationError: Here and in every method: a name, number or address that Kubernetes
            would refuse, a duplicate, or something that does not exist.
    """

    def __init__(
        self,
        cluster_domain: str = "cluster.local",
        ttl: int = 5,
        pods: PodRecords = "disabled",
    ) -> None:
        if not 0 <= ttl <= 3600:
            raise ConfigurationError("ttl", ttl, "0 to 3600 seconds, the range of CoreDNS")
        if pods not in get_args(PodRecords):
            raise ConfigurationError("pods", pods, "'disabled' or 'insecure'")
        self.cluster_domain = parse_domain(cluster_domain)
        self.pods = pods
        self.ttl = ttl
        self._lock = threading.RLock()
        self._changes = 0
        self._addresses = 0
        self._state: ClusterState | None = None
        self._services: dict[ServiceKey, Service] = {}
        self._behind: dict[ServiceKey, list[_Provider]] = {}
        self._statefulsets: dict[tuple[str, str, str | None], StatefulSet] = {}

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Make several changes appear as one.

        A server on another thread does not answer meanwhile: query it after the block.
        """
        with self._lock:
            try:
                yield
            finally:
                self._changes += 1
                self._state = None

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Prevent other threads from changing anything within the block."""
        with self._lock:
            yield

    def state(self) -> ClusterState:
        """The data that DNS has now."""
        with self._lock:
            if self._state is None:
                self._state = ClusterState(
                    self.cluster_domain,
                    self.ttl,
                    _FIRST_SERIAL + self._changes,
                    {key: self._published(service) for key, service in self._services.items()},
                    self.pods,
                )
            return self._state

    def _published(self, service: Service) -> tuple[Endpoint, ...]:
        return tuple(
            endpoint
            for provider in self._behind[service.key]
            for endpoint in provider.endpoints(service)
            if endpoint.ready or service.publish_not_ready_addresses
        )

    # --- services

    def service(
        self,
        name: str,
        namespace: str = "default",
        ports: Ports = DEFAULT_PORT,
        publish_not_ready_addresses: bool = False,
    ) -> Service:
        """Create a headless service without endpoints."""
        service = Service(name, namespace, to_ports(ports), publish_not_ready_addresses)
        with self.changing():
            if service.key in self._services:
                raise ConfigurationError(
                    "service", name, f"a name that is not used in the namespace {namespace!r}"
                )
            self._services[service.key] = service
            self._behind.setdefault(service.key, [])
        return service

    def delete_service(self, name: str, namespace: str = "default") -> None:
        """Delete a service; its pods keep running, but DNS no longer lists them under its name."""
        with self.changing():
            key = self._existing(name, namespace).key
            del self._services[key], self._behind[key]

    def services(self) -> tuple[Service, ...]:
        """The services, in the order of their creation."""
        with self._lock:
            return tuple(self._services.values())

    def put_behind(
        self,
        name: str,
        namespace: str,
        provider: _Provider,
        ports: Ports | None = None,
        publish_not_ready_addresses: bool | None = None,
    ) -> Service:
        """Add endpoints to a service, which is created if it does not exist."""
        with self.changing():
            service = self._services.get((namespace, name))
            if service is None:
                service = self.service(
                    name,
                    namespace,
                    DEFAULT_PORT if ports is None else ports,
                    bool(publish_not_ready_addresses),
                )
            elif publish_not_ready_addresses not in (None, service.publish_not_ready_addresses):
                raise ConfigurationError(
                    "publish_not_ready_addresses",
                    publish_not_ready_addresses,
                    f"{service.publish_not_ready_addresses}, as the service {name!r} has it",
                )
            self._behind[service.key].append(provider)
            return service

    def take_away(self, provider: _Provider) -> None:
        """Remove endpoints from every service; does nothing if they are already removed."""
        with self.changing():
            for key in [key for key, value in self._statefulsets.items() if value is provider]:
                del self._statefulsets[key]
            for providers in self._behind.values():
                if provider in providers:
                    providers.remove(provider)

    # --- endpoints

    def statefulset(
        self,
        name: str,
        service: str,
        replicas: int = 3,
        namespace: str = "default",
        *,
        ports: Ports | None = None,
        first_ordinal: int = 0,
        ready: bool = True,
        families: Sequence[str] = ("ipv4",),
        publish_not_ready_addresses: bool | None = None,
        governing_service: str | None = None,
        cluster: str | None = None,
    ) -> StatefulSet:
        """Create a StatefulSet whose pods the service selects.

        Args:
            name: The name of the StatefulSet; the pods are ``NAME-ORDINAL``.
            service: The headless service. It is created if it does not exist. A service
                may select several StatefulSets.
            replicas: The number of pods.
            namespace: The namespace of both.
            ports: The pods' ports: a number, or name to number, or ``()`` for none. By default
                those of the service, and 3306 if the service is created too.
            first_ordinal: ``spec.ordinals.start``.
            ready: Whether new pods are ready at once.
            families: ``("ipv4",)``, ``("ipv6",)`` or ``("ipv4", "ipv6")``.
            publish_not_ready_addresses: As in the service's specification; False by default.
            governing_service: ``spec.serviceName``, if it is not ``service``. Then ``service``
                lists the pods under names made of their addresses: only the governing service
                has their host names.
            cluster: The id of the cluster in which the pods run, for a multi-cluster service
                (KEP-1645); the server's ``cluster_domain`` is then ``clusterset.local``. Each
                cluster may have a StatefulSet of the same name.
        """
        with self.changing():
            check_label("StatefulSet", name)
            if not families or set(families) - set(_POOLS) or len(set(families)) < len(families):
                raise ConfigurationError("families", families, "'ipv4', 'ipv6' or both, each once")
            if cluster is not None:
                check_label("cluster", cluster)
            if (namespace, name, cluster) in self._statefulsets:
                raise ConfigurationError(
                    "StatefulSet", name, f"a name that is not used in the namespace {namespace!r}"
                )
            statefulset = StatefulSet(
                self,
                name,
                namespace,
                governing_service or service,
                families,
                first_ordinal,
                ready,
                None if ports is None else to_ports(ports),
                cluster,
            )
            statefulset.scale(replicas)
            self.put_behind(service, namespace, statefulset, ports, publish_not_ready_addresses)
            self._statefulsets[namespace, name, cluster] = statefulset
            return statefulset

    def endpoint(
        self,
        service: str,
        hostname: str | None = None,
        addresses: Iterable[str | IPAddress] | None = None,
        ready: bool = True,
        ports: Ports | None = None,
        namespace: str = "default",
        *,
        cluster: str | None = None,
    ) -> ManualEndpoint:
        """Add an endpoint without a StatefulSet to a service.

        For example, a pod of a Deployment (without a host name), or a manually written slice. The
        same host name or address may be given twice, as it happens while the controller moves a
        pod between slices.

        Args:
            service: The name of the service; it is created if it does not exist.
            hostname: The host name; None for a name made of the address.
            addresses: By default the next free IPv4 address.
            ready: Whether the pod is ready.
            ports: By default those of the service.
            namespace: The namespace of the service.
            cluster: The id of its cluster, for a multi-cluster service.
        """
        if cluster is not None:
            check_label("cluster", cluster)
        if hostname is not None:
            check_label("hostname", hostname)
        given = self.new_addresses(("ipv4",)) if addresses is None else to_addresses(addresses)
        numbers = None if ports is None else to_ports(ports)
        endpoint = ManualEndpoint(self, hostname, given, ready, numbers, cluster)
        self.put_behind(service, namespace, endpoint, ports)
        return endpoint

    def new_addresses(self, families: Sequence[str]) -> tuple[IPAddress, ...]:
        """The addresses of a new pod, one of each family; no address is used twice."""
        with self._lock:
            offset = _FIRST_ADDRESS + self._addresses
            self._addresses += 1
            return tuple(_POOLS[family] + offset for family in families)

    def _existing(self, name: str, namespace: str) -> Service:
        if (namespace, name) not in self._services:
            known = ", ".join(f"{name} in {space}" for space, name in self._services) or "none"
            raise ConfigurationError("service", name, f"one that exists ({known})")
        return self._services[namespace, name]


class ManualEndpoint:
    """An endpoint without a StatefulSet, made by `Cluster.endpoint`."""

    def __init__(
        self,
        cluster: Cluster,
        hostname: str | None,
        addresses: tuple[IPAddress, ...],
        ready: bool,
        ports: tuple[ServicePort, ...] | None,
        in_cluster: str | None = None,
    ) -> None:
        self._cluster = cluster
        self._in_cluster = in_cluster
        self.hostname = hostname
        self.addresses = addresses
        self.ready = ready
        self._ports = ports

    def set_ready(self, ready: bool) -> None:
        """Make it ready, or not."""
        with self._cluster.changing():
            self.ready = ready

    def remove(self) -> None:
        """Remove it; a second call does nothing."""
        self._cluster.take_away(self)

    def endpoints(self, service: Service) -> Iterator[Endpoint]:
        """Its entries in the slices of the service."""
        ports = service.ports if self._ports is None else self._ports
        for address in self.addresses:
            yield Endpoint(address, self.hostname, self.ready, ports, self._in_cluster)
