"""A StatefulSet in containers: each pod is three of them with one network and one host name.

As in Kubernetes, one container does nothing but hold the pod's network; the server and the sidecar
share it, and are started and ended without it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
from pymysql.cursors import DictCursor
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from tests.mysql.database import AWKWARD

from . import images
from .dns import Names

SERVICE = "mysql"
DOMAIN = "cluster.local"
DEADLINE = 40.0
"""Seconds; far more than anything takes."""

SMALL = ("--innodb-buffer-pool-size=16M", "--performance-schema=OFF")
"""What makes a server small; nothing of it changes what it does."""

STATE = re.compile(rb"peerdisco: ([a-z-]+): (.*)")


@dataclass(frozen=True)
class Server:
    """The image that the servers run, with the interface of the official ones.

    Attributes:
        image: Its name.
        flavour: "mariadb" or "mysql".
    """

    image: str
    flavour: str


class Containers:
    """Containers on one network, and the DNS that they ask through the engine's own.

    Args:
        network: Theirs.
        directory: For what is mounted into them; its path has to be short, for the sockets in it.
        user: As whom all of them run, "UID:GID".
    """

    def __init__(self, network: Network, directory: Path, user: str) -> None:
        self.network = network
        self.directory = directory
        self.user = user
        self._running: list[DockerContainer] = []
        control = self.make_directory("dns")
        dns = self.start(
            images.SKELETON,
            ["-m", "tests.containers.dns", "/control/socket", SERVICE, "3306"],
            python=True,
            volumes={control: "/control"},
            network=True,
            # To listen below 1024.
            sysctls={"net.ipv4.ip_unprivileged_port_start": "0"},
        )
        self.dns_address = self.address_of(dns)
        self.names = Names(control / "socket")

    def make_directory(self, name: str) -> Path:
        """A directory that the containers may write into."""
        made = self.directory / name
        made.mkdir()
        images.give(made, self.user)
        return made

    def start(
        self,
        image: str,
        command: Sequence[str],
        *,
        python: bool = False,
        environment: Mapping[str, str] | None = None,
        volumes: Mapping[Path, str] | None = None,
        network: bool = False,
        **more: Any,
    ) -> DockerContainer:
        """Start a container.

        Args:
            image: Its image.
            command: What it runs.
            python: Whether that is for this Python, and of this repository.
            environment: Its variables.
            volumes: Paths here, and there; writable.
            network: Whether it has an address of its own in the network.
            more: Further options for the engine.
        """
        container = DockerContainer(image).with_envs(**(environment or {}))
        if image == images.SKELETON:
            for here, there in images.mounts().items():
                container.with_volume_mapping(here, there, "ro")
            more.setdefault("working_dir", str(images.REPOSITORY))
        for path, there in (volumes or {}).items():
            container.with_volume_mapping(path, there, "rw")
        if network:
            container.with_network(self.network)
        container.with_command([images.PYTHON, *command] if python else list(command))
        container.with_kwargs(user=self.user, **more)
        self._running.append(container)
        return container.start()

    def address_of(self, container: DockerContainer) -> str:
        wrapped = container.get_wrapped_container()
        wrapped.reload()
        address: str = wrapped.attrs["NetworkSettings"]["Networks"][self.network.name]["IPAddress"]
        return address

    def cut(self, container: DockerContainer) -> None:
        """Take a container off the network: from now on it neither hears nor says anything."""
        networks = container.get_docker_client().client.networks
        networks.get(self.network.name).disconnect(container.get_container_id(), force=True)

    def remove(self, container: DockerContainer) -> None:
        """Kill what runs in it, and remove it."""
        self._running.remove(container)
        container.stop()

    def close(self) -> None:
        self.names.close()
        for container in reversed(self._running):
            container.stop()


class Pod:
    """A pod of the StatefulSet, with its volume, which outlives it.

    Args:
        containers: Where.
        server: What the server is.
        name: The pod's host name.
        secrets: A directory with the passwords, and the script that makes the accounts.
        environment: Of the sidecar.
    """

    def __init__(
        self,
        containers: Containers,
        server: Server,
        name: str,
        secrets: Path,
        environment: Mapping[str, str],
    ) -> None:
        self._containers = containers
        self._server = server
        self._secrets = secrets
        self._environment = environment
        self.name = name
        self._data = containers.make_directory(f"{name}-data")
        self._run = containers.make_directory(f"{name}-run")
        self._config = containers.make_directory(f"{name}-config")
        self._started = 0
        self.begin()

    def begin(self) -> None:
        """Let it have a network and a host name, and its configuration; nothing runs in it yet."""
        self.holder = self._containers.start(
            images.SKELETON,
            ["sleep", "infinity"],
            network=True,
            hostname=self.name,
            dns=[self._containers.dns_address],
            dns_search=[f"default.svc.{DOMAIN}", f"svc.{DOMAIN}", DOMAIN],
            dns_opt=["ndots:5"],
        )
        self.address = self._containers.address_of(self.holder)
        config = self.peerdisco(
            "mysql-setup", "config", "--flavour", self._server.flavour, "--service", SERVICE
        )
        (self._config / "peerdisco.cnf").write_text(config)

    def peerdisco(self, *arguments: str) -> str:
        """Run the command in the pod, as an init container does; what it printed."""
        return self.run(images.PYTHON, "-W", "error", "-m", "peerdisco", *arguments)

    def run(self, *command: str) -> str:
        """Run a command in the pod that has to succeed; what it printed."""
        status, output = self.holder.get_wrapped_container().exec_run(
            list(command),
            environment={"POD_NAMESPACE": "default"},
            workdir=str(images.REPOSITORY),
        )
        text: str = output.decode()
        assert status == 0, text
        return text

    def start(self) -> None:
        """Start the server and the sidecar, and wait for neither."""
        together: dict[str, Any] = {"network_mode": f"container:{self.holder.get_container_id()}"}
        self.server = self._containers.start(
            self._server.image,
            SMALL,
            environment={
                "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD": "1",
                "MYSQL_ALLOW_EMPTY_PASSWORD": "1",
            },
            volumes={
                self._data: "/var/lib/mysql",
                self._run: "/run/mysqld",
                self._config: "/etc/mysql/conf.d",
                self._secrets / "initdb": "/docker-entrypoint-initdb.d",
            },
            **together,
        )
        self.sidecar = self._containers.start(
            images.SKELETON,
            ["-W", "error", "-m", "peerdisco", "mysql-sidecar", SERVICE],
            python=True,
            environment={
                **self._environment,
                "POD_NAMESPACE": "default",
                "POD_IP": self.address,
            },
            volumes={self._secrets / "passwords": "/passwords"},
            **together,
        )

    def publish(self) -> None:
        """Let DNS know its address."""
        self._containers.names.publish(self.name, self.address)

    def move(self) -> None:
        """Let its node vanish, and the pod begin on another: the volume stays, the address not."""
        old = (self.sidecar, self.server, self.holder)
        before = self.address
        self.begin()  # first, so that it cannot get the old address
        assert self.address != before
        self._containers.cut(old[-1])
        for container in old:
            self._containers.remove(container)

    # --- what it says and holds

    def nameservers(self) -> list[str]:
        """Whom programs in it ask."""
        lines = self.run("cat", "/etc/resolv.conf").splitlines()
        return [line.split()[1] for line in lines if line.startswith("nameserver")]

    def secrets(self) -> list[str]:
        """The part of each password that is like nothing else."""
        files = (self._secrets / "passwords").iterdir()
        return [path.read_text().removeprefix(AWKWARD) for path in files]

    def states(self) -> list[tuple[str, str]]:
        """Each state that its sidecar has reported since its start, with the reason."""
        said: bytes = self.sidecar.get_wrapped_container().logs()
        return [(one.decode(), why.decode()) for one, why in STATE.findall(said)]

    def wait_for(self, state: str) -> str:
        """Wait until its sidecar says that it is in this state; why it is."""
        deadline = time.monotonic() + DEADLINE
        while not (states := self.states()) or states[-1][0] != state:
            if time.monotonic() > deadline or not self.runs:
                raise AssertionError(f"{self.name} is not {state}:\n{self.logs()[-8000:]}")
            time.sleep(0.05)
        return states[-1][1]

    @property
    def runs(self) -> bool:
        """Whether neither of its containers has ended."""
        for container in (self.sidecar, self.server):
            container.reload()
        return self.sidecar.status == self.server.status == "running"

    def logs(self) -> str:
        """All that its containers wrote."""
        return "\n".join(
            container.get_wrapped_container().logs().decode("utf-8", "replace")
            for container in (self.sidecar, self.server)
        )

    def sql(self, *statements: str) -> list[dict[str, Any]]:
        """Run statements over the server's socket, as root; the rows of the last."""
        connection = pymysql.connect(
            unix_socket=str(self._run / "mysqld.sock"),
            user="root",
            cursorclass=DictCursor,
            autocommit=True,
            read_timeout=30,
        )
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())


@contextmanager
def containers(directory: Path, user: str) -> Iterator[Containers]:
    """Containers on a network of their own, all gone after the block."""
    network = Network()
    with closing(network._docker.client), network:
        made = Containers(network, directory, user)
        try:
            yield made
        finally:
            made.close()
