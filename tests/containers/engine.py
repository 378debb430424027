"""A container engine: the one that runs here, or else one of the tests' own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SOCKET = "/var/run/docker.sock"
READY = 40.0
"""Seconds within which an engine has to answer."""

NAMESPACES = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
"""What an engine of our own lives in: its bridges, packet filters, mounts and processes are seen
by nobody else, and are gone when it is."""


class NoEngineError(Exception):
    """No engine can be had here; the reason of a skip."""


@contextmanager
def engine(directory: Path) -> Iterator[str]:
    """The URL of an engine; one that had to be started is gone after the block.

    Raises:
        NoEngineError: There is none, and none can be started.
    """
    if sys.platform != "linux":
        raise NoEngineError("this machine is not Linux, and its files are for no container")
    running = os.environ.get("DOCKER_HOST", f"unix://{SOCKET}")
    if not running.startswith("unix://"):
        raise NoEngineError(f"this machine has its engine elsewhere, at {running}")
    if answers(Path(running.removeprefix("unix://"))):
        yield running
        return
    if (reason := missing()) is not None:
        raise NoEngineError(reason)
    with started(directory) as url:
        yield url


def answers(path: Path) -> bool:
    """Whether an engine listens on this Unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        try:
            client.connect(str(path))
            client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in client.recv(64)
        except OSError:
            return False


def missing() -> str | None:
    """Why no engine can be started here; None if one can."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    for program, package in (
        ("dockerd", "docker.io"),
        ("iptables", "iptables"),
        ("unshare", "util-linux"),
        ("ip", "iproute2"),
    ):
        if shutil.which(program, path=path) is None:
            return f"{program} is not installed: apt-get install {package}"
    if os.geteuid() != 0:
        return "this machine runs no container engine, and only root may start one"
    tried = subprocess.run(
        [*NAMESPACES, "ip", "link", "add", "br0", "type", "bridge"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    if tried.returncode != 0:
        return f"this machine lets root make no bridge: {tried.stderr.strip()}"
    return None


@contextmanager
def podman(directory: Path) -> Iterator[str]:
    """The URL of Podman's service, which answers as Docker's does; gone after the block.

    Raises:
        NoEngineError: It is not installed, or does not start.
    """
    if shutil.which("podman") is None:
        raise NoEngineError("this machine has no podman")
    listening, log = directory / "podman.sock", directory / "podman.log"
    settings = directory / "containers.conf"
    # Higher limits than the own ones may be forbidden here.
    settings.write_text(
        '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n',
        encoding="utf-8",
    )
    runtime = ("--runtime=runc",) if shutil.which("runc") else ()
    command = (
        "podman", *runtime, "--storage-driver=vfs", "--cgroup-manager=cgroupfs",
        f"--root={directory / 'root'}", f"--runroot={directory / 'run'}",
        "system", "service", "--time=0", f"unix://{listening}",
    )  # fmt: skip
    with _listening(
        "podman", command, os.environ | {"CONTAINERS_CONF": str(settings)}, listening, log
    ):
        yield f"unix://{listening}"


@contextmanager
def started(directory: Path) -> Iterator[str]:
    """An engine with everything that is its own below the directory."""
    listening, log = directory / "docker.sock", directory / "dockerd.log"
    dockerd = (
        "dockerd", "--bridge=none", f"--data-root={directory / 'data'}",
        f"--exec-root={directory / 'exec'}", f"--pidfile={directory / 'docker.pid'}",
        f"--host=unix://{listening}", f"--cgroup-parent=/{directory.parent.name}",
    )  # fmt: skip
    command = (*NAMESPACES, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *dockerd)
    environment = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    try:
        # All that runs below it ends with it: it is the first process of its PID namespace.
        with _listening("dockerd", command, environment, listening, log):
            yield f"unix://{listening}"
    finally:
        for cgroup in Path("/sys/fs/cgroup").glob(f"**/{directory.parent.name}"):
            with suppress(OSError):
                cgroup.rmdir()


@contextmanager
def _listening(
    name: str, command: tuple[str, ...], environment: dict[str, str], listening: Path, log: Path
) -> Iterator[None]:
    """An engine that answers on its socket; killed after the block."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment
        )
    try:
        deadline = time.monotonic() + READY
        while not answers(listening):
            if process.poll() is not None or time.monotonic() > deadline:
                raise NoEngineError(f"this machine can run no {name}:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()
