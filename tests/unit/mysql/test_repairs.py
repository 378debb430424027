"""What is repaired on a replica without an operator: the statements, in their order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peerdisco.mysql.decisions import plan_replica
from peerdisco.mysql.dialects import ReplicationSource
from peerdisco.mysql.facts import ServerFacts
from peerdisco.mysql.opening import plan_primary
from peerdisco.mysql.positions import MariaDBPosition
from peerdisco.mysql.repairs import plan_dropping_log, plan_marking
from peerdisco.mysql.setup import Account
from peerdisco.mysql.status import Receiver

from .servers import CLUSTER, MYSQL, SOURCE_HOST, UUID, facts, status

SOURCE = ReplicationSource(SOURCE_HOST, 3306, Account("repl", "secret"))

LOCAL = replace(
    facts(cluster=CLUSTER, status=status(applier_running=False, applier_errno=1950)),
    position=MariaDBPosition.parse("0-100-9,0-101-10", "0-100-9"),
)
"""A statement of an administrator is in its log, which stopped the applier."""


MARK = "SET GLOBAL gtid_binlog_state = '0-100-9'"
DROP = ["RESET MASTER", MARK]


def test_the_applier_is_stopped_and_started_around_the_reset() -> None:
    sent = [step.sql for step in plan_dropping_log(LOCAL)]
    assert sent == ["STOP REPLICA", *DROP, "START REPLICA"]


def test_a_server_that_replicates_from_nowhere_only_drops_its_log() -> None:
    assert [step.sql for step in plan_dropping_log(replace(LOCAL, status=None))] == DROP


COPY = replace(LOCAL, position=MariaDBPosition.parse("", "0-100-9"), cluster=CLUSTER, status=None)
"""A copy that holds the data and no log."""


def test_the_log_of_a_copy_says_where_it_begins() -> None:
    """Or it looks like the whole log to a replica that starts from nothing."""
    cut_off = replace(COPY, status=status(receiver=Receiver.STOPPED, applier_running=False))
    for own in (COPY, cut_off):
        assert [step.sql for step in plan_marking(own)] == [MARK]
        assert MARK in [step.sql for step in plan_replica(own, SOURCE)][:-1]
    source, now = replace(COPY, origin="100"), "2026-01-01 12:00:00"
    opening = [step.sql for step in plan_primary(source, "an-id", now, "an-epoch", 0)]
    assert opening[0] == MARK


@pytest.mark.parametrize(
    "own",
    [
        replace(COPY, position=MariaDBPosition.parse("0-100-8", "0-100-9")),
        replace(COPY, position=MariaDBPosition.parse("", "")),
        replace(COPY, cluster=None),
        replace(COPY, status=status()),
        replace(COPY, status=status(receiver=Receiver.STOPPED)),
        facts(MYSQL, cluster=CLUSTER, position=f"{UUID}:1-9"),
    ],
)
def test_other_logs_are_left_as_they_are(own: ServerFacts) -> None:
    assert plan_marking(own) == []
