"""A peer of the service, its ports, and the identity of this pod."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from .errors import ConfigurationError

__all__ = ["Identity", "Peer", "Ports", "in_order"]


class Ports(Mapping[str, int]):
    """The ports of a peer: name to number, immutable and hashable.

    The key of a port without a name, or with a name that DNS does not send, is ``""``.
    If DNS sends several numbers without names (SRV records of the bare service name), the key of
    each port is its number as text. A port's name may look like a number, too: with
    ``port_name="3306"`` the key is ``"3306"``, whatever the number is. The value is always the
    port number. Unknown ports (number 0 in DNS, or a service without ports) are not included.
    """

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Mapping[str, int] | Iterable[tuple[str, int]] = ()) -> None:
        self._numbers = dict(numbers)

    @classmethod
    def of_numbers(cls, numbers: Iterable[int], name: str = "") -> Ports:
        """The ports of a peer, from their numbers and the name of the only one, if it has one."""
        known = sorted({number for number in numbers if number})
        if len(known) == 1:
            return cls({name: known[0]})
        return cls({str(number): number for number in known})

    def __getitem__(self, name: str) -> int:
        return self._numbers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __hash__(self) -> int:
        return hash(frozenset(self._numbers.items()))

    def __repr__(self) -> str:
        return f"Ports({self._numbers!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        """For pydantic: a mapping of names to numbers."""
        from pydantic_core import core_schema as schemas  # noqa: PLC0415 - pydantic calls this

        numbers = schemas.dict_schema(schemas.str_schema(), schemas.int_schema())
        written = schemas.plain_serializer_function_ser_schema(dict, return_schema=numbers)
        return schemas.no_info_after_validator_function(cls, numbers, serialization=written)


@dataclass(frozen=True, slots=True)
class Peer:
    """One pod behind the service.

    Attributes:
        name: The pod's name (``mysql-0``). If the pod has no host name in DNS, it is the address
            with dashes (``10-244-0-3``), as CoreDNS writes it.
        ordinal: The pod's ordinal in the StatefulSet; None if the name has none.
        statefulset: The StatefulSet's name (``mysql``); None if the name has no ordinal.
        hostname: The fully qualified name without the trailing dot.
        addresses: The pod's addresses, IPv4 first, then by number; empty if unknown.
        ports: The port numbers by port name, or by ``""``; see `Ports`.
        ready: Whether the pod is Ready; None if the source does not know. DNS does not: with
            ``publishNotReadyAddresses`` it lists pods that are not ready, too.
        cluster: The pod's cluster, behind a multi-cluster service (KEP-1645); None behind any
            other service. Two clusters may have pods with the same name: see `unique_name`.
    """

    name: str
    ordinal: int | None
    statefulset: str | None
    hostname: str
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    ports: Ports = Ports()  # noqa: RUF009 - immutable
    ready: bool | None = None
    cluster: str | None = None

    @property
    def unique_name(self) -> str:
        """The name, with the cluster if there is one (``mysql-0.east``): unique in a service."""
        return self.name if self.cluster is None else f"{self.name}.{self.cluster}"

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The first address; None if the addresses are unknown."""
        return self.addresses[0] if self.addresses else None

    @property
    def port(self) -> int | None:
        """The peer's only port number; None if it has no port or several (see `ports`)."""
        return next(iter(self.ports.values())) if len(self.ports) == 1 else None

    @property
    def endpoint(self) -> str | None:
        """``address:port`` with the first address and the only port: ``10.244.0.3:3306``.

        An IPv6 address is in brackets, ``[fd00::3]:3306`` (RFC 3986, 3.2.2). None if the addresses
        are unknown, or the peer has no port or several; `url` chooses one.
        """
        return None if self.port is None else self.url(self.port)

    def url(self, port: int | str, *, scheme: str | None = None) -> str | None:
        """``address:port`` as in a URL, with the first address: ``10.244.0.3:3306``.

        Args:
            port: A port number, or the name of one of the peer's `ports`.
            scheme: Such as ``http``, for the whole URL: ``http://[fd00::3]:8080``.

        Returns:
            The text; None if the addresses are unknown, or the peer has no port of this name.

        Raises:
            ConfigurationError: The number is not a port from 1 to 65535.
        """
        number = self.ports.get(port) if isinstance(port, str) else _port_number(port)
        if number is None or self.address is None:
            return None
        host = str(self.address) if self.address.version == 4 else f"[{self.address}]"
        return f"{host}:{number}" if scheme is None else f"{scheme}://{host}:{number}"

    def as_dict(self) -> dict[str, object]:
        """The peer in the JSON format of the commands, as one of the ``peers`` of a snapshot."""
        return {
            "name": self.name,
            "ordinal": self.ordinal,
            "statefulset": self.statefulset,
            "hostname": self.hostname,
            "addresses": [str(address) for address in self.addresses],
            "ports": dict(self.ports),
            "ready": self.ready,
            "cluster": self.cluster,
        }

    def __str__(self) -> str:
        return self.unique_name


def _port_number(port: object) -> int:
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
        raise ConfigurationError("port", port, "a port from 1 to 65535, or the name of a port")
    return port


def _position(peer: Peer) -> tuple[bool, int, str, str]:
    """The sort key of `in_order`."""
    return (peer.ordinal is None, peer.ordinal or 0, peer.name, peer.cluster or "")


class _InOrder(tuple[Peer, ...]):
    """A tuple of peers that `in_order` has sorted.

    A snapshot is copied after each poll and for each reader. Its type marks the tuple as sorted,
    so that the copy is not sorted again: for 5000 peers 4 microseconds instead of 500.
    ``python -m tests.benchmarks.costs`` measures it.
    """

    __slots__ = ()


def in_order(peers: Iterable[Peer]) -> tuple[Peer, ...]:
    """The peers sorted by ordinal, name and cluster; those without an ordinal are last."""
    return peers if isinstance(peers, _InOrder) else _InOrder(sorted(peers, key=_position))


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of this pod.

    Attributes:
        pod_name: The pod's name.
        namespace: The pod's namespace.
        ordinal: The pod's ordinal in the StatefulSet; None if the name has none.
        statefulset: The StatefulSet's name; None if the name has no ordinal.
        service: The governing service's name, ``spec.serviceName``; None if unknown.
        cluster_domain: The cluster's DNS domain (``cluster.local``); None if unknown.
        hostname: The pod's fully qualified name in DNS, without the trailing dot; None unless
            service and cluster domain are known.
        addresses: The pod's own addresses, IPv4 first; empty if unknown.
    """

    pod_name: str
    namespace: str
    ordinal: int | None = None
    statefulset: str | None = None
    service: str | None = None
    cluster_domain: str | None = None
    hostname: str | None = None
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()

    def __post_init__(self) -> None:
        given: object = self.addresses
        if isinstance(given, str | bytes):
            raise ConfigurationError("addresses", self.addresses, "a tuple of IP addresses")
