"""The same on real MySQL servers, where one can be had; elsewhere recordings have to do."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import pytest

from .certificates import Authority, key_pair
from .conftest import image_of
from .database import Database, Image, Member
from .mariadb import connected
from .mysqld import MySQL
from .pods import Network
from .waiting import until

RECONNECTED = "(done: stopping the receiver, starting the receiver)"

pytestmark = pytest.mark.timeout(180)  # these servers take seconds to start


@pytest.fixture(scope="session")
def mysql_image(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Image:
    """A data directory with the accounts in it, one for all workers."""
    return image_of(MySQL, tmp_path_factory, worker_id)


@pytest.fixture
def db(bridge: Network, mysql_image: Image) -> Iterator[Database]:
    """Three pods that replicate, with a table of orders."""
    made = Database(bridge, mysql_image)
    made.start()
    made.wait()
    made.create_shop()
    made.primary.server.sql("INSERT INTO shop.orders VALUES (1)")
    made.wait_equal()
    yield made
    made.close()


def epochs(db: Database) -> list[object]:
    """The history that each server has."""
    return [member.server.sql("SELECT * FROM peerdisco.epochs") for member in db.members]


def executed(members: list[Member]) -> list[str]:
    """What each server has executed, in transactions of all servers."""
    return [str(member.server.variable("gtid_executed")) for member in members]


def test_three_servers_replicate_and_a_second_run_does_nothing(db: Database) -> None:
    """The passwords hold quotes and backslashes."""
    before = epochs(db)
    assert before == [before[0]] * 3
    for replica in db.replicas:
        assert replica.server.variable("super_read_only")
    for member in db.members:
        assert member.sidecar.stop() == 0
        member.sidecar.start()
    db.wait()
    assert epochs(db) == before
    for member in db.members:
        said = [why for _, why in member.sidecar.states if "(done:" in why]
        # No server shows to which address a receiver is connected.
        assert [why for why in said if RECONNECTED not in why] == []
    db.primary.server.sql("INSERT INTO shop.orders VALUES (2)")
    assert db.wait_equal() == [1, 2]


def test_a_replica_that_was_stopped_goes_on(db: Database) -> None:
    replica = db[1]
    replica.server.sql("STOP REPLICA")
    db.primary.server.sql("INSERT INTO shop.orders VALUES (2)")
    assert db.wait_equal() == [1, 2]
    replica.sidecar.wait_for("replica")


def test_the_primary_comes_back_with_another_address(db: Database) -> None:
    """Its old address says nothing any more: only the sidecars can tell."""
    db.primary.vanish()
    db.primary.arrive(publish=False)
    db.primary.start()
    db.primary.server.wait_ready()
    db.network.dns.publish(db.primary.name, db.primary.pod.address)
    db.primary.sidecar.wait_for("primary")
    db.primary.server.sql("INSERT INTO shop.orders VALUES (2)")
    assert db.wait_equal() == [1, 2]


def test_ordinal_0_returns_with_an_empty_volume(db: Database) -> None:
    """MySQL itself would not notice: to it, the transactions of a new server are just others."""
    db.primary.kill()
    before = executed(db.replicas)
    db.primary.server.wipe()
    db.primary.start()
    db.primary.server.wait_ready()
    why = db.primary.sidecar.wait_for("refused")
    assert "mysql-1 holds data" in why
    assert db.primary.server.variable("read_only")
    assert db.primary.server.schemas() == set()
    for replica in db.replicas:
        assert db.rows(replica) == [1]
    assert executed(db.replicas) == before


def test_a_transaction_on_a_replica_is_found(db: Database) -> None:
    """MySQL would go on replicating."""
    replica = db[2]
    replica.server.sql("SET GLOBAL super_read_only=OFF", "CREATE DATABASE stray")
    replica.sidecar.wait_for("refused")
    until(lambda: not replica.server.replicates, what="it has stopped")
    assert replica.server.variable("super_read_only")
    db[1].sidecar.wait_for("replica")


def test_a_primary_with_idle_clients_stops_without_waiting_for_them(db: Database) -> None:
    """As the hook of the example has it; otherwise it takes ten seconds while replicas follow."""
    server = db.primary.server
    with connected(server.socket, user="shop"):
        server.sql("SET GLOBAL offline_mode = ON")
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 7
    server.start(wait=False)
    db.wait()
    assert not server.variable("offline_mode")


def test_replication_over_verified_tls(db: Database) -> None:
    authority = Authority(db.network.directory)
    for member in db.members:
        key, certificate = authority.issue(member.name, "*.mysql.default.svc.cluster.local", "db")
        member.server.arguments = (
            f"--ssl-ca={authority.path}",
            f"--ssl-cert={certificate}",
            f"--ssl-key={key}",
            "--require-secure-transport=ON",
        )
        del member.sidecar.environment["PEERDISCO_MYSQL_SOCKET"]
    for member in db.members:
        member.stop()
    ca = str(authority.path)
    options = ("--tls-ca", ca, "--tls-server-name", "db", "--replication-tls-ca", ca)
    for member in db.members:
        member.server.start(wait=False)
        member.sidecar.start(*options)
    db.wait()
    for replica in db.replicas:
        assert replica.server.replica_status()["Source_SSL_Verify_Server_Cert"] == "Yes"
    db.primary.server.sql("INSERT INTO shop.orders VALUES (2)")
    assert db.wait_equal() == [1, 2]


def test_replication_without_tls_verifies_the_pinned_key(db: Database) -> None:
    """``SOURCE_PUBLIC_KEY_PATH``: the password is encrypted for this key, and for no other."""
    directory = db.network.directory
    private, public = key_pair(directory, "servers")
    _, other = key_pair(directory, "other")
    pinned = directory / "pinned.pem"
    shutil.copy(public, pinned)
    db.network.own(directory)
    for member in db.members:
        member.stop()
        member.server.arguments = (
            f"--caching-sha2-password-private-key-path={private}",
            f"--caching-sha2-password-public-key-path={public}",
        )
    key = ("--server-public-key", str(public), "--replication-public-key", str(pinned))
    for member in db.members:
        member.server.start(wait=False)
        member.sidecar.start(*key)
    db.wait()
    replica = db[1]
    status = replica.server.replica_status()
    assert status["Source_public_key_path"] == str(pinned)
    assert status["Get_Source_public_key"] == 0
    assert status["Source_SSL_Allowed"] == "No"

    # The primary has forgotten the account: a login has to send the password, encrypted.
    db.primary.sidecar.kill()
    replica.sidecar.kill()
    log_in_again(db, replica)
    until(lambda: replica.server.replicates, what=lambda: str(replica.server.replica_status()))
    db.primary.server.sql("INSERT INTO shop.orders VALUES (2)")
    assert db.wait_equal() == [1, 2]

    shutil.copy(other, pinned)
    log_in_again(db, replica)
    until(
        lambda: replica.server.replica_status()["Last_IO_Errno"],
        what=lambda: str(replica.server.replica_status()),
    )
    assert not replica.server.replicates
    shutil.copy(public, pinned)
    log_in_again(db, replica)
    until(lambda: replica.server.replicates, what=lambda: str(replica.server.replica_status()))


def log_in_again(db: Database, replica: Member) -> None:
    replica.server.sql("STOP REPLICA IO_THREAD")
    db.primary.server.sql("FLUSH PRIVILEGES")
    replica.server.sql("START REPLICA IO_THREAD")
