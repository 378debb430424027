"""What an hour costs in which nothing changes, counted over half a minute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from peerdisco.names import Endpoint
from tests.mysql.database import Image

from . import network, peer_finder
from .conftest import Replaying, running
from .idle import SLEEPS, WATCH, count, idle
from .test_mysql_bootstrap import fresh

SECONDS = 30.0
_SERVER = "127.0.0.4"
SIDECARS = {
    "`peerdisco mysql-sidecar` of the primary": 0,
    "`peerdisco mysql-sidecar` of a replica": 1,
}

Rows = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def peer_finders() -> Iterator[Replaying | None]:
    """A server that Go's peer-finder alone asks, since it asks twice as often; None without it."""
    if peer_finder.missing() is not None or network.directory() is None:
        yield None
        return
    with running("tests.benchmarks.server", _SERVER, "53") as (port, process):
        yield Replaying(Endpoint(_SERVER, port), process)


@pytest.fixture(scope="module")
def measured(
    testing_dns: Replaying, peer_finders: Replaying | None, request: pytest.FixtureRequest
) -> Rows:
    """The rows of the table; without sidecars where there is no MariaDB."""
    with idle(testing_dns, peer_finders) as processes:
        try:
            servers: Image = request.getfixturevalue("servers")
        except pytest.skip.Exception:
            return {row["who"]: row for row in count(processes, SECONDS)}
        with fresh(servers) as db:
            db.start()
            db.wait()
            for who, ordinal in SIDECARS.items():
                sidecar = db.members[ordinal].sidecar.process
                assert sidecar is not None
                processes[who] = (sidecar.pid, None)
            return {row["who"]: row for row in count(processes, SECONDS)}


@pytest.mark.parametrize("who", [WATCH, *SIDECARS, peer_finder.WHO, *SLEEPS])
def test_idle(benchmark: BenchmarkFixture, measured: Rows, who: str) -> None:
    if who not in measured and who == peer_finder.WHO:
        pytest.skip(peer_finder.missing() or network.WITHOUT)
    if who not in measured:
        pytest.skip("there is no MariaDB on this machine")
    row = benchmark.pedantic(lambda: measured[who])
    benchmark.group = "an hour in which nothing changes"
    benchmark.extra_info.update(table="idle", **row)
