"""The harness itself: pods that see what a pod sees, and servers that replicate in them."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .evidence import Evidence
from .mariadb import MariaDB
from .pods import Network
from .waiting import until

PRIMARY = "mysql-0.mysql.default.svc.cluster.local"


def test_a_pod_sees_what_a_pod_sees(either: Network) -> None:
    pod, other = either.pod("mysql-0"), either.pod("mysql-1")
    assert pod.run("hostname") == "mysql-0\n"
    assert pod.run("hostname", "-f") == f"{PRIMARY}\n"
    assert pod.run("getent", "hosts", "mysql-1.mysql").split()[0] == other.address
    listed = pod.run(sys.executable, "-m", "peerdisco", "peers", "mysql", "-o", "addresses")
    assert listed.split() == [pod.address, other.address]


def test_a_process_that_was_stopped_goes_on_or_is_killed(either: Network) -> None:
    """The nsenter above it stops as well, and would leave its pod without an end."""
    pod = either.pod("mysql-0")
    process, left = pod.popen("sleep", "60"), pod.popen("sleep", "60")
    for _ in range(10):
        process.signal(signal.SIGSTOP)
        assert state_of(process.pid) == state_of(process.popen.pid) == "T"
        process.signal(signal.SIGCONT)
        assert "T" not in (state_of(process.pid), state_of(process.popen.pid))
    process.signal(signal.SIGSTOP)
    assert process.kill() == -signal.SIGKILL
    left.signal(signal.SIGSTOP)
    pod.close()
    assert not left.alive


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


ACCOUNT = (
    "SET SESSION sql_log_bin=0",
    "CREATE USER 'copier'@'%' IDENTIFIED BY 'a password'",
    "GRANT REPLICATION SLAVE ON *.* TO 'copier'@'%'",
)
REPLICATE = (
    (
        f"CHANGE MASTER TO MASTER_HOST='{PRIMARY}', MASTER_USER='copier', "
        "MASTER_PASSWORD='a password', MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=slave_pos"
    ),
    "START REPLICA",
)

CONFIG = """\
[mariadbd]
server_id={server_id}
log_bin=mysqld-bin
log_slave_updates=ON
gtid_strict_mode=ON
skip_name_resolve=ON
"""
ROWS = "SELECT COUNT(*) FROM shop.orders"


def servers(network: Network, count: int, template: Path) -> list[MariaDB]:
    """Servers that replicate the first one, a schema and an empty table."""
    made = []
    for ordinal in range(count):
        pod = network.pod(f"mysql-{ordinal}")
        config = CONFIG.format(server_id=100 + ordinal)
        made.append(MariaDB(pod, network.directory / pod.name, template, config))
        made[-1].start(wait=False)
    for server in made:
        server.wait_ready()
    primary, *replicas = made
    primary.sql(*ACCOUNT)
    primary.script("CREATE SCHEMA shop; CREATE TABLE shop.orders (n INT PRIMARY KEY)")
    for replica in replicas:
        replica.sql(*REPLICATE)
        until(lambda replica=replica: "shop" in replica.schemas())
    return made


def test_three_servers_replicate_by_name(either: Network, template: Path) -> None:
    primary, *replicas = servers(either, 3, template)
    primary.sql("INSERT INTO shop.orders VALUES (1), (2)")
    for replica in replicas:
        until(lambda replica=replica: replica.value(ROWS) == 2)


def test_what_is_killed_and_started_again(either: Network, template: Path) -> None:
    primary, replica = servers(either, 2, template)
    primary.kill()
    assert not primary.alive
    until(lambda: replica.replica_status()["Replica_IO_Running"] == "Connecting")
    primary.start()
    primary.sql("INSERT INTO shop.orders VALUES (1)")
    until(lambda: replica.value(ROWS) == 1)
    replica.stop()
    replica.wipe()
    replica.start()
    assert replica.schemas() == set()


def test_a_cut_pod_is_silent(bridge: Network, template: Path) -> None:
    primary, replica = servers(bridge, 2, template)
    primary.pod.cut()
    primary.sql("INSERT INTO shop.orders VALUES (1)")
    # A packet that could pass would have by the time that a whole new connection gave up.
    with pytest.raises(RuntimeError, match=r"No route to host|timed out"):
        replica.pod.run(sys.executable, "-c", CONNECT, primary.pod.address)
    assert replica.replica_status()["Replica_IO_Running"] == "Yes"
    assert replica.value(ROWS) == 0
    primary.pod.restore()
    until(lambda: replica.value(ROWS) == 1)


CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 3306), 1)"


def test_pods_that_come_and_go_change_nothing_for_the_others(bridge: Network) -> None:
    """A bridge that takes another hardware address is out of reach until everybody has noticed."""
    link = ("ip", "-brief", "link", "show", "br0")
    address = bridge.hub.run(*link).split()[2]
    for ordinal in range(8):
        bridge.pod(f"mysql-{ordinal}").close()
        assert bridge.hub.run(*link).split()[2] == address


def test_a_pod_that_is_gone_takes_its_processes_along(either: Network, template: Path) -> None:
    (server,) = servers(either, 1, template)
    pid = server.pid
    server.pod.close()
    assert server.process.wait() != 0
    assert not Path(f"/proc/{pid}").exists()


def test_a_password_on_a_command_line_or_in_a_text_is_seen() -> None:
    with_one, without = Evidence(["tell-nobody"]), Evidence(["not-there"])
    with_one.add("a log", "first line\nIDENTIFIED BY 'tell-nobody'\n")
    with_one.add("another log", "nothing")
    with subprocess.Popen(["sh", "-c", "read line", "tell-nobody"], stdin=subprocess.PIPE) as shell:
        until(lambda: any("tell-nobody" in line for line in with_one.command_lines))
        found = with_one.convict()
        shell.communicate()
    assert "a log: IDENTIFIED BY 'tell-nobody'" in found
    assert any(line.startswith("a command line: sh -c read line") for line in found)
    assert not any(line.startswith("another log") for line in found)
    assert without.convict() == []
