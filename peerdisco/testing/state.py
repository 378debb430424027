"""The values of a testing cluster: immutable, and without behaviour that waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from ..exceptions import ConfigurationError
from ..names import dashed_address, is_label

__all__ = [
    "ClusterState",
    "Endpoint",
    "IPAddress",
    "Pod",
    "PodRecords",
    "Ports",
    "Service",
    "ServicePort",
]

IPAddress = IPv4Address | IPv6Address
ServiceKey = tuple[str, str]
"""Namespace and name."""

DEFAULT_PORT = 3306

PodRecords = Literal["disabled", "insecure"]
"""The option ``pods`` of CoreDNS's ``kubernetes`` plugin."""


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port as the EndpointSlice holds it: the pod's own number, the resolved ``targetPort``.

    Attributes:
        name: Empty for the only port of a service without port names.
        number: 1 to 65535.
        protocol: ``TCP``, ``UDP`` or ``SCTP``.
    """

    name: str = ""
    number: int = DEFAULT_PORT
    protocol: str = "TCP"

    def __post_init__(self) -> None:
        if self.name and not is_label(self.name):
            raise ConfigurationError("port name", self.name, "lower-case letters, digits, dashes")
        if not 0 < self.number < 65536:
            raise ConfigurationError("port", self.number, "a number from 1 to 65535")
        if self.protocol not in {"TCP", "UDP", "SCTP"}:
            raise ConfigurationError("protocol", self.protocol, "TCP, UDP or SCTP")


Ports = int | Mapping[str, int] | Iterable[ServicePort]
"""Ports as an argument: a number, a mapping of names to numbers, or `ServicePort` objects."""


@dataclass(frozen=True, slots=True)
class Service:
    """A headless service.

    Attributes:
        name: The name of the service.
        namespace: The namespace of the service.
        ports: Empty for a service without ports: DNS then has addresses and no SRV records.
        publish_not_ready_addresses: Whether pods are listed before they are ready.
    """

    name: str
    namespace: str = "default"
    ports: tuple[ServicePort, ...] = (ServicePort(),)
    publish_not_ready_addresses: bool = False

    def __post_init__(self) -> None:
        check_label("service", self.name)
        check_label("namespace", self.namespace)

    @property
    def key(self) -> ServiceKey:
        return self.namespace, self.name


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of one pod, as one entry of an EndpointSlice.

    Attributes:
        address: A slice holds addresses of one family, so an endpoint has one address.
        hostname: The host name; None for a name made of the address.
        ready: Whether the pod is ready.
        ports: Its ports; those of the service, unless a named ``targetPort`` differs by pod.
        cluster: The id of its cluster, for a multi-cluster service; else None.
    """

    address: IPAddress
    hostname: str | None = None
    ready: bool = True
    ports: tuple[ServicePort, ...] = ()
    cluster: str | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Its name below the service: the host name, else the address with dashes; the cluster."""
        host = self.hostname or dashed_address(self.address)
        return (host,) if self.cluster is None else (host, self.cluster)


@dataclass(frozen=True, slots=True, eq=False)
class ClusterState:
    """The data of DNS at one moment; immutable.

    Attributes:
        cluster_domain: Without the trailing dot.
        ttl: The TTL of every record in seconds.
        serial: The serial of the zone; it grows with each change.
        services: The published endpoints of each service, in slice order.
        pods: Whether names made of an address are answered.
    """

    cluster_domain: str
    ttl: int
    serial: int
    services: Mapping[ServiceKey, tuple[Endpoint, ...]]
    pods: PodRecords = "disabled"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a StatefulSet at one moment.

    Attributes:
        name: ``STATEFULSET-ORDINAL``.
        ordinal: The ordinal.
        hostname: The fully qualified name under the governing service, without the trailing dot.
        addresses: One address of each family.
        ready: Whether the pod is ready.
    """

    name: str
    ordinal: int
    hostname: str
    addresses: tuple[IPAddress, ...]
    ready: bool


def to_ports(ports: Ports) -> tuple[ServicePort, ...]:
    """Ports from an argument, with the checks of Kubernetes."""
    if isinstance(ports, int):
        return (ServicePort(number=ports),)
    if isinstance(ports, Mapping):
        given = tuple(ServicePort(name, number) for name, number in ports.items())
    else:
        given = tuple(ports)
    names = [port.name for port in given]
    if len(given) > 1 and (not all(names) or len(set(names)) < len(names)):
        raise ConfigurationError("ports", names, "a different name for each of several ports")
    return given


def to_addresses(addresses: Iterable[str | IPAddress]) -> tuple[IPAddress, ...]:
    try:
        given = tuple(ip_address(address) for address in addresses)
    except ValueError:
        given = ()
    if not given or isinstance(addresses, str):
        raise ConfigurationError("addresses", addresses, "a list of one or more IP addresses")
    return given


def check_label(what: str, name: str) -> None:
    if not is_label(name):
        raise ConfigurationError(what, name, "at most 63 lower-case letters, digits and dashes")
