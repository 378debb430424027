"""What an acknowledged transaction survives on a server, from its running settings. Pure.

MariaDB: https://mariadb.com/kb/en/semisynchronous-replication/. MySQL:
https://dev.mysql.com/doc/refman/8.4/en/replication-semisync.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from ..exceptions import ConfigurationError
from .versions import Flavour

__all__ = ["NO_TIMEOUT", "Durability", "DurabilityFacts", "semi_sync_config", "set_waiting"]

NO_TIMEOUT = 4294967295
"""Milliseconds, the largest that MySQL takes: commits wait for an acknowledgement for 49 days."""


class Durability(Enum):
    """When the primary acknowledges a transaction to its client."""

    ASYNCHRONOUS = "asynchronous"
    """When it is on the primary's disk."""
    SEMI_SYNC = "semi-sync"
    """When it is on the primary's disk, and replicas have received it."""


@dataclass(frozen=True, slots=True)
class _Names:
    """The words in which the families differ."""

    source: str
    replica: str

    def source_variable(self, name: str) -> str:
        return f"rpl_semi_sync_{self.source}_{name}"

    @property
    def waits_alone(self) -> str:
        """The variable that lets commits wait while no replica is connected."""
        return self.source_variable(f"wait_no_{self.replica}")

    @property
    def replica_enabled(self) -> str:
        return f"rpl_semi_sync_{self.replica}_enabled"


_NAMES = {
    Flavour.MARIADB: _Names("master", "slave"),
    Flavour.MYSQL: _Names("source", "replica"),
}


def semi_sync_config(
    flavour: Flavour, acknowledgements: int = 1, timeout: float | None = None
) -> dict[str, str]:
    """The configuration of semi-synchronous replication, the same for every server of a cluster.

    The waiting itself is not enabled here. The sidecar does that on the primary, after the first
    row is written and before clients may write: replicas follow because of that row, so a primary
    that waited for them from its start would wait for ever. A replica that waited would stop
    applying.

    Args:
        flavour: The family.
        acknowledgements: How many replicas have to have received a transaction before it is
            acknowledged; MariaDB supports only 1.
        timeout: Seconds after which the primary stops waiting and continues asynchronously; None
            for never.

    Raises:
        ConfigurationError: The family does not support the number, or a value is out of range.
    """
    if acknowledgements != 1 and flavour is Flavour.MARIADB:
        raise ConfigurationError(
            "acknowledgements", acknowledgements, "1, the only number that MariaDB supports"
        )
    if not 1 <= acknowledgements <= _MOST_ACKNOWLEDGEMENTS:
        raise ConfigurationError(
            "acknowledgements", acknowledgements, f"a number from 1 to {_MOST_ACKNOWLEDGEMENTS}"
        )
    milliseconds = NO_TIMEOUT if timeout is None else round(timeout * 1000)
    if not 0 < milliseconds <= NO_TIMEOUT:
        raise ConfigurationError(
            "timeout", timeout, f"seconds above 0, at most {NO_TIMEOUT // 1000}, or none"
        )
    names = _NAMES[flavour]
    settings = {
        names.replica_enabled: "ON",
        names.source_variable("wait_point"): "AFTER_SYNC",
        names.source_variable("timeout"): str(milliseconds),
        names.waits_alone: "ON",
    }
    if flavour is Flavour.MARIADB:
        return settings
    settings[names.source_variable("wait_for_replica_count")] = str(acknowledgements)
    # While a server is initialised it loads no plugins, and does not know their variables.
    loose = {f"loose_{name}": value for name, value in settings.items()}
    return {"plugin_load_add": "semisync_source.so;semisync_replica.so", **loose}


def set_waiting(flavour: Flavour, on: bool) -> str:
    """The statement with which commits begin, or end, to wait for acknowledgements."""
    name = _NAMES[flavour].source_variable("enabled")
    return f"SET GLOBAL {name} = {'ON' if on else 'OFF'}"


_MOST_ACKNOWLEDGEMENTS = 65535

_NEEDED: dict[str, tuple[frozenset[str], str]] = {
    "sync_binlog": (frozenset({"1"}), "1"),
    "innodb_flush_log_at_trx_commit": (frozenset({"1", "3"}), "1"),
    "binlog_format": (frozenset({"ROW"}), "ROW"),
    "gtid_strict_mode": (frozenset({"ON"}), "ON"),
    "gtid_mode": (frozenset({"ON"}), "ON"),
    "enforce_gtid_consistency": (frozenset({"ON"}), "ON"),
    "log_slave_updates": (frozenset({"ON"}), "ON"),
    "log_replica_updates": (frozenset({"ON"}), "ON"),
}
"""Each setting that the promises depend on: the values that keep them, and the one to set."""


@dataclass(frozen=True, slots=True)
class DurabilityFacts:
    """The settings of a running server on which the durability of its transactions depends.

    Attributes:
        flavour: The family.
        supported: Whether the server can wait for acknowledgements: its plugins are loaded.
        configured: Whether its configuration is that of semi-synchronous replication
            (`semi_sync_config`).
        waits: Whether its commits wait for acknowledgements.
        active: Whether they do so at the moment; not after the timeout, until replicas catch up.
        after_sync: Whether they wait before the transaction is visible to other clients.
        acknowledgements: How many are waited for.
        replicas: How many replicas are connected that send acknowledgements.
        waiting: How many sessions wait for an acknowledgement.
        fallback_after: Seconds after which the primary stops waiting; None for never.
        weak: The settings with which transactions that were acknowledged, or that replicas have,
            may be missing after a crash: name, value, and the value to set.
    """

    flavour: Flavour
    supported: bool
    configured: bool
    waits: bool
    active: bool
    after_sync: bool
    acknowledgements: int
    replicas: int
    waiting: int
    fallback_after: float | None
    weak: tuple[tuple[str, str, str], ...]

    @classmethod
    def of(
        cls, flavour: Flavour, variables: Mapping[str, str], status: Mapping[str, str]
    ) -> DurabilityFacts:
        """From the server's variables and status, by their names in lower case."""
        names = _NAMES[flavour]

        def variable(name: str) -> str:
            return variables.get(names.source_variable(name), "")

        def counter(name: str) -> int:
            return int(status.get(names.source_variable(name), "0"))

        timeout = int(variable("timeout") or NO_TIMEOUT)
        waits_alone = variables.get(names.waits_alone, "ON") == "ON"
        not_alone = variable("enabled") == "ON" and not waits_alone
        return cls(
            flavour=flavour,
            supported=variable("enabled") != "",
            configured=variables.get(names.replica_enabled) == "ON",
            waits=variable("enabled") == "ON",
            active=status.get(names.source_variable("status")) == "ON",
            after_sync=variable("wait_point").upper() == "AFTER_SYNC",
            acknowledgements=int(variable("wait_for_replica_count") or 1),
            replicas=counter("clients"),
            waiting=counter("wait_sessions"),
            fallback_after=None if timeout >= NO_TIMEOUT else timeout / 1000,
            weak=(
                *(
                    (name, variables[name], wanted)
                    for name, (good, wanted) in _NEEDED.items()
                    if name in variables and variables[name].upper() not in good
                ),
                *([(names.waits_alone, "OFF", "ON")] if not_alone else []),
            ),
        )

    @property
    def mode(self) -> Durability:
        return Durability.SEMI_SYNC if self.waits else Durability.ASYNCHRONOUS

    def set_waiting(self, on: bool) -> str:
        """The statement that begins or ends the waiting."""
        return set_waiting(self.flavour, on)

    def weaknesses(self) -> Iterator[str]:
        """What is weaker than the configuration of this package, in words."""
        for name, value, wanted in self.weak:
            yield (
                f"{name} is {value}, expected {wanted}: with it, transactions that were "
                "acknowledged may be lost, or data may differ between servers; 'peerdisco "
                "mysql-setup config' prints the configuration that it needs"
            )
        if self.waits and not self.after_sync:
            name = _NAMES[self.flavour].source_variable("wait_point")
            yield (
                f"{name} is not AFTER_SYNC: clients may read a transaction before a replica has it"
            )

    def shortfalls(self) -> Iterator[str]:
        """What keeps semi-synchronous replication from its promise at the moment, in words."""
        if not self.waits:
            return
        need = f"{self.acknowledgements} must acknowledge each transaction"
        if not self.active:
            yield (
                "commits do not wait for an acknowledgement now: no replica sent one for "
                f"{self.fallback_after or NO_TIMEOUT / 1000:g} s, the configured timeout; "
                f"{self.replicas} replicas are connected, {need}"
            )
        elif self.replicas < self.acknowledgements:
            yield (
                f"writes wait: {self.replicas} replicas are connected, and {need}; start or "
                "repair the replicas"
            )


def variables_query(flavour: Flavour) -> str:
    """The query for the variables that `DurabilityFacts.of` reads."""
    names = _NAMES[flavour]
    needed = ", ".join(f"'{name}'" for name in (*_NEEDED, names.replica_enabled))
    return (
        f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({needed}) "
        f"OR Variable_name LIKE '{names.source_variable('%')}'"
    )


def status_query(flavour: Flavour) -> str:
    """The query for the status that `DurabilityFacts.of` reads."""
    return f"SHOW GLOBAL STATUS LIKE '{_NAMES[flavour].source_variable('%')}'"
