"""How old the data of a replica without a connection to its primary may be. Pure."""

from __future__ import annotations

from dataclasses import replace

from ..facts import ServerFacts
from ..positions import Position
from .report import Report, Role

__all__ = ["Freshness"]


class Freshness:
    """Remembers when a replica last had its primary's data, over restarts of its server.

    Only data that were the primary's count: those of a replica that a verdict allowed to follow, or
    that this sidecar found replicating, since a refusal stops both threads. After a restart of the
    server its data must be of the same cluster, and must have everything that was seen before.
    """

    def __init__(self) -> None:
        self._cluster = ""
        self._position: Position | None = None
        self._current_at = 0.0

    def noted(self, report: Report, now: float) -> Report:
        """The report with the age of the data, if that is known and the replica may serve them.

        Args:
            report: The report of a pass.
            now: Seconds that only go forward.
        """
        own, verdict = report.facts, report.verdict
        if report.role is not Role.REPLICA or own is None:
            return report
        refused = verdict is not None and not verdict and not verdict.waits
        if refused or own.cluster is None or own.status is None or not own.closed:
            self._position = None
            return report
        lag = own.status.lag
        if lag is not None or (self._position is None and own.status.applier_running):
            self._cluster, self._position = own.cluster.id, own.position
            self._current_at = now - (lag or 0)
        return replace(report, data_age=now - self._current_at) if self._serves(own) else report

    def _serves(self, own: ServerFacts) -> bool:
        """Whether a replica that does not replicate still has the data that it had."""
        status, cluster = own.status, own.cluster
        if self._position is None or status is None or cluster is None:
            return False
        broken = not status.applier_running and status.applier_errno != 0
        lost = self._position.beyond(own.position)
        return not broken and not lost and cluster.id == self._cluster
