"""What an hour costs in which nothing changes, counted over half a minute."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.mysql.database import Image

from .conftest import Replaying
from .idle import SLEEPS, WATCH, count, idle
from .test_mysql_bootstrap import fresh

SECONDS = 30.0
SIDECARS = {
    "`peerdisco mysql-sidecar` of the primary": 0,
    "`peerdisco mysql-sidecar` of a replica": 1,
}

Rows = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def measured(testing_dns: Replaying, request: pytest.FixtureRequest) -> Rows:
    """The rows of the table; without sidecars where there is no MariaDB."""
    with idle(testing_dns) as processes:
        try:
            servers: Image = request.getfixturevalue("servers")
        except pytest.skip.Exception:
            return {row["who"]: row for row in count(processes, testing_dns, SECONDS)}
        with fresh(servers) as db:
            db.start()
            db.wait()
            for who, ordinal in SIDECARS.items():
                sidecar = db.members[ordinal].sidecar.process
                assert sidecar is not None
                processes[who] = sidecar.pid
            return {row["who"]: row for row in count(processes, testing_dns, SECONDS)}


@pytest.mark.parametrize("who", [WATCH, *SIDECARS, *SLEEPS])
def test_idle(benchmark: BenchmarkFixture, measured: Rows, who: str) -> None:
    if who not in measured:
        pytest.skip("there is no MariaDB on this machine")
    row = benchmark.pedantic(lambda: measured[who])
    benchmark.group = "an hour in which nothing changes"
    benchmark.extra_info.update(table="idle", **row)
