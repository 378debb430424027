from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from peerdisco.testing import ClusterDNS
from tests.hooks.running import Pipe


@pytest.fixture
def dns() -> Iterator[ClusterDNS]:
    """The seed example: StatefulSet mysql, three pods, behind my-database, port 3306."""
    with ClusterDNS() as server:
        server.statefulset("mysql", service="my-database", replicas=3)
        yield server


@pytest.fixture
def env(dns: ClusterDNS) -> dict[str, str]:
    return dict(dns.environment)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Callable[[str], Pipe]]:
    made: list[Pipe] = []

    def make(name: str) -> Pipe:
        made.append(Pipe(tmp_path / name))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., str]:
    def write(name: str, *lines: str) -> str:
        path = tmp_path / name
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        path.chmod(0o755)
        return str(path)

    return write
