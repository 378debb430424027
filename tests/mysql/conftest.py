from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from . import database, mariadb, mysqld, pods
from .database import Database, Image
from .mariadb import MariaDB, OtherMariaDB
from .mysqld import MySQL
from .pods import Bridge, Loopback, Network, network

VARIABLE = "PEERDISCO_TEST_SERVERS"
SERVERS: dict[str, type[MariaDB]] = {
    "mariadb": MariaDB,
    "other-mariadb": OtherMariaDB,
    "mysql": MySQL,
}
DEFAULTS: dict[str, list[str]] = {
    "image": ["mariadb"],
    "every_image": [*SERVERS],
    "every_mariadb": ["mariadb", "other-mariadb"],
}
"""The servers of a fixture where the environment names none."""


def chosen(default: Iterable[str]) -> list[str]:
    """The servers that the environment names; these where it names none."""
    named = os.environ.get(VARIABLE, "").split()
    if unknown := [name for name in named if name not in SERVERS]:
        raise pytest.UsageError(f"{VARIABLE}: got {unknown[0]!r}, expected some of {[*SERVERS]}")
    return named or [*default]


def only(*servers: str, fixture: str = "image") -> pytest.MarkDecorator:
    """Run a test on these servers alone, because its sentence is about them alone.

    Args:
        servers: Some of the names in `SERVERS`.
        fixture: ``image``, or ``every_image`` where the test runs on every server of the machine.
    """
    names = [name for name in chosen(DEFAULTS[fixture]) if name in servers]
    return pytest.mark.parametrize(fixture, names, indirect=True)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The data directory that servers begin with, one for all workers."""
    if (reason := mariadb.missing()) is not None:
        pytest.skip(reason)
    base = tmp_path_factory.getbasetemp()
    return mariadb.template((base if worker_id == "master" else base.parent) / "mariadb")


@pytest.fixture(scope="session", params=chosen(DEFAULTS["image"]))
def image(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Image:
    """The data directory that servers begin with; of another one if the environment names it."""
    return image_of(SERVERS[request.param], tmp_path_factory, worker_id)


def made(kind: type[Bridge | Loopback]) -> Iterator[Network]:
    if (reason := pods.missing(kind)) is not None:
        pytest.skip(reason)
    with network(kind) as it:
        yield it


@pytest.fixture
def bridge() -> Iterator[Network]:
    """Pods with a network namespace each, and a bridge between them."""
    yield from made(Bridge)


@pytest.fixture
def loopback() -> Iterator[Network]:
    """Pods that share loopback, for which no root is needed."""
    yield from made(Loopback)


@pytest.fixture(params=["bridge", "loopback"])
def either(request: pytest.FixtureRequest) -> Network:
    """Each of the two networks."""
    made_network: Network = request.getfixturevalue(request.param)
    return made_network


@pytest.fixture
def make(bridge: Network, image: Image) -> Iterator[Callable[..., Database]]:
    """Makes a database on a bridge; at the end nothing of it may have shown a password."""
    yield from databases(bridge, image)


def databases(bridge: Network, image: Image) -> Iterator[Callable[..., Database]]:
    made: list[Database] = []

    def database_of(
        replicas: int = 3, where: Network = bridge, setup: tuple[str, ...] = ()
    ) -> Database:
        made.append(Database(where, image, replicas, setup=setup))
        return made[-1]

    yield database_of
    for one in made:
        one.close()


@pytest.fixture
def db(make: Callable[..., Database]) -> Database:
    """Three pods, in which nothing runs yet."""
    return make()


@pytest.fixture
def running(db: Database) -> Database:
    """Three pods that replicate; each has one order."""
    return db.open_shop(1)


@pytest.fixture(scope="session", params=chosen(DEFAULTS["every_image"]))
def every_image(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Image:
    """The same, of each family and version of this machine."""
    return image_of(SERVERS[request.param], tmp_path_factory, worker_id)


@pytest.fixture(
    scope="session",
    params=[name for name in chosen(DEFAULTS["every_mariadb"]) if SERVERS[name] is not MySQL],
)
def every_mariadb(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Image:
    """The same, of each version of MariaDB."""
    return image_of(SERVERS[request.param], tmp_path_factory, worker_id)


def image_of(kind: type[MariaDB], factory: pytest.TempPathFactory, worker_id: str) -> Image:
    """The data directory of a family or version that this machine may have; one for all workers."""
    reason = {MySQL: mysqld.missing, OtherMariaDB: mariadb.other_missing}.get(
        kind, mariadb.missing
    )()
    if reason is not None:
        pytest.skip(reason)
    base = factory.getbasetemp()
    name = next(name for name, one in SERVERS.items() if one is kind)
    directory = (base if worker_id == "master" else base.parent) / name
    bare = (
        mysqld.template(directory) if kind is MySQL else mariadb.template(directory, kind.program)
    )
    for place in (Bridge, Loopback):
        if (reason := pods.missing(place)) is None:
            with network(place) as where:
                return database.image(directory / "image", where, bare, kind)
    pytest.skip(reason)


@pytest.fixture
def make_every(bridge: Network, every_image: Image) -> Iterator[Callable[..., Database]]:
    """The same as ``make``, for each family and version of this machine."""
    yield from databases(bridge, every_image)


@pytest.fixture
def every_db(make_every: Callable[..., Database]) -> Database:
    """Three pods, in which nothing runs yet, for each family and version of this machine."""
    return make_every()
