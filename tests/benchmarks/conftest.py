"""The servers that all benchmarks share."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from peerdisco.names import Endpoint
from peerdisco.testing import Cluster
from tests import bind
from tests import coredns as real
from tests.mysql import mariadb, pods
from tests.mysql.database import Image, image
from tests.mysql.pods import Bridge
from tests.mysql.pods import network as pod_network

from . import network
from .services import SIZES, Service, zones

ROOT = Path(__file__).parents[2]

_OWN, _COREDNS = "127.0.0.2", "127.0.0.3"
"""BIND has port 53 of 127.0.0.1."""

TESTING, BIND, COREDNS = "the testing DNS", "BIND", "CoreDNS"
"""The servers, as the tables call them."""

SERVERS = {TESTING: "testing_dns", BIND: "bind9", COREDNS: "coredns"}
"""The fixture of each."""


def pytest_configure() -> None:
    files = network.directory()
    if files is not None:
        network.set_up(files)


@dataclass(frozen=True)
class Replaying:
    """The server of `tests.benchmarks.server`, and what it was asked."""

    endpoint: Endpoint
    process: subprocess.Popen[str]

    def counts(self) -> dict[str, int]:
        """Questions and bytes since the call before."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="session")
def testing_dns() -> Iterator[Replaying]:
    """Answers as CoreDNS does."""
    where = (_OWN, "53") if network.directory() else ("127.0.0.1", "0")
    with running("tests.benchmarks.server", *where) as (port, process):
        yield Replaying(Endpoint(where[0], port), process)


@pytest.fixture(scope="session")
def bind9(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bind.Bind]:
    """BIND 9 with the same services."""
    bind.require_named()
    port = 53 if network.directory() else None
    files: Path = tmp_path_factory.mktemp("bind")
    with bind.serving(zones(map(Service, SIZES)), files, port=port) as server:
        yield server


@pytest.fixture(scope="session")
def coredns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[real.CoreDns]:
    """A real CoreDNS with the same services."""
    real.require()
    cluster = Cluster(ttl=30)
    for one in map(Service, SIZES):
        cluster.statefulset(one.statefulset, one.service, one.pods, namespace=one.namespace)
    address, port = (_COREDNS, 53) if network.directory() else ("127.0.0.1", None)
    files: Path = tmp_path_factory.mktemp("coredns")
    with real.serving(cluster, files, address=address, port=port) as server:
        yield server


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image of MariaDB that the benchmarks of databases start from."""
    reason = mariadb.missing() or pods.missing(Bridge)
    if reason is not None:
        pytest.skip(reason)
    bare = mariadb.template(tmp_path_factory.mktemp("mariadb"))
    with pod_network(Bridge) as where:
        return image(tmp_path_factory.mktemp("image"), where, bare)


def figures(benchmark: BenchmarkFixture, what: str, values: dict[str, str]) -> None:
    """Record these figures, which compare with each other and with nothing else."""
    benchmark.group = what
    benchmark.extra_info.update(table="figures", what=what, figures=values)


@contextmanager
def running(module: str, *args: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The port that a server prints, and its process, which ends with the block."""
    command = [sys.executable, "-m", module, *args]
    pipe: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipe) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process
        process.communicate()
