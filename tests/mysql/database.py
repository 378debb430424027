"""A StatefulSet of MariaDB pods, each with a sidecar."""

from __future__ import annotations

import fcntl
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pymysql
from pymysql.constants import ER
from pymysql.cursors import DictCursor

from tests.cli.command import bare_environment

from .evidence import Evidence
from .mariadb import MariaDB, connected
from .pods import Bridge, Network, Pod
from .sidecar import Sidecar
from .waiting import until

AWKWARD = """it's \\ "a" %s ` {} """
"""How every password begins, so that one that is quoted wrongly does not work."""

PASSWORDS = {
    "PEERDISCO_MYSQL_PASSWORD": "sidecar",
    "PEERDISCO_MYSQL_REPLICATION_PASSWORD": "replication",
    "PEERDISCO_MYSQL_BACKUP_PASSWORD": "backup",
}
"""Variable to file."""

QUICK = {"PEERDISCO_INTERVAL": "0.1"}
SHOP = """
CREATE SCHEMA shop;
CREATE TABLE shop.orders (n INT PRIMARY KEY);
CREATE USER 'shop'@'localhost';
GRANT SELECT, INSERT ON shop.* TO 'shop'@'localhost';
"""

_CONFIGS: dict[tuple[str, ...], str] = {}
"""By the family, the pod's name and further options; nothing else is in it."""


@dataclass(frozen=True)
class Image:
    """What the servers begin with, as the image of a database makes it at its first start.

    Attributes:
        data: A data directory that holds the accounts.
        bare: One without them.
        passwords: A directory with a file for each account's password.
        server: What is started on it.
    """

    data: Path
    bare: Path
    passwords: Path
    server: type[MariaDB] = MariaDB

    @property
    def secrets(self) -> list[str]:
        """The part of each password that is like nothing else."""
        return [
            (self.passwords / file).read_text().removeprefix(AWKWARD) for file in PASSWORDS.values()
        ]


def password_files(directory: Path) -> dict[str, str]:
    """The variables that name the files with the passwords."""
    return {f"{name}_FILE": str(directory / file) for name, file in PASSWORDS.items()}


def flavour(kind: type[MariaDB]) -> tuple[str, str]:
    """The option with the family of the servers."""
    return ("--flavour", kind.flavour)


def image(directory: Path, network: Network, bare: Path, kind: type[MariaDB] = MariaDB) -> Image:
    """Make the accounts in a copy of a fresh data directory; once, whoever asks."""
    directory.mkdir(exist_ok=True)
    made = Image(directory / "data", bare, directory / "passwords", kind)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.data.exists():
            made.passwords.mkdir(exist_ok=True)
            for file in PASSWORDS.values():
                # Not more than 32 bytes, which is all that MySQL replicates with.
                (made.passwords / file).write_text(AWKWARD + secrets.token_hex(6))
            accounts = subprocess.run(
                [sys.executable, "-m", "peerdisco", "mysql-setup", "accounts", *flavour(kind)],
                env=bare_environment(password_files(made.passwords)),
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                timeout=20,
            ).stdout
            server = kind(network.pod("image-0"), network.directory / "image", bare)
            server.start()
            server.script(accounts)
            server.stop()
            shutil.copytree(server.datadir, directory / "making")
            (directory / "making").rename(made.data)
    return made


class Member:
    """A pod of the database: its server, its sidecar, and its volume, which outlives it.

    Attributes:
        pod: As it is now.
        server: Down until it is started.
        sidecar: The same.
    """

    def __init__(self, database: Database, name: str, volume: Path, pod: Pod) -> None:
        self._database = database
        self.name = name
        self.pod = pod
        self.server = database.image.server(pod, volume, database.image.data, database.config(pod))
        self.sidecar = Sidecar(pod, database.environment, database.evidence)

    def start(self) -> None:
        """Start both, and wait for neither."""
        self.server.start(wait=False)
        self.sidecar.start()

    def stop(self) -> None:
        """Take the pod's containers down in good order, as Kubernetes does."""
        self.sidecar.stop()
        self.server.stop()

    def kill(self) -> None:
        """End both at once, without a word."""
        self.sidecar.kill()
        self.server.kill()

    def locally(self, *statements: str) -> None:
        """Execute in one session what an administrator does to a server that is read-only.

        The sidecar makes MySQL super read-only again at any time.
        """
        with connected(self.server.socket) as cursor:
            for statement in statements:
                until(lambda statement=statement: self._done(cursor, statement), what=statement)

    def _done(self, cursor: DictCursor, statement: str) -> bool:
        if self.server.flavour == "mysql":
            cursor.execute("SET GLOBAL super_read_only = OFF")
        try:
            cursor.execute(statement)
        except pymysql.err.OperationalError as error:
            if error.args[0] != ER.OPTION_PREVENTS_STATEMENT:
                raise
            return False
        return True

    def vanish(self) -> None:
        """Let its node die: no packet reports it to anybody."""
        if isinstance(self._database.network, Bridge):
            self.pod.cut()
        self.server.kill()
        if self.sidecar.alive:
            self.sidecar.kill()
        self.pod.close()

    def arrive(self, *, publish: bool = True) -> None:
        """Let a pod of the same name begin elsewhere, with the same volume; nothing runs in it."""
        self.pod = self._database.network.pod(self.name, publish=publish)
        self.server.pod = self.sidecar.pod = self.pod


class Database:
    """A StatefulSet ``mysql`` of database pods behind the headless service ``mysql``.

    Args:
        network: Where.
        image: What the servers begin with.
        replicas: How many pods it has at first; none of them runs anything yet.
        quick: Whether looks follow each other at once, so that nothing takes long.
        setup: More options of ``mysql-setup config``.
    """

    def __init__(
        self,
        network: Network,
        image: Image,
        replicas: int = 3,
        *,
        quick: bool = True,
        setup: tuple[str, ...] = (),
    ) -> None:
        self.network = network
        self.setup = setup
        self.image = image
        self.evidence = Evidence(image.secrets)
        passwords = network.directory / "passwords"
        shutil.copytree(image.passwords, passwords)
        network.own(passwords)
        self.environment = {
            **(QUICK if quick else {}),
            **password_files(passwords),
            "PEERDISCO_MYSQL_REPLICAS": str(replicas),
            "PEERDISCO_MYSQL_LISTEN": "127.0.0.1:0",
        }
        self._all: list[Member] = []
        self.members = [self.add(ordinal) for ordinal in range(replicas)]

    def config(self, pod: Pod) -> str:
        """The configuration of this pod's server."""
        kind = self.image.server
        key = (kind.flavour, pod.name, *self.setup)
        if key not in _CONFIGS:
            command = ("-m", "peerdisco", "mysql-setup", "config", *flavour(kind), *self.setup)
            _CONFIGS[key] = pod.run(sys.executable, *command)
        return _CONFIGS[key]

    def add(self, ordinal: int, volume: str = "", *, publish: bool = True) -> Member:
        """One more pod; another one may have the same name."""
        name = f"mysql-{ordinal}"
        pod = self.network.pod(name, publish=publish)
        member = Member(self, name, self.network.directory / (volume or name), pod)
        member.sidecar.environment["PEERDISCO_MYSQL_SOCKET"] = str(member.server.socket)
        self._all.append(member)
        return member

    def __getitem__(self, ordinal: int) -> Member:
        return self.members[ordinal]

    @property
    def primary(self) -> Member:
        return self.members[0]

    @property
    def replicas(self) -> list[Member]:
        return self.members[1:]

    def start(self, *order: int) -> None:
        """Start all servers and sidecars, in this order, and wait for nothing."""
        for ordinal in order or range(len(self.members)):
            self[ordinal].start()

    def wait(self) -> None:
        """Wait until every server does what it is to do, and its sidecar says so."""
        for member in self.members:
            member.server.wait_ready()
        until(
            lambda: not self.primary.server.variable("read_only"),
            what=lambda: f"{self.primary.name} takes writes; {self.primary.sidecar.said}",
        )
        self.primary.sidecar.wait_for("primary")
        for replica in self.replicas:
            until(
                lambda replica=replica: replica.server.replicates,
                what=lambda replica=replica: f"{replica.name} replicates; {replica.sidecar.said}",
            )
            replica.sidecar.wait_for("replica")

    def create_shop(self) -> None:
        """A schema with a table, and an account that may do nothing but write into it."""
        self.primary.server.script(SHOP)

    def open_shop(self, *orders: int) -> Database:
        """Start all pods, and take these orders; then each pod has them."""
        self.start()
        self.wait()
        self.create_shop()
        if orders:
            rows = ", ".join(f"({n})" for n in orders)
            self.primary.server.sql(f"INSERT INTO shop.orders VALUES {rows}")
        for replica in self.replicas:  # it comes after the epoch, the heartbeat and the row
            until(lambda one=replica: "shop" in one.server.schemas(), what="it has the shop")  # type: ignore[misc]
        self.wait_equal()
        return self

    def rows(self, member: Member) -> list[int]:
        """The orders that a server has; none if it has not got the table yet."""
        try:
            return [row["n"] for row in member.server.sql("SELECT n FROM shop.orders ORDER BY n")]
        except pymysql.err.MySQLError as error:
            if error.args[0] not in (ER.BAD_DB_ERROR, ER.NO_SUCH_TABLE):
                raise
            return []

    def wait_equal(self) -> list[int]:
        """Wait until all servers hold the same orders; which."""
        rows = self.rows(self.primary)
        for replica in self.replicas:
            until(
                lambda replica=replica: self.rows(replica) == rows,
                what=lambda replica=replica: (
                    f"{replica.name} has the primary's rows; {replica.sidecar.said}; "
                    f"{replica.server.replica_status()}"
                ),
            )
        return rows

    def close(self) -> None:
        """End all of it, and look for passwords in whatever it left."""
        for member in self._all:
            if member.server.alive:
                member.server.wait_ready()
                shown = member.server.sql("SHOW FULL PROCESSLIST")
                self.evidence.add(f"process list of {member.name}", str(shown))
            if member.sidecar.alive:
                member.sidecar.kill()
        for member in self._all:
            self.evidence.add(f"error log of {member.name}", member.server.log())
        found = self.evidence.convict()
        assert not found, f"a password was seen: {found}"
