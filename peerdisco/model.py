"""The values that everything else speaks in: frozen, slotted, and without behaviour that waits.

The way of the data is one direction: a source makes an `Observation`, the observation becomes a
`Snapshot`, and a snapshot answers every question about the membership.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from typing import Annotated, Any

from .exceptions import AmbiguousPrimary, ConfigurationError, DiscoveryError, IncompleteAnswer

__all__ = [
    "Answered",
    "Attempt",
    "Change",
    "Empty",
    "Failed",
    "Identity",
    "Observation",
    "Outcome",
    "Peer",
    "Ports",
    "PrimaryPolicy",
    "Snapshot",
]


_MOST_HOLES = 10_000
"""Kubernetes clusters of more pods than this in one StatefulSet are not known."""


class Outcome(Enum):
    """What became of one question to one name server."""

    ANSWER = "answer"
    """Records of the type that was asked for."""
    NO_DATA = "no data"
    """The name exists and has no record of this type (RFC 2308, 2.2)."""
    NXDOMAIN = "NXDOMAIN"
    """There is no such name, or no pod behind it is ready (Kubernetes DNS specification 2.4.1)."""
    FOREIGN = "foreign answer"
    """No data or NXDOMAIN, from a server that does not serve the zone of the cluster as far as it
    shows: a failure, since such a server says the same of every name in it."""
    LAME = "lame referral"
    """No records, from a server that refers to others and does not resolve (RFC 2308, 2.2): a
    failure."""
    SERVFAIL = "SERVFAIL"
    """The server could not find out; CoreDNS says so until it has seen the Kubernetes API."""
    REFUSED = "REFUSED"
    """The server does not serve this zone, or not to us."""
    ERROR = "error"
    """Any other response code; the attempt's detail names it."""
    TIMEOUT = "timeout"
    """Nothing came in time."""
    MALFORMED = "malformed"
    """Something came that is no DNS answer to the question."""
    UNREACHABLE = "unreachable"
    """The operating system refused the exchange (connection refused, no route)."""

    @property
    def replied(self) -> bool:
        """Whether a name server sent anything at all, an error too."""
        return self not in (Outcome.TIMEOUT, Outcome.UNREACHABLE)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One question put to one name server: what a failure is explained with.

    Attributes:
        server: ``address:port``; several with commas between them where the resolver does not
            tell which of them it was.
        transport: ``udp`` or ``tcp``.
        name: The name that was asked for, fully qualified, with its trailing dot.
        type: The record type (``SRV``, ``A``, ``AAAA``, ``PTR``).
        outcome: What became of it.
        seconds: How long it took.
        detail: What the outcome alone does not say; empty if there is nothing to add.
    """

    server: str
    transport: str
    name: str
    type: str
    outcome: Outcome
    seconds: float
    detail: str = ""

    def __str__(self) -> str:
        detail = f", {self.detail}" if self.detail else ""
        return (
            f"{self.outcome.value} from {self.server} for {self.type} {self.name} "
            f"over {self.transport} after {self.seconds:.3f} s{detail}"
        )


class Ports(Mapping[str, int]):
    """The ports of a peer: name to number, immutable and hashable.

    A port without a name, or one whose name DNS did not tell, stands under ``""``.
    Where DNS told several numbers and no names (SRV of the bare service name), each stands under
    its own number as text. A service may call a port by a number too: with ``port_name="3306"``
    the key is that name, whatever the number is. The number of a port is always the value.
    Ports that are not known (DNS said 0, or the service declares none) are not in it.
    """

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Mapping[str, int] | Iterable[tuple[str, int]] = ()) -> None:
        self._numbers = dict(numbers)

    @classmethod
    def of_numbers(cls, numbers: Iterable[int], name: str = "") -> Ports:
        """The ports of a peer of which only the numbers, and at most one name, are known."""
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
        name: The pod's name (``mysql-0``). Where DNS tells no host name it is the address with
            dashes (``10-244-0-3``), as CoreDNS writes it.
        ordinal: Its number in the StatefulSet; None if the name has none.
        statefulset: The StatefulSet's name (``mysql``); None if the name has no ordinal.
        hostname: The fully qualified name without the trailing dot.
        addresses: IPv4 first, then by number; empty if the addresses are not known.
        ports: Port name, or ``""``, to number; see `Ports`.
        ready: Whether the pod is Ready; None where the source cannot tell. DNS cannot: with
            ``publishNotReadyAddresses`` it lists pods that are not ready too.
        cluster: The cluster that the pod is in, behind a multi-cluster service (KEP-1645); None
            behind any other. Two clusters may have pods of one name: see `unique_name`.
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
        """The name, with the cluster where there is one (``mysql-0.east``): unique in a service."""
        return self.name if self.cluster is None else f"{self.name}.{self.cluster}"

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The first address; None if none is known."""
        return self.addresses[0] if self.addresses else None

    @property
    def port(self) -> int | None:
        """The peer's one port; None if it has none or several (then choose from `ports`)."""
        return next(iter(self.ports.values())) if len(self.ports) == 1 else None

    def __str__(self) -> str:
        return self.unique_name


(
    _set_name,
    _set_ordinal,
    _set_statefulset,
    _set_hostname,
    _set_addresses,
    _set_ports,
    _set_ready,
    _set_cluster,
) = (vars(Peer)[field].__set__ for field in Peer.__slots__)


def new_peer(
    name: str,
    ordinal: int | None,
    statefulset: str | None,
    hostname: str,
    addresses: tuple[IPv4Address | IPv6Address, ...],
    ports: Ports,
    cluster: str | None = None,
) -> Peer:
    """`Peer`, in little more than half of the time; of which a source makes thousands.

    The initialiser of a frozen dataclass looks up each field's slot by its name.
    """
    peer = object.__new__(Peer)
    _set_name(peer, name)
    _set_ordinal(peer, ordinal)
    _set_statefulset(peer, statefulset)
    _set_hostname(peer, hostname)
    _set_addresses(peer, addresses)
    _set_ports(peer, ports)
    _set_ready(peer, None)
    _set_cluster(peer, cluster)
    return peer


def _position(peer: Peer) -> tuple[bool, int, str, str]:
    """The one total order: by ordinal, name and cluster; peers without an ordinal come last."""
    return (peer.ordinal is None, peer.ordinal or 0, peer.name, peer.cluster or "")


class _InOrder(tuple[Peer, ...]):
    """Peers that stand in their order, so that a snapshot of thousands need not sort them again."""

    __slots__ = ()


def in_order(peers: Iterable[Peer]) -> tuple[Peer, ...]:
    """The peers in the one total order: by ordinal, name and cluster; without an ordinal last."""
    return _InOrder(sorted(peers, key=_position))


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this pod is.

    Attributes:
        pod_name: The pod's name.
        namespace: Its namespace.
        ordinal: Its number in the StatefulSet; None if the name has none.
        statefulset: The StatefulSet's name; None if the name has no ordinal.
        service: The governing service's name, ``spec.serviceName``; None if not known.
        cluster_domain: The cluster's DNS domain (``cluster.local``); None if not known.
        hostname: The fully qualified name under which the peers find this pod, without the
            trailing dot; None unless service and cluster domain are known.
        addresses: The pod's own addresses, IPv4 first; empty if not known.
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


class _NotData:
    """For pydantic: a value that stays with the object and is written as null."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        from pydantic_core import core_schema as schemas  # noqa: PLC0415 - pydantic calls this

        written = schemas.plain_serializer_function_ser_schema(
            lambda _: None, return_schema=schemas.none_schema(), when_used="json"
        )
        return schemas.any_schema(serialization=written)


_NOT_ANSWERED = "no lookup has been answered yet"
"""Why a membership that is not known is not complete."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The membership at one moment: iterable, sized, ``in`` by name.

    Attributes:
        service: The service's fully qualified name without the trailing dot.
        peers: In one total order: by ordinal, name and cluster; those without an ordinal last.
        statefulset: The StatefulSet whose ordinals count; None if there is only one, or none was
            chosen.
        first_ordinal: ``spec.ordinals.start`` of that StatefulSet: where `missing` begins, and the
            ordinal of the primary unless a policy says otherwise.
        observed_at: When the source answered (UTC); None before its first answer.
        age: Seconds between that answer and the moment this snapshot was handed out.
        incomplete_reason: Why the list may be incomplete; None if it is the whole list. Before the
            first answer the reason is that there was none; see `known`.
        last_error: Why the newest look failed; None if it did not.
        may_be_stale: Whether every answer so far came with TTL 0: then a zone that is configured
            with it cannot be told from a cache that serves an old list.
        unconfirmed: The peers here that the newest answers do not confirm: they do not list the
            peer, or list it with another address, and nothing is certain yet. While answers are
            incomplete a departure cannot be observed; a peer that they have not listed for as long
            as a departure takes is here until an answer is complete, or lists it.
        identity: Who this pod is; None if not known.
        policy: Picks the primary; None for the peer of `first_ordinal`.
        cluster: The cluster whose ordinals count, behind a multi-cluster service; None if none was
            chosen.
        left_out: The peers behind the service that are not listed, because another StatefulSet or
            another cluster was chosen.
    """

    service: str
    peers: tuple[Peer, ...] = ()
    statefulset: str | None = None
    first_ordinal: int = 0
    observed_at: datetime | None = field(default=None, compare=False)
    age: float = field(default=0.0, compare=False)
    incomplete_reason: str | None = None
    last_error: DiscoveryError | None = field(default=None, compare=False)
    may_be_stale: bool = False
    unconfirmed: tuple[Peer, ...] = field(default=(), compare=False)
    identity: Identity | None = field(default=None, repr=False)
    policy: Annotated[PrimaryPolicy | None, _NotData] = field(
        default=None, repr=False, compare=False
    )
    cluster: str | None = None
    left_out: tuple[Peer, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        if type(self.peers) is not _InOrder:
            object.__setattr__(self, "peers", in_order(self.peers))
        if not self.known:
            object.__setattr__(self, "incomplete_reason", self.incomplete_reason or _NOT_ANSWERED)
        elif self.incomplete_reason == _NOT_ANSWERED:  # `dataclasses.replace` hands it on
            object.__setattr__(self, "incomplete_reason", None)

    def __iter__(self) -> Iterator[Peer]:
        return iter(self.peers)

    def __len__(self) -> int:
        return len(self.peers)

    def __contains__(self, name: object) -> bool:
        return any(name in (peer.name, peer.unique_name, peer) for peer in self.peers)

    def name_of(self, peer: Peer) -> str:
        """What to call a peer so that no other one here is called the same.

        Its name, with the cluster behind it (``mysql-0.east``) unless one cluster was chosen.
        """
        return peer.name if self.cluster is not None else peer.unique_name

    @property
    def known(self) -> bool:
        """Whether the membership is known: a lookup was answered.

        Unknown is not empty: before the first answer, and after a first lookup that failed, there
        are no peers here, and nothing says that there are none. A snapshot that is made without
        `observed_at`, in a test for instance, counts as known if it has peers.
        """
        return self.observed_at is not None or bool(self.peers)

    @property
    def complete(self) -> bool:
        """Whether this is the whole list; see `incomplete_reason`. False until it is `known`."""
        return self.incomplete_reason is None

    @property
    def stale(self) -> bool:
        """Whether the newest look failed, so that this is what an earlier one saw."""
        return self.last_error is not None

    @property
    def members(self) -> tuple[Peer, ...]:
        """The peers whose ordinals count: those of `statefulset`, or of the only one there is.

        Each cluster counts its own, so behind a multi-cluster service one has to be chosen, even
        while the pods of only one are listed: those of another may just be out of reach.

        Raises:
            AmbiguousPrimary: Several StatefulSets stand behind the service and none was chosen; or
                it is a multi-cluster service, and no cluster was.
        """
        members = tuple(peer for peer in self.peers if peer.ordinal is not None)
        clusters = {peer.cluster for peer in members if peer.cluster is not None}
        if self.cluster is not None:
            members = tuple(peer for peer in members if peer.cluster == self.cluster)
        elif clusters:
            first = tuple(peer for peer in members if peer.ordinal == self.first_ordinal)
            seen = {peer.statefulset for peer in members if peer.statefulset is not None}
            raise AmbiguousPrimary(
                self.first_ordinal, first, tuple(sorted(seen)), tuple(sorted(clusters))
            )
        if self.statefulset is not None:
            return tuple(peer for peer in members if peer.statefulset == self.statefulset)
        seen = {peer.statefulset for peer in members if peer.statefulset is not None}
        if len(seen) > 1:
            first = tuple(peer for peer in members if peer.ordinal == self.first_ordinal)
            raise AmbiguousPrimary(self.first_ordinal, first, tuple(sorted(seen)))
        return members

    @property
    def primary(self) -> Peer | None:
        """The peer that the policy picks; by default the one of `first_ordinal`.

        None while it is absent: no other peer takes its place. In an incomplete snapshot None may
        also mean that the answer was cut before it.

        Raises:
            AmbiguousPrimary: As for `members`.
        """
        if self.policy is not None:
            return self.policy(self)
        return self.by_ordinal(self.first_ordinal)

    @property
    def local(self) -> Peer | None:
        """This pod among the peers; None if it is not listed or not known who it is.

        A pod that is not ready is not listed, unless the service publishes not-ready addresses.
        Behind a multi-cluster service nothing but its address tells this pod from one of the same
        name in another cluster.
        """
        me = self.identity
        if me is None:
            return None
        found = []
        for peer in self.peers:
            if peer.name != me.pod_name:
                continue
            own, _, rest = peer.hostname.removeprefix(f"{peer.unique_name}.").partition(".")
            if own and rest.partition(".")[0] == me.namespace:
                if peer.cluster is None:
                    return peer
                if not set(me.addresses).isdisjoint(peer.addresses):
                    found.append(peer)
        return found[0] if len(found) == 1 else None

    @property
    def others(self) -> tuple[Peer, ...]:
        """The peers without this pod."""
        local = self.local
        return tuple(peer for peer in self.peers if peer is not local)

    @property
    def replicas(self) -> tuple[Peer, ...]:
        """The peers of the StatefulSet without the primary; all of them while it is absent.

        Raises:
            AmbiguousPrimary: As for `members`.
        """
        primary = self.primary
        return tuple(peer for peer in self.members if peer is not primary)

    @property
    def backup_candidate(self) -> Peer | None:
        """The peer to back up: the highest ordinal that is not the primary; None without replicas.

        A backup burdens the server that it reads, and the highest ordinal is the first to go when
        the StatefulSet is scaled down.

        Raises:
            AmbiguousPrimary: As for `members`.
        """
        replicas = self.replicas
        return replicas[-1] if replicas else None

    @property
    def clone_source(self) -> Peer | None:
        """The peer from which this pod gets its first copy of the data.

        It is the nearest one with a lower ordinal, else the primary: StatefulSets start with the
        lowest ordinal, so that it was there before this pod. None for the primary itself, while
        nobody suitable is listed, and where it is not known who this pod is or it is of another
        StatefulSet.

        Raises:
            AmbiguousPrimary: As for `members`.
        """
        me, primary = self.identity, self.primary
        members = self.members
        if me is None or me.ordinal is None or me.ordinal == self.first_ordinal:
            return None
        if primary is not None and primary is self.local:
            return None
        mine = [peer for peer in members if peer.statefulset == me.statefulset]
        lower = [peer for peer in mine if peer.ordinal is not None and peer.ordinal < me.ordinal]
        if lower:
            return lower[-1]
        return primary if mine else None

    def by_ordinal(self, ordinal: int) -> Peer | None:
        """The peer with this ordinal; None if it is absent.

        Raises:
            AmbiguousPrimary: As for `members`;
                also where only one of them has this ordinal at the moment, since the other's
                pod may just be away.
        """
        for peer in self.members:
            if peer.ordinal == ordinal:
                return peer
        return None

    @property
    def missing(self) -> tuple[int, ...]:
        """The holes in the ordinals: from `first_ordinal` up to the highest that is listed.

        A hole is an outage: StatefulSets scale down from the highest ordinal, so a missing tail
        is a scale-down and is not told here.

        At most the lowest 10,000 holes: a pod that was named by hand, such as ``db-2147483647``,
        leaves two thousand million ordinals below it.

        Raises:
            AmbiguousPrimary: As for `members`.
        """
        present = {peer.ordinal for peer in self.members}
        highest = max((ordinal for ordinal in present if ordinal is not None), default=-1)
        holes = (n for n in range(self.first_ordinal, highest) if n not in present)
        return tuple(islice(holes, _MOST_HOLES))

    def require_complete(self) -> Snapshot:
        """This snapshot, if it is the whole list.

        Raises:
            IncompleteAnswer: It is not, or it is not known yet.
        """
        if self.incomplete_reason is not None:
            raise IncompleteAnswer(self.service, self.incomplete_reason, self) from self.last_error
        return self


PrimaryPolicy = Callable[[Snapshot], Peer | None]
"""Picks the primary of a membership; None where there is none."""


@dataclass(frozen=True, slots=True)
class Change:
    """The difference between two memberships.

    Attributes:
        joined: Peers that were not there before.
        left: Peers that are no longer there, as they were last.
        replaced: Peers whose name stayed and whose addresses or ports changed: before and after.
        snapshot: The membership after the change.
        degraded: Whether looks began to fail; the membership stays as it was.
        recovered: Whether looks are answered again.
        incomplete: Whether answers began to be incomplete. Until one is complete again departures
            cannot be observed: pods that have left stay listed; see `Snapshot.unconfirmed`.
        completed: Whether answers are complete again, so that departures are observed.
    """

    joined: tuple[Peer, ...]
    left: tuple[Peer, ...]
    replaced: tuple[tuple[Peer, Peer], ...]
    snapshot: Snapshot
    degraded: bool = False
    recovered: bool = False
    incomplete: bool = False
    completed: bool = False

    @classmethod
    def between(
        cls, before: Snapshot | None, after: Snapshot, *, ignore: str | None = None
    ) -> Change:
        """What happened between two snapshots of one service; from None, everybody joined.

        Args:
            before: The earlier one.
            after: The later one.
            ignore: The unique name of a peer of whom nothing is told.
        """
        same = before is not None and before.peers is after.peers
        known = {} if before is None or same else {peer.unique_name: peer for peer in before}
        joined, replaced = [], []
        for peer in () if same else after:
            name = peer.unique_name
            old = known.pop(name, None)
            if name == ignore or old is peer:
                continue
            if old is None:
                joined.append(peer)
            elif (old.addresses, old.ports) != (peer.addresses, peer.ports):
                replaced.append((old, peer))
        stale = before is not None and before.stale
        cut = before is not None and before.known and not before.complete
        return cls(
            joined=tuple(joined),
            left=tuple(peer for name, peer in known.items() if name != ignore),
            replaced=tuple(replaced),
            snapshot=after,
            degraded=after.stale and not stale,
            recovered=stale and not after.stale,
            incomplete=after.known and not after.complete and not cut,
            completed=cut and after.complete,
        )

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        members = self.joined or self.left or self.replaced
        health = self.degraded or self.recovered or self.incomplete or self.completed
        return bool(members or health)


@dataclass(frozen=True, slots=True)
class Answered:
    """A look that found peers.

    Attributes:
        peers: Those it found.
        ttl: For how many seconds a cache may hold the answer: the smallest TTL in it. It is 0
            only if every record of a message has TTL 0, as in one that is served stale; a single
            record with TTL 0 among others does not count.
        incomplete_reason: Why there may be more than these; None if these are all.
        attempt: The exchange that gave the answer; None if the source does not ask anybody.
    """

    peers: tuple[Peer, ...]
    ttl: float = 0.0
    incomplete_reason: str | None = None
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True)
class Empty:
    """A look that was answered: there is no peer. Not a failure.

    Attributes:
        outcome: `Outcome.NXDOMAIN` or `Outcome.NO_DATA`.
        ttl: For how many seconds a cache may hold the answer (RFC 2308, 5: the smaller of the
            SOA's TTL and its minimum); None if the answer had no SOA.
        attempt: The exchange that gave the answer; None if the source does not ask anybody.
        soa_ttl: The TTL of the SOA record itself, in seconds: 0 in an answer that is served stale.
            None if the source does not tell; then ``ttl`` stands for it.
        soa_minimum: The minimum in the SOA record, in seconds: what ``ttl`` is in a fresh answer.
            None if the source does not tell.
    """

    outcome: Outcome
    ttl: float | None = None
    attempt: Attempt | None = None
    soa_ttl: float | None = None
    soa_minimum: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """A look that was not answered: it says nothing about who is there.

    Attributes:
        error: What went wrong, with every exchange that was tried.
    """

    error: DiscoveryError


Observation = Answered | Empty | Failed
"""What one look of a source came to."""
