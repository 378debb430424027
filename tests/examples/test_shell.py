"""The shell scripts treat every exit status as what it means."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from peerdisco.testing import ClusterDNS, StatefulSet

from .processes import EXAMPLES, running, wait_for

SHELL = EXAMPLES / "shell"


def role(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", SHELL / "role.sh", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def state(tmp_path: Path, environment: dict[str, str]) -> Path:
    environment |= {"STATE_DIR": str(tmp_path), "POD_NAME": "mysql-1", "POD_IP": "10.244.0.4"}
    return tmp_path


def content(state: Path) -> dict[str, str]:
    return {file.name: file.read_text().strip() for file in state.iterdir()}


REPLICA = {"role": "replica", "primary": "mysql-0.my-database.default.svc.cluster.local"}


@pytest.mark.usefixtures("mysql")
def test_role_of_a_replica_and_of_the_primary(state: Path, environment: dict[str, str]) -> None:
    done = role(environment, "my-database")
    assert (done.returncode, done.stderr) == (0, "")
    assert content(state) == REPLICA
    environment |= {"POD_NAME": "mysql-0", "POD_IP": "10.244.0.3"}
    assert role(environment, "my-database").returncode == 0
    assert content(state) == {**REPLICA, "role": "primary"}


@pytest.mark.usefixtures("mysql")
def test_role_takes_the_service_from_the_environment(
    state: Path, environment: dict[str, str]
) -> None:
    environment |= {"PEERDISCO_SERVICE": "my-database"}
    assert role(environment).returncode == 0
    assert content(state) == REPLICA


def test_role_keeps_what_it_knew_during_an_outage(
    cluster: ClusterDNS, mysql: StatefulSet, state: Path, environment: dict[str, str]
) -> None:
    role(environment, "my-database")
    with cluster.fail("servfail"):
        done = role(environment, "my-database")
        assert done.returncode == 1
        assert "SERVFAIL" in done.stderr
        assert content(state) == REPLICA
    mysql.stop(0)  # status 3
    done = role(environment, "my-database")
    assert done.returncode == 1
    assert "ordinal 0 is not listed" in done.stderr
    assert content(state) == REPLICA
    mysql.scale(0)  # NXDOMAIN: 3 again
    assert role(environment, "my-database").returncode == 1
    assert content(state) == REPLICA


def test_role_keeps_what_it_knew_of_a_list_that_is_cut(
    cluster: ClusterDNS, mysql: StatefulSet, state: Path, environment: dict[str, str]
) -> None:
    role(environment, "my-database")
    mysql.stop(0)
    cluster.fail("truncate")  # status 4: the rest may hold ordinal 0
    done = role(environment, "my-database")
    assert done.returncode == 1
    assert "may be incomplete" in done.stderr
    assert content(state) == REPLICA


@pytest.mark.usefixtures("mysql")
def test_role_is_not_primary_by_name_alone(state: Path, environment: dict[str, str]) -> None:
    environment |= {"POD_NAME": "mysql-0", "POD_IP": "10.244.9.9"}
    done = role(environment, "my-database")
    assert done.returncode == 1
    assert "unknown: " in done.stderr
    assert "role" not in content(state)


def test_role_says_where_it_cannot_write(environment: dict[str, str]) -> None:
    environment |= {"STATE_DIR": "/nowhere/at/all"}
    done = role(environment, "my-database")
    assert done.returncode == 2
    assert "STATE_DIR" in done.stderr


def test_follow_goes_on_until_a_signal(
    cluster: ClusterDNS, mysql: StatefulSet, state: Path, environment: dict[str, str]
) -> None:
    outage = cluster.fail("servfail")
    command = ("sh", SHELL / "follow.sh", "my-database", "--verbose")
    with running(*command, environment=environment) as follow:
        follow.wait_for_line("the on-change hook waits: no lookup has succeeded yet: .*SERVFAIL")
        outage.remove()
        follow.wait_for_line("the on-change hook runs: 3 peers")
        wait_for(lambda: content(state) == REPLICA)
        mysql.restart(2)
        follow.wait_for_line("the on-change hook runs: 3 peers")

        with cluster.fail("servfail"):
            follow.wait_for_line("DNS lookups fail, keeping the last known peers: .*SERVFAIL")
            assert content(state) == REPLICA
        follow.wait_for_line("DNS lookups succeed again")

        mysql.stop(0)
        follow.wait_for_line("the on-change hook runs: 2 peers")
        follow.wait_for_line("ordinal 0 is not listed")
        follow.wait_for_line("the on-change hook failed .* exited with status 1; retrying in")
        mysql.start(0)
        follow.wait_for_line("the on-change hook runs: 3 peers")
        assert follow.terminate() == 0
    assert content(state) == REPLICA
