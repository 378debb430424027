"""Pods that come back with another address, and two that bear one name."""

from __future__ import annotations

import shutil
import signal

from .database import Database, Member
from .waiting import until


def receiver(member: Member) -> str:
    return str(member.server.replica_status()["Replica_IO_Running"])


def test_the_primary_is_gone_without_a_packet_and_back_elsewhere(running: Database) -> None:
    """A server left alone goes on believing in the dead address; with a sidecar it follows DNS."""
    primary, attended, alone = running.members
    alone.sidecar.stop()
    primary.vanish()
    primary.arrive(publish=False)
    primary.start()
    primary.server.wait_ready()
    assert receiver(attended) == receiver(alone) == "Yes"
    running.network.dns.publish(primary.name, primary.pod.address)
    primary.sidecar.wait_for("primary")
    primary.server.sql("INSERT INTO shop.orders VALUES (2)")
    until(lambda: running.rows(attended) == [1, 2], what="the replica follows")
    assert running.rows(alone) == [1]
    assert receiver(alone) == "Yes"
    alone.sidecar.start()
    alone.sidecar.wait_for("replica")
    assert running.wait_equal() == [1, 2]


def test_every_pod_moves_at_once(running: Database) -> None:
    for member in running.members:
        member.vanish()
        member.arrive()
    running.start()
    running.wait()
    running.primary.server.sql("INSERT INTO shop.orders VALUES (2)")
    assert running.wait_equal() == [1, 2]


def test_a_dns_outage_changes_nothing(running: Database) -> None:
    running.network.dns.fail("servfail")
    for member in running.members:
        until(lambda member=member: member.sidecar.ready()[0] in (200, 503))
    running.primary.server.sql("INSERT INTO shop.orders VALUES (2)")
    assert running.wait_equal() == [1, 2]
    assert not running.primary.server.variable("read_only")
    running.network.dns.fail(None)
    running.wait()


def test_dns_is_silent_while_the_primary_is_away(running: Database) -> None:
    """A server that asks for a name blocks, and its replication with it, until DNS answers."""
    replica = running[1]
    before = len(replica.sidecar.states)
    running.network.dns.fail("drop")
    running.primary.server.kill()
    replica.sidecar.wait_for("connecting")
    assert replica.sidecar.get("/healthz")[0] == 200
    running.network.dns.fail(None)
    running.primary.server.start()
    running.wait()
    running.primary.server.sql("INSERT INTO shop.orders VALUES (2)")
    assert running.wait_equal() == [1, 2]
    since = {state for state, _ in replica.sidecar.states[before:]}
    assert since <= {"waiting", "connecting", "replica"}


# Two pods claim ordinal 0: the old one's node is cut off, and it was removed from Kubernetes.


def successor(db: Database) -> Member:
    """Another pod with the primary's name, not in DNS yet, with its volume.

    Here it is a copy. The old one writes nothing more, also no heartbeat, which the new one would
    lack.
    """
    old = db.primary
    old.sidecar.stop()
    counter = "SELECT counter FROM peerdisco.heartbeat"
    before = old.server.value(counter)
    old.sidecar.start("--heartbeat", "3600")
    until(lambda: old.server.value(counter) > before, what="the only heartbeat")
    db.wait()
    new = db.add(0, "mysql-0-again", publish=False)
    assert old.server.process is not None
    old.server.process.signal(signal.SIGSTOP)
    shutil.copytree(old.server.datadir, new.server.datadir)
    old.server.process.signal(signal.SIGCONT)
    return new


def test_the_old_primary_still_sees_dns(running: Database) -> None:
    old, new = running.primary, successor(running)
    new.start()
    new.sidecar.wait_for("fenced", "waiting")
    assert new.server.variable("read_only")
    running.network.dns.publish("mysql-0", new.pod.address)
    why = old.sidecar.wait_for("fenced")
    assert new.pod.address in why
    assert old.server.variable("read_only")
    until(lambda: new.sidecar.state == "primary", what="the new one is the primary")
    running.members[0] = new
    new.server.sql("INSERT INTO shop.orders VALUES (2)")
    assert running.wait_equal() == [1, 2]
    status, told = old.sidecar.ready()
    assert (status, told["role"], told["state"]) == (503, "primary", "fenced")


def test_the_old_primary_was_cut_off_and_sees_dns_again(running: Database) -> None:
    """While it is cut off it cannot know, and stays open; that is what only a fence can prevent."""
    old, new = running.primary, successor(running)
    old.pod.cut()
    running.network.dns.publish("mysql-0", new.pod.address)
    new.start()
    new.sidecar.wait_for("primary")
    assert not old.server.variable("read_only")
    old.pod.restore()
    old.sidecar.wait_for("fenced")
    assert old.server.variable("read_only")
    running.members[0] = new
    new.server.sql("INSERT INTO shop.orders VALUES (2)")
    assert running.wait_equal() == [1, 2]
