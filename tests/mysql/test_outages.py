"""Outages of the primary and of DNS, and maintenance: what stays open and ready meanwhile."""

from __future__ import annotations

import time

import pytest

from .database import Database, Member
from .waiting import until


def ready(member: Member) -> bool:
    return member.sidecar.ready()[0] == 200


def is_open(member: Member) -> bool:
    return not member.server.variable("read_only")


def test_a_dns_outage_does_not_close_a_pod_that_restarts(running: Database) -> None:
    primary = running.primary
    until(lambda: ready(primary))
    running.network.dns.fail("servfail")
    time.sleep(1)  # lookups fail, of which the primary's reports say nothing new
    for _ in range(2):
        primary.server.kill()
        primary.server.start()
        until(lambda: is_open(primary), what="the server is open again")
    primary.sidecar.kill()
    primary.sidecar.start()
    primary.sidecar.wait_for("primary")
    assert is_open(primary)
    assert ready(primary)
    primary.server.sql("INSERT INTO shop.orders VALUES (2)")
    running.network.dns.fail(None)  # the replicas' servers resolve its name again
    assert running.wait_equal() == [1, 2]


def test_replicas_stay_ready_while_the_primary_is_away(running: Database) -> None:
    """And say so once."""
    first, second = running.replicas
    for replica in running.replicas:
        until(lambda replica=replica: ready(replica))
    before = len(first.sidecar.said), len(second.sidecar.said)
    running.primary.kill()
    second.server.restart()
    until(lambda: ready(second), what="a replica that restarts is ready again")
    second.sidecar.wait_for("connecting", "waiting")
    began = time.monotonic()
    while time.monotonic() < began + 6:
        assert ready(first)
        time.sleep(0.2)
    assert ready(second)
    assert second.sidecar.ready()[1]["data_age"] > 5
    # That it does not answer, and that there is no connection; and the second's own restart.
    assert len(first.sidecar.said) - before[0] <= 3, first.sidecar.said
    assert len(second.sidecar.said) - before[1] <= 5, second.sidecar.said
    # The limit can be configured. From a new start of the sidecar, the age counts from there.
    first.sidecar.stop()
    first.sidecar.start("--max-staleness", "2")
    until(lambda: ready(first), what="it was found replicating")
    until(lambda: not ready(first), what="its data are too old")
    assert first.sidecar.ready()[1]["data_age"] >= 2
    running.primary.start()
    running.wait()
    assert running.wait_equal() == [1]


def test_a_paused_pod_is_left_alone(running: Database) -> None:
    primary, replica = running.primary, running[1]
    file = running.network.directory / "pause"
    for member in (primary, replica):
        member.sidecar.stop()
        member.sidecar.start("--pause-file", str(file))
    running.wait()
    file.touch()
    until(lambda: all(m.sidecar.ready()[1]["paused"] for m in (primary, replica)))
    assert ready(primary)
    assert "peerdisco_mysql_paused 1.0" in primary.sidecar.get("/metrics")[1]
    primary.server.sql("SET GLOBAL read_only = ON")
    replica.server.sql("STOP REPLICA", "SET GLOBAL read_only = OFF")
    primary.sidecar.wait_for("waiting")
    replica.sidecar.wait_for("connecting")
    time.sleep(1)
    assert not is_open(primary)
    assert is_open(replica)
    assert not replica.server.replicates
    file.unlink()
    running.wait()
    assert not is_open(replica)


def test_all_connections_are_used_when_the_sidecar_restarts(running: Database) -> None:
    """One is reserved for accounts with CONNECTION ADMIN, as the sidecar's."""
    primary = running.primary
    primary.sidecar.stop()
    primary.server.sql("SET GLOBAL max_connections = 10")
    with primary.server.crowd("shop"):
        primary.sidecar.start()
        primary.sidecar.wait_for("primary")
        until(lambda: ready(primary))
        codes = [found["code"] for found in primary.sidecar.ready()[1]["problems"]]
        assert codes == ["replication-account"], "the peers have no reserved connection"
    until(lambda: not primary.sidecar.ready()[1]["problems"])
    assert is_open(primary)


def lag(member: Member) -> float:
    """The lag of a replica in seconds; 0 if none is known."""
    return float(member.sidecar.ready()[1]["lag"] or 0)


@pytest.mark.long
def test_the_lag_is_the_age_of_the_heartbeat(running: Database) -> None:
    """A server that has applied nothing for seconds may say 0 itself."""
    primary, held, other = running.members
    for replica in running.replicas:
        until(lambda replica=replica: ready(replica) and lag(replica) < 2)
    with held.server.holding("LOCK TABLES shop.orders READ"):
        primary.server.sql("INSERT INTO shop.orders VALUES (2)")
        until(lambda: lag(held) >= 4, what=lambda: str(held.sidecar.ready()))
        assert running.rows(held) == [1]
        assert running.rows(other) == [1, 2]
        assert lag(other) < 4
    assert running.wait_equal() == [1, 2]
    until(lambda: lag(held) < 2, what=lambda: str(held.sidecar.ready()))
    # When no heartbeat comes any more, that is no lag: the positions are equal.
    primary.sidecar.stop()
    began = time.monotonic()
    while time.monotonic() < began + 15:
        assert all(map(ready, running.replicas))
        time.sleep(0.2)
    until(lambda: max(map(lag, running.replicas)) == 0)
