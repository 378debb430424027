"""Real MariaDB servers on loopback, each on its own port, and a cluster DNS that lists them."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pymysql
import pytest

from peerdisco.testing import ClusterDNS, ManualEndpoint

PASSWORD = "it's \\ a #password"


class Server:
    """A server, and its place in the DNS. There is no replication: each test says what it needs."""

    def __init__(self, dns: ClusterDNS, directory: Path, ordinal: int) -> None:
        self._dns = dns
        self._directory = directory
        self.name = f"mysql-{ordinal}"
        self.process: subprocess.Popen[bytes] | None = None
        self.endpoint: ManualEndpoint | None = None
        self.port = 0

    def start(self) -> None:
        """Start it on a port that is free, and list it."""
        deadline = time.monotonic() + 40
        while not self._answers():
            assert time.monotonic() < deadline, f"{self.name} does not answer"
            if self.process is None or self.process.poll() is not None:
                self._launch()  # again, if somebody else has taken the port meanwhile
            time.sleep(0.02)
        self.list()

    def _launch(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [
                *("mariadbd", "--no-defaults", f"--user={getpass.getuser()}"),
                *(f"--datadir={self._directory}", f"--tmpdir={self._directory}"),
                *(f"--socket={self._directory}/socket", f"--pid-file={self._directory}/pid"),
                *("--bind-address=127.0.0.1", f"--port={self.port}", "--skip-name-resolve"),
                *(f"--report-host={self.name}.my-database", "--innodb-buffer-pool-size=16M"),
                *("--innodb-log-file-size=4M", "--performance-schema=OFF"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _answers(self) -> bool:
        """Whether it greets; it listens here after it does on the port."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            try:
                client.connect(f"{self._directory}/socket")
                return len(client.recv(5)) > 0
            except OSError:
                return False

    def list(self) -> None:
        self.endpoint = self._dns.endpoint("my-database", self.name, ["127.0.0.1"], ports=self.port)

    def unlist(self) -> None:
        assert self.endpoint is not None
        self.endpoint.remove()

    def kill(self) -> None:
        """End it without a word; it stays listed."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def sql(self, *statements: str) -> object:
        """Run statements as its administrator; the only value of the last."""
        connection = pymysql.connect(
            unix_socket=f"{self._directory}/socket", user="root", autocommit=True
        )
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            row = cursor.fetchone()
            return row[0] if row else None


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory as a fresh server has it."""
    if shutil.which("mariadbd") is None:
        pytest.skip("mariadbd is not installed: apt-get install mariadb-server")
    data = tmp_path_factory.mktemp("template") / "data"
    subprocess.run(
        [
            *("mariadb-install-db", "--no-defaults", f"--user={getpass.getuser()}"),
            *(f"--datadir={data}", "--auth-root-authentication-method=normal"),
            *("--skip-test-db", "--innodb-log-file-size=4M"),
        ],
        check=True,
        capture_output=True,
        timeout=50,
    )
    return data


@pytest.fixture
def servers(
    template: Path, tmp_path_factory: pytest.TempPathFactory, cluster_dns: ClusterDNS
) -> Iterator[Callable[[int], list[Server]]]:
    """Starts so many servers, ``mysql-0`` first, which the service ``my-database`` lists."""
    made: list[Server] = []
    # Its records are held by no cache, so that a watcher soon believes that a peer has left.
    cluster_dns.cluster.ttl = 0

    def start(count: int) -> list[Server]:
        for ordinal in range(count):
            directory = tmp_path_factory.mktemp("server") / "data"
            shutil.copytree(template, directory)
            server = Server(cluster_dns, directory, ordinal)
            made.append(server)
            server.start()
            server.sql(
                "CREATE SCHEMA app",
                "CREATE TABLE app.visits (n INT AUTO_INCREMENT PRIMARY KEY, at DATETIME(3))",
                f"CREATE USER app@'%' IDENTIFIED BY '{pymysql.converters.escape_string(PASSWORD)}'",
                "GRANT CREATE, SELECT, INSERT ON app.* TO app@'%'",
            )
            if ordinal > 0:
                server.sql("SET GLOBAL read_only = ON")
        return made

    yield start
    for server in made:
        server.kill()
