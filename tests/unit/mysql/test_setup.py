"""What a server is started with."""

from __future__ import annotations

import pytest

from peerdisco.exceptions import ConfigurationError
from peerdisco.mysql.setup import (
    Account,
    accounts_sql,
    render_config,
    required_privileges,
    server_id,
)
from peerdisco.mysql.versions import Flavour

HOST = "mysql-2.mysql.default.svc.cluster.local"


def test_every_ordinal_has_a_server_id_of_its_own() -> None:
    assert [server_id(n) for n in range(3)] == [100, 101, 102]
    assert server_id(5, base=7000) == 7005
    assert server_id(0, base=2**32 - 1) == 2**32 - 1


@pytest.mark.parametrize(("ordinal", "base"), [(0, 0), (-1, 100), (1, 2**32 - 1), (0, -5)])
def test_a_server_id_that_no_server_takes_is_refused(ordinal: int, base: int) -> None:
    with pytest.raises(ConfigurationError, match="server id"):
        server_id(ordinal, base)


def options(text: str) -> tuple[str, dict[str, str]]:
    group, *lines = text.splitlines()
    return group, dict(line.split(" = ") for line in lines)


@pytest.mark.parametrize("role", [None, "primary", "replica"])
def test_mariadbs_configuration(role: str | None) -> None:
    group, found = options(render_config(Flavour.MARIADB, 2, HOST, role=role))  # type: ignore[arg-type]
    assert group == "[mariadbd]"
    assert found["server_id"] == "102"
    assert found["report_host"] == HOST
    assert found["gtid_strict_mode"] == "ON"
    for careful in ("read_only", "skip_slave_start", "log_slave_updates", "relay_log_recovery"):
        assert found[careful] == "ON"
    assert (found["sync_binlog"], found["innodb_flush_log_at_trx_commit"]) == ("1", "1")
    assert "super_read_only" not in found


@pytest.mark.parametrize("role", [None, "primary", "replica"])
def test_mysqls_configuration(role: str | None) -> None:
    group, found = options(render_config(Flavour.MYSQL, 2, HOST, base=500, role=role))  # type: ignore[arg-type]
    assert group == "[mysqld]"
    assert found["server_id"] == "502"
    assert (found["gtid_mode"], found["enforce_gtid_consistency"]) == ("ON", "ON")
    for careful in ("read_only", "skip_replica_start", "log_replica_updates"):
        assert found[careful] == "ON"
    # An administrator initialises the server; it may not be kept from it.
    assert ("super_read_only" in found) is (role == "replica")


def test_an_address_is_no_host_to_report() -> None:
    with pytest.raises(ConfigurationError, match="DNS name"):
        render_config(Flavour.MARIADB, 0, "10.244.0.3")


LOCAL = Account("peerdisco", "it's")
REPLICATION = Account("repl", "b\\s")
BACKUP = Account("backup", "x")


@pytest.mark.parametrize("flavour", list(Flavour))
def test_accounts_are_made_without_a_trace_in_the_log(flavour: Flavour) -> None:
    sql = accounts_sql(flavour, local=LOCAL, replication=REPLICATION, backup=BACKUP)
    assert sql[1] == "SET SESSION sql_log_bin = 0"
    assert sql[-1] == "SET SESSION sql_log_bin = 1"
    created = [s for s in sql if s.startswith("CREATE USER")]
    assert len(created) == 5
    assert all("IF NOT EXISTS" in statement for statement in created)
    for host in ("localhost", "127.0.0.1", "::1"):
        assert f"CREATE USER IF NOT EXISTS 'peerdisco'@'{host}' IDENTIFIED BY 'it\\'s'" in sql
    assert "ALTER USER 'repl'@'%' IDENTIFIED BY 'b\\\\s'" in sql
    assert "GRANT SELECT ON peerdisco.* TO 'repl'@'%'" in sql
    # Enough for replication and backup, and nothing that writes.
    for statement in sql:
        if "'repl'" in statement or "'backup'" in statement:
            assert not {"INSERT", "UPDATE", "DELETE", "ALL", "SUPER"} & set(
                statement.replace(",", " ").split()
            )


def test_only_the_accounts_that_are_asked_for_are_made() -> None:
    sql = accounts_sql(Flavour.MARIADB, replication=REPLICATION)
    assert not any("peerdisco'@" in statement or "backup" in statement for statement in sql)


def test_an_account_does_not_show_its_password() -> None:
    assert "it's" not in repr(LOCAL)


@pytest.mark.parametrize(("user", "password"), [("", "x"), ("u" * 33, "x"), ("user", "")])
def test_an_account_that_no_server_takes_is_refused(user: str, password: str) -> None:
    with pytest.raises(ConfigurationError):
        Account(user, password)


@pytest.mark.parametrize(("flavour", "longest"), [(Flavour.MARIADB, 96), (Flavour.MYSQL, 32)])
@pytest.mark.parametrize("letter", ["x", "é"])
def test_a_password_that_no_replica_can_log_in_with_is_refused(
    flavour: Flavour, longest: int, letter: str
) -> None:
    """What counts are bytes; an account itself may have a longer one."""
    fits = letter * (longest // len(letter.encode()))
    local = Account("local", fits + letter)
    assert accounts_sql(flavour, local=local, replication=Account("copier", fits))
    with pytest.raises(ConfigurationError, match=f"at most {longest}") as refused:
        accounts_sql(flavour, local=local, replication=Account("copier", fits + letter))
    assert letter * 2 not in str(refused.value)


@pytest.mark.parametrize("flavour", list(Flavour))
@pytest.mark.parametrize("kind", ["local", "replication", "backup"])
def test_the_required_privileges_are_those_that_the_accounts_get(
    flavour: Flavour, kind: str
) -> None:
    accounts = {"local": LOCAL, "replication": REPLICATION, "backup": BACKUP}
    granted = [
        statement.removeprefix("GRANT ").rpartition(" TO ")[0].rpartition(" ON ")
        for statement in accounts_sql(flavour, **{kind: accounts[kind]})
        if statement.startswith("GRANT ")
    ]
    everywhere, on_cluster = required_privileges(flavour, kind)
    assert everywhere == {name for names, _, where in granted if where == "*.*" for name in
                          names.split(", ")}  # fmt: skip
    assert on_cluster == {name for names, _, where in granted if where != "*.*" for name in
                          names.split(", ")}  # fmt: skip
    assert "SELECT" in everywhere | on_cluster
