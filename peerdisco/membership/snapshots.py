"""Builds snapshots from the peers of a service, as seen from this pod. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..exceptions import DiscoveryError
from ..model import Identity, Peer, PrimaryPolicy, Snapshot
from ..primary.policies import ordinal

__all__ = ["SnapshotBuilder"]


@dataclass(frozen=True, slots=True)
class SnapshotBuilder:
    """Builds the snapshots of one service.

    Attributes:
        identity: The identity of this pod; None if unknown.
        statefulset: The StatefulSet whose pods are listed; None for all pods. The ordinals that
            count are then those of this pod's own StatefulSet, if it has pods behind the service.
        policy: Picks the primary.
        cluster: The cluster whose pods are listed; None for all clusters.
    """

    identity: Identity | None = None
    statefulset: str | None = None
    policy: PrimaryPolicy = ordinal(0)  # noqa: RUF009 - immutable
    cluster: str | None = None

    def snapshot(
        self,
        service: str,
        peers: tuple[Peer, ...],
        *,
        observed_at: datetime | None,
        age: float = 0.0,
        incomplete_reason: str | None = None,
        last_error: DiscoveryError | None = None,
        may_be_stale: bool = False,
    ) -> Snapshot:
        """The snapshot of these peers."""
        every, statefulset = peers, self.statefulset
        if self.cluster is not None or statefulset is not None:
            peers = tuple(peer for peer in every if self._lists(peer))
        left_out = () if peers is every else tuple(p for p in every if not self._lists(p))
        if (
            statefulset is None
            and self.identity is not None
            and self.identity.statefulset is not None
        ):
            own = self.identity.statefulset
            statefulset = own if any(peer.statefulset == own for peer in peers) else None
        return Snapshot(
            service=service,
            peers=peers,
            statefulset=statefulset,
            first_ordinal=self.policy.number if isinstance(self.policy, ordinal) else 0,
            observed_at=observed_at,
            age=age,
            incomplete_reason=incomplete_reason,
            last_error=last_error,
            may_be_stale=may_be_stale,
            identity=self.identity,
            policy=self.policy,
            cluster=self.cluster,
            left_out=left_out,
        )

    def _lists(self, peer: Peer) -> bool:
        return (self.cluster is None or peer.cluster == self.cluster) and (
            self.statefulset is None or peer.statefulset == self.statefulset
        )
