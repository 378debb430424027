"""`discover`: one lookup, and the snapshot that its answer gives."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from ..exceptions import ServiceNotFound, StaleAnswer
from ..membership.freshness import PERSISTS_LOOKUPS, Freshness, Staleness
from ..membership.snapshots import SnapshotBuilder
from ..model import (
    Answered,
    Empty,
    Failed,
    Identity,
    Observation,
    Outcome,
    PrimaryPolicy,
    Snapshot,
)
from ..names import parse_seconds
from ..pod.environment import FIRST_PATIENCE, PodReading
from . import Source
from .lookup import lookup
from .options import TIMEOUT, LookupOptions
from .pending import PendingPlan

__all__ = ["discover", "observe_once", "snapshot_from_observation"]

_AGAIN_AFTER = 1.05 / (PERSISTS_LOOKUPS - 1)
"""Seconds between two of the lookups that show within a second whether TTL 0 persists."""


async def discover(
    service: str | None = None,
    *,
    namespace: str | None = None,
    cluster_domain: str | None = None,
    statefulset: str | None = None,
    cluster: str | None = None,
    port_name: str | Sequence[str] | None = None,
    protocol: str | None = None,
    primary: PrimaryPolicy | None = None,
    identity: Identity | None = None,
    nameservers: Sequence[str] = (),
    resolver: str | None = None,
    source: Source | str | None = None,
    timeout: float = TIMEOUT,
) -> Snapshot:
    """Look up the service once and return its membership.

    Options that are not given come from the environment (``PEERDISCO_*``, ``POD_*``), then from
    the pod's files; see `local_identity`.

    Args:
        service: The headless service: ``svc``, ``svc.ns`` or the fully qualified name.
            None for ``PEERDISCO_SERVICE``, else the service that governs this pod.
        namespace: The namespace of a service that is given without one; None for this pod's.
        cluster_domain: The domain of a service that is given without one; None for this cluster's.
        statefulset: List only the pods of this StatefulSet. None for ``PEERDISCO_STATEFULSET``,
            else list every pod, and count the ordinals of this pod's own StatefulSet if it has
            pods behind the service.
        cluster: List only the pods of this cluster, behind a multi-cluster service. None for
            ``PEERDISCO_CLUSTER``, else list every pod; the primary is ambiguous then.
        port_name: Query this named port (``_port._tcp``), or several: `Peer.ports` then has each
            by its name, and the peers are those that have at least one of them. None for
            ``PEERDISCO_PORT_NAME`` (comma-separated), else every port, without names.
        protocol: The protocol of the named ports: ``tcp``, ``udp`` or ``sctp``. None for
            ``PEERDISCO_PROTOCOL``, else ``tcp``.
        primary: Picks the primary; None for `ordinal` 0.
        identity: The identity of this pod; None to detect it. A pod that does not show its
            namespace is taken to be in the service's. Without an identity `Snapshot.local` is None.
        nameservers: ``ip``, ``ip:port`` or ``[ip6]:port``, queried in order. Empty for
            ``PEERDISCO_NAMESERVERS``, else those of ``/etc/resolv.conf``.
        resolver: Sends the queries: ``builtin``, or ``aiodns`` for c-ares, which needs the extra
            ``peerdisco[aiodns]``. None for ``PEERDISCO_RESOLVER``, else ``builtin``.
        source: Where the peers come from: ``dns``, ``static:NAME=IP[:PORT],...`` or a `Source`,
            which stays open. None for ``PEERDISCO_SOURCE``, else ``dns``.
        timeout: Seconds that all of it may take. An answer with TTL 0 is queried again within them,
            which takes a second; see `Snapshot.may_be_stale`.

    Returns:
        The membership. Check `Snapshot.complete` before you conclude that a pod is missing.

    Raises:
        ServiceNotFound: DNS says that the service does not exist, or none of its pods is ready.
        ResolveTimeout: No answer arrived in time.
        StaleAnswer: The only answer was an expired one that a cache still serves.
        ResolverUnavailable: No name server gave a usable answer.
        IdentityError: A part of the service's name is required and not known.
        ConfigurationError: An argument or a variable has an invalid value.
    """
    timeout = parse_seconds(timeout, "timeout")
    options = LookupOptions(
        service=service,
        namespace=namespace,
        cluster_domain=cluster_domain,
        statefulset=statefulset,
        cluster=cluster,
        port_name=port_name,
        protocol=protocol,
        primary=primary,
        identity=identity,
        nameservers=nameservers,
        resolver=resolver,
        source=source,
    )
    now = asyncio.get_running_loop().time
    deadline = now() + timeout
    pending = PendingPlan(options, PodReading(patience=min(FIRST_PATIENCE, timeout / 2)))
    pending.check()
    await pending.read()
    plan = pending.plan
    async with plan.opened() as opened:
        observation, may_be_stale = await observe_once(opened, timeout=deadline - now())
    return snapshot_from_observation(
        observation, plan.service, plan.builder, may_be_stale=may_be_stale
    )


async def observe_once(source: Source, *, timeout: float) -> tuple[Observation, bool]:
    """Look up once, and again a moment later if the answer has TTL 0.

    Such an answer may have expired in a cache. The later answers decide: one with a larger TTL
    replaces it, and a failed lookup does not.

    Args:
        source: Makes the lookups.
        timeout: Seconds for all of them together.

    Returns:
        The observation, and whether it may be stale: TTL 0 in every answer comes from a zone that
        is configured with it, or from a cache that serves stale answers. An answer that is proved
        stale is a `Failed` lookup.
    """
    now = asyncio.get_running_loop().time
    deadline = now() + timeout
    observation = await lookup(source, timeout)
    freshness = Freshness().after(observation, now())
    while freshness.recheck and deadline - now() > _AGAIN_AFTER:
        await asyncio.sleep(_AGAIN_AFTER)
        again = await lookup(source, max(0.001, deadline - now()))
        if isinstance(again, Failed):
            break
        observation, freshness = again, freshness.after(again, now())
    if freshness.staleness is Staleness.STALE and not isinstance(observation, Failed):
        attempts = () if observation.attempt is None else (observation.attempt,)
        return Failed(StaleAnswer(source.service, attempts, freshness.age(now()))), False
    return observation, freshness.staleness is not Staleness.FRESH


def snapshot_from_observation(
    observation: Observation, service: str, builder: SnapshotBuilder, *, may_be_stale: bool = False
) -> Snapshot:
    """The snapshot of a single observation.

    Args:
        observation: The result of the lookup.
        service: The service's fully qualified name.
        builder: Makes the snapshot.
        may_be_stale: Whether the answer may be served stale; see `observe_once`.

    Raises:
        DiscoveryError: The lookup failed, or the answer is NXDOMAIN.
    """
    now = datetime.now(UTC)

    def snapshot(observed: Answered | Empty) -> Snapshot:
        found = observed if isinstance(observed, Answered) else Answered(())
        return builder.snapshot(
            service,
            found.peers,
            observed_at=now,
            incomplete_reason=found.incomplete_reason,
            may_be_stale=may_be_stale,
        )

    match observation:
        case Empty(outcome=Outcome.NXDOMAIN, attempt=attempt):
            raise ServiceNotFound(service, attempt, snapshot(observation))
        case Failed(error=error):
            raise error
        case Answered() | Empty():
            return snapshot(observation)
