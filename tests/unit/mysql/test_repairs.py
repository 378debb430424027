"""What is repaired on a replica without an operator: the statements, in their order."""

from __future__ import annotations

from dataclasses import replace

from peerdisco.mysql.positions import MariaDBPosition
from peerdisco.mysql.repairs import plan_dropping_log

from .servers import facts, status

LOCAL = replace(
    facts(status=status(applier_running=False, applier_errno=1950)),
    position=MariaDBPosition.parse("0-100-9,0-101-10", "0-100-9"),
)
"""A statement of an administrator is in its log, which stopped the applier."""


def test_the_applier_is_stopped_and_started_around_the_reset() -> None:
    sent = [step.sql for step in plan_dropping_log(LOCAL)]
    assert sent == ["STOP REPLICA", "RESET MASTER", "START REPLICA"]


def test_a_server_that_replicates_from_nowhere_only_drops_its_log() -> None:
    assert [step.sql for step in plan_dropping_log(replace(LOCAL, status=None))] == ["RESET MASTER"]
