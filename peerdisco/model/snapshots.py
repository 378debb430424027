"""The membership at one moment, and the errors of its questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

from ..wording.foreign import one_line
from ..wording.lists import listed
from .errors import DiscoveryError
from .peers import Identity, Peer, in_order

__all__ = [
    "AmbiguousPrimary",
    "IncompleteAnswer",
    "PeerNotListed",
    "PrimaryPolicy",
    "Snapshot",
    "clear_primary",
]


_MOST_HOLES = 10_000
"""No known StatefulSet has more pods than this."""


class AmbiguousPrimary(DiscoveryError):
    """Several StatefulSets or clusters have pods behind the service, and none is selected.

    Attributes:
        ordinal: The ordinal that was requested.
        candidates: The peers that have this ordinal now.
        statefulsets: The StatefulSets behind the service.
        clusters: The clusters behind a multi-cluster service; empty for any other service.
    """

    def __init__(
        self,
        ordinal: int,
        candidates: tuple[Peer, ...],
        statefulsets: tuple[str, ...],
        clusters: tuple[str, ...] = (),
    ) -> None:
        super().__init__(ordinal, candidates, statefulsets, clusters)
        self.ordinal = ordinal
        self.candidates = candidates
        self.statefulsets = statefulsets
        self.clusters = clusters

    def __str__(self) -> str:
        names = listed(
            (p.unique_name for p in self.candidates), empty="no pod has it at the moment"
        )
        if self.clusters:
            return (
                f"ordinal {self.ordinal} is ambiguous ({names}): each cluster of a multi-cluster "
                f"service has its own ordinals, and pods of {listed(self.clusters)} are listed; "
                "select one cluster (cluster=, --cluster or PEERDISCO_CLUSTER)"
            )
        return (
            f"ordinal {self.ordinal} is ambiguous ({names}): the service has pods of the "
            f"StatefulSets {listed(self.statefulsets)}; select one "
            "(statefulset=, --statefulset or PEERDISCO_STATEFULSET)"
        )


class PeerNotListed(DiscoveryError, KeyError):
    """``snapshot["NAME"]``: no peer has this name, or the peers of several clusters have it.

    Attributes:
        name: The name that was requested.
        snapshot: The membership.
        candidates: The peers of several clusters that have this name; empty if none has it.
    """

    def __init__(self, name: str, snapshot: Snapshot, candidates: tuple[Peer, ...] = ()) -> None:
        super().__init__(name, snapshot, candidates)
        self.name = name
        self.snapshot = snapshot
        self.candidates = candidates

    def __str__(self) -> str:
        service, name = self.snapshot.service, one_line(self.name) or "''"
        if self.candidates:
            names = listed(peer.unique_name for peer in self.candidates)
            return f"{service}: {name} is ambiguous: pods of several clusters have it; use {names}"
        if not self.snapshot.known:
            return f"{service}: {name} is not known: no lookup has been answered yet"
        reason = self.snapshot.incomplete_reason
        remark = "" if reason is None else f"; the list may be incomplete: {one_line(reason)}"
        return f"{service}: {name} is not listed; listed: {listed(self.snapshot.names)}{remark}"


class _NotData:
    """For pydantic: a value that is kept in the object and serialised as null."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        from pydantic_core import core_schema as schemas  # noqa: PLC0415 - pydantic calls this

        written = schemas.plain_serializer_function_ser_schema(
            lambda _: None, return_schema=schemas.none_schema(), when_used="json"
        )
        return schemas.any_schema(serialization=written)


_NOT_ANSWERED = "no lookup has been answered yet"
"""The `Snapshot.incomplete_reason` of an unknown membership."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The membership at one moment: iterable, sized, ``in`` by name.

    Attributes:
        service: The service's fully qualified name without the trailing dot.
        peers: The peers, sorted by ordinal, name and cluster; those without an ordinal are last.
        statefulset: The selected StatefulSet, whose ordinals count; None if none is selected.
        first_ordinal: ``spec.ordinals.start`` of that StatefulSet: where `missing` begins, and
            the default ordinal of the primary.
        observed_at: Date and time (UTC) of the newest answer; None before the first answer.
        age: Seconds between that answer and the moment this snapshot was requested.
        incomplete_reason: Why the list may be incomplete; None if it is complete. Before the
            first answer the reason is that there is no answer yet; see `known`.
        last_error: Why the newest lookup failed; None if it succeeded.
        may_be_stale: Whether every answer so far came with TTL 0. Then the zone may be configured
            with TTL 0, or a cache may serve a stale list; the answers do not show which.
        unconfirmed: The peers listed here that the newest answers do not confirm: they do not list
            the peer, or list it with another address, and the change is not confirmed yet. While
            answers are incomplete, departures cannot be observed; a peer that has been missing
            from them for as long as a departure takes is unconfirmed until an answer is complete
            or lists it.
        identity: The identity of this pod; None if unknown.
        policy: The policy that picks the primary; None for the peer of `first_ordinal`.
        cluster: The selected cluster, behind a multi-cluster service; None if none is selected.
        left_out: The peers behind the service that are not listed because another StatefulSet or
            cluster is selected.
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
        object.__setattr__(self, "peers", in_order(self.peers))
        if not self.known:
            object.__setattr__(self, "incomplete_reason", self.incomplete_reason or _NOT_ANSWERED)
        elif self.incomplete_reason == _NOT_ANSWERED:  # copied by `dataclasses.replace`
            object.__setattr__(self, "incomplete_reason", None)

    def __iter__(self) -> Iterator[Peer]:
        return iter(self.peers)

    def __len__(self) -> int:
        return len(self.peers)

    def __contains__(self, name: object) -> bool:
        return any(name in (peer.name, peer.unique_name, peer) for peer in self.peers)

    def __getitem__(self, name: str) -> Peer:
        """The peer with this name, such as ``mysql-0``, or this `Peer.unique_name`.

        Raises:
            PeerNotListed: No peer has it, or the peers of several clusters have it. This is a
                KeyError too.
            TypeError: It is not a text; `by_ordinal` finds a peer by its ordinal.
        """
        if not isinstance(name, str):
            raise TypeError(
                f"a snapshot is indexed by the name of a peer, got {name!r}; "
                "use by_ordinal() or peers[...]"
            )
        found = [peer for peer in self.peers if name in (peer.name, peer.unique_name)]
        exact = [peer for peer in found if peer.unique_name == name]
        if len(exact or found) != 1:
            raise PeerNotListed(name, self, tuple(found))
        return (exact or found)[0]

    def __repr__(self) -> str:
        return f"<Snapshot {self.service}: {self.in_words()}>"

    def in_words(self) -> str:
        """The peers and the state on one line, for a repr."""
        if not self.known:
            facts = ["peers unknown"]
        else:
            count = f"{len(self.peers)} peer{'' if len(self.peers) == 1 else 's'}"
            facts = [f"{count} ({listed(self.names)})" if self.peers else count]
            if not self.complete:
                facts.append("may be incomplete")
        if self.stale:
            facts.append(f"stale for {self.age:.1f} s" if self.known else "the lookup failed")
        return ", ".join(facts)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the peers, in their order; see `name_of`."""
        return tuple(map(self.name_of, self.peers))

    def as_dict(self) -> dict[str, object]:
        """The snapshot in the JSON format of ``peerdisco peers -o json``.

        The keys are promised, and more may come. ``primary`` is None while the primary is absent
        or ambiguous.
        """
        local, primary = self.local, clear_primary(self)
        return {
            "service": self.service,
            "known": self.known,
            "complete": self.complete,
            "incomplete_reason": self.incomplete_reason,
            "stale": self.stale,
            "may_be_stale": self.may_be_stale,
            "unconfirmed": [self.name_of(peer) for peer in self.unconfirmed],
            "primary": self.name_of(primary) if primary else None,
            "local": self.name_of(local) if local else None,
            "peers": [peer.as_dict() for peer in self.peers],
        }

    def name_of(self, peer: Peer) -> str:
        """A name of the peer that is unique in this snapshot.

        The peer's name, with its cluster (``mysql-0.east``) unless a cluster is selected.
        """
        return peer.name if self.cluster is not None else peer.unique_name

    @property
    def known(self) -> bool:
        """Whether the membership is known: at least one lookup was answered.

        Unknown is not empty: before the first answer, and after a first lookup that failed, the
        snapshot has no peers, although the service may have some. A snapshot without
        `observed_at`, made in a test for instance, is known if it has peers.
        """
        return self.observed_at is not None or bool(self.peers)

    @property
    def complete(self) -> bool:
        """Whether the list is complete; see `incomplete_reason`. False until it is `known`."""
        return self.incomplete_reason is None

    @property
    def stale(self) -> bool:
        """Whether the newest lookup failed, so that the peers are those of an earlier one."""
        return self.last_error is not None

    @property
    def members(self) -> tuple[Peer, ...]:
        """The peers of `statefulset`, or of the only StatefulSet behind the service.

        Each cluster has its own ordinals, so behind a multi-cluster service one cluster has to be
        selected, even while only the pods of one are listed: the others may be unreachable.

        Raises:
            AmbiguousPrimary: Several StatefulSets have pods behind the service and none is
                selected; or it is a multi-cluster service and no cluster is selected.
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
        """The peer that the policy picks; by default the one with `first_ordinal`.

        None while that peer is absent: no other peer takes its place. In an incomplete snapshot,
        None may also mean that the peer is missing from a truncated answer.

        Raises:
            AmbiguousPrimary: As for `members`.
        """
        if self.policy is not None:
            return self.policy(self)
        return self.by_ordinal(self.first_ordinal)

    @property
    def local(self) -> Peer | None:
        """This pod; None if it is not listed, or `identity` is None.

        A pod that is not ready is not listed, unless the service publishes not-ready addresses.
        Behind a multi-cluster service, this pod is recognised by its address, because another
        cluster may have a pod with the same name.
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
        """The `members` without the primary; all of them while the primary is absent.

        Raises:
            AmbiguousPrimary: As for `members`.
        """
        primary = self.primary
        return tuple(peer for peer in self.members if peer is not primary)

    @property
    def backup_candidate(self) -> Peer | None:
        """The peer to back up: the highest ordinal that is not the primary; None without replicas.

        A backup is load for the server that it reads, and the highest ordinal is the first to be
        removed when the StatefulSet is scaled down.

        Raises:
            AmbiguousPrimary: As for `members`.
        """
        replicas = self.replicas
        return replicas[-1] if replicas else None

    @property
    def clone_source(self) -> Peer | None:
        """The peer from which this pod should copy the data when it starts for the first time.

        The peer with the nearest lower ordinal, else the primary: StatefulSets start pods from the
        lowest ordinal, so that peer started before this pod. None for the primary itself, if no
        such peer is listed, and if this pod's identity is unknown or its StatefulSet is another.

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
            AmbiguousPrimary: As for `members`, even if only one StatefulSet has this ordinal at
                the moment, because the other one's pod may be absent for a short time.
        """
        for peer in self.members:
            if peer.ordinal == ordinal:
                return peer
        return None

    @property
    def missing(self) -> tuple[int, ...]:
        """The missing ordinals between `first_ordinal` and the highest one that is listed.

        A hole is an outage: StatefulSets scale down from the highest ordinal, so ordinals that are
        missing at the end are a scale-down and are not included.

        At most the lowest 10,000 holes: a pod that was created by hand, such as
        ``db-2147483647``, leaves two thousand million ordinals below it.

        Raises:
            AmbiguousPrimary: As for `members`.
        """
        present = {peer.ordinal for peer in self.members}
        highest = max((ordinal for ordinal in present if ordinal is not None), default=-1)
        holes = (n for n in range(self.first_ordinal, highest) if n not in present)
        return tuple(islice(holes, _MOST_HOLES))

    def require_complete(self) -> Snapshot:
        """This snapshot, if it is complete.

        Raises:
            IncompleteAnswer: The list may be incomplete, or the membership is unknown.
        """
        if self.incomplete_reason is not None:
            raise IncompleteAnswer(self.service, self.incomplete_reason, self) from self.last_error
        return self


class IncompleteAnswer(DiscoveryError):
    """A complete list is required, and the answer may be incomplete.

    Attributes:
        service: The service's fully qualified name.
        reason: Why pods may be missing from the list.
        snapshot: The incomplete membership.
    """

    def __init__(self, service: str, reason: str, snapshot: Snapshot) -> None:
        super().__init__(service, reason, snapshot)
        self.service = service
        self.reason = reason
        self.snapshot = snapshot

    def __str__(self) -> str:
        return f"{self.service}: the list may be incomplete: {self.reason}"


PrimaryPolicy = Callable[[Snapshot], Peer | None]
"""Picks the primary of a snapshot; None if it has none."""


def clear_primary(snapshot: Snapshot) -> Peer | None:
    """The primary; None if it is absent or ambiguous."""
    try:
        return snapshot.primary
    except AmbiguousPrimary:
        return None
