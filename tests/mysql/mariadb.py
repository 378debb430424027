"""Real MariaDB servers, cheap enough to start for a test."""

from __future__ import annotations

import fcntl
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pymysql
from pymysql.constants import CLIENT, ER
from pymysql.cursors import DictCursor

from .certificates import self_signed
from .namespaces import Process
from .pods import PORT, Pod
from .waiting import until

VARIABLE = "PEERDISCO_TEST_MARIADBD"
OTHER = os.environ.get(VARIABLE, "")
"""A ``mariadbd`` of another version than the installed one, for the tests of every server."""

READY = 30.0
"""Seconds within which a server has to greet."""

SMALL = (
    "--innodb-buffer-pool-size=16M",
    "--innodb-log-file-size=4M",
    "--performance-schema=OFF",
    "--skip-ssl",
)
"""What makes a server small; nothing of it changes what it does."""


def missing() -> str | None:
    """Why no server can be started here, to be the reason of a skip; None if one can."""
    if shutil.which("mariadbd") is None or shutil.which("mariadb-install-db") is None:
        return "mariadbd is not installed: apt-get install mariadb-server"
    return None


def other_missing() -> str | None:
    """The same for the MariaDB of another version."""
    if not OTHER:
        return f"this machine has no second MariaDB; {VARIABLE}=PATH names a mariadbd"
    if installer(OTHER) is None:
        return f"this machine has no mariadb-install-db beside {VARIABLE}={OTHER}"
    return None


def installer(program: str) -> str | None:
    """``mariadb-install-db`` of the same installation as this server."""
    return beside(program, "mariadb-install-db")


def beside(program: str, name: str) -> str | None:
    """A program of the same installation as this server; None if it has none of that name."""
    return shutil.which(name, path=programs(program) or None)


def programs(program: str) -> str:
    """The directories of the programs of a server's installation; empty for those of PATH."""
    if "/" not in program:
        return ""
    directory = Path(program).parent
    return os.pathsep.join(map(str, (directory, directory.parent / "bin")))


def template(directory: Path, program: str = "mariadbd") -> Path:
    """A data directory as a fresh server has it, made once for all processes that ask for it.

    What it holds is the system schema alone, and root without a password on the Unix socket.
    """
    directory.mkdir(exist_ok=True)
    data = directory / "data"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not data.exists():
            making, tmp = directory / "making", directory / "tmp"
            shutil.rmtree(making, ignore_errors=True)
            tmp.mkdir(exist_ok=True)
            done = subprocess.run(
                [
                    str(installer(program)),
                    "--no-defaults",
                    f"--user={getpass.getuser()}",
                    f"--datadir={making}",
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                    "--innodb-log-file-size=4M",
                ],
                check=False,
                capture_output=True,
                text=True,
                timeout=50,
                env={**os.environ, "TMPDIR": str(tmp)},
            )
            if done.returncode:
                raise RuntimeError(f"mariadb-install-db: {done.stdout}{done.stderr}")
            making.rename(data)
    return data


@contextmanager
def connected(
    path: Path, user: str = "root", *, timeout: float = 30, **options: Any
) -> Iterator[DictCursor]:
    """A cursor on a connection to the server behind a Unix socket; each statement commits."""
    connection = pymysql.Connection(
        user=user,
        cursorclass=DictCursor,
        autocommit=True,
        read_timeout=timeout,
        ssl_disabled=True,  # or it reads all certificates of this machine, each time
        defer_connect=True,
        **options,
    )
    # PyMySQL does not close a socket of its own that nobody listens to.
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(timeout)
        client.connect(str(path))
        connection.connect(client)
        with connection, connection.cursor() as cursor:
            yield cursor


def renamed(name: str) -> str:
    """What MySQL calls a column of the status of a replica."""
    return name.replace("Slave", "Replica").replace("Master", "Source")


class MariaDB:
    """A server in a pod; its options are kept when it is started again.

    Args:
        pod: Where it runs; it may be given another one while it is down.
        volume: Its directory, which outlives pods; a path of less than 80 bytes.
        template: What its data directory is made of when there is none.
        config: The text of its configuration file.
        arguments: More on its command line.
    """

    flavour = "mariadb"
    program = "mariadbd"
    small: tuple[str, ...] = SMALL
    reset = "RESET MASTER"
    """The statement that empties its binary log."""
    position = "gtid_slave_pos"
    """The variable with what a replica has applied."""
    before_config = ""
    """Settings that the configuration may change."""

    def __init__(
        self,
        pod: Pod,
        volume: Path,
        template: Path,
        config: str = "",
        arguments: Sequence[str] = (),
    ) -> None:
        self.pod = pod
        self.volume = volume
        self.datadir = volume / "data"
        self.socket = volume / "mysqld.sock"
        self.error_log = volume / "error.log"
        self.defaults_file = volume / "my.cnf"
        self.config = config
        self.arguments = tuple(arguments)
        self.process: Process | None = None
        self.template = template
        volume.mkdir(exist_ok=True)

    # --- its life

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it greets."""
        assert not self.alive, "it runs already"
        # Of its own: a server that starts removes the temporary tables of all that share one.
        tmp = self.volume / "tmp"
        tmp.mkdir(exist_ok=True)
        self.prepare()
        self.defaults_file.write_text(f"{self.before_config}{self.config}")
        self.pod.network.own(self.volume)
        self.process = self.pod.quietly(
            self.program,
            f"--defaults-file={self.defaults_file}",
            "--user=root",
            f"--datadir={self.datadir}",
            f"--tmpdir={tmp}",
            f"--socket={self.socket}",
            f"--pid-file={self.volume / 'mysqld.pid'}",
            f"--bind-address={self.pod.bind}",
            f"--port={PORT}",
            *self.small,
            *self.arguments,
            log=self.error_log,
        )
        if wait:
            self.wait_ready()

    def prepare(self) -> None:
        """Make its data directory, if it has none."""
        if not self.datadir.exists():
            shutil.copytree(self.template, self.datadir)

    def wait_ready(self, timeout: float = READY) -> None:
        """Wait until it greets on its socket, as whoever connects sees it."""
        deadline = time.monotonic() + timeout
        while not self._greets():
            if not self.alive or time.monotonic() > deadline:
                what = "does not greet" if self.alive else "has ended"
                raise RuntimeError(f"{self.pod.name}: {what}:\n{self.log()[-4000:]}")
            time.sleep(0.005)

    def _greets(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            try:
                client.connect(str(self.socket))
                return len(client.recv(5)) > 0
            except OSError:
                return False

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.alive

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def stop(self) -> None:
        """End it in good order; if it does not end within its grace period, as the kubelet does."""
        try:
            self._end(signal.SIGTERM)
        except subprocess.TimeoutExpired:
            self._end(signal.SIGKILL)

    def kill(self) -> None:
        """End it with kill -9."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self.process is not None:
            self.process.signal(number)
            self.process.wait()
        self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def wipe(self) -> None:
        """Empty its volume, while it is down."""
        assert not self.alive, "it runs"
        shutil.rmtree(self.datadir)

    def log(self) -> str:
        """All that it wrote into its error log."""
        return self.error_log.read_text() if self.error_log.exists() else ""

    # --- what it holds

    def sql(self, *statements: str, user: str = "root", password: str = "") -> list[dict[str, Any]]:
        """Run statements over its socket, as root by default; the rows of the last."""
        with connected(self.socket, user=user, password=password) as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def script(self, text: str) -> None:
        """Run a script of several statements, as root."""
        with connected(self.socket, client_flag=CLIENT.MULTI_STATEMENTS) as cursor:
            cursor.execute(text)
            while cursor.nextset():
                pass

    def value(self, query: str) -> Any:
        """The only value that a query gives."""
        ((value,),) = (row.values() for row in self.sql(query))
        return value

    def variable(self, name: str) -> Any:
        return self.value(f"SELECT @@GLOBAL.{name}")

    @property
    def identity(self) -> str:
        """What it is called in the positions of those that have its transactions."""
        name = "server_uuid" if self.flavour == "mysql" else "server_id"
        return str(self.variable(name))

    def replica_status(self) -> Mapping[str, Any]:
        """``SHOW REPLICA STATUS``, with the names of MySQL; empty if it replicates nothing."""
        rows = self.sql("SHOW REPLICA STATUS")
        return {renamed(name): value for row in rows for name, value in row.items()}

    @property
    def replicates(self) -> bool:
        """Whether both threads of a replica run."""
        status = self.replica_status()
        return (status.get("Replica_IO_Running"), status.get("Replica_SQL_Running")) == (
            "Yes",
            "Yes",
        )

    @contextmanager
    def crowd(self, user: str) -> Iterator[None]:
        """Use all connections, over the socket, as an account without privileges."""
        with ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(connected(self.socket, user=user))
                except pymysql.err.OperationalError as error:
                    if error.args[0] != ER.CON_COUNT_ERROR:
                        raise
                    break
            yield

    def as_another_server(self) -> None:
        """Make a volume that was copied from another server this one's own, while it is down."""

    @contextmanager
    def holding(self, statement: str) -> Iterator[None]:
        """Keep the connection, and so the locks, of a statement that root executes."""
        with connected(self.socket) as cursor:
            cursor.execute(statement)
            yield

    def purge_logs(self) -> None:
        """Begin a new binary log, and remove those before; a replica reads the new one first."""
        self.sql("FLUSH BINARY LOGS")
        until(lambda: self._purged() == 1, what="nothing is left but the last log")

    def _purged(self) -> int:
        # A log that a replica still reads is kept.
        last = self.sql("SHOW BINARY LOGS")[-1]["Log_name"]
        self.sql(f"PURGE BINARY LOGS TO '{last}'")
        return len(self.sql("SHOW BINARY LOGS"))

    def schemas(self) -> set[str]:
        """The schemas that are not the server's own."""
        own = {"information_schema", "performance_schema", "mysql", "sys"}
        return {row["Database"] for row in self.sql("SHOW DATABASES")} - own


class OtherMariaDB(MariaDB):
    """A server of the other version in a pod."""

    program = OTHER
    small = tuple(option for option in SMALL if option != "--skip-ssl")
    """From 11.4 on replicas require TLS, for which the servers make their own certificates."""

    def prepare(self) -> None:
        super().prepare()
        # Without files, a server makes a new key at each start: seconds of a busy machine.
        files = [self.volume / "tmp" / name for name in ("key.pem", "cert.pem")]
        for file, content in zip(files, self_signed(), strict=True):
            file.write_bytes(content)
        key, certificate = files
        self.before_config = f"[mariadbd]\nssl_key = {key}\nssl_cert = {certificate}\n"
