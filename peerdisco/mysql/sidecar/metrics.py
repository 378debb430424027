"""The sidecar's report as metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...primary.verdicts import ReasonCode
from ..reasons import ServerReasonCode
from .report import ProblemCode, Role, State
from .sidecar import Sidecar

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["rendered"]


def rendered(sidecar: Sidecar, max_lag: float, max_staleness: float) -> tuple[str, bytes]:
    """The content type and the text of all metrics as they are now."""
    # Imported by the first scrape.
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry  # noqa: PLC0415
    from prometheus_client import generate_latest as render  # noqa: PLC0415

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(sidecar, max_lag, max_staleness))
    return CONTENT_TYPE_LATEST, render(registry)


class _Collector:
    """The sidecar's report as metrics, as it is when they are asked for."""

    def __init__(self, sidecar: Sidecar, max_lag: float, max_staleness: float) -> None:
        self._sidecar = sidecar
        self._limits = (max_lag, max_staleness)

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import (  # noqa: PLC0415 - as above
            CounterMetricFamily,
            GaugeMetricFamily,
            InfoMetricFamily,
        )

        sidecar, report = self._sidecar, self._sidecar.report
        states = GaugeMetricFamily(
            "peerdisco_mysql_state", "1 for the state that was found last.", labels=["state"]
        )
        for state in State:
            states.add_metric([state.value], float(report.state is state))
        yield states
        roles = GaugeMetricFamily(
            "peerdisco_mysql_role", "1 for what the ordinal makes this pod.", labels=["role"]
        )
        for role in Role:
            roles.add_metric([role.value], float(report.role is role))
        yield roles
        yield GaugeMetricFamily(
            "peerdisco_mysql_ready",
            "Whether clients may use the server.",
            float(report.ready(*self._limits)),
        )
        yield GaugeMetricFamily(
            "peerdisco_mysql_paused",
            "Whether the sidecar only observes, because its pause file exists.",
            float(report.paused),
        )
        problems = GaugeMetricFamily(
            "peerdisco_mysql_problem",
            "1 for what an operator should correct although the server is in its role.",
            labels=["code"],
        )
        found = {problem.code for problem in report.problems}
        for code in ProblemCode:
            problems.add_metric([code.value], float(code in found))
        yield problems
        reasons = GaugeMetricFamily(
            "peerdisco_mysql_reason",
            "1 for each reason of the verdict on the server.",
            labels=["code"],
        )
        given = {reason.code for reason in report.verdict.reasons} if report.verdict else set()
        for reason in (*ReasonCode, *ServerReasonCode):
            reasons.add_metric([reason.code], float(reason in given))
        yield reasons
        if report.lag is not None:
            yield GaugeMetricFamily(
                "peerdisco_mysql_replication_lag_seconds",
                "How far the replica is behind; absent where it cannot tell.",
                float(report.lag),
            )
        if report.data_age is not None:
            yield GaugeMetricFamily(
                "peerdisco_mysql_data_age_seconds",
                "Seconds since the replica last had what its primary had; absent if not known.",
                report.data_age,
            )
        if report.facts is not None:
            cluster = report.facts.cluster
            yield InfoMetricFamily(
                "peerdisco_mysql_server",
                "The server in this pod.",
                {
                    "flavour": report.facts.flavour.value,
                    "version": report.facts.version.text,
                    "cluster": cluster.id if cluster is not None else "",
                },
            )
        yield CounterMetricFamily(
            "peerdisco_mysql_lookups",
            "Lookups of the server and its peers that have ended.",
            float(sidecar.passes),
        )
        yield CounterMetricFamily(
            "peerdisco_mysql_nudges",
            "Times that the receiver was made to reconnect.",
            float(sidecar.nudges),
        )
