from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import docker
import docker.errors
import pytest
from testcontainers.core.config import testcontainers_config

from tests.cli.command import bare_environment
from tests.mysql import mariadb
from tests.mysql.database import AWKWARD, PASSWORDS, QUICK, password_files

from . import images
from .engine import NoEngineError, engine
from .pods import Containers, Pod, Server, containers

OFFICIAL = 999
"""The user and group ``mysql`` in the official images."""
REPLICAS = 3


@pytest.fixture(scope="module")
def short_path() -> Iterator[Path]:
    """A directory whose path is short enough for the sockets in it."""
    with tempfile.TemporaryDirectory(prefix="peerdisco-", ignore_cleanup_errors=True) as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="module")
def user() -> str:
    """As whom containers run: never as root."""
    if os.geteuid() == 0:
        return f"{OFFICIAL}:{OFFICIAL}"
    return f"{os.geteuid()}:{os.getegid()}"


@pytest.fixture(scope="module")
def client(short_path: Path) -> Iterator[docker.DockerClient]:
    """A container engine, which testcontainers uses meanwhile.

    For these tests only: other tests check which processes run below their own.
    """
    directory = short_path / "engine"
    directory.mkdir()
    with ExitStack() as stack:
        try:
            url = stack.enter_context(engine(directory))
        except NoEngineError as error:
            pytest.skip(str(error))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("DOCKER_HOST", url)
        # Its image comes from a registry, and what it would remove is removed here.
        patch.setattr(testcontainers_config, "ryuk_disabled", True)
        made = docker.DockerClient(url, version="auto")
        stack.callback(made.close)
        images.skeleton(made)
        if (reason := images.foreign(made)) is not None:
            pytest.skip(reason)
        yield made


@pytest.fixture(scope="module")
def debian(client: docker.DockerClient, short_path: Path) -> Server:
    """MariaDB's server from the Debian packages of this machine."""
    if (reason := images.mariadb_missing() or mariadb.missing()) is not None:
        pytest.skip(reason)
    return Server(images.mariadb(client, mariadb.template(short_path / "mariadb")), "mariadb")


def official(client: docker.DockerClient, image: str) -> Server:
    """A server's own image, where a registry has it."""
    try:
        client.images.get(image)
    except docker.errors.ImageNotFound:
        try:
            client.images.pull(image)
        except docker.errors.APIError as error:
            pytest.skip(f"this machine has an engine that gets no {image}: {error.explanation}")
    return Server(image, image.partition(":")[0])


@pytest.fixture(params=["debian", "mariadb:11", "mysql:8.4"])
def server(request: pytest.FixtureRequest, client: docker.DockerClient) -> Server:
    """Each of the servers."""
    if request.param == "debian":
        made: Server = request.getfixturevalue("debian")
        return made
    return official(client, request.param)


@pytest.fixture
def place(client: docker.DockerClient, short_path: Path, user: str) -> Iterator[Containers]:
    """A network, and the DNS in it."""
    directory = Path(tempfile.mkdtemp(dir=short_path))
    directory.chmod(0o755)
    with containers(directory, user) as made:
        yield made


@pytest.fixture
def pods(place: Containers, server: Server) -> list[Pod]:
    """A StatefulSet's pods with blank volumes, in which nothing runs yet."""
    directory = make_secrets(place, server)
    environment = {
        **QUICK,
        **password_files(Path("/passwords")),
        "PEERDISCO_MYSQL_REPLICAS": str(REPLICAS),
    }
    names = [f"mysql-{ordinal}" for ordinal in range(REPLICAS)]
    return [Pod(place, server, name, directory, environment) for name in names]


def make_secrets(place: Containers, server: Server) -> Path:
    """The passwords, and the script that makes the accounts: for the containers alone to read."""
    directory = place.make_directory("secrets")
    passwords, initdb = (
        place.make_directory(f"secrets/{name}") for name in ("passwords", "initdb")
    )
    for name in PASSWORDS.values():
        (passwords / name).write_text(AWKWARD + secrets.token_hex(4))
    accounts = subprocess.run(
        [
            sys.executable, "-m", "peerdisco", "mysql-setup", "accounts",
            "--flavour", server.flavour,
        ],
        env=bare_environment(password_files(passwords)),
        check=True, stdout=subprocess.PIPE, text=True, timeout=20,
    ).stdout  # fmt: skip
    (initdb / "accounts.sql").write_text(accounts)
    for path in (*passwords.iterdir(), *initdb.iterdir()):
        path.chmod(0o400)
        images.give(path, place.user)
    return directory
