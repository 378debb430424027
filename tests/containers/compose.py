"""The containers that a compose file describes, started by testcontainers.

They run this machine's files instead of their image, which no registry has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from docker.types import EndpointConfig, IPAMConfig, IPAMPool
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from . import images

SERVICE_KEYS = {
    *("build", "container_name", "command", "environment", "networks", "dns"),
    *("stop_signal", "sysctls", "volumes"),
}


class Composed:
    """What ``docker compose up`` starts, but for the images.

    Args:
        file: The compose file.
        stack: Ends what was started.
        user: As whom containers run.
        environment: More variables for each of them.
    """

    def __init__(
        self, file: Path, stack: ExitStack, user: str, environment: Mapping[str, str]
    ) -> None:
        self._directory = file.parent
        self._environment = environment
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert found.keys() == {"name", "services", "networks"}
        self.services: dict[str, dict[str, Any]] = found["services"]
        self._user = user
        ((self._key, network),) = found["networks"].items()
        (pool,) = network["ipam"]["config"]
        addresses = IPAMConfig(pool_configs=[IPAMPool(subnet=pool["subnet"])])
        self._network = Network(docker_network_kw={"ipam": addresses})
        self._network.name = network["name"]
        stack.enter_context(self._network)
        self.running: dict[str, DockerContainer] = {}
        stack.callback(self.stop)

    def start(self, name: str) -> None:
        """Start a service's container."""
        service = self.services[name]
        assert service.keys() <= SERVICE_KEYS
        program, *command = service["command"]
        assert program == "python"
        network = service["networks"][self._key]
        variables = {**service.get("environment", {}), **self._environment}
        container = DockerContainer(images.SKELETON).with_envs(**variables)
        for volume in service.get("volumes", ()):
            here, there, mode = volume.split(":")
            container.with_volume_mapping(str(self._directory / here), there, mode)
        for here, there in images.mounts().items():
            container.with_volume_mapping(here, there, "ro")
        container.with_command([images.PYTHON, "-u", *command])
        if "container_name" in service:
            container.with_name(service["container_name"])
        endpoint = EndpointConfig(
            "1.41",
            aliases=[name, *network.get("aliases", ())],
            ipv4_address=network.get("ipv4_address"),
        )
        container.with_kwargs(
            dns=service.get("dns"),
            stop_signal=service.get("stop_signal"),
            sysctls=service.get("sysctls"),
            network=self._network.name,
            networking_config={self._network.name: endpoint},
            user=self._user,
            working_dir=str(images.REPOSITORY),
        )
        self.running[name] = container
        container.start()

    def remove(self, name: str) -> None:
        """End a container, and remove it."""
        self.running.pop(name).stop()

    def run(self, name: str, *command: str) -> tuple[int, str]:
        """The exit status and the output of ``python`` in a running container."""
        done = self.running[name].exec([images.PYTHON, *command])
        return done.exit_code, done.output.decode()

    def address(self, name: str) -> str:
        """The address of a container on the network."""
        wrapped = self.running[name].get_wrapped_container()
        wrapped.reload()
        networks = wrapped.attrs["NetworkSettings"]["Networks"]
        found: str = networks[self._network.name]["IPAddress"]
        return found

    def log(self, name: str) -> str:
        """What a container has printed."""
        return b"".join(self.running[name].get_logs()).decode()

    def stop(self) -> None:
        for name in reversed([*self.running]):
            self.remove(name)


@contextmanager
def composed(file: Path, user: str, **environment: str) -> Iterator[Composed]:
    """The network of a compose file, and everything that is started on it until the end."""
    with ExitStack() as stack:
        yield Composed(file, stack, user, environment)
