"""The asyncio application runs."""

from __future__ import annotations

import sys

from peerdisco.testing import ClusterDNS, StatefulSet

from .processes import DEADLINE, EXAMPLES, assert_tests_pass, running, wait_for

APP = (sys.executable, EXAMPLES / "asyncio_app" / "app.py", "my-database", "--interval", "0.02")


def test_application_follows_the_membership_and_outlives_an_outage(
    cluster: ClusterDNS, mysql: StatefulSet, environment: dict[str, str]
) -> None:
    environment |= {"POD_NAME": "mysql-1"}
    with running(*APP, "--required", "3", environment=environment) as app:
        first = app.wait_for_line("peers:")
        assert first == (
            "mysql-1 (replica); peers: mysql-0, mysql-1, mysql-2; writes go to: mysql-0"
        )
        assert app.wait_for_line("write:") == "write: mysql-0 at 10.244.0.3:3306"
        assert app.wait_for_line("read:") == "read: mysql-2 at 10.244.0.5:3306"

        with cluster.fail("servfail"):
            app.wait_for_line("peers: mysql-0, mysql-1, mysql-2; .*; no answer, .*SERVFAIL")
            app.wait_for_line("^write: mysql-0 at")
        app.wait_for_line("; answered again$")

        mysql.stop(0)
        app.wait_for_line("peers: mysql-1, mysql-2; writes go to: nobody$")
        app.wait_for_line("^write: nobody to ask now$")
        mysql.start(0)
        app.wait_for_line("writes go to: mysql-0$")
        app.wait_for_line("^write: mysql-0 at 10.244.0.6:3306$")
        mysql.restart(2)
        app.wait_for_line("; mysql-2 is at 10.244.0.7 now$")

        assert app.terminate() == 0
        app.wait_for_line("^stopped$")


def test_application_waits_for_the_first_peers(
    cluster: ClusterDNS, environment: dict[str, str]
) -> None:
    with running(*APP, environment=environment) as app:
        wait_for(lambda: bool(cluster.queries))
        cluster.statefulset("mysql", service="my-database", replicas=1)
        app.wait_for_line(r"outside a pod \(not listed\); peers: mysql-0; writes go to: mysql-0")


def test_application_ends_when_its_peers_do_not_come(environment: dict[str, str]) -> None:
    with running(*APP, "--timeout", "0.2", environment=environment) as app:
        assert app.wait_for_line("") == "app: timed out after 0.2 s: needed 1 peer, saw none"
        assert app.popen.wait(DEADLINE) == 1


def test_application_says_in_one_line_what_is_set_up_wrongly(environment: dict[str, str]) -> None:
    environment |= {"PEERDISCO_NAMESERVERS": "not-an-address"}
    with running(*APP, environment=environment) as app:
        assert app.wait_for_line("").startswith("app: PEERDISCO_NAMESERVERS: got 'not-an-address'")
        assert app.popen.wait(DEADLINE) == 1


def test_application_tests_pass() -> None:
    assert_tests_pass(EXAMPLES / "asyncio_app")
