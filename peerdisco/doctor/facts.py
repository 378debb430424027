"""The facts that the checks judge. Pure values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from ..dns import wire
from ..dns.evidence import shows_zone
from ..dns.fast_path import smallest_ttl
from ..membership.caching import Caching
from ..model import Observation, Outcome, Peer
from ..names import ServiceName
from ..pod.resolv_conf import ResolvConf

__all__ = [
    "LONG_TTL",
    "SERVICE",
    "VARIABLES",
    "Conflict",
    "DnsFacts",
    "Exchange",
    "Facts",
    "Known",
    "Lookup",
    "PodFacts",
    "Request",
    "ServerFacts",
    "Setting",
    "caching_of",
]

LONG_TTL = 60
"""Seconds for which a cache may hide a change, above which it is worth a warning."""

SERVICE = "SERVICE"
"""The setting that the argument of the command gives."""

VARIABLES = {
    SERVICE: "PEERDISCO_SERVICE",
    "--nameserver": "PEERDISCO_NAMESERVERS",
    "--cluster-domain": "PEERDISCO_CLUSTER_DOMAIN",
    "--resolver": "PEERDISCO_RESOLVER",
    "--statefulset": "PEERDISCO_STATEFULSET",
    "--cluster": "PEERDISCO_CLUSTER",
    "--port-name": "PEERDISCO_PORT_NAME",
    "--protocol": "PEERDISCO_PROTOCOL",
}
"""The settings that an option, or the argument `SERVICE`, and a variable give."""


@dataclass(frozen=True, slots=True)
class Known:
    """A value and its source.

    Attributes:
        value: The value as text.
        source: Where it comes from: a variable, a file or an option.
    """

    value: str
    source: str

    def __str__(self) -> str:
        return f"{self.value} ({self.source})"


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two sources that give different values for one fact.

    Attributes:
        fact: ``namespace``, ``cluster domain`` or ``addresses``.
        used: The value that wins.
        other: The value that is ignored.
    """

    fact: str
    used: Known
    other: Known


@dataclass(frozen=True, slots=True)
class PodFacts:
    """This pod, as it sees itself.

    Attributes:
        in_pod: Whether this is a pod of a cluster.
        host_network: Whether the pod uses its node's network.
        known: The facts of its identity by name: ``pod name``, ``namespace``, ``cluster domain``,
            ``service``, ``addresses``. A fact that is not known is not there.
        statefulset: The StatefulSet in the pod's name; None without an ordinal.
        ordinal: The ordinal in the pod's name; None without one.
        addresses: The pod's addresses.
        governing: The governing service's fully qualified name, as the kubelet wrote it into
            ``/etc/hosts``; None if it wrote none.
        missing: The fact that could not be determined, and the error in words; None if all of
            the required ones are known.
        conflicting: Whether the error is that two facts contradict each other.
        conflicts: Sources that contradict each other, of which one wins.
        resolv_conf: The settings of ``/etc/resolv.conf``.
    """

    in_pod: bool
    host_network: bool = False
    known: Mapping[str, Known] = field(default_factory=dict)
    statefulset: str | None = None
    ordinal: int | None = None
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    governing: str | None = None
    missing: tuple[str, str] | None = None
    conflicting: bool = False
    conflicts: tuple[Conflict, ...] = ()
    resolv_conf: ResolvConf = ResolvConf()  # noqa: RUF009 - immutable

    @property
    def pod_name(self) -> str | None:
        known = self.known.get("pod name")
        return None if known is None else known.value


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that an option or a variable gives.

    Attributes:
        values: Its values.
        source: The option, ``the argument``, or the variable.
        shadows: Whether a variable gives it another value, which the option wins over.
    """

    values: tuple[str, ...]
    source: str
    shadows: bool = False

    @property
    def by_option(self) -> bool:
        """Whether the command's line gives it, not a variable."""
        return not self.source.startswith("PEERDISCO_")


@dataclass(frozen=True, slots=True)
class Request:
    """What is examined.

    Attributes:
        service: The service; None if it is not known.
        unusable: The error if an option or a variable cannot be used, or the service is not known.
        statefulset: The StatefulSet that was chosen; None for all.
        port_names: The ports' names that were chosen; empty for all ports.
        protocol: The port's protocol.
        ordinal: The primary's ordinal.
        resolver: The resolver that lookups use.
        fixed_list: Whether the source is a fixed list, so that DNS is not used.
        settings: The settings that are given, by the names of their options or `SERVICE`; one that
            is left to its default is not there.
    """

    service: ServiceName | None
    unusable: str | None = None
    statefulset: str | None = None
    port_names: tuple[str, ...] = ()
    protocol: str = "tcp"
    ordinal: int = 0
    resolver: str = "builtin"
    fixed_list: bool = False
    settings: Mapping[str, Setting] = field(default_factory=dict)

    def values(self, name: str) -> tuple[str, ...]:
        """The values of a setting; empty if it is left to its default."""
        setting = self.settings.get(name)
        return () if setting is None else setting.values

    @property
    def service_source(self) -> str:
        """Where the name of the service comes from."""
        setting = self.settings.get(SERVICE)
        return "/etc/hosts" if setting is None else setting.source

    @property
    def options(self) -> dict[str, tuple[str, ...]]:
        """The options of the command, for the next one, but for those that a full name replaces."""
        return {
            name: setting.values
            for name, setting in self.settings.items()
            if name.startswith("--") and name != "--namespace" and setting.by_option
        }

    @property
    def zone(self) -> bytes | None:
        """The zone of the cluster, in wire form; None if it is not known."""
        if self.service is None or self.service.cluster_domain is None:
            return None
        return wire.name_from_text(self.service.cluster_domain)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question to one name server.

    Attributes:
        server: ``address:port``.
        transport: ``udp`` or ``tcp``.
        question: The name and the type, such as ``SRV my-database.default.svc.cluster.local.``.
        outcome: The outcome; a negative answer counts from any server here.
        at: The time of the reply, in seconds of a clock that never goes back.
        seconds: The duration.
        detail: Details of the outcome; empty if there are none.
        message: The reply; None without a readable one.
        size: Bytes of the reply.
    """

    server: str
    transport: str
    question: str
    outcome: Outcome
    at: float
    seconds: float
    detail: str = ""
    message: wire.Message | None = None
    size: int = 0

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.outcome.value} for {self.question} over {self.transport}{detail}"

    @property
    def truncated(self) -> bool:
        return self.message is not None and self.message.truncated

    @property
    def ttl(self) -> int | None:
        """The smallest TTL of the answer; None without records."""
        records = self.message.answers if self.message else []
        return smallest_ttl(record.ttl for record in records) if records else None

    @property
    def usable(self) -> bool:
        return self.outcome in (Outcome.ANSWER, Outcome.NO_DATA, Outcome.NXDOMAIN)


def caching_of(samples: Sequence[Exchange]) -> Caching:
    """What the TTLs of answers in a row show about caches."""
    caching = Caching()
    for sample in samples:
        if (ttl := sample.ttl) is not None:
            caching = caching.after(ttl, sample.at)
    return caching


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The replies of one name server.

    Attributes:
        name: ``address:port``.
        udp: The service's SRV records over UDP, with EDNS.
        plain: The same without EDNS.
        tcp: The same over TCP.
        absent: A name of the cluster that cannot exist, over UDP.
        root: The root's name servers, over UDP: whether the server resolves other names.
        addresses: The service's A and AAAA records, over UDP.
        samples: The service's records, asked several times, each from a new port.
    """

    name: str
    udp: Exchange
    plain: Exchange
    tcp: Exchange
    absent: Exchange
    root: Exchange
    addresses: tuple[Exchange, ...] = ()
    samples: tuple[Exchange, ...] = ()

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Each of them once."""
        return (
            self.udp,
            self.plain,
            self.tcp,
            self.absent,
            *self.addresses,
            *self.samples,
        )

    @property
    def replied(self) -> bool:
        """Whether any reply came."""
        return any(exchange.outcome.replied for exchange in self.exchanges)

    def serves(self, zone: bytes | None) -> bool | None:
        """Whether the server serves the zone of the cluster; None if its replies do not show it."""
        messages = [e.message for e in self.exchanges if e.message is not None]
        if zone is None:
            return None
        if any(shows_zone(message, zone) for message in messages):
            return True
        if self.absent.outcome in (Outcome.LAME, Outcome.REFUSED):
            return False
        if self.absent.outcome in (Outcome.NXDOMAIN, Outcome.NO_DATA):
            soa = self.absent.message.soa if self.absent.message else None
            return None if soa is None else False
        return None


@dataclass(frozen=True, slots=True)
class Lookup:
    """One lookup as the library makes it, and the peers that it found.

    Attributes:
        observation: The result.
        may_be_stale: Whether every answer had TTL 0.
    """

    observation: Observation
    may_be_stale: bool = False


@dataclass(frozen=True, slots=True)
class NamedPort:
    """A port that was chosen by its name.

    Attributes:
        name: Its name.
        lookup: The lookup of the pods with this port.
        candidates: Names that answer and may be the one that was meant, each with its protocol;
            empty if the lookup lists pods.
    """

    name: str
    lookup: Lookup
    candidates: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DnsFacts:
    """What DNS answered.

    Attributes:
        servers: The name servers, in order.
        lookup: The lookup of the whole service; None if it is not known.
        named_ports: The lookups of the chosen ports, in their order.
        own_addresses: The addresses of this pod's own name in DNS; None if that was not asked, or
            was not answered.
        own_names: The names of this pod's own addresses in DNS (PTR); None as above.
        nameless: Listed addresses without a name in DNS (PTR), of those that were asked.
        reversed_: Listed addresses whose names were asked.
        services: Services that answer and may be the one that was meant.
    """

    servers: tuple[ServerFacts, ...] = ()
    lookup: Lookup | None = None
    named_ports: tuple[NamedPort, ...] = ()
    own_addresses: tuple[IPv4Address | IPv6Address, ...] | None = None
    own_names: tuple[str, ...] | None = None
    nameless: tuple[str, ...] = ()
    reversed_: int = 0
    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the checks judge.

    Attributes:
        pod: This pod.
        request: What is examined.
        dns: What DNS answered.
        now: This machine's time: seconds since 1970.
        interval: Seconds between two lookups of a watcher.
    """

    pod: PodFacts
    request: Request
    dns: DnsFacts
    now: float
    interval: float = 2.0

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The peers of the whole service; empty if there are none or the lookup failed."""
        lookup = self.dns.lookup
        return getattr(lookup.observation, "peers", ()) if lookup is not None else ()

    @property
    def serving(self) -> tuple[ServerFacts, ...]:
        """The servers that serve the zone of the cluster, by their replies."""
        return tuple(s for s in self.dns.servers if s.serves(self.request.zone))
