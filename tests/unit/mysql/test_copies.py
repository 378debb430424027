"""Which server may be copied."""

from __future__ import annotations

from dataclasses import replace

from peerdisco.mysql import Unanswered
from peerdisco.mysql.copies import (
    Health,
    judge_replacement,
    judge_replica_as_source,
    judge_source_of_all,
)

from .servers import CLUSTER, facts, primary_at, replica_at, status

READY = Health(True, "replica", "replicates")
OPEN = Health(True, "primary", "takes writes")


def test_a_ready_replica_with_the_primarys_history_is_a_source(version: str) -> None:
    primary = primary_at(version, 9)
    assert judge_replica_as_source(replica_at(version, 8), READY, primary) is None
    assert judge_replica_as_source(replica_at(version, 8), None, primary) is None


def test_what_speaks_against_a_replica(version: str) -> None:
    primary = primary_at(version, 9)
    refused = Health(False, "refused", "a client wrote here")
    other = replace(CLUSTER, id="another")
    for found, health, expected in (
        (
            replica_at(version, 8),
            refused,
            "not ready, and reports of its own pod: refused: a client wrote here",
        ),
        (replica_at(version, 8), Health(False, "", "refused"), "its own pod: no answer: refused"),
        (replica_at(version, 10), READY, "its history is not the primary's"),
        (replica_at(version, 8, cluster=other), READY, "another, which is not the primary's"),
        (replica_at(version, 8, cluster=None), READY, "holds no data of a cluster"),
        (Unanswered("no answer in 5 s"), READY, "does not answer: no answer in 5 s"),
    ):
        against = judge_replica_as_source(found, health, primary)
        assert against is not None
        assert expected in against


def test_the_primary_has_to_be_open_or_empty(version: str) -> None:
    primary = primary_at(version, 9)
    assert judge_source_of_all(primary, OPEN) is None
    assert judge_source_of_all(primary, None) is None
    # Its writes may wait for the replica that is to be copied.
    assert judge_source_of_all(primary, Health(False, "primary", "writes wait")) is None
    assert judge_source_of_all(facts(version), Health(False, "waiting", "")) is None
    for found, health in (
        (primary, Health(False, "refused", "older than a replica")),
        (facts(version, schemas=("shop",)), OPEN),
        (facts(version, schemas=None), OPEN),
        (Unanswered("no answer"), OPEN),
    ):
        assert judge_source_of_all(found, health) is not None


def test_a_report_that_is_not_understood_is_not_ready() -> None:
    assert Health.of_report({}) == Health(False, "", "")
    assert Health.of_report({"ready": "yes", "state": 3}) == Health(False, "3", "")
    assert Health.of_report({"ready": True, "state": "replica", "reason": "x"}).ready


def test_a_primary_whose_writes_wait_for_a_replica_is_a_source(version: str) -> None:
    """Else no replica could be made that acknowledges them."""
    waits = Health(False, "slow", "a write does not complete: Waiting for semi-sync ACK")
    assert judge_source_of_all(primary_at(version, 9, read_only=False), waits) is None
    against = judge_source_of_all(primary_at(version, 9, read_only=True), waits)
    assert against is not None
    assert "has not opened it, and reports of its own pod: slow" in against


def test_a_volume_is_replaced_only_if_an_open_primary_has_everything_of_it(version: str) -> None:
    primary = primary_at(version, 9)
    assert judge_replacement(replica_at(version, 8), primary, OPEN) is None
    assert judge_replacement(replica_at(version, 9), primary, None) is None
    assert judge_replacement(facts(version), primary, OPEN) is None
    received = primary_at(version, 10).position.text.partition("|")[0]
    logs = replica_at(version, 8, status=status(received=received))
    other = replace(CLUSTER, id="another")
    for found, source, health, expected in (
        (replica_at(version, 10), primary, OPEN, "it may have what the primary does not have"),
        (logs, primary, OPEN, "it may have what the primary does not have"),
        (replica_at(version, 8, cluster=other), primary, OPEN, "did not come from the primary"),
        (replica_at(version, 8, cluster=None, schemas=("shop",)), primary, OPEN, "did not come"),
        (Unanswered("no answer"), primary, OPEN, "its server does not answer (no answer)"),
        (primary_at(version, 8), primary, OPEN, "it takes writes"),
        (replica_at(version, 8), Unanswered("no answer"), OPEN, "no primary that it could copy"),
        (replica_at(version, 8), replace(primary, read_only=True), None, "does not take writes"),
        (replica_at(version, 8), facts(version), OPEN, "does not take writes"),
        (replica_at(version, 8), primary, Health(False, "refused", "x"), "has not opened it"),
    ):
        assert expected in str(judge_replacement(found, source, health))
