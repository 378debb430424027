"""Real MySQL servers, where one can be had: Debian's releases have none, other places have."""

from __future__ import annotations

import fcntl
import getpass
import os
import shutil
from pathlib import Path

from .daemon import flavour_of, initialise
from .mariadb import MariaDB

VARIABLE = "PEERDISCO_TEST_MYSQLD"
NAMED = os.environ.get(VARIABLE)
PROGRAM = NAMED or shutil.which("mysqld") or ""
"""``mysqld`` on PATH may be MariaDB's under another name."""


def missing() -> str | None:
    """Why no server can be started here, to be the reason of a skip; None if one can."""
    if flavour_of(PROGRAM) == "mysql":
        return None
    if NAMED:
        return f"{VARIABLE}={NAMED} is no MySQL server"
    return f"this machine has no MySQL server; {VARIABLE}=PATH names a mysqld"


def template(directory: Path) -> Path:
    """A data directory as a fresh server has it, made once for all processes that ask for it."""
    directory.mkdir(exist_ok=True)
    data = directory / "data"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not data.exists():
            making = directory / "making"
            shutil.rmtree(making, ignore_errors=True)
            initialise(PROGRAM, making, user=[f"--user={getpass.getuser()}"])
            making.rename(data)
    return data


class MySQL(MariaDB):
    """Such a server in a pod."""

    flavour = "mysql"
    reset = "RESET BINARY LOGS AND GTIDS"
    position = "gtid_executed"
    program = PROGRAM
    small = (
        "--innodb-buffer-pool-size=16M",
        "--innodb-redo-log-capacity=8M",
        "--performance-schema=OFF",
        "--mysqlx=OFF",
        "--secure-file-priv=NULL",
    )

    def prepare(self) -> None:
        blank = not self.datadir.exists()
        super().prepare()
        if blank:
            self.as_another_server()
        # In a pod the socket is in a directory that is empty at first. Here a server that was
        # killed leaves a lock with its process ID, which in the next pod another process has.
        self.socket.with_name(f"{self.socket.name}.lock").unlink(missing_ok=True)

    def as_another_server(self) -> None:
        # Its server_uuid, which a server makes for itself at its first start.
        (self.datadir / "auto.cnf").unlink(missing_ok=True)
