"""What a server is started with: its configuration, and the accounts that are made in it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from ..exceptions import ConfigurationError
from .durability import Durability, semi_sync_config
from .literals import SESSION, host_name, is_unicode, literal
from .tables import CLUSTER_SCHEMA
from .versions import Flavour

__all__ = ["Account", "accounts_sql", "render_config", "server_id"]

Role = Literal["primary", "replica"]

SERVER_ID_BASE = 100
_LARGEST_SERVER_ID = 2**32 - 1
_LONGEST_USER = 32
_LONGEST_PASSWORD = {Flavour.MARIADB: 96, Flavour.MYSQL: 32}
"""Bytes of a password that a replica can log in with; accounts may have longer ones."""
NET_TIMEOUT = 10
"""Seconds without data after which a replica considers its source dead; the servers' own default
is 60. Heartbeats come every `HEARTBEAT` seconds while nothing is written."""
HEARTBEAT = 2


@dataclass(frozen=True, slots=True)
class Account:
    """A user and a password; the password is never shown.

    Attributes:
        user: At most 32 characters, which is what MySQL takes.
        password: Not empty; any characters but NUL. Servers hash its bytes in UTF-8.

    Raises:
        ConfigurationError: One of them is empty or cannot be written in UTF-8, the user's name is
            too long, or the password has a NUL character in it.
    """

    user: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not 0 < len(self.user) <= _LONGEST_USER or not is_unicode(self.user):
            raise ConfigurationError("user", self.user, f"1 to {_LONGEST_USER} characters")
        what = f"the password of {self.user!r}"
        if not self.password:
            raise ConfigurationError(what, "", "one that is not empty")
        # None of these errors may show any of it, nor have it in a traceback.
        if not is_unicode(self.password):
            raise ConfigurationError(what, "bytes that are not UTF-8", "a password in UTF-8")
        if "\0" in self.password:
            raise ConfigurationError(what, "a NUL character", "a password without any")


def replication_password(flavour: Flavour, account: Account) -> str:
    """The account's password, if a replica of this family can log in with it.

    Raises:
        ConfigurationError: It is too long, or has a line break or a character beyond U+FFFF in it.
            A server would find that out when it is set up as a
            replica, and MariaDB would then show most of it.
    """
    what = f"the password of {account.user!r}"
    if "\n" in account.password:
        raise ConfigurationError(what, "a line break", "a password that is one line")
    if max(account.password) > "\uffff":
        raise ConfigurationError(
            what,
            "a character beyond U+FFFF",
            "characters up to U+FFFF: servers keep a replica's password in three-byte UTF-8",
        )
    longest = _LONGEST_PASSWORD[flavour]
    length = len(account.password.encode())
    if length > longest:
        raise ConfigurationError(
            what,
            f"{length} bytes",
            f"at most {longest}, with which a replica of {flavour.value} can log in",
        )
    return account.password


def server_id(ordinal: int, base: int = SERVER_ID_BASE) -> int:
    """The ``server_id`` of the pod with this ordinal: different in each, the same after a restart.

    Args:
        ordinal: 0 or more.
        base: What is added to it; give two clusters that replicate from each other different ones.

    Raises:
        ConfigurationError: The sum is not from 1 to 4294967295.
    """
    number = base + ordinal
    if ordinal < 0 or not 0 < number <= _LARGEST_SERVER_ID:
        raise ConfigurationError(
            "server id", number, f"base and ordinal that add up to 1 to {_LARGEST_SERVER_ID}"
        )
    return number


def render_config(
    flavour: Flavour,
    ordinal: int,
    report_host: str,
    *,
    base: int = SERVER_ID_BASE,
    role: Role | None = None,
    durability: Durability = Durability.ASYNCHRONOUS,
    acknowledgements: int = 1,
    fallback_after: float | None = None,
) -> str:
    """The part of a server's configuration that replication depends on.

    Every server, also the primary, starts read-only and does not start replication: the sidecar
    does both after it has checked which server is the primary and whose data this is. A server that
    restarts is as careful as one that starts for the first time.

    Args:
        flavour: The family.
        ordinal: The pod's.
        report_host: The name by which the other servers know this one.
        base: As for `server_id`.
        role: For ``"replica"`` MySQL refuses the writes of administrators, too, from its start
            on. Not for one that is yet to be initialised, which is done by an administrator. None,
            and ``"primary"``, for a server that may be either.
        durability: When the primary acknowledges a transaction.
        acknowledgements: With semi-sync, how many replicas have to have received it.
        fallback_after: With semi-sync, seconds without an acknowledgement after which the primary
            continues asynchronously; None for never.

    Raises:
        ConfigurationError: The host is no DNS name, or the server id cannot be, or MariaDB is to
            wait for more than one acknowledgement.
    """
    mariadb = flavour is Flavour.MARIADB
    replica = "slave" if mariadb else "replica"
    lines = {
        "server_id": server_id(ordinal, base),
        "report_host": host_name(report_host),
        # Names that stay, wherever the pod runs.
        "log_bin": "binlog",
        "relay_log": "relay",
        f"log_{replica}_updates": "ON",
        **(
            {"binlog_format": "ROW", "gtid_strict_mode": "ON", "ignore_db_dirs": "lost+found"}
            if mariadb
            else {"gtid_mode": "ON", "enforce_gtid_consistency": "ON"}
        ),
        "read_only": "ON",
        **({"super_read_only": "ON"} if role == "replica" and not mariadb else {}),
        f"skip_{replica}_start": "ON",
        f"{replica}_net_timeout": NET_TIMEOUT,
        "relay_log_recovery": "ON",
        # A transaction that a replica has, the primary still has after its machine lost power.
        "sync_binlog": 1,
        "innodb_flush_log_at_trx_commit": 1,
        # Who asks for names waits for DNS at each connection, also when it is away.
        "skip_name_resolve": "ON",
    }
    if durability is Durability.SEMI_SYNC:
        lines |= semi_sync_config(flavour, acknowledgements, fallback_after)
    group = "mariadbd" if mariadb else "mysqld"
    return f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())


@dataclass(frozen=True, slots=True)
class _Privileges:
    """What an account may do: everywhere, and in the schema ``peerdisco``."""

    everywhere: str
    on_cluster: str = ""


_WRITES = "CREATE, INSERT, SELECT, UPDATE"
_READS_ALL = "SELECT, SHOW VIEW, TRIGGER, EVENT"

_PRIVILEGES: dict[Flavour, dict[str, _Privileges]] = {
    Flavour.MARIADB: {
        "local": _Privileges(
            # CONNECTION ADMIN reserves a connection: without it, a full server shuts the sidecar
            # out. PROCESS shows the sessions that keep the server from becoming read-only.
            "RELOAD, BINLOG MONITOR, BINLOG ADMIN, REPLICA MONITOR, REPLICATION SLAVE ADMIN, "
            "REPLICATION MASTER ADMIN, READ_ONLY ADMIN, SHOW DATABASES, CONNECTION ADMIN, "
            "PROCESS",
            _WRITES,
        ),
        "replication": _Privileges("REPLICATION SLAVE, REPLICA MONITOR, SHOW DATABASES", "SELECT"),
        # All but _READS_ALL is for mariadb-backup, and PROCESS to see ALTER TABLE in progress.
        "backup": _Privileges(f"{_READS_ALL}, PROCESS, RELOAD, LOCK TABLES, BINLOG MONITOR"),
    },
    Flavour.MYSQL: {
        "local": _Privileges(
            "RELOAD, REPLICATION CLIENT, REPLICATION SLAVE, REPLICATION_SLAVE_ADMIN, "
            "SYSTEM_VARIABLES_ADMIN, CONNECTION_ADMIN, SHOW DATABASES, PROCESS",
            _WRITES,
        ),
        "replication": _Privileges(
            "REPLICATION SLAVE, REPLICATION CLIENT, SHOW DATABASES", "SELECT"
        ),
        "backup": _Privileges(f"{_READS_ALL}, RELOAD, PROCESS, REPLICATION CLIENT, BACKUP_ADMIN"),
    },
}
"""What each account needs, and no more."""


def required_privileges(flavour: Flavour, kind: str) -> tuple[frozenset[str], frozenset[str]]:
    """What an account needs: everywhere, and in the schema ``peerdisco``.

    Args:
        flavour: The family.
        kind: ``local``, ``replication`` or ``backup``.
    """
    privileges = _PRIVILEGES[flavour][kind]
    parts = (privileges.everywhere, privileges.on_cluster)
    everywhere, on_cluster = (frozenset(filter(None, part.split(", "))) for part in parts)
    return everywhere, on_cluster


_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def accounts_sql(
    flavour: Flavour,
    *,
    local: Account | None = None,
    replication: Account | None = None,
    backup: Account | None = None,
) -> list[str]:
    """The statements that make the accounts, for a server that is being initialised.

    They are not written to the binary log: each server makes its own, and a replica that has
    replayed those of the primary would have two.

    Args:
        flavour: The family.
        local: The sidecar's own, which can log in from the pod alone.
        replication: With which replicas, and probes, log in from anywhere.
        backup: With which copies are made from anywhere.

    Raises:
        ConfigurationError: The password for replication is longer than a replica can log in with:
            32 bytes on MySQL, 96 on MariaDB.
    """
    if replication is not None:
        replication_password(flavour, replication)
    privileges = _PRIVILEGES[flavour]
    statements = [SESSION, "SET SESSION sql_log_bin = 0"]
    for account, kind in ((local, "local"), (replication, "replication"), (backup, "backup")):
        if account is not None:
            hosts = _LOCAL_HOSTS if kind == "local" else ("%",)
            for host in hosts:
                statements += _account_sql(account, host, privileges[kind])
    statements.append("SET SESSION sql_log_bin = 1")
    return statements


def replication_account_sql(flavour: Flavour, account: Account) -> list[str]:
    """The statements that make the account for replication alone."""
    return accounts_sql(flavour, replication=account)


def _account_sql(account: Account, host: str, privileges: _Privileges) -> Iterator[str]:
    """The statements that make an account, or give one that is there this password."""
    who = f"{literal(account.user)}@{literal(host)}"
    password = literal(account.password)
    yield f"CREATE USER IF NOT EXISTS {who} IDENTIFIED BY {password}"
    yield f"ALTER USER {who} IDENTIFIED BY {password}"
    yield f"GRANT {privileges.everywhere} ON *.* TO {who}"
    if privileges.on_cluster:
        yield f"GRANT {privileges.on_cluster} ON {CLUSTER_SCHEMA}.* TO {who}"
