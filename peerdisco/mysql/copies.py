"""Which server may be copied or backed up, from facts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .decisions import Unanswered
from .facts import ServerFacts
from .history import Standing, compare

__all__ = ["Health", "judge_replica_as_source", "judge_source_of_all"]


@dataclass(frozen=True, slots=True)
class Health:
    """What a pod's sidecar reports.

    Attributes:
        ready: Whether clients may use the server.
        state: Its state, as in ``/readyz``; empty if the sidecar did not answer.
        reason: Why, in words.
    """

    ready: bool
    state: str
    reason: str

    @classmethod
    def of_report(cls, report: Mapping[str, object]) -> Health:
        """From what ``/readyz`` returned."""
        state, reason = str(report.get("state") or ""), str(report.get("reason") or "")
        return cls(report.get("ready") is True, state, reason)


_Found = ServerFacts | Unanswered


def judge_source_of_all(primary: _Found, health: Health | None) -> str | None:
    """Why the primary must not be copied; None if it may be, or is known to hold no data.

    Args:
        primary: Its facts.
        health: What its sidecar reports; None if it was not asked. It has to keep the server open:
            one that was refused may hold older data than its replicas. A primary that is open and
            not ready, because its writes wait for a replica, may be copied.
    """
    if isinstance(primary, Unanswered):
        return f"it does not answer: {primary.detail}"
    if primary.blank:
        return None
    if primary.cluster is None:
        return "it holds data, and its sidecar has not written yet to which cluster they belong"
    waits = health is not None and health.state == "slow" and not primary.read_only
    if health is not None and health.state != "primary" and not waits:
        return f"its sidecar has not opened it, and reports of its own pod: {_words(health)}"
    return None


def judge_replica_as_source(
    found: _Found, health: Health | None, primary: ServerFacts
) -> str | None:
    """Why a replica must not be copied; None if it may be.

    Args:
        found: Its facts, read before the primary's.
        health: What its sidecar reports; None if it was not asked.
        primary: The primary's facts.
    """
    if isinstance(found, Unanswered):
        return f"it does not answer: {found.detail}"
    if found.cluster is None:
        return "it holds no data of a cluster"
    if primary.cluster is None or found.cluster.id != primary.cluster.id:
        return f"it holds data of the cluster {found.cluster.id}, which is not the primary's"
    if health is not None and not health.ready:
        return f"its sidecar is not ready, and reports of its own pod: {_words(health)}"
    comparison = compare(found.recorded, primary.recorded)
    if comparison.standing is not Standing.PREFIX:
        more = f": {comparison.transactions}" if comparison.transactions else ""
        return f"its history is not the primary's ({comparison.standing.value}{more})"
    return None


def _words(health: Health) -> str:
    return f"{health.state or 'no answer'}: {health.reason}"
