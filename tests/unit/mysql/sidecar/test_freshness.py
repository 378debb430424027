"""How long a replica without a connection to its primary serves its data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from peerdisco.mysql.positions import MariaDBPosition
from peerdisco.mysql.reasons import ServerReasonCode
from peerdisco.mysql.sidecar.announcements import Announcements
from peerdisco.mysql.sidecar.freshness import Freshness
from peerdisco.mysql.sidecar.report import MAX_STALENESS, Report, Role, State
from peerdisco.mysql.status import Receiver
from peerdisco.primary.verdicts import Reason, Verdict

from ..servers import CLUSTER, facts, status

FOLLOWS = Verdict.of([Reason(ServerReasonCode.FOLLOWS, "it may")])
ABSENT = Verdict.of([Reason(ServerReasonCode.PRIMARY_ABSENT, "it does not answer")])
REFUSED = Verdict.of([Reason(ServerReasonCode.OWN_CHANGES, "it has more")])
AWAY = status(receiver=Receiver.CONNECTING, lag=None)
STOPPED = status(receiver=Receiver.STOPPED, applier_running=False, lag=None)


def report(verdict: Verdict | None = FOLLOWS, **given: Any) -> Report:
    found = facts(**{"cluster": CLUSTER, "position": "0-100-9", "status": status(), **given})
    refused = verdict is not None and not verdict and not verdict.waits
    state = State.REFUSED if refused else State.REPLICA
    return Report(state, "", Role.REPLICA, verdict, found)


def test_it_is_ready_up_to_the_limit() -> None:
    freshness = Freshness()
    freshness.noted(report(status=status(lag=4)), 100.0)
    away = freshness.noted(report(ABSENT, status=AWAY), 100.0 + MAX_STALENESS - 4)
    assert away.data_age == MAX_STALENESS
    assert away.ready(30)
    assert not freshness.noted(report(ABSENT, status=AWAY), 101.0 + MAX_STALENESS).ready(30)
    assert freshness.noted(report(ABSENT, status=AWAY), 10**9).ready(30, 10**9)


def test_the_lag_counts_while_the_primary_answers() -> None:
    """The receiver has no connection, but the primary goes on writing."""
    freshness = Freshness()
    freshness.noted(report(), 100.0)
    assert freshness.noted(report(FOLLOWS, status=AWAY), 130.0).ready(30)
    assert not freshness.noted(report(FOLLOWS, status=AWAY), 131.0).ready(30)


@pytest.mark.parametrize("status_", [AWAY, STOPPED])
def test_it_is_ready_again_after_a_restart_of_its_server(status_: Any) -> None:
    freshness = Freshness()
    freshness.noted(report(), 100.0)
    gone = Report(State.NO_SERVER, "", Role.REPLICA)
    assert freshness.noted(gone, 101.0) == gone
    assert freshness.noted(report(ABSENT, status=status_), 110.0).ready(30)


OTHERS: dict[str, dict[str, Any]] = {
    "of another cluster": {"cluster": replace(CLUSTER, id="another")},
    "with older data": {"position": "0-100-8"},
    "without a cluster": {"cluster": None},
    "open": {"closed": False},
    "no replica": {"status": None},
    "broken": {"status": replace(STOPPED, applier_errno=1062)},
}


@pytest.mark.parametrize("given", OTHERS.values(), ids=OTHERS)
def test_another_server_is_not_ready(given: dict[str, Any]) -> None:
    freshness = Freshness()
    freshness.noted(report(), 100.0)
    assert not freshness.noted(report(ABSENT, **{"status": STOPPED, **given}), 101.0).ready(30)


def test_a_refused_one_is_not_ready_and_stays_so() -> None:
    freshness = Freshness()
    freshness.noted(report(), 100.0)
    assert not freshness.noted(report(REFUSED, status=STOPPED), 101.0).ready(30)
    assert not freshness.noted(report(ABSENT, status=STOPPED), 102.0).ready(30)


def test_after_a_restart_of_the_sidecar_only_running_threads_are_evidence() -> None:
    """A refusal stops both; where they are stopped, it is not known why."""
    assert Freshness().noted(report(ABSENT, status=AWAY), 100.0).ready(30)
    assert Freshness().noted(report(None, status=AWAY), 100.0).ready(30)
    assert not Freshness().noted(report(ABSENT, status=STOPPED), 100.0).ready(30)


def test_what_is_received_without_a_connection_is_remembered() -> None:
    freshness = Freshness()
    freshness.noted(report(position="0-100-20"), 100.0)
    back = report(ABSENT, status=STOPPED, position="0-100-19")
    assert back.facts is not None
    assert isinstance(back.facts.position, MariaDBPosition)
    assert not freshness.noted(back, 101.0).ready(30)


# What is reported.


def lines(*reports: Report, apart: float = 0.0) -> int:
    announcements = Announcements()
    news = [announcements.is_news(found, apart * n) for n, found in enumerate(reports)]
    return sum(news)


def connecting(attempt: int, errno: int = 2003) -> Report:
    reason = f"does not receive (error {errno}: attempt {attempt}/86400, in {attempt}.5 s)"
    return Report(State.CONNECTING, reason, Role.REPLICA, ABSENT)


def test_a_primary_that_is_away_is_one_line() -> None:
    for verdict in (ABSENT, None):
        away = [replace(connecting(n, 2003 + 10 * (n % 2)), verdict=verdict) for n in range(5000)]
        away[::7] = [replace(one, done=("starting the receiver",)) for one in away[::7]]
        assert lines(*away) <= 2
    assert lines(*(connecting(n) for n in range(5000))) == 1


def test_what_changes_is_a_line() -> None:
    running = report()
    away = connecting(1)
    assert lines(running, away, running, away, running) == 5
    assert lines(running, replace(running, done=("stopping",))) == 2
    assert lines(running, replace(running, paused=True), running) == 2
    assert lines(report(FOLLOWS), report(ABSENT), report(ABSENT)) == 2


def refusing(errno: int) -> Report:
    text = f"db-1 does not answer: 10.0.0.2:3306: connecting: error {errno}: in {errno} ms"
    return Report(
        State.WAITING,
        text,
        Role.PRIMARY,
        Verdict.of([Reason(ServerReasonCode.PRIMARY_ABSENT, text, "db-1")]),
    )


def test_another_kind_of_error_is_a_line_and_another_number_is_not() -> None:
    """A peer that is not up yet, and then rejects the password, by whichever error."""
    assert lines(refusing(2003), refusing(2013), refusing(2003), refusing(1045)) == 2
    assert lines(refusing(1045), refusing(1698), refusing(2059), refusing(1040)) == 2
    away = [refusing((2003, 2013, 1045)[n % 3]) for n in range(5000)]
    assert lines(*away, apart=0.25) == 2


def test_the_last_line_becomes_what_stays() -> None:
    """While the primary is away, a server restarts a second time: its last line was no-server."""
    gone = Report(State.NO_SERVER, "the server does not answer", Role.REPLICA)
    back = [connecting(n) for n in range(100)]
    assert lines(report(), *back, gone, *back[:19], apart=0.25) == 3
    assert lines(report(), *back, gone, *back, apart=0.25) == 4
    # Bounded, however often that happens: the time until the next line doubles.
    flapping = [one for _ in range(100) for one in (*[gone] * 40, *back[:40])]
    assert lines(report(), *flapping, apart=0.25) <= 6
    assert lines(report(), *flapping, report(), gone, connecting(1), apart=0.25) <= 9
