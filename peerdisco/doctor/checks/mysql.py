"""The database server: accounts, configuration, durability, and tables that copies lose. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ...mysql.durability import DurabilityFacts
from ...mysql.errors import ACCESS_DENIED
from ...mysql.literals import literal
from ...mysql.setup import render_config, required_privileges
from ...mysql.versions import Flavour
from ..database import AccountFacts, DatabaseFacts, TableFacts
from ..findings import Finding, Fix, ok, problem, unknown, warning

__all__ = ["check_database"]

_DURABILITY = ("sync_binlog", "innodb_flush_log_at_trx_commit")
_STATE = ("read_only", "super_read_only", "log_bin", "relay_log", "ignore_db_dirs")
"""Settings that are judged in another way, or that the sidecar changes while the server runs."""
_BREAKS = frozenset(
    {"log_slave_updates", "log_replica_updates", "gtid_mode", "enforce_gtid_consistency"}
)
"""Settings without which replication, or a new primary for its replicas, does not work."""

_ALIASES = {
    "SLAVE MONITOR": "REPLICA MONITOR",
    "BINLOG MONITOR": "REPLICATION CLIENT",
    "REPLICATION REPLICA": "REPLICATION SLAVE",
    "REPLICATION REPLICA ADMIN": "REPLICATION SLAVE ADMIN",
}
"""Other names of the same privilege, as MariaDB shows them."""
_ALL = frozenset({"ALL PRIVILEGES", "ALL"})
_OPTIONS = {
    "local": "--password-file",
    "replication": "--replication-password-file",
    "backup": "--backup-password-file",
}

_VARIABLES = {
    "local": "PEERDISCO_MYSQL_PASSWORD_FILE",
    "replication": "PEERDISCO_MYSQL_REPLICATION_PASSWORD_FILE",
    "backup": "PEERDISCO_MYSQL_BACKUP_PASSWORD_FILE",
}


def check_database(facts: DatabaseFacts) -> Iterator[Finding]:
    """Accounts, configuration, durability, tables and peers."""
    for account in facts.accounts:
        yield _account(facts, account)
    if facts.server is not None:
        yield ok(
            "mysql-server",
            f"{facts.where} is {facts.server.version}",
            server=facts.where,
            version=str(facts.server.version),
        )
        yield _log(facts)
        yield _config(facts)
        yield _durability(facts)
        yield _acknowledgement(facts)
    yield _tables(facts)
    yield from _peers(facts)


# --- accounts


def _account(facts: DatabaseFacts, account: AccountFacts) -> Finding:
    check = f"mysql-account-{account.kind}"
    if not account.given:
        return unknown(
            check,
            f"no password is given for the {account.kind} account {account.user!r}",
            "Its login and its privileges are not checked.",
            Fix(
                f"Give its password as {_OPTIONS[account.kind]}, or in the container's env as "
                f"{_VARIABLES[account.kind]}."
            ),
        )
    if account.error is not None:
        return _login_failed(facts, account)
    assert account.who is not None
    missing = _missing(facts, account)
    if missing is None:
        return ok(check, f"{account.who} can log in", user=account.user)
    everywhere, on_cluster = missing
    if not everywhere and not on_cluster:
        return ok(
            check,
            f"{account.who} can log in, and has every privilege that it needs",
            user=account.user,
        )
    listed = sorted(everywhere) + [f"{name} on peerdisco.*" for name in sorted(on_cluster)]
    return problem(
        check,
        f"{account.who} does not have: {', '.join(listed)}",
        "The sidecar, replication or copies fail as soon as they need it.",
        Fix(
            "Execute this as an administrator on this server, and on each of the others. It is not "
            "written to the binary log.",
            sql=_grants(account.who, everywhere, on_cluster, facts.family),
        ),
        user=account.user,
        missing=listed,
    )


def _grants(
    who: str, everywhere: frozenset[str], on_cluster: frozenset[str], family: Flavour | None
) -> str:
    user, _, host = who.rpartition("@")
    quoted = f"{literal(user)}@{literal(host)}"
    lines = ["SET SESSION sql_log_bin = 0;"]
    if family is Flavour.MYSQL:
        # Or a replica rejects changes of accounts. Its sidecar turns it on again.
        lines.insert(0, "SET GLOBAL super_read_only = OFF;")
    if everywhere:
        lines.append(f"GRANT {', '.join(sorted(everywhere))} ON *.* TO {quoted};")
    if on_cluster:
        lines.append(f"GRANT {', '.join(sorted(on_cluster))} ON peerdisco.* TO {quoted};")
    return "\n".join([*lines, "SET SESSION sql_log_bin = 1;"])


def _missing(
    facts: DatabaseFacts, account: AccountFacts
) -> tuple[frozenset[str], frozenset[str]] | None:
    """The privileges that an account does not have; None if the family is not known."""
    if facts.family is None:
        return None
    everywhere, on_cluster = required_privileges(facts.family, account.kind)
    has = {_ALIASES.get(name, name) for name in account.everywhere}
    if has & _ALL:
        return frozenset(), frozenset()
    needed = {name: _ALIASES.get(name, name) for name in everywhere}
    within = has | {_ALIASES.get(name, name) for name in account.on_cluster}
    return (
        frozenset(name for name, known in needed.items() if known not in has),
        frozenset() if within & _ALL else frozenset(on_cluster - within),
    )


def _login_failed(facts: DatabaseFacts, account: AccountFacts) -> Finding:
    check = f"mysql-account-{account.kind}"
    error = account.error or ""
    if account.errno not in ACCESS_DENIED:
        return problem(
            check,
            f"the {account.kind} account {account.user!r} cannot be used: {error}",
            "Nothing is known about the server.",
            Fix(
                "Start the server, or name it with --host and --port, or --socket; an option wins "
                "over PEERDISCO_MYSQL_HOST, PEERDISCO_MYSQL_PORT and PEERDISCO_MYSQL_SOCKET. The "
                "log of its container says why it does not run; the command shows the containers "
                "of this pod:",
                command="kubectl get pods --output wide",
            ),
            user=account.user,
            errno=account.errno,
        )
    flavour = facts.family or Flavour.MARIADB
    named = "" if facts.family is not None else " If the servers are MySQL, use --flavour mysql."
    return problem(
        check,
        f"the server rejects the {account.kind} account {account.user!r}: {error}",
        "Without this account the sidecar does not become ready, or replicas and copies fail.",
        Fix(
            "If the password that is given here is the right one, let the command print the "
            "statements that create the account or set its password, and execute them as an "
            "administrator on each server. They are not written to the binary log, and contain "
            f"the passwords.{named}",
            command=f"peerdisco mysql-setup accounts --flavour {flavour.value}",
        ),
        user=account.user,
        errno=account.errno,
    )


# --- configuration


def _log(facts: DatabaseFacts) -> Finding:
    server = facts.server
    assert server is not None
    if server.log_bin and server.gtid_mode:
        return ok(
            "mysql-log",
            "the server keeps a binary log with GTIDs",
            log_bin=server.log_bin,
            gtid_mode=server.gtid_mode,
        )
    what = "GTIDs" if server.log_bin else "binary log"
    return problem(
        "mysql-log",
        f"the server has no {what}",
        "No replica can follow it, and its history cannot be compared with the others'.",
        _use_config(facts),
        log_bin=server.log_bin,
        gtid_mode=server.gtid_mode,
    )


def _use_config(facts: DatabaseFacts) -> Fix:
    flavour = facts.family or Flavour.MARIADB
    return Fix(
        "Add what the command prints to the server's configuration, and restart the server while "
        "the primary takes writes: while it does not, a restart may discard rows that only this "
        "server has received. In a cluster, an init container writes the configuration, as the "
        "example for Kubernetes does.",
        command=f"peerdisco mysql-setup config --flavour {flavour.value}",
    )


def _expected(facts: DatabaseFacts) -> dict[str, str]:
    """The settings of ``mysql-setup config``, as far as this pod is known."""
    assert facts.family is not None
    text = render_config(facts.family, facts.ordinal or 0, facts.hostname or "unknown")
    lines = [line.split(" = ", 1) for line in text.splitlines() if " = " in line]
    settings = {name: value for name, value in lines if name not in _STATE}
    if facts.ordinal is None:
        settings.pop("server_id", None)
    if facts.hostname is None:
        settings.pop("report_host", None)
    return settings


def _same(expected: str, actual: str) -> bool:
    words = {"ON": "1", "OFF": "0", "YES": "1", "NO": "0", "TRUE": "1", "FALSE": "0"}
    one, other = (words.get(text.upper(), text.upper()) for text in (expected, actual))
    return one == other


def _differences(facts: DatabaseFacts, names: set[str]) -> list[str]:
    """Settings that differ: a variable that the server does not show is not one of them."""
    return [
        f"{name} is {facts.variables[name] or 'empty'}, not {value}"
        for name, value in _expected(facts).items()
        if name in names and name in facts.variables and not _same(value, facts.variables[name])
    ]


def _config(facts: DatabaseFacts) -> Finding:
    names = set(_expected(facts)) - set(_DURABILITY)
    differing = _differences(facts, names)
    if not differing:
        return ok(
            "mysql-config",
            "the configuration is as mysql-setup config prints it",
            settings=len(names & set(facts.variables)),
        )
    broken = not _BREAKS.isdisjoint(_weak(facts))
    found = "; ".join(differing)
    why = (
        "Replicas of this server would lack transactions."
        if broken
        else "Replication works differently from what the sidecar expects: it notices a lost "
        "source later, or accepts what it should reject."
    )
    make = problem if broken else warning
    return make("mysql-config", found, why, _use_config(facts), differing=differing)


def _durability(facts: DatabaseFacts) -> Finding:
    weak = _weak(facts)
    differing = [
        f"{name} is {weak[name][0]}, not {weak[name][1]}" for name in _DURABILITY if name in weak
    ]
    statements = [f"SET GLOBAL {name} = {weak[name][1]};" for name in _DURABILITY if name in weak]
    doublewrite = facts.variables.get("innodb_doublewrite", "ON")
    if _same("OFF", doublewrite):
        differing.append("innodb_doublewrite is OFF, not ON")
    if not differing:
        return ok("mysql-durability", "each commit is on disk before it is acknowledged")
    return warning(
        "mysql-durability",
        "; ".join(differing),
        "After a power loss or a crash of the node, this server may not have transactions that it "
        "acknowledged, and that replicas have. Replication then stops, or data differ.",
        Fix(
            "Set the values in the server's configuration; innodb_doublewrite needs a restart, "
            "while the primary takes writes. The statements set the others at once, until the "
            "server restarts:",
            command=_use_config(facts).command,
            sql="\n".join(statements),
        ),
        differing=differing,
    )


def _acknowledgement(facts: DatabaseFacts) -> Finding:
    """Whether commits wait for replicas, where they should."""
    assert facts.family is not None
    found = DurabilityFacts.of(facts.family, facts.variables, facts.status)
    shortfalls = list(found.shortfalls())
    if not shortfalls:
        return ok(
            "mysql-acknowledgement",
            f"replication is {found.mode.value}",
            mode=found.mode.value,
            replicas=found.replicas,
        )
    return warning(
        "mysql-acknowledgement",
        "; ".join(shortfalls),
        "With semi-synchronous replication, a transaction is safe once a replica has it. Without "
        "replicas, writes wait, or are acknowledged and on this server alone.",
        Fix(
            "Start or repair the replicas; the sidecar of each reports why it does not replicate. "
            "Do not switch off the waiting to let writes through: they would be on one server.",
            command="kubectl get pods --output wide",
        ),
        mode=found.mode.value,
        replicas=found.replicas,
    )


def _weak(facts: DatabaseFacts) -> dict[str, tuple[str, str]]:
    """The settings on which the promises of the sidecar depend: the value, and the one to set."""
    assert facts.family is not None
    found = DurabilityFacts.of(facts.family, facts.variables, {}).weak
    return {name: (value, wanted) for name, value, wanted in found}


# --- tables


def _tables(facts: DatabaseFacts) -> Finding:
    tables = facts.tables
    if tables is None:
        return unknown(
            "mysql-engines",
            "the storage engines of the tables are not known",
            "Only the backup account sees every table. A copy loses tables of other engines.",
            Fix(
                f"Give the password of the backup account as {_OPTIONS['backup']}, or in the "
                f"container's env as {_VARIABLES['backup']}."
            ),
        )
    if not tables:
        return ok("mysql-engines", "every table uses InnoDB, so that copies are complete")
    engines = Counter(table.engine for table in tables if table.engine != "InnoDB")
    versioned = [table for table in tables if table.versioned]
    parts = [f"{count} of engine {engine}" for engine, count in sorted(engines.items())]
    parts += [f"{len(versioned)} with system versioning"] if versioned else []
    others = [table for table in tables if table.engine != "InnoDB"]
    replica = facts.server is not None and facts.server.read_only
    place = (
        "on the primary, not on this replica" if replica else "on this server, if it is the primary"
    )
    return warning(
        "mysql-engines",
        f"tables that a copy loses or changes: {', '.join(parts)}: {_names(tables)}",
        "CLONE copies InnoDB only, a dump under writes does not have a consistent view of other "
        "engines and leaves out the history of versioned tables, and MEMORY tables are empty after "
        "a restart.",
        Fix(
            f"Convert the tables to InnoDB, {place}, as an administrator. A table is locked "
            "while it is converted; the change is replicated. For versioned tables, dump with "
            "--dump-history.",
            sql="\n".join(f"ALTER TABLE {_quoted(table)} ENGINE = InnoDB;" for table in others),
        ),
        engines=dict(engines),
        versioned=len(versioned),
    )


_MOST_NAMED = 5


def _names(tables: tuple[TableFacts, ...]) -> str:
    shown = ", ".join(f"{table.schema}.{table.name}" for table in tables[:_MOST_NAMED])
    more = len(tables) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _quoted(table: TableFacts) -> str:
    return ".".join("`" + name.replace("`", "``") + "`" for name in (table.schema, table.name))


# --- peers


def _peers(facts: DatabaseFacts) -> Iterator[Finding]:
    for peer in facts.peers:
        if peer.error is not None:
            yield warning(
                "mysql-peers",
                f"the server of {peer.name} does not answer: {peer.error}",
                "Replicas cannot replicate from it, and the sidecar cannot compare its data.",
                Fix(
                    "Check that the server runs, and that a NetworkPolicy allows its port between "
                    "the pods; then that the replication account exists there.",
                    command="kubectl get pods --output wide\nkubectl get networkpolicies",
                ),
                peer=peer.name,
            )
    answered = [peer for peer in facts.peers if peer.error is None]
    if facts.server is None or not answered:
        return
    numbers = Counter(
        [facts.server.server_id, *(p.server_id for p in answered if p.server_id is not None)]
    )
    shared = [number for number, count in numbers.items() if count > 1]
    if shared:
        yield problem(
            "mysql-server-ids",
            f"several servers have the server_id {', '.join(map(str, shared))}",
            "A replica ignores transactions that carry its own number, so its data miss them.",
            _use_config(facts),
            shared=shared,
        )
    else:
        yield ok("mysql-server-ids", f"{len(numbers)} servers have different server_ids")
    writable = [p.name for p in answered if p.read_only is False]
    if not facts.server.read_only:
        writable.append("this server")
    if len(writable) > 1:
        yield problem(
            "mysql-writers",
            f"several servers accept writes: {', '.join(writable)}",
            "Data differ as soon as two of them are written to.",
            Fix(
                "Find out which of them has the data before you close the other one: compare their "
                "contents, and the state that the sidecars report. Do not restart or delete a pod "
                "before.",
                command="kubectl get pods --output wide",
            ),
            writable=writable,
        )
