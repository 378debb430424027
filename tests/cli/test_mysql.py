"""The commands for MySQL and MariaDB: what they print, and what they say of a wrong call."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .command import peerdisco

POD = {"POD_NAME": "mysql-2", "POD_NAMESPACE": "default", "PEERDISCO_SERVICE": "mysql"}
DOMAIN = {"PEERDISCO_CLUSTER_DOMAIN": "cluster.local"}
PASSWORDS = {
    "PEERDISCO_MYSQL_PASSWORD": "local secret",
    "PEERDISCO_MYSQL_REPLICATION_PASSWORD": "it's secret",
}


def test_the_configuration_of_a_pod() -> None:
    done = peerdisco("mysql-setup", "config", "--flavour", "mysql", env={**POD, **DOMAIN})
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("[mysqld]\nserver_id = 102\n")
    assert "report_host = mysql-2.mysql.default.svc.cluster.local\n" in done.out


def test_the_options_of_the_configuration() -> None:
    args = ("--flavour", "mysql", "--server-id-base", "500", "--role", "replica")
    done = peerdisco("mysql-setup", "config", *args, env={**POD, **DOMAIN})
    assert "server_id = 502\n" in done.out
    assert "super_read_only = ON\n" in done.out


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({**DOMAIN, "POD_NAMESPACE": "default"}, "pod name"),
        ({**DOMAIN, **POD, "POD_NAME": "tool"}, "cannot determine the ordinal"),
        ({**POD, **DOMAIN, "PEERDISCO_SERVICE": ""}, "--service or PEERDISCO_SERVICE"),
    ],
)
def test_a_configuration_needs_to_know_the_pod(env: dict[str, str], said: str) -> None:
    done = peerdisco("mysql-setup", "config", "--flavour", "mariadb", env=env)
    assert (done.status, done.out) == (2, "")
    assert said in done.complaint


def test_accounts_from_variables_and_files(tmp_path: Path) -> None:
    file = tmp_path / "backup"
    file.write_text("of a file\n")
    env = {**PASSWORDS, "PEERDISCO_MYSQL_BACKUP_PASSWORD_FILE": str(file)}
    done = peerdisco("mysql-setup", "accounts", "--flavour", "mariadb", env=env)
    assert (done.status, done.err) == (0, "")
    for statement in (
        "CREATE USER IF NOT EXISTS 'peerdisco'@'127.0.0.1' IDENTIFIED BY 'local secret';",
        "CREATE USER IF NOT EXISTS 'peerdisco_replication'@'%' IDENTIFIED BY 'it\\'s secret';",
        "CREATE USER IF NOT EXISTS 'peerdisco_backup'@'%' IDENTIFIED BY 'of a file';",
    ):
        assert statement in done.out.splitlines()


def test_an_account_without_a_password_is_left_out() -> None:
    env = {"PEERDISCO_MYSQL_BACKUP_PASSWORD": "x", "PEERDISCO_MYSQL_BACKUP_USER": "dumper"}
    done = peerdisco("mysql-setup", "accounts", "--flavour", "mysql", env=env)
    assert "'dumper'@'%'" in done.out
    assert "peerdisco_replication" not in done.out


def test_no_account_at_all_is_a_wrong_call() -> None:
    done = peerdisco("mysql-setup", "accounts", "--flavour", "mysql")
    assert (done.status, done.out) == (2, "")
    assert "accounts: got 'no password', expected PEERDISCO_MYSQL_PASSWORD_FILE" in done.complaint


def sidecar(*args: str, **env: str) -> str:
    """The complaint of a sidecar that does not start."""
    static = "static:mysql-0=127.0.0.1:1,mysql-2=127.0.0.1:2"
    given = {**POD, **DOMAIN, **PASSWORDS, "PEERDISCO_SOURCE": static, **env}
    done = peerdisco("mysql-sidecar", *args, env=given)
    assert (done.status, done.out) == (2, "")
    for password in PASSWORDS.values():
        assert password not in done.err
    return done.complaint


def test_a_sidecar_needs_passwords() -> None:
    complaint = sidecar(PEERDISCO_MYSQL_REPLICATION_PASSWORD="")
    assert "the password of the replication account: got 'none'" in complaint
    assert "--replication-password-file or PEERDISCO_MYSQL_REPLICATION_PASSWORD_FILE" in complaint
    assert "the password of the local account" in sidecar(PEERDISCO_MYSQL_PASSWORD="")


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), (b"", "an empty file"), (b"\n", "an empty file"), (b"\xff", "UTF-8")],
)
def test_a_password_file_that_holds_none(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    complaint = sidecar("--password-file", str(file))
    assert complaint.startswith(f"peerdisco: --password-file: got {str(file)!r}")
    assert said in complaint


def test_a_password_that_cannot_be_read_is_said_with_its_variable(tmp_path: Path) -> None:
    directory = tmp_path / "a directory"
    directory.mkdir()
    complaint = sidecar(PEERDISCO_MYSQL_PASSWORD_FILE=str(directory))
    assert "PEERDISCO_MYSQL_PASSWORD_FILE" in complaint


@pytest.mark.parametrize(
    ("args", "env", "said"),
    [
        (("--replicas", "0"), {}, "a number of pods, 1 or more"),
        ((), {"PEERDISCO_MYSQL_REPLICAS": "three"}, "PEERDISCO_MYSQL_REPLICAS: got 'three'"),
        ((), {"PEERDISCO_MYSQL_PORT": "99999"}, "PEERDISCO_MYSQL_PORT: got '99999'"),
        ((), {"PEERDISCO_MYSQL_FIRST_START": "yes"}, "PEERDISCO_MYSQL_FIRST_START: got 'yes'"),
        (("--listen", "nowhere"), {}, "--listen: got"),
        (("--listen", "203.0.113.1:8080"), {}, "--listen: got"),
        ((), {"PEERDISCO_MYSQL_LISTEN": "[::1]:x"}, "PEERDISCO_MYSQL_LISTEN: got"),
        (("--host", "mysql-0"), {}, "--host: got 'mysql-0'"),
        (("--port", "0"), {}, "a port from 1 to 65535"),
        (("--statefulset", "other"), {}, "--statefulset: got 'other'"),
        ((), {"POD_NAME": "tool"}, "cannot determine the ordinal"),
        (("--password", "x"), {}, "unrecognized arguments"),
        (("--tls-ca", "/nowhere", "--tls-server-name", "db"), {}, "--tls-ca: got '/nowhere: No su"),
        (("--tls-ca", "/etc/hosts", "--tls-server-name", "db"), {}, "--tls-ca: got '/etc/hosts"),
        (("--tls-ca", "/nowhere"), {}, "--tls-server-name: got 'only one of them'"),
        ((), {"PEERDISCO_MYSQL_TLS_SERVER_NAME": "db"}, "expected both"),
        (("--server-public-key", "/nowhere"), {}, "--server-public-key: got '/nowhere: No such"),
        ((), {"PEERDISCO_MYSQL_HOST": "no address"}, "PEERDISCO_MYSQL_HOST: got 'no address'"),
        (
            (),
            {"PEERDISCO_MYSQL_TLS_CA": "/nowhere", "PEERDISCO_MYSQL_TLS_SERVER_NAME": "db"},
            "PEERDISCO_MYSQL_TLS_CA: got '/nowhere: No such",
        ),
        (
            (),
            {"PEERDISCO_MYSQL_SERVER_PUBLIC_KEY": "/etc/hosts"},
            "PEERDISCO_MYSQL_SERVER_PUBLIC_KEY: got '/etc/hosts'",
        ),
        ((), {"PEERDISCO_MYSQL_SERVER_PUBLIC_KEY": "/etc/hosts"}, "an RSA public key in PEM"),
    ],
)
def test_a_wrong_call_is_one_clear_line(
    args: tuple[str, ...], env: dict[str, str], said: str
) -> None:
    assert said in sidecar(*args, **env)


def test_passwords_are_no_options() -> None:
    for command in ("mysql-sidecar", "mysql-setup"):
        assert "--password " not in peerdisco(command, "--help").out
    assert os.environ.get("PEERDISCO_MYSQL_PASSWORD") is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("replace",), "'replace' needs --pod NAME, the replica whose volume is to be emptied"),
        (("copy", "--pod", "db-1"), "--pod: got 'db-1', expected none with 'copy'"),
    ],
)
def test_a_pod_is_named_where_its_volume_is_replaced(words: tuple[str, ...], says: str) -> None:
    done = peerdisco("mysql-source", words[0], "my-database", *words[1:])
    assert (done.status, done.out, done.err) == (2, "", f"peerdisco: {says}\n")
