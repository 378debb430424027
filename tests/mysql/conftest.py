from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import database, mariadb, mysqld, pods
from .database import Database, Image
from .mariadb import MariaDB, OtherMariaDB
from .mysqld import MySQL
from .pods import Bridge, Loopback, Network, network


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The data directory that servers begin with, one for all workers."""
    if (reason := mariadb.missing()) is not None:
        pytest.skip(reason)
    base = tmp_path_factory.getbasetemp()
    return mariadb.template((base if worker_id == "master" else base.parent) / "mariadb")


@pytest.fixture(scope="session")
def image(template: Path) -> Image:
    """The same with the accounts in it."""
    for kind in (Bridge, Loopback):
        if (reason := pods.missing(kind)) is None:
            with network(kind) as where:
                return database.image(template.parent / "image", where, template)
    pytest.skip(reason)


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
    db.start()
    db.wait()
    db.create_shop()
    db.primary.server.sql("INSERT INTO shop.orders VALUES (1)")
    db.wait_equal()
    return db


SERVERS = {"mariadb": MariaDB, "other-mariadb": OtherMariaDB, "mysql": MySQL}


@pytest.fixture(scope="session", params=SERVERS)
def every_image(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Image:
    """The data directory that servers begin with: of each family and version of this machine."""
    return image_for(request, tmp_path_factory, worker_id)


@pytest.fixture(scope="session", params=["mariadb", "other-mariadb"])
def every_mariadb(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Image:
    """The same, of each version of MariaDB."""
    return image_for(request, tmp_path_factory, worker_id)


def image_for(
    request: pytest.FixtureRequest, factory: pytest.TempPathFactory, worker_id: str
) -> Image:
    """The data directory of the family or version that is the parameter."""
    kind = SERVERS[request.param]
    if kind is MariaDB:
        image: Image = request.getfixturevalue("image")
        return image
    return image_of(kind, factory, worker_id)


def image_of(kind: type[MariaDB], factory: pytest.TempPathFactory, worker_id: str) -> Image:
    """The data directory of a family or version that this machine may have; one for all workers."""
    reason = mysqld.missing() if kind is MySQL else mariadb.other_missing()
    if reason is not None or (reason := pods.missing(Bridge)) is not None:
        pytest.skip(reason)
    base = factory.getbasetemp()
    name = next(name for name, one in SERVERS.items() if one is kind)
    directory = (base if worker_id == "master" else base.parent) / name
    bare = (
        mysqld.template(directory) if kind is MySQL else mariadb.template(directory, kind.program)
    )
    with network(Bridge) as where:
        return database.image(directory / "image", where, bare, kind)


@pytest.fixture
def make_every(bridge: Network, every_image: Image) -> Iterator[Callable[..., Database]]:
    """The same as ``make``, for each family and version of this machine."""
    yield from databases(bridge, every_image)


@pytest.fixture
def every_db(make_every: Callable[..., Database]) -> Database:
    """Three pods, in which nothing runs yet, for each family and version of this machine."""
    return make_every()
