"""The configuration of semi-synchronous replication, and what a running server's settings mean."""

from __future__ import annotations

import pytest

from peerdisco.exceptions import ConfigurationError
from peerdisco.mysql import Flavour, render_config
from peerdisco.mysql.durability import NO_TIMEOUT, Durability, DurabilityFacts

HOST = "db-0.db.shop.svc.cluster.local"
GOOD = {
    "sync_binlog": "1",
    "innodb_flush_log_at_trx_commit": "1",
    "binlog_format": "ROW",
    "log_slave_updates": "ON",
    "gtid_strict_mode": "ON",
}
WAITS = {
    "rpl_semi_sync_master_enabled": "ON",
    "rpl_semi_sync_slave_enabled": "ON",
    "rpl_semi_sync_master_wait_point": "AFTER_SYNC",
    "rpl_semi_sync_master_timeout": str(NO_TIMEOUT),
}
ACTIVE = {
    "rpl_semi_sync_master_status": "ON",
    "rpl_semi_sync_master_clients": "2",
    "rpl_semi_sync_master_wait_sessions": "0",
}


def config(flavour: Flavour, **given: object) -> dict[str, str]:
    text = render_config(flavour, 0, HOST, durability=Durability.SEMI_SYNC, **given)  # type: ignore[arg-type]
    lines = (line.partition(" = ") for line in text.splitlines()[1:])
    return {name: value for name, _, value in lines}


def facts(variables: dict[str, str], status: dict[str, str] | None = None) -> DurabilityFacts:
    return DurabilityFacts.of(Flavour.MARIADB, variables, status or {})


@pytest.mark.parametrize("flavour", Flavour)
def test_nothing_waits_before_the_sidecar_says_so(flavour: Flavour) -> None:
    """A primary that waited from its start would never write the row that replicas wait for."""
    made = config(flavour)
    assert not any("master_enabled" in name or "source_enabled" in name for name in made)
    prefix, source, replica = (
        ("", "master", "slave") if flavour is Flavour.MARIADB else ("loose_", "source", "replica")
    )
    assert made[f"{prefix}rpl_semi_sync_{replica}_enabled"] == "ON"
    assert made[f"{prefix}rpl_semi_sync_{source}_wait_point"] == "AFTER_SYNC"
    assert made[f"{prefix}rpl_semi_sync_{source}_timeout"] == str(NO_TIMEOUT)
    assert made[f"{prefix}rpl_semi_sync_{source}_wait_no_{replica}"] == "ON"
    plain = render_config(flavour, 0, HOST)
    assert "semi" not in plain


def test_acknowledgements_and_the_fallback() -> None:
    made = config(Flavour.MYSQL, acknowledgements=2, fallback_after=1.5)
    assert made["loose_rpl_semi_sync_source_wait_for_replica_count"] == "2"
    assert made["loose_rpl_semi_sync_source_timeout"] == "1500"
    assert made["plugin_load_add"] == "semisync_source.so;semisync_replica.so"
    with pytest.raises(ConfigurationError, match="the only number that MariaDB supports"):
        config(Flavour.MARIADB, acknowledgements=2)
    for wrong in (0, 65536):
        with pytest.raises(ConfigurationError, match="acknowledgements"):
            config(Flavour.MYSQL, acknowledgements=wrong)
    for seconds in (0.0, -1.0, 4294968.0):
        with pytest.raises(ConfigurationError, match="timeout"):
            config(Flavour.MYSQL, fallback_after=seconds)


def test_a_server_with_the_printed_settings_has_no_weakness() -> None:
    found = facts(GOOD | WAITS, ACTIVE)
    assert (found.mode, found.active, found.replicas) == (Durability.SEMI_SYNC, True, 2)
    assert found.fallback_after is None
    assert [*found.weaknesses(), *found.shortfalls()] == []


@pytest.mark.parametrize(
    ("name", "value", "weak"),
    [
        ("sync_binlog", "0", True),
        ("sync_binlog", "100", True),
        ("innodb_flush_log_at_trx_commit", "2", True),
        ("innodb_flush_log_at_trx_commit", "3", False),
        ("binlog_format", "MIXED", True),
        ("binlog_format", "row", False),
        ("gtid_strict_mode", "OFF", True),
        ("log_slave_updates", "OFF", True),
    ],
)
def test_weak_settings_are_named(name: str, value: str, weak: bool) -> None:
    found = list(facts(GOOD | {name: value}).weaknesses())
    assert [text.startswith(f"{name} is {value}, expected ") for text in found] == [True] * weak


def test_what_keeps_it_from_its_promise_is_said() -> None:
    alone = ACTIVE | {"rpl_semi_sync_master_clients": "0"}
    (text,) = facts(GOOD | WAITS, alone).shortfalls()
    assert text.startswith("writes wait: 0 replicas are connected")
    fallen = ACTIVE | {"rpl_semi_sync_master_status": "OFF"}
    limited = WAITS | {"rpl_semi_sync_master_timeout": "1000"}
    (text,) = facts(GOOD | limited, fallen).shortfalls()
    assert "do not wait for an acknowledgement now: no replica sent one for 1 s" in text
    (text,) = facts(
        GOOD | WAITS | {"rpl_semi_sync_master_wait_point": "AFTER_COMMIT"}, ACTIVE
    ).weaknesses()
    assert "not AFTER_SYNC" in text
    assert list(facts(GOOD, {}).shortfalls()) == []


def test_commits_that_do_not_wait_without_a_replica_are_a_weakness() -> None:
    """It is a fallback that no timeout shows."""
    alone = {"rpl_semi_sync_master_wait_no_slave": "OFF"}
    (text,) = facts(GOOD | WAITS | alone, ACTIVE).weaknesses()
    assert text.startswith("rpl_semi_sync_master_wait_no_slave is OFF, expected ON: ")
    assert list(facts(GOOD | alone, {}).weaknesses()) == []


def test_a_server_without_the_plugin_says_so() -> None:
    found = DurabilityFacts.of(Flavour.MYSQL, {"sync_binlog": "1"}, {})
    assert not found.supported
    assert not found.configured
    assert found.mode is Durability.ASYNCHRONOUS


@pytest.mark.parametrize(
    ("flavour", "name"),
    [
        (Flavour.MARIADB, "rpl_semi_sync_master_enabled"),
        (Flavour.MYSQL, "rpl_semi_sync_source_enabled"),
    ],
)
def test_the_statement_that_begins_and_ends_the_waiting(flavour: Flavour, name: str) -> None:
    found = DurabilityFacts.of(flavour, {}, {})
    assert found.set_waiting(True) == f"SET GLOBAL {name} = ON"
    assert found.set_waiting(False) == f"SET GLOBAL {name} = OFF"
