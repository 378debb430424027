"""Large services through the public API and the command, against the testing DNS."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import peerdisco
from peerdisco.testing import ClusterDNS

pytestmark = pytest.mark.timeout(180)


def test_a_service_of_more_than_one_answer_is_listed_whole() -> None:
    pods = 1100
    with ClusterDNS() as dns:
        dns.statefulset("db", service="db", replicas=pods, families=("ipv4", "ipv6"))
        done = subprocess.run(
            [sys.executable, "-m", "peerdisco", "peers", "db", "-o", "json", "--timeout", "50"],
            env={**os.environ, **dns.environment},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert result["complete"] is True
    assert [peer["name"] for peer in result["peers"]] == [f"db-{n}" for n in range(pods)]
    assert {len(peer["addresses"]) for peer in result["peers"]} == {2}
    assert all(peer["ports"] == {"": 3306} for peer in result["peers"])


async def test_a_service_without_tcp_is_incomplete_as_before() -> None:
    with ClusterDNS() as dns:
        dns.statefulset("db", service="db", replicas=1000)
        with dns.fail("close", transport="tcp"):
            snapshot = await peerdisco.discover(
                "db.default.svc.cluster.local", nameservers=[dns.nameserver], timeout=20
            )
    assert not snapshot.complete
    assert "the server does not answer over TCP" in str(snapshot.incomplete_reason)
