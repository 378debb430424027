from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.docs.conftest import cluster, environ_restored, environment, mysql
from tests.mysql.conftest import (
    bridge,
    db,
    every_db,
    every_image,
    image,
    loopback,
    make,
    make_every,
    template,
)
from tests.mysql.database import Image
from tests.mysql.pods import Network

from .databases import Pods

__all__ = [
    "bridge",
    "cluster",
    "db",
    "environ_restored",
    "environment",
    "every_db",
    "every_image",
    "image",
    "loopback",
    "make",
    "make_every",
    "mysql",
    "template",
]


@pytest.fixture
def pods(loopback: Network, image: Image) -> Iterator[Pods]:
    """Pods on loopback; at the end nothing of them may show a password."""
    made = Pods(loopback, image)
    yield made
    made.close()
