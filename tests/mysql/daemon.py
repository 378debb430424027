"""A real MariaDB or MySQL server on loopback, started and ended by whoever asks for it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql
import pymysql.cursors

READY_WITHIN = 60.0
COMMON = (
    "--log-bin=mysqld-bin",
    "--innodb-buffer-pool-size=16M",
    "--skip-name-resolve",
    "--bind-address=127.0.0.1",
)
OPTIONS = {
    "mariadb": (
        "--binlog-format=ROW",
        "--log-slave-updates=ON",
        "--gtid-strict-mode=ON",
        "--skip-slave-start",
        "--performance-schema=OFF",
        "--innodb-log-file-size=4M",
    ),
    "mysql": (
        "--gtid-mode=ON",
        "--enforce-gtid-consistency=ON",
        "--skip-replica-start",
        "--innodb-redo-log-capacity=8M",
        "--mysqlx=OFF",
        "--secure-file-priv=NULL",
    ),
}


def flavour_of(program: str) -> str | None:
    """What kind of server the program is: "mariadb", "mysql", or None where it is neither."""
    try:
        said = subprocess.run(
            [program, "--version"], check=False, capture_output=True, text=True, timeout=20
        )
    except OSError:
        return None
    if said.returncode:
        return None
    return "mariadb" if "mariadb" in said.stdout.lower() else "mysql"


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
    return port


def _account() -> list[str]:
    """The system's account to run as: servers refuse to run as root."""
    return ["--user=mysql"] if os.geteuid() == 0 else []


def initialise(program: str, data: Path, *, user: Sequence[str] | None = None) -> None:
    """Make the data directory of a server that nobody has used.

    Args:
        program: Of the server.
        data: Where; nothing is there yet.
        user: The option that says as whom; by default as a `Daemon` runs.
    """
    account = _account() if user is None else user
    if flavour_of(program) == "mariadb":
        installer = shutil.which("mariadb-install-db")
        assert installer, "mariadb-install-db comes with MariaDB's server"
        command = [
            installer, "--no-defaults", *account, f"--datadir={data}", "--skip-test-db",
            "--auth-root-authentication-method=normal", "--innodb-log-file-size=4M",
        ]  # fmt: skip
    else:
        command = [
            program, "--no-defaults", "--initialize-insecure", *account, f"--datadir={data}",
            "--innodb-redo-log-capacity=8M",
        ]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass
class Daemon:
    """One server.

    Attributes:
        program: Path of mariadbd or mysqld.
        place: Its own directory; `data` below it is a copy of `template`.
        number: Its `server_id`.
    """

    program: str
    place: Path
    number: int
    template: Path
    options: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def flavour(self) -> str:
        flavour = flavour_of(self.program)
        assert flavour is not None
        return flavour

    @property
    def socket(self) -> str:
        return str(self.place / "s")

    def start(self, *more: str) -> None:
        data = self.place / "data"
        if not data.exists():
            self.place.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", str(self.template), str(data)], check=True)
            (data / "auto.cnf").unlink(missing_ok=True)  # MySQL's server_uuid: each its own
            if os.geteuid() == 0:
                shutil.chown(self.place, "mysql")
        # Of its own: a server that starts removes the temporary tables of all that share one.
        tmp = self.place / "tmp"
        if not tmp.exists():
            tmp.mkdir()
            if os.geteuid() == 0:
                shutil.chown(tmp, "mysql")
        with (self.place / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    self.program, "--no-defaults", *_account(), f"--datadir={data}",
                    f"--socket={self.socket}", f"--pid-file={self.place / 'pid'}",
                    f"--tmpdir={tmp}", f"--port={self.port}", f"--server-id={self.number}", *COMMON,
                    *OPTIONS[self.flavour], *self.options, *more,
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + READY_WITHIN
        while not self._greets():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError((self.place / "log").read_text()[-4000:])
            time.sleep(0.02)

    def _greets(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            try:
                client.connect(self.socket)
                return len(client.recv(5)) > 0
            except OSError:
                return False

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End it: SIGTERM in order, SIGKILL at once. A server that is not running stays so."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def wipe(self) -> None:
        """Come back with an empty volume."""
        self.stop()
        shutil.rmtree(self.place / "data")
        self.start()

    def connect(
        self, user: str = "root", password: str = "", *, tcp: bool = False
    ) -> pymysql.Connection[Any]:
        where: dict[str, Any] = (
            {"host": "127.0.0.1", "port": self.port} if tcp else {"unix_socket": self.socket}
        )
        return pymysql.connect(
            user=user,
            password=password,
            autocommit=True,
            cursorclass=pymysql.cursors.DictCursor,
            connect_timeout=10,
            read_timeout=60,
            **where,
        )


def version_number(version: str) -> tuple[int, ...]:
    """ "10.11.19-MariaDB-0+deb12u1-log" is (10, 11, 19)."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    assert found, version
    return tuple(int(part) for part in found.groups())
