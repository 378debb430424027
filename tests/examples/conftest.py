from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.docs.conftest import cluster, environ_restored, environment, mysql
from tests.mysql.conftest import (
    bridge,
    db,
    every_db,
    every_image,
    every_mariadb,
    image,
    loopback,
    make,
    make_every,
    template,
)
from tests.mysql.database import Image
from tests.mysql.pods import Network

from .cloning import need_beside
from .databases import Pods

__all__ = [
    "bridge",
    "cluster",
    "db",
    "environ_restored",
    "environment",
    "every_db",
    "every_image",
    "every_mariadb",
    "image",
    "loopback",
    "make",
    "make_every",
    "mysql",
    "template",
]


@pytest.fixture
def pods(loopback: Network, every_mariadb: Image) -> Iterator[Pods]:
    """Pods on loopback, of each version; at the end nothing of them may show a password."""
    need_beside(every_mariadb.server.program, "mariadb", "mariadb-dump")
    made = Pods(loopback, every_mariadb)
    yield made
    made.close()
