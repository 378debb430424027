"""One look at a service: `discover`, and what any look needs: a source, and a view of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from .exceptions import ConfigurationError, IdentityError, ServiceNotFound
from .local import (
    Surroundings,
    find_nameservers,
    find_service,
    local_identity,
    read_surroundings,
)
from .model import (
    Answered,
    Empty,
    Failed,
    Identity,
    Observation,
    Outcome,
    Peer,
    PrimaryPolicy,
    Snapshot,
)
from .names import is_pod_name, parse_port_name, parse_seconds
from .primary import ordinal
from .sources import Source
from .sources.headless_dns import HeadlessDNS
from .sources.static import parse_static

__all__ = ["discover"]

TIMEOUT = 5.0
"""Seconds a look may take: several rounds of questions to three name servers."""


async def discover(
    service: str | None = None,
    *,
    namespace: str | None = None,
    cluster_domain: str | None = None,
    statefulset: str | None = None,
    port_name: str | None = None,
    primary: PrimaryPolicy | None = None,
    identity: Identity | None = None,
    nameservers: Sequence[str] = (),
    source: Source | str | None = None,
    timeout: float = TIMEOUT,
) -> Snapshot:
    """Look once, and say who is there.

    What is not given is taken from the environment (``PEERDISCO_*``, ``POD_*``), then from the
    pod's files; see `local_identity`.

    Args:
        service: The headless service: ``svc``, ``svc.ns`` or the fully qualified name.
            None for ``PEERDISCO_SERVICE``, else the one that governs this pod.
        namespace: Of a service that is given without one; None for this pod's own.
        cluster_domain: Of a service that is given without one; None for this cluster's.
        statefulset: List the pods of this StatefulSet alone. None for ``PEERDISCO_STATEFULSET``,
            else list every pod, and count the ordinals of this pod's own StatefulSet if it has
            pods behind the service.
        port_name: Ask for this named port (``_port._tcp``); None for ``PEERDISCO_PORT_NAME``,
            else every port, without names.
        primary: Picks the primary; None for `ordinal` 0.
        identity: Who this pod is; None to detect it. Without one `Snapshot.local` is None.
        nameservers: ``ip``, ``ip:port`` or ``[ip6]:port``, asked in turn. Empty for
            ``PEERDISCO_NAMESERVERS``, else those of ``/etc/resolv.conf``.
        source: Where to look: ``dns``, ``static:NAME=IP[:PORT],...`` or a `Source`, which stays
            open. None for ``PEERDISCO_SOURCE``, else ``dns``.
        timeout: Seconds the look may take.

    Returns:
        The membership. Check `Snapshot.complete` before you conclude that a pod is not there.

    Raises:
        ServiceNotFound: DNS says that the service does not exist, or none of its pods is ready.
        ResolveTimeout: No answer came in time.
        ResolverUnavailable: No name server gave an answer that can be used.
        IdentityError: A part of the service's name is needed and nothing tells it.
        ConfigurationError: An argument or a variable has a value that cannot be right.
    """
    timeout = parse_seconds(timeout, "timeout")
    around = read_surroundings()
    view = View.choose(statefulset, primary, identity, around)
    if isinstance(source, Source):
        return view.look_at(await source.observe(timeout=timeout), source.service)
    opened = open_source(
        service,
        namespace=namespace,
        cluster_domain=cluster_domain,
        port_name=port_name,
        nameservers=nameservers,
        source=source,
        surroundings=around,
    )
    try:
        return view.look_at(await opened.observe(timeout=timeout), opened.service)
    finally:
        await opened.aclose()


def open_source(
    service: str | None,
    *,
    namespace: str | None = None,
    cluster_domain: str | None = None,
    port_name: str | None = None,
    nameservers: Sequence[str] = (),
    source: str | None = None,
    surroundings: Surroundings,
) -> Source:
    """The source that the arguments, the environment and the pod's files describe.

    Args and errors are those of `discover`. The caller closes it.
    """
    name = find_service(service, namespace, cluster_domain, surroundings)
    text = source or surroundings.variable("PEERDISCO_SOURCE") or "dns"
    kind, _, rest = text.partition(":")
    if kind == "static" and rest:
        return parse_static(rest, name)
    if text != "dns":
        what = "source" if source else "PEERDISCO_SOURCE"
        raise ConfigurationError(what, text, "'dns' or 'static:NAME=IP[:PORT],...'")
    asked_port = surroundings.variable("PEERDISCO_PORT_NAME") if port_name is None else None
    if asked_port is not None:
        port_name = parse_port_name(asked_port, "PEERDISCO_PORT_NAME")
    return HeadlessDNS(name, find_nameservers(nameservers, surroundings), port_name=port_name)


@dataclass(frozen=True, slots=True)
class View:
    """From where a membership is looked at: what turns peers into a snapshot.

    Attributes:
        identity: Who this pod is; None if not known.
        statefulset: List the pods of this StatefulSet alone; None for every pod.
        policy: Picks the primary.
    """

    identity: Identity | None
    statefulset: str | None
    policy: PrimaryPolicy

    @classmethod
    def choose(
        cls,
        statefulset: str | None,
        policy: PrimaryPolicy | None,
        identity: Identity | None,
        surroundings: Surroundings,
    ) -> View:
        """The view that the arguments, the environment and the pod's files describe."""
        chosen = statefulset or surroundings.variable("PEERDISCO_STATEFULSET")
        if chosen is not None and not is_pod_name(chosen):
            what = "statefulset" if statefulset else "PEERDISCO_STATEFULSET"
            raise ConfigurationError(what, chosen, "a StatefulSet's name, such as 'mysql'")
        if identity is None:
            try:
                identity = local_identity(surroundings=surroundings)
            except IdentityError:
                identity = None
        return cls(identity, chosen, policy or ordinal(0))

    def snapshot(
        self, service: str, peers: tuple[Peer, ...], *, incomplete_reason: str | None = None
    ) -> Snapshot:
        """The membership as it was seen just now."""
        statefulset = self.statefulset
        if statefulset is not None:
            peers = tuple(peer for peer in peers if peer.statefulset == statefulset)
        elif self.identity is not None and self.identity.statefulset is not None:
            own = self.identity.statefulset
            statefulset = own if any(peer.statefulset == own for peer in peers) else None
        return Snapshot(
            service=service,
            peers=peers,
            statefulset=statefulset,
            first_ordinal=self.policy.number if isinstance(self.policy, ordinal) else 0,
            observed_at=datetime.now(UTC),
            incomplete_reason=incomplete_reason,
            identity=self.identity,
            policy=self.policy,
        )

    def look_at(self, observation: Observation, service: str) -> Snapshot:
        """The snapshot that one observation by itself makes.

        Raises:
            DiscoveryError: The look failed, or was answered with NXDOMAIN.
        """
        match observation:
            case Answered(peers=peers, incomplete_reason=reason):
                return self.snapshot(service, peers, incomplete_reason=reason)
            case Empty(outcome=Outcome.NXDOMAIN, attempt=attempt):
                raise ServiceNotFound(service, attempt, self.snapshot(service, ()))
            case Empty():
                return self.snapshot(service, ())
            case Failed(error=error):
                raise error
