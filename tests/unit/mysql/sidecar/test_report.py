"""What a report derives from its facts."""

from __future__ import annotations

from peerdisco.mysql.sidecar.report import Report, State

from ..servers import facts, status

REPLICATES = facts(status=status(lag=7))


def test_the_heartbeat_says_how_far_a_replica_is_behind() -> None:
    assert Report(State.REPLICA, "", facts=REPLICATES, behind=2).lag == 2
    assert Report(State.REPLICA, "", facts=REPLICATES, behind=0).lag == 0


def test_without_a_heartbeat_the_server_says_it() -> None:
    assert Report(State.REPLICA, "", facts=REPLICATES).lag == 7


def test_what_does_not_replicate_has_no_lag() -> None:
    assert Report(State.REPLICA, "", facts=facts()).lag is None
    assert Report(State.NO_SERVER, "").lag is None
