"""The sidecar's HTTP port, asked as a kubelet and Prometheus do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from peerdisco.clock import SystemClock
from peerdisco.exceptions import ConfigurationError
from peerdisco.model import Snapshot
from peerdisco.mysql.reasons import ServerReasonCode
from peerdisco.mysql.sidecar.health import STUCK_AFTER, HealthServer
from peerdisco.mysql.sidecar.past_reports import History
from peerdisco.mysql.sidecar.report import Report, Role, State
from peerdisco.names import Endpoint
from peerdisco.primary.verdicts import Reason, Verdict

from ..servers import CLUSTER, facts, status

ANY_PORT = Endpoint("127.0.0.1", 0)


class Changes(SimpleNamespace):
    """The state of a sidecar, as its HTTP port reads it."""

    report: Report
    lookups: int
    nudges: int
    last_pass_at: float


@pytest.fixture
def sidecar() -> Changes:
    report = Report(State.STARTING, "the first pass has not ended yet", Role.REPLICA)
    history = History()
    history.add(report, datetime(2026, 1, 1, tzinfo=UTC))
    return Changes(
        report=report,
        passes=7,
        nudges=2,
        last_pass_at=100.0,
        pod_name="mysql-1",
        membership=Snapshot("mysql.default.svc.cluster.local"),
        history=history,
        clock=SystemClock(),
    )


@pytest.fixture
def clock() -> SimpleNamespace:
    return SimpleNamespace(now=100.0)


@pytest.fixture
def server(sidecar: Changes, clock: SimpleNamespace) -> Iterator[HealthServer]:
    with HealthServer(sidecar, ANY_PORT, lambda: clock.now, 30.0) as server:  # type: ignore[arg-type]
        yield server


def get(server: HealthServer, path: str, method: str = "GET") -> tuple[int, str, str]:
    request = urllib.request.Request(f"http://{server.listening}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def replicating(lag: int | None = 3) -> Report:
    found = facts(cluster=CLUSTER, status=status(lag=lag))
    verdict = Verdict.of([Reason(ServerReasonCode.FOLLOWS, "it may")])
    return Report(State.REPLICA, "replicates", Role.REPLICA, verdict, found, "mysql-0.mysql")


def test_alive_as_long_as_passes_end(server: HealthServer, clock: SimpleNamespace) -> None:
    assert get(server, "/healthz") == (200, "text/plain; charset=utf-8", "ok\n")
    clock.now += STUCK_AFTER
    code, _, said = get(server, "/healthz")
    assert (code, said) == (503, "no pass has ended for 30 s\n")


def test_ready_says_why_not(server: HealthServer) -> None:
    code, kind, body = get(server, "/readyz")
    assert (code, kind) == (503, "application/json")
    assert json.loads(body) == {
        "ready": False,
        "paused": False,
        "role": "replica",
        "state": "starting",
        "reason": "the first pass has not ended yet",
        "lag": None,
        "data_age": None,
        "identity": None,
        "epoch": None,
        "source": None,
        "verdict": None,
        "problems": [],
        "durability": None,
    }


def test_proxies_are_sent_to_an_open_primary_alone(server: HealthServer, sidecar: Changes) -> None:
    sidecar.report = replicating()
    assert get(server, "/primary")[::2] == (404, "replica\n")
    own = facts(cluster=CLUSTER, read_only=False)
    verdict = Verdict.of([Reason(ServerReasonCode.FOLLOWS, "it may")])
    for state, expected in (
        (State.PRIMARY, (200, "primary\n")),
        (State.SLOW, (404, "slow\n")),
        (State.REFUSED, (404, "refused\n")),
    ):
        sidecar.report = Report(state, "takes writes", Role.PRIMARY, verdict, own)
        assert get(server, "/primary")[::2] == expected


def test_ready(server: HealthServer, sidecar: Changes) -> None:
    sidecar.report = replicating()
    code, _, body = get(server, "/readyz?verbose")
    assert code == 200
    assert json.loads(body) == {
        "ready": True,
        "paused": False,
        "role": "replica",
        "state": "replica",
        "reason": "replicates",
        "lag": 3,
        "data_age": None,
        "identity": CLUSTER.id,
        "epoch": None,
        "source": "mysql-0.mysql",
        "verdict": {
            "decision": "allowed",
            "reasons": [{"code": "follows", "peer": None, "detail": "it may"}],
        },
        "problems": [],
        "durability": None,
    }


@pytest.mark.parametrize("lag", [31, None])
def test_a_replica_that_is_behind_is_not_ready(
    server: HealthServer, sidecar: Changes, lag: int | None
) -> None:
    sidecar.report = replicating(lag)
    assert get(server, "/readyz")[0] == 503


def test_a_replica_that_has_got_nothing_yet_is_not_ready(
    server: HealthServer, sidecar: Changes
) -> None:
    found = facts(status=status(lag=0))
    sidecar.report = Report(State.REPLICA, "replicates", Role.REPLICA, None, found)
    assert get(server, "/readyz")[0] == 503


def test_head_has_no_body(server: HealthServer) -> None:
    assert get(server, "/healthz", "HEAD") == (200, "text/plain; charset=utf-8", "")


def test_there_is_nothing_else(server: HealthServer) -> None:
    code, _, body = get(server, "/nothing")
    assert code == 404
    assert "/readyz" in body


def test_the_status_page(server: HealthServer, sidecar: Changes) -> None:
    code, kind, page = get(server, "/")
    assert (code, kind) == (200, "text/html; charset=utf-8")
    assert "<title>mysql-1: starting</title>" in page
    assert "the peers are unknown" in page
    sidecar.report = replicating()
    sidecar.history.add(sidecar.report, datetime(2026, 1, 1, 0, 1, tzinfo=UTC))
    page = get(server, "/")[2]
    assert "ready: replica" in page
    assert "2026-01-01 00:01:00 UTC" in page
    assert "2026-01-01 00:00:00 UTC" in page
    assert get(server, "/", "HEAD") == (200, kind, "")


def test_the_reasons_of_the_verdict_are_a_metric(server: HealthServer, sidecar: Changes) -> None:
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    assert 'peerdisco_mysql_reason{code="follows"} 0.0' in get(server, "/metrics")[2]
    sidecar.report = replicating()
    text = get(server, "/metrics")[2]
    assert 'peerdisco_mysql_reason{code="follows"} 1.0' in text
    assert 'peerdisco_mysql_reason{code="needs-copy"} 0.0' in text
    assert 'peerdisco_mysql_reason{code="confirmed"} 0.0' in text


def test_metrics(server: HealthServer, sidecar: Changes) -> None:
    sidecar.report = replicating()
    code, _, body = get(server, "/metrics")
    assert code == 200
    values = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }
    assert values["peerdisco_mysql_state", "replica"] == 1
    assert values["peerdisco_mysql_state", "primary"] == 0
    assert values["peerdisco_mysql_role", "replica"] == 1
    assert values["peerdisco_mysql_ready",] == 1
    assert values["peerdisco_mysql_problem", "replication-account"] == 0
    assert values["peerdisco_mysql_replication_lag_seconds",] == 3
    assert values["peerdisco_mysql_lookups_total",] == 7
    assert values["peerdisco_mysql_nudges_total",] == 2
    assert any(CLUSTER.id in key for key in values)


def test_a_lag_that_is_not_known_is_no_number(server: HealthServer, sidecar: Changes) -> None:
    sidecar.report = replicating(None)
    assert "lag_seconds" not in get(server, "/metrics")[2]


def test_a_port_that_is_taken_is_one_clear_error(sidecar: Changes, server: HealthServer) -> None:
    with pytest.raises(ConfigurationError, match=r"--listen: got .* in use"):
        HealthServer(sidecar, server.listening, lambda: 0.0, 30.0)  # type: ignore[arg-type]


def test_it_is_over_at_the_end(sidecar: Changes) -> None:
    with HealthServer(sidecar, ANY_PORT, lambda: 0.0, 30.0) as server:  # type: ignore[arg-type]
        where = server.listening
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://{where}/healthz", timeout=10)


STOPPED = """
import sys, time
from types import SimpleNamespace
from peerdisco.mysql.sidecar import health
from peerdisco.names import Endpoint
health.STUCK_AFTER = 2.5
sidecar = SimpleNamespace(last_pass_at=time.monotonic())
with health.HealthServer(sidecar, Endpoint("127.0.0.1", 0), time.monotonic, 30.0) as server:
    print(server.listening, flush=True)
    sys.stdin.read()
"""


def test_a_process_that_was_stopped_is_not_stuck() -> None:
    """Really stopped, for longer than it takes to be stuck; afterwards it has to move again."""
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        where = SimpleNamespace(listening=process.stdout.readline().strip())
        assert get(where, "/healthz")[0] == 200  # type: ignore[arg-type]
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(3)
        os.kill(process.pid, signal.SIGCONT)
        assert get(where, "/healthz")[0] == 200  # type: ignore[arg-type]
        time.sleep(2.8)
        assert get(where, "/healthz")[0] == 503  # type: ignore[arg-type]
        process.communicate("", timeout=20)
