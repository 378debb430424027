"""The accounts, and what each of them might need: `trials` finds out what it does."""

from __future__ import annotations

from .trials import Grant, Trial, clone, dump, logs, recipient, replication, sidecar

PEERDISCO = "peerdisco.*"
TRIALS: dict[str, tuple[Trial, ...]] = {
    "mariadb": (
        Trial("trial_sidecar", "localhost", (
            Grant("SUPER"), Grant("RELOAD"), Grant("PROCESS"), Grant("BINLOG MONITOR"),
            Grant("REPLICATION SLAVE"), Grant("REPLICATION MASTER ADMIN"),
            Grant("CONNECTION ADMIN"), Grant("BINLOG REPLAY"), Grant("BINLOG ADMIN"),
            Grant("REPLICA MONITOR"), Grant("REPLICATION SLAVE ADMIN"),
            Grant("READ_ONLY ADMIN"), Grant("SHOW DATABASES"),
            Grant("CREATE", PEERDISCO), Grant("DROP", PEERDISCO), Grant("INSERT", PEERDISCO),
            Grant("DELETE", PEERDISCO), Grant("UPDATE", PEERDISCO), Grant("SELECT", PEERDISCO),
        ), sidecar),
        Trial("trial_replication", "%", (
            Grant("SUPER"), Grant("BINLOG MONITOR"), Grant("REPLICATION SLAVE ADMIN"),
            Grant("REPLICATION SLAVE"), Grant("REPLICA MONITOR"), Grant("SHOW DATABASES"),
            Grant("SELECT", PEERDISCO),
        ), replication),
        Trial("trial_logs", "%", (
            Grant("SUPER"), Grant("BINLOG MONITOR"), Grant("REPLICATION SLAVE"),
            Grant("REPLICATION MASTER ADMIN"), Grant("PROCESS"), Grant("CONNECTION ADMIN"),
        ), logs),
        Trial("trial_dump", "%", (
            Grant("SUPER"), Grant("PROCESS"), Grant("REPLICA MONITOR"), Grant("LOCK TABLES"),
            Grant("EXECUTE"), Grant("SHOW DATABASES"), Grant("RELOAD"), Grant("BINLOG MONITOR"),
            Grant("SELECT"), Grant("SHOW VIEW"), Grant("TRIGGER"), Grant("EVENT"),
        ), dump("mariadb-dump", (
            "--all-databases", "--single-transaction", "--gtid", "--master-data=1",
            "--routines", "--events", "--triggers",
        ))),
    ),
    "mysql": (
        Trial("trial_sidecar", "localhost", (
            Grant("SUPER"), Grant("PROCESS"), Grant("REPLICATION SLAVE"), Grant("BINLOG_ADMIN"),
            Grant("SESSION_VARIABLES_ADMIN"), Grant("REPLICATION_APPLIER"),
            Grant("CONNECTION_ADMIN"), Grant("RELOAD"), Grant("REPLICATION CLIENT"),
            Grant("REPLICATION_SLAVE_ADMIN"), Grant("SYSTEM_VARIABLES_ADMIN"),
            Grant("SHOW DATABASES"), Grant("CREATE", PEERDISCO), Grant("DROP", PEERDISCO),
            Grant("INSERT", PEERDISCO), Grant("DELETE", PEERDISCO), Grant("UPDATE", PEERDISCO),
            Grant("SELECT", PEERDISCO),
        ), sidecar),
        Trial("trial_replication", "%", (
            Grant("SUPER"), Grant("REPLICATION_SLAVE_ADMIN"), Grant("REPLICATION SLAVE"),
            Grant("REPLICATION CLIENT"), Grant("SHOW DATABASES"), Grant("SELECT", PEERDISCO),
        ), replication),
        Trial("trial_logs", "%", (
            Grant("SUPER"), Grant("SYSTEM_USER"), Grant("REPLICATION CLIENT"),
            Grant("REPLICATION SLAVE"), Grant("PROCESS"), Grant("CONNECTION_ADMIN"),
        ), logs),
        Trial("trial_dump", "%", (
            Grant("SUPER"), Grant("LOCK TABLES"), Grant("EXECUTE"), Grant("SHOW DATABASES"),
            Grant("RELOAD"), Grant("FLUSH_TABLES"), Grant("REPLICATION CLIENT"), Grant("PROCESS"),
            Grant("SELECT"), Grant("SHOW_ROUTINE"), Grant("SHOW VIEW"), Grant("TRIGGER"),
            Grant("EVENT"),
        ), dump("mysqldump", (
            "--all-databases", "--single-transaction", "--source-data=1",
            "--set-gtid-purged=ON", "--routines", "--events", "--triggers", "--no-tablespaces",
        ))),
        Trial("trial_clone", "%", (
            Grant("SUPER"), Grant("SELECT"), Grant("RELOAD"), Grant("REPLICATION CLIENT"),
            Grant("BACKUP_ADMIN"),
        ), clone),
        Trial("trial_recipient", "localhost", (
            Grant("SUPER"), Grant("BACKUP_ADMIN"), Grant("SYSTEM_VARIABLES_ADMIN"),
            Grant("CLONE_ADMIN"),
        ), recipient),
    ),
}  # fmt: skip
