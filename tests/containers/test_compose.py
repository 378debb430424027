"""examples/compose: the peers of a compose file, by the DNS of the engine itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.mysql.waiting import until

from .compose import Composed, composed

COMPOSE = Path(__file__).parents[2] / "examples" / "compose" / "compose.yaml"
PODS = ["mysql-0", "mysql-1", "mysql-2"]
TTL = 600
"""Seconds: that of all answers of Docker's DNS about containers."""

pytestmark = pytest.mark.timeout(240)  # an engine, an image and five containers


@pytest.fixture
def pods(client: docker.DockerClient, user: str) -> Iterator[Composed]:
    with composed(COMPOSE, user, PEERDISCO_INTERVAL="0.2") as made:
        for name in made.services:
            made.start(name)
        yield made


def test_the_containers_find_each_other_and_follow_what_leaves_and_returns(pods: Composed) -> None:
    until(lambda: "+mysql-2" in pods.log("mysql-0"), what="all are listed")
    status, table = pods.run("mysql-1", "-m", "peerdisco", "peers", "-v")
    assert status == 0
    assert f"3 peers, TTL {TTL} s: answer from 127.0.0.11:53 for A" in table
    rows = [line.split()[:3] for line in table.splitlines() if line.startswith("mysql-")]
    assert rows == [[name, str(n), pods.address(name)] for n, name in enumerate(PODS)]
    assert pods.run("mysql-1", "-m", "peerdisco", "primary") == (0, "mysql-0\n")
    assert pods.run("mysql-0", "-m", "peerdisco", "is-primary")[0] == 0
    assert pods.run("mysql-2", "-m", "peerdisco", "is-primary")[0] == 1

    pods.remove("mysql-2")
    # No cache is in the way, so a departure takes some lookups and not ten minutes.
    until(lambda: "-mysql-2" in pods.log("mysql-0"), what="its departure is reported")
    pods.start("mysql-2")
    until(lambda: pods.log("mysql-0").count("+mysql-2") == 2, what="it is listed again")
