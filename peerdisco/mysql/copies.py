"""Which server may be copied or backed up, from facts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .decisions import Unanswered
from .facts import ServerFacts
from .history import Standing, compare
from .objections import with_received

__all__ = ["Health", "judge_replacement", "judge_replica_as_source", "judge_source_of_all"]


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


def judge_replacement(found: _Found, primary: _Found, health: Health | None) -> str | None:
    """Why a replica's volume must not be emptied for a new copy; None if nothing is lost with it.

    Args:
        found: The replica's facts, read before the primary's.
        primary: The primary's facts.
        health: What the primary's sidecar reports; None if it was not asked.
    """
    if isinstance(found, Unanswered):
        return (
            f"its server does not answer ({found.detail}), so that it is not known what only this "
            "volume has: keep the volume, and give the pod another one"
        )
    why = judge_source_of_all(primary, health)
    if why is not None or isinstance(primary, Unanswered):
        return f"there is no primary that it could copy: {why}"
    if primary.read_only or primary.cluster is None:
        return "there is no primary that it could copy: the primary does not take writes"
    if found.status is None and not found.read_only:
        return "it takes writes: it may be the primary, and then its volume is the newest"
    if found.blank:
        return None
    if found.cluster is None or found.cluster.id != primary.cluster.id:
        return "it holds data that did not come from the primary: keep the volume"
    # What it has received and not applied is on its volume as well.
    stands = compare(with_received(found), primary.recorded)
    if stands.standing is Standing.PREFIX or (
        stands.standing is Standing.LOG_RESET and not stands.count
    ):
        return None
    more = f": {stands.transactions}" if stands.transactions else ""
    return (
        f"it may have what the primary does not have ({stands.standing.value}{more}): keep the "
        "volume, and give the pod another one"
    )


def _words(health: Health) -> str:
    return f"{health.state or 'no answer'}: {health.reason}"
