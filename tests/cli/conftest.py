from __future__ import annotations

from collections.abc import Iterator

import pytest

from peerdisco.testing import ClusterDNS


@pytest.fixture
def dns() -> Iterator[ClusterDNS]:
    """The seed example: StatefulSet mysql, three pods, behind my-database, port 3306."""
    with ClusterDNS() as server:
        server.statefulset("mysql", service="my-database", replicas=3)
        yield server


@pytest.fixture
def env(dns: ClusterDNS) -> dict[str, str]:
    return dict(dns.environment)
