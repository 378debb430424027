"""Servers and accounts that require TLS, with certificates of the test."""

from __future__ import annotations

import pytest

from .certificates import Authority
from .database import Database
from .waiting import until

NAME = "mysql.internal"
HOSTS = ("*.mysql.default.svc.cluster.local", NAME)


@pytest.fixture
def secured(every_db: Database) -> Database:
    """Servers that offer TLS, over TCP only."""
    db = every_db
    authority = Authority(db.network.directory)
    for member in db.members:
        key, certificate = authority.issue(member.name, *HOSTS)
        member.server.arguments = (
            *(["--ssl=ON"] if member.server.flavour == "mariadb" else []),
            f"--ssl-ca={authority.path}",
            f"--ssl-cert={certificate}",
            f"--ssl-key={key}",
        )
        del member.sidecar.environment["PEERDISCO_MYSQL_SOCKET"]
    db.network.own(db.network.directory)
    return db


def trusting(db: Database, name: str = "ca") -> tuple[str, ...]:
    ca = str(db.network.directory / f"{name}.pem")
    return ("--tls-ca", ca, "--tls-server-name", NAME, "--replication-tls-ca", ca)


def test_tls_is_required_of_a_running_cluster(secured: Database) -> None:
    secured.start()
    secured.wait()
    secured.create_shop()
    for member in secured.members:
        member.sidecar.stop()
        member.sidecar.start(*trusting(secured))
    for replica in secured.replicas:
        until(
            lambda replica=replica: (
                replica.server.replica_status()["Source_SSL_Verify_Server_Cert"] == "Yes"
            ),
            what="it verifies its source",
        )
    secured.wait()
    for member in secured.members:
        member.server.arguments += ("--require-secure-transport=ON",)
        member.locally(
            "SET SESSION sql_log_bin = 0",
            "ALTER USER 'peerdisco_replication'@'%' REQUIRE SSL",
            "ALTER USER 'peerdisco'@'127.0.0.1' REQUIRE SSL",
        )
    for member in secured.members:
        member.stop()
    for member in secured.members:
        member.server.start()
        member.sidecar.start(*trusting(secured))
    secured.wait()
    for member in secured.members:
        until(lambda member=member: member.sidecar.ready()[0] == 200, what="it is ready")
        assert member.sidecar.ready()[1]["problems"] == []
    secured.primary.server.sql("INSERT INTO shop.orders VALUES (1)")
    assert secured.wait_equal() == [1]
    status = secured[1].server.replica_status()
    assert status["Source_SSL_Allowed"] == "Yes"


def test_a_certificate_of_another_authority_is_reported_and_closes_nothing(
    secured: Database,
) -> None:
    secured.start()
    secured.wait()
    other = Authority(secured.network.directory, "other")
    secured.network.own(secured.network.directory)
    primary, replica = secured.primary, secured[1]
    for member in (primary, replica):
        member.sidecar.stop()
        member.server.restart()
        member.sidecar.start(*trusting(secured, other.path.stem))
    primary.sidecar.wait_for("primary")
    assert not primary.server.variable("read_only")
    until(lambda: primary.sidecar.ready()[1]["problems"], what="the primary reports it")
    assert "certificate" in primary.sidecar.ready()[1]["problems"][0]["detail"]
    assert "certificate" in replica.sidecar.wait_for("waiting", "connecting")
