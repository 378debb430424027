"""``doctor --mysql`` on a real MariaDB: broken servers are named, and the fixes end it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from peerdisco import cli
from peerdisco.cli.commands.doctor import diagnose, exit_status
from peerdisco.doctor.checks.mysql import check_database
from peerdisco.doctor.database import AccountFacts, DatabaseFacts, PeerServer, TableFacts
from peerdisco.doctor.findings import Finding, Fix, Status
from peerdisco.doctor.mysql_facts import _account
from peerdisco.mysql.setup import render_config, required_privileges
from peerdisco.mysql.versions import Flavour
from peerdisco.pod.environment import PodEnvironment
from tests.cli.command import bare_environment
from tests.doctor.world import QUICK, one, wrong
from tests.mysql.pods import Loopback

from . import mariadb, mysqld
from .mariadb import MariaDB, OtherMariaDB
from .mysqld import MySQL

POD = {"POD_NAME": "mysql-0", "POD_NAMESPACE": "default", "POD_IP": "127.0.0.1"}
HOST = "mysql-0.db.default.svc.cluster.local"
CONFIG = render_config(Flavour.MARIADB, 0, HOST)
PASSWORD = """it's "a" \\ password"""


class Patient:
    """A server, and the command that examines it."""

    def __init__(self, server: MariaDB, passwords: Path) -> None:
        self.server = server
        self.files = {}
        for kind in ("", "replication", "backup"):
            file = passwords / (kind or "local")
            file.write_text(PASSWORD)
            self.files[f"--{kind}-password-file" if kind else "--password-file"] = str(file)

    @property
    def words(self) -> list[str]:
        files = [word for pair in self.files.items() for word in pair]
        return ["--mysql", "--socket", str(self.server.socket), *files]

    async def doctor(self) -> tuple[Finding, ...]:
        static = ["db.default.svc.cluster.local", "--source", "static:mysql-0=127.0.0.1"]
        args = cli._parser(["doctor"]).parse_args(["doctor", *static, *self.words])
        _, findings = await diagnose(args, PodEnvironment(POD), QUICK)
        assert PASSWORD not in repr(findings)
        return findings

    def follow(self, fix: Fix) -> None:
        """Do what a fix says: statements as an administrator, and what the command prints."""
        if fix.sql:
            self.server.script(fix.sql)
        for line in fix.command.splitlines():
            words = shlex.split(line)
            if words[:3] == ["peerdisco", "mysql-setup", "accounts"]:
                self.server.script(self.run(words))
            elif words[:3] == ["peerdisco", "mysql-setup", "config"] and not fix.sql:
                self.server.config = self.run(words)
                self.server.restart()

    def run(self, words: list[str]) -> str:
        files = [word for pair in self.files.items() for word in pair]
        accounts = files if words[2] == "accounts" else []
        return subprocess.run(
            [sys.executable, "-m", *words, *accounts],
            env=bare_environment({**POD, "PEERDISCO_SERVICE": "db",
                                  "PEERDISCO_CLUSTER_DOMAIN": "cluster.local"}),
            check=True, capture_output=True, text=True, timeout=30,
        ).stdout  # fmt: skip

    async def mended(self, check: str, status: Status, says: str) -> Finding:
        """The finding of a broken server, after its fix was followed and found to work."""
        finding = one(await self.doctor(), check, status)
        assert says in finding.found, finding.found
        assert finding.fix is not None
        self.follow(finding.fix)
        assert wrong(await self.doctor()) == []
        return finding


@pytest.fixture
def patient(loopback: Loopback, template: Path, tmp_path: Path) -> Iterator[Patient]:
    """A sound server: its configuration and its accounts are those of ``mysql-setup``."""
    pod = loopback.pod("mysql-0")
    server = MariaDB(pod, loopback.directory / "db", template, CONFIG)
    made = Patient(server, tmp_path)
    server.start()
    server.script(made.run(["peerdisco", "mysql-setup", "accounts", "--flavour", "mariadb"]))
    yield made
    if server.alive:
        server.stop()


@pytest.fixture(params=[MySQL, OtherMariaDB], ids=["mysql", "mariadb"])
def other(
    request: pytest.FixtureRequest,
    loopback: Loopback,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Patient]:
    """The same on MySQL, and on a MariaDB of another version, where they can be had."""
    kind: type[MariaDB] = request.param
    reason = mysqld.missing() if kind is MySQL else mariadb.other_missing()
    if reason is not None:
        pytest.skip(reason)
    directory = tmp_path_factory.getbasetemp() / f"doctor-{kind.__name__}"
    template = (
        mysqld.template(directory) if kind is MySQL else mariadb.template(directory, kind.program)
    )
    config = render_config(Flavour.parse(kind.flavour), 0, HOST)
    server = kind(loopback.pod("mysql-0"), loopback.directory / "db", template, config)
    made = Patient(server, tmp_path)
    server.start()
    server.script(made.run(["peerdisco", "mysql-setup", "accounts", "--flavour", kind.flavour]))
    yield made
    if server.alive:
        server.stop()


@pytest.mark.timeout(180)
async def test_other_servers(other: Patient) -> None:
    """A sound server, then its accounts, privileges, durability, engines and configuration."""
    server, is_mysql = other.server, other.server.flavour == "mysql"
    assert wrong(await other.doctor()) == []
    server.sql(
        "SET SESSION sql_log_bin = 0",
        "ALTER USER 'peerdisco_backup'@'%' IDENTIFIED BY 'another'",
    )
    await other.mended("mysql-account-backup", Status.PROBLEM, "error 1045")
    for privilege, kind, who in (
        ("REPLICATION SLAVE ON *.*", "replication", "'peerdisco_replication'@'%'"),
        ("INSERT ON peerdisco.*", "local", "'peerdisco'@'localhost'"),
        (
            "SYSTEM_VARIABLES_ADMIN ON *.*" if is_mysql else "READ_ONLY ADMIN ON *.*",
            "local",
            "'peerdisco'@'localhost'",
        ),
    ):
        server.sql("SET SESSION sql_log_bin = 0", f"REVOKE {privilege} FROM {who}")
        await other.mended(f"mysql-account-{kind}", Status.PROBLEM, privilege.partition(" ON")[0])
    server.sql("SET GLOBAL sync_binlog = 0", "SET GLOBAL innodb_flush_log_at_trx_commit = 2")
    await other.mended("mysql-durability", Status.WARNING, "sync_binlog is 0, not 1")
    server.script("CREATE SCHEMA shop; CREATE TABLE shop.odd (n INT) ENGINE=MyISAM;")
    await other.mended("mysql-engines", Status.WARNING, "MyISAM")
    name = "log_replica_updates" if is_mysql else "log_slave_updates"
    sound = server.config
    server.config = sound.replace(f"{name} = ON", f"{name} = OFF")
    assert server.config != sound
    server.restart()
    await other.mended("mysql-config", Status.PROBLEM, f"{name} is OFF, not ON")


async def test_accounts(patient: Patient) -> None:
    """A sound server, then one account after the other."""
    sound = await patient.doctor()
    assert wrong(sound) == []
    assert exit_status(sound) == 0
    for user in ("peerdisco", "peerdisco_replication"):
        hosts = ("localhost", "127.0.0.1", "::1") if user == "peerdisco" else ("%",)
        patient.server.sql(
            "SET SESSION sql_log_bin = 0", *(f"DROP USER '{user}'@'{host}'" for host in hosts)
        )
        kind = "local" if user == "peerdisco" else "replication"
        await patient.mended(f"mysql-account-{kind}", Status.PROBLEM, "rejects")
    patient.server.sql("ALTER USER 'peerdisco_backup'@'%' IDENTIFIED BY 'another'")
    await patient.mended("mysql-account-backup", Status.PROBLEM, "error 1045")


async def test_privileges(patient: Patient) -> None:
    for kind, who, privilege in (
        ("local", "'peerdisco'@'localhost'", "READ_ONLY ADMIN ON *.*"),
        ("local", "'peerdisco'@'localhost'", "INSERT ON peerdisco.*"),
        ("replication", "'peerdisco_replication'@'%'", "REPLICATION SLAVE ON *.*"),
        ("backup", "'peerdisco_backup'@'%'", "EVENT ON *.*"),
    ):
        patient.server.sql(f"REVOKE {privilege} FROM {who}")
        name = privilege.partition(" ON")[0]
        finding = await patient.mended(f"mysql-account-{kind}", Status.PROBLEM, name)
        assert finding.fix is not None
        assert "sql_log_bin = 0" in finding.fix.sql


async def test_durability(patient: Patient) -> None:
    patient.server.sql("SET GLOBAL sync_binlog = 0", "SET GLOBAL innodb_flush_log_at_trx_commit=2")
    finding = await patient.mended("mysql-durability", Status.WARNING, "sync_binlog is 0, not 1")
    assert "innodb_flush_log_at_trx_commit is 2, not 1" in finding.found


async def test_a_primary_without_its_replicas(patient: Patient) -> None:
    name = "rpl_semi_sync_master_enabled"
    patient.server.sql(f"SET GLOBAL {name} = ON")
    try:
        finding = one(await patient.doctor(), "mysql-acknowledgement", Status.WARNING)
    finally:
        patient.server.sql(f"SET GLOBAL {name} = OFF")
    assert finding.facts["replicas"] == 0
    assert one(await patient.doctor(), "mysql-acknowledgement", Status.OK)


async def test_engines(patient: Patient) -> None:
    patient.server.script(
        "CREATE SCHEMA shop; CREATE TABLE shop.`odd ``name` (n INT) ENGINE=MyISAM;"
        "CREATE TABLE shop.sessions (n INT) ENGINE=MEMORY; CREATE TABLE shop.fine (n INT);"
    )
    finding = await patient.mended("mysql-engines", Status.WARNING, "1 of engine MEMORY")
    assert finding.facts["engines"] == {"MyISAM": 1, "MEMORY": 1}
    assert "not on this replica" in finding.fix.text  # type: ignore[union-attr]
    patient.server.script("CREATE TABLE shop.kept (n INT) WITH SYSTEM VERSIONING;")
    assert "system versioning" in one(await patient.doctor(), "mysql-engines", Status.WARNING).found


async def test_no_configuration(patient: Patient) -> None:
    patient.server.config = "[mariadbd]\nserver_id = 7\n"
    patient.server.restart()
    finding = await patient.mended("mysql-log", Status.PROBLEM, "no binary log")
    assert "mysql-setup config" in finding.fix.command  # type: ignore[union-attr]


async def test_a_setting(patient: Patient) -> None:
    patient.server.config = CONFIG.replace("log_slave_updates = ON", "log_slave_updates = OFF")
    patient.server.restart()
    await patient.mended("mysql-config", Status.PROBLEM, "log_slave_updates is OFF, not ON")


async def test_a_server_that_is_down(patient: Patient) -> None:
    patient.server.stop()
    finding = one(await patient.doctor(), "mysql-account-local", Status.PROBLEM)
    assert "cannot be used" in finding.found
    patient.server.start()
    assert wrong(await patient.doctor()) == []


async def test_passwords_that_are_not_given(patient: Patient) -> None:
    patient.files.clear()
    findings = await patient.doctor()
    assert exit_status(findings) == 2
    assert one(findings, "mysql-engines", Status.UNKNOWN)
    assert one(findings, "mysql-account-local", Status.UNKNOWN)


# --- without a server


class Replies:
    """What MySQL 8.4 answers to an account that `mysql-setup accounts` created."""

    async def execute(self, sql: str, /) -> list[dict[str, str]]:
        if "CURRENT_USER" in sql:
            return [{"who": "peerdisco@localhost"}]
        everywhere, on_cluster = required_privileges(Flavour.MYSQL, "local")
        dynamic = {name for name in everywhere if "_" in name}
        grants = [
            f"GRANT {', '.join(sorted(everywhere - dynamic))} ON *.*",
            f"GRANT {','.join(sorted(dynamic))} ON *.*",
            f"GRANT {', '.join(sorted(on_cluster))} ON `peerdisco`.*",
        ]
        return [{"Grants for it": f"{grant} TO `peerdisco`@`localhost`"} for grant in grants]


async def test_the_grants_of_mysql() -> None:
    """Dynamic privileges stand in a line of their own, and without blanks."""
    account = await _account(Replies(), AccountFacts("local", "peerdisco", given=True))
    facts = DatabaseFacts("here", (account,), flavour=Flavour.MYSQL)
    assert one(check_database(facts), "mysql-account-local", Status.OK)
    less = replace(account, everywhere=account.everywhere - {"CONNECTION_ADMIN"})
    finding = one(check_database(replace(facts, accounts=(less,))), "mysql-account-local",
                  Status.PROBLEM)  # fmt: skip
    assert finding.fix is not None
    # Replicas reject it otherwise.
    assert finding.fix.sql.splitlines() == [
        "SET GLOBAL super_read_only = OFF;",
        "SET SESSION sql_log_bin = 0;",
        "GRANT CONNECTION_ADMIN ON *.* TO 'peerdisco'@'localhost';",
        "SET SESSION sql_log_bin = 1;",
    ]


@pytest.mark.parametrize("privilege", ["ALL PRIVILEGES", "ALL"])
def test_an_account_with_every_privilege_has_enough(privilege: str) -> None:
    account = AccountFacts("backup", "root", True, "root@%", frozenset({privilege}))
    facts = DatabaseFacts("here", (account,), flavour=Flavour.MARIADB)
    assert one(check_database(facts), "mysql-account-backup", Status.OK)


GIVEN = tuple(AccountFacts(kind, kind, given=False) for kind in ("local", "replication", "backup"))


def test_many_tables_are_counted() -> None:
    tables = tuple(TableFacts("shop", f"t{number}", "MyISAM") for number in range(9))
    finding = one(check_database(DatabaseFacts("here", GIVEN, tables=tables)), "mysql-engines",
                  Status.WARNING)  # fmt: skip
    assert "shop.t4 and 4 more" in finding.found


async def test_peers(patient: Patient) -> None:
    """Servers of peers that have this server's number, accept writes too, or do not answer."""
    from peerdisco.mysql.aiomysql import connect
    from peerdisco.mysql.facts import read_facts
    from peerdisco.mysql.setup import Account

    account = Account("peerdisco", PASSWORD)
    async with await connect(account, socket=str(patient.server.socket)) as link:
        facts = await read_facts(link, "here")
    facts = replace(facts, read_only=False)
    peers = (
        PeerServer("mysql-1", facts.server_id, read_only=False),
        PeerServer("mysql-2", 102, read_only=True),
        PeerServer("mysql-3", error="no answer in 5 s"),
    )
    findings = tuple(check_database(DatabaseFacts("here", (), facts, peers=peers)))
    assert one(findings, "mysql-server-ids", Status.PROBLEM).facts["shared"] == [100]
    assert one(findings, "mysql-writers", Status.PROBLEM).facts["writable"] == [
        "mysql-1", "this server",
    ]  # fmt: skip
    assert "mysql-3" in one(findings, "mysql-peers", Status.WARNING).found
    fine = DatabaseFacts("here", (), facts, peers=peers[1:2])
    assert one(tuple(check_database(fine)), "mysql-server-ids", Status.OK)
