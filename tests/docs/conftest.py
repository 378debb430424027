"""A cluster DNS with the service and the StatefulSet that the documentation speaks of."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from peerdisco.testing import ClusterDNS, StatefulSet

_OURS = ("PEERDISCO_", "POD_")


@pytest.fixture(autouse=True)
def environ_restored() -> Iterator[None]:
    """What a snippet does to this process's environment ends with its page."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def log_restored() -> Iterator[None]:
    """So does what it does to the log, in which ``force=True`` removes the handlers of pytest."""
    loggers = (logging.root, logging.getLogger("peerdisco"))
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.fixture
def cluster() -> Iterator[ClusterDNS]:
    """A cluster DNS that other processes can ask; with nothing in it.

    A cache may hold its records for a second at most, so that a departure is soon reported.
    """
    with ClusterDNS(ttl=1) as dns:
        yield dns


@pytest.fixture
def mysql(cluster: ClusterDNS) -> StatefulSet:
    """``mysql-0`` to ``mysql-2``, port 3306, behind the service ``my-database``."""
    return cluster.statefulset("mysql", service="my-database", replicas=3)


@pytest.fixture
def environment(cluster: ClusterDNS) -> dict[str, str]:
    """The environment of a process that sees this cluster, and nothing else of the kind."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {
        **kept,
        **cluster.environment,
        "PEERDISCO_INTERVAL": "0.05",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "error",
    }
