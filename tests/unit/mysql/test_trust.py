"""The statements that make a replica's server verify its source."""

from __future__ import annotations

import pytest

from peerdisco.mysql.decisions import plan_replica
from peerdisco.mysql.dialects import NO_TRUST, Dialect, ReplicationSource, SourceTrust
from peerdisco.mysql.setup import Account
from peerdisco.mysql.status import ReplicaStatus
from peerdisco.mysql.versions import Version

from .servers import CLUSTER, MARIADB, MYSQL, SOURCE_HOST, Server, facts, status

CA = "/etc/tls/it's a CA.pem"
KEY = "/etc/tls/key.pem"


def source(trust: SourceTrust) -> ReplicationSource:
    return ReplicationSource(SOURCE_HOST, 3306, Account("repl", "secret"), trust)


def options(version: str, trust: SourceTrust) -> set[str]:
    """The options of the statement that are about trust."""
    sql = Dialect(Version.parse(version)).follow(source(trust)).sql
    _, _, listed = sql.partition(" TO ")
    return {one for one in listed.split(", ") if "SSL" in one or "PUBLIC_KEY" in one}


@pytest.mark.parametrize(
    ("version", "trust", "expected"),
    [
        (MARIADB, NO_TRUST, set()),
        (MARIADB, SourceTrust(public_key=KEY), set()),
        (
            MARIADB,
            SourceTrust(CA),
            {
                "MASTER_SSL = 1",
                r"MASTER_SSL_CA = '/etc/tls/it\'s a CA.pem'",
                "MASTER_SSL_VERIFY_SERVER_CERT = 1",
            },
        ),
        (MYSQL, NO_TRUST, {"GET_SOURCE_PUBLIC_KEY = 1"}),
        (
            MYSQL,
            SourceTrust(CA),
            {
                "SOURCE_SSL = 1",
                r"SOURCE_SSL_CA = '/etc/tls/it\'s a CA.pem'",
                "SOURCE_SSL_VERIFY_SERVER_CERT = 1",
                "GET_SOURCE_PUBLIC_KEY = 0",
            },
        ),
        (
            MYSQL,
            SourceTrust(public_key=KEY),
            {f"SOURCE_PUBLIC_KEY_PATH = '{KEY}'", "GET_SOURCE_PUBLIC_KEY = 0", "SOURCE_SSL = 0"},
        ),
        (
            MYSQL,
            SourceTrust(CA, KEY),
            {
                "SOURCE_SSL = 1",
                r"SOURCE_SSL_CA = '/etc/tls/it\'s a CA.pem'",
                "SOURCE_SSL_VERIFY_SERVER_CERT = 1",
                f"SOURCE_PUBLIC_KEY_PATH = '{KEY}'",
                "GET_SOURCE_PUBLIC_KEY = 0",
            },
        ),
    ],
)
def test_what_a_server_is_told(version: str, trust: SourceTrust, expected: set[str]) -> None:
    assert options(version, trust) == expected


@pytest.mark.parametrize(
    ("version", "found", "wanted", "again"),
    [
        (MARIADB, {}, NO_TRUST, False),
        (MARIADB, {"tls_ca": CA}, NO_TRUST, False),
        (MARIADB, {"tls_ca": CA}, SourceTrust(CA), False),
        (MARIADB, {}, SourceTrust(CA), True),
        (MARIADB, {"tls_ca": "/old"}, SourceTrust(CA), True),
        (MARIADB, {}, SourceTrust(public_key=KEY), False),
        (MYSQL, {}, SourceTrust(public_key=KEY), True),
        (MYSQL, {"public_key": KEY}, SourceTrust(public_key=KEY), False),
        (MYSQL, {"public_key": KEY}, SourceTrust(CA, KEY), True),
    ],
)
def test_a_replica_is_configured_again_if_it_does_not_verify(
    version: str, found: dict[str, str], wanted: SourceTrust, again: bool
) -> None:
    own = facts(version, cluster=CLUSTER, status=status(**found))
    steps = [step.doing for step in plan_replica(own, source(wanted))]
    assert (f"setting the source to {source(wanted)}" in steps) is again
    assert bool(steps) is again


@pytest.mark.parametrize(
    ("given", "ca"),
    [
        ({"SSL_Allowed": "Yes", "SSL_CA_File": CA, "SSL_Verify_Server_Cert": "Yes"}, CA),
        ({"SSL_Allowed": "Yes", "SSL_CA_File": CA, "SSL_Verify_Server_Cert": "No"}, ""),
        ({"SSL_Allowed": "No", "SSL_CA_File": CA, "SSL_Verify_Server_Cert": "Yes"}, ""),
        ({}, ""),
    ],
)
@pytest.mark.parametrize("version", [MARIADB, MYSQL])
def test_what_a_server_says(version: str, given: dict[str, str], ca: str) -> None:
    word = "Master" if version == MARIADB else "Source"
    row = Server(version)._row(SOURCE_HOST, 3306, "repl")
    row |= {f"{word}_{name}": value for name, value in given.items()}
    row |= {"Source_public_key_path": KEY} if version == MYSQL else {}
    found = ReplicaStatus.of_row(row)
    assert found.tls_ca == ca
    # Over TLS that is not verified, whoever answers gets the password.
    safe = ca or given.get("SSL_Allowed") != "Yes"
    assert found.public_key == (KEY if version == MYSQL and safe else "")
